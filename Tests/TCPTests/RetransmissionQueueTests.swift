import Chance
import Testing
import Timing
import Wire

@testable import TCP

/// The scoreboard against one that looks at everything each time.
@Suite struct RetransmissionQueueTests {
  @Test(arguments: 1...40 as ClosedRange<UInt64>) func whatWaitsToBeRepeatedIsFound(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var queue = RetransmissionQueue()
    queue.keepSnapshots(seed % 2 == 0)
    var next = SequenceNumber(UInt32(truncatingIfNeeded: random.next()))
    var (found, splits) = (0, 0)
    for _ in 0..<3000 {
      let index = queue.isEmpty ? 0 : random.below(queue.count)
      switch random.below(10) {
      case 0...3:
        queue.append(SentSegment(start: next, end: next + 100, sent: .zero, delivered: 0))
        queue[snapshot: queue.count - 1] = DeliverySnapshot(
          deliveredAt: .zero, firstSent: .zero, lost: next.rawValue, flight: 1, isApplicationLimited: false)
        next += 100
      case 4 where !queue.isEmpty: queue.removeFirst()
      case 5 where !queue.isEmpty: queue.mark(index, .lost)
      case 6 where !queue.isEmpty: queue.clear(index, random.chance(percent: 50) ? .repeating : .lost)
      case 7 where !queue.isEmpty:
        queue.clear(index, .lost)
        queue.mark(index, .sacked)
      case 8 where !queue.isEmpty && queue[index].length > 1:
        let start = queue[index].start
        queue.split(index, at: start + 1)
        splits += 1
        #expect(queue[index].end == start + 1 && queue[index + 1].start == start + 1)
      default:
        let naive = (0..<queue.count).first { queue[$0].marks.wantsRepetition }
        let place = queue.nextToRepeat()
        #expect(place == naive)
        guard let place else { break }
        found += 1
        queue.resent(place, now: .zero, delivered: 0)
        #expect(!queue[place].marks.wantsRepetition)
      }
    }
    #expect(found > 50 && splits > 50)
    // What lies beside a segment stays beside it: both of what was cut have it.
    for index in 0..<queue.count {
      let start = queue[index].start.rawValue
      let beside = queue[snapshot: index].lost
      #expect(seed % 2 == 1 ? beside == 0 : start &- beside < 100)
    }
  }

  /// What is cut anew covers the same text, is full but for the end of each run of lost ones, of a record, and the FIN, and
  /// what is not lost is as it was.
  @Test(arguments: 1...40 as ClosedRange<UInt64>) func whatIsLostIsCutAnew(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var queue = RetransmissionQueue()
    queue.keepSnapshots(seed % 2 == 0)
    let first = SequenceNumber(UInt32(truncatingIfNeeded: random.next()))
    var (end, records) = (first, [SequenceNumber]())
    for _ in 0..<random.below(200) + 1 {
      let start = end
      end += random.below(300) + 1
      queue.append(SentSegment(start: start, end: end, sent: .zero, delivered: start.rawValue))
      queue[snapshot: queue.count - 1] = DeliverySnapshot(
        deliveredAt: .zero, firstSent: .zero, lost: start.rawValue, flight: 1, isApplicationLimited: false)
      switch random.below(4) {
      case 0: queue.mark(queue.count - 1, .sacked)
      case 1: queue.mark(queue.count - 1, [.lost, .repeating, .repeated])
      default: queue.mark(queue.count - 1, .lost)
      }
      if random.chance(percent: 10) { records.append(end) }
    }
    let hasFin = random.chance(percent: 50) && queue[queue.count - 1].length > 1
    let before = (0..<queue.count).map { queue[$0] }
    let size = random.below(120) + 1
    queue.recut(to: size, finEnd: hasFin ? end : nil) { from in records.first { from < $0 } }

    var start = first
    for index in 0..<queue.count {
      let segment = queue[index]
      #expect(segment.start == start)
      start = segment.end
      let beside = queue[snapshot: index].lost
      #expect(seed % 2 == 1 ? beside == 0 : segment.start.rawValue &- beside < 300)
      guard segment.marks.wantsRepetition else {
        let same = before.first { $0.start == segment.start }
        #expect(same?.end == segment.end && same?.marks == segment.marks)
        continue
      }
      let text = segment.length - (hasFin && segment.end == end ? 1 : 0)
      #expect(text <= size && (text > 0 || segment.end == end))
      #expect(!records.contains { segment.start < $0 && $0 < segment.end })
      let isLast = index + 1 == queue.count || !queue[index + 1].marks.wantsRepetition
      #expect(text == size || isLast || records.contains(segment.end))
    }
    #expect(start == end)
    func count(_ mark: SentSegment.Marks) -> Int {
      (0..<queue.count).count { queue[$0].marks.contains(mark) }
    }
    #expect(queue.sacked == count(.sacked) && queue.lost == count(.lost))
    #expect(queue.repeating == count(.repeating))
    #expect(queue.nextToRepeat() == (0..<queue.count).first { queue[$0].marks.wantsRepetition })
  }

  /// Rows that join at once, and leave at once, are segments that do so one by one.
  @Test(arguments: 1...20 as ClosedRange<UInt64>) func aRowIsItsSegments(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var queue = RetransmissionQueue()
    var single = RetransmissionQueue()
    var next = SequenceNumber(UInt32(truncatingIfNeeded: random.next()))
    var rows = 0
    for round in 0..<600 {
      let sent = Instant(milliseconds: UInt64(round))
      switch random.below(5) {
      case 0...1:
        let number = 1 + random.below(round % 100 == 0 ? 200 : 12)
        queue.append(number, from: next, size: 100, sent: sent, delivered: UInt32(round))
        for index in 0..<number {
          let start = next + index * 100
          single.append(
            SentSegment(start: start, end: start + 100, sent: sent, delivered: UInt32(round), marks: .joined))
        }
        next += number * 100
      case 2 where !queue.isEmpty:
        let index = random.below(queue.count)
        let mark: SentSegment.Marks = [.lost, .sacked, .repeated][random.below(3)]
        queue.mark(index, mark)
        single.mark(index, mark)
      default:
        guard !queue.isEmpty else { continue }
        // Somewhere, in the middle of a segment too.
        let end = queue[0].start + random.below(2000)
        let number = queue.plainCount(upTo: end)
        let plain = (0..<queue.count).prefix { queue[$0].end <= end && queue[$0].marks.isSubset(of: .joined) }
        #expect(number == plain.count)
        queue.removePlain(number)
        for _ in 0..<number { single.removeFirst() }
        if number > 1 { rows += 1 }
        if number == 0 {
          queue.removeFirst()
          single.removeFirst()
        }
      }
      #expect(queue.count == single.count && queue.inFlight == single.inFlight)
      #expect(queue.room == RetransmissionQueue.limit - queue.count)
      #expect(queue.nextToRepeat() == single.nextToRepeat())
      // All of both in words takes long.
      if round % 50 == 49 { #expect((0..<queue.count).allSatisfy { "\(queue[$0])" == "\(single[$0])" }) }
    }
    #expect(rows > 20)
  }
}
