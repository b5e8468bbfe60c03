import Testing

@testable import TCP

@Suite struct TextMemoryTests {
  /// A page and its description, or a block of a power of two with room for headers, and pages behind.
  @Test(arguments: [
    (1, 768), (86, 768), (87, 1280), (1000, 2304), (3670, 4352), (3671, 8448), (7766, 8448), (7767, 12544),
    (20_000, 20_736),
  ])
  func textLiesInBlocksAndPages(count: Int, memory: Int) {
    #expect(TextMemory.occupied(count) == memory)
  }

  @Test func whatIsFreeIsWorthWhatSegmentsHaveOfIt() {
    var memory = TextMemory()
    #expect(memory.space(40_000) == 20_000)
    memory.delivered(1000)
    #expect(memory.space(40_000) == (40_000 - 2304) / 2)
    memory.measure(20_000)
    #expect(memory.ratio == 246 && memory.whole(40_000) == 38_437)
    memory.kept(1000, isFirst: true)
    memory.kept(3000, isFirst: false)
    #expect(memory.ahead == 2304 + 4352)
    memory.filled(3000, isLast: false)
    #expect(memory.ahead == 2304)
    memory.filled(1000, isLast: true)
    #expect(memory.ahead == 0)
    memory.kept(1000, isFirst: true)
    memory.kept(1000, isFirst: true)
    #expect(memory.ahead == 2304)
  }

  @Test func readingFreesInProportion() {
    var memory = TextMemory()
    memory.delivered(2000)
    memory.isFull = true
    memory.read(before: 2000, unread: 2000)
    #expect(memory.waiting == 4352 && memory.isFull)
    memory.read(before: 2000, unread: 500)
    #expect(memory.waiting == 1088 && memory.spare == 3264 && !memory.isFull)
    memory.read(before: 500, unread: 0)
    #expect(memory.waiting == 0 && memory.spare == 4352)
  }

  @Test func whatWasFreedIsTakenWithoutAQuestion() {
    var memory = TextMemory()
    memory.delivered(3000)
    #expect(memory.waiting == 4352 && !memory.takes(1000, limit: 5000) && memory.takes(500, limit: 5000))
    memory.read(before: 3000, unread: 0)
    memory.delivered(1000)
    // Of 4,352 bytes that were freed 2,304 are in use again.
    #expect(memory.spare == 2048 && !memory.takes(1000, limit: 3000) && memory.takes(600, limit: 3000))
    #expect(memory.takes(500, limit: 100))
  }
}
