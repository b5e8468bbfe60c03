import Chance
import TCP
import Testing
import Timing
import Wire

/// Segments that leave as one, where the environment takes super-segments: to the engine they stay segments.
@Suite struct SegmentRowTests {
  private func script(_ syn: TCPOptions? = nil, _ change: (inout TCPConfiguration) -> Void = { _ in })
    -> Script
  {
    var configuration = Script.plain
    change(&configuration)
    let script = Script.established(configuration, syn: syn)
    script.joinedTextLimit = 64_000
    return script
  }

  @Test func aBurstLeavesAsOne() {
    let script = script()
    script.enqueue(4500)
    let sent = script.take()
    #expect(sent.map(\.count) == [4500])
    #expect(sent.map(\.size) == [1000])
    #expect(sent[0].flags == [.ack, .psh])
    #expect(script.info.unacknowledgedSegments == 5)
    #expect(script.info.counters.segmentsSent == 6, "and the SYN-ACK")
  }

  @Test func whatIsNotTakenAsOneLeavesOneByOne() {
    let script = script()
    script.joinedTextLimit = 1000
    script.enqueue(2500)
    #expect(script.take().map(\.count) == [1000, 1000, 500])
  }

  @Test func noMoreThanTheEnvironmentTakes() {
    let script = script()
    script.joinedTextLimit = 2999
    script.enqueue(5000)
    #expect(script.take().map(\.count) == [2000, 2000, 1000])
  }

  @Test func theFinEndsIt() {
    let script = script()
    script.enqueue(15_000)
    #expect(script.take().map(\.count) == [5000, 5000], "the window, and half of it for a burst")
    script.close()
    script.inject(.ack, 1, ack: 10_001)
    let sent = script.take()
    #expect(sent.map(\.count) == [5000])
    #expect(sent.map(\.size) == [1000])
    #expect(sent[0].flags == [.ack, .fin, .psh])
  }

  @Test func aPushInTheMiddleEndsIt() {
    let script = script()
    script.enqueue(500, push: false, edge: .pushed)
    script.enqueue(3500)
    let sent = script.take()
    #expect(sent.map(\.count) == [1000, 3000])
    #expect(sent.allSatisfy { $0.flags == [.ack, .psh] })
  }

  /// A hole in the middle of what left as one: the segments behind it arrived, and only what is missing is repeated.
  @Test func aLostMiddleIsRepeatedAlone() {
    var options = TCPOptions()
    options.mss = 1000
    options.sackPermitted = true
    let script = script(options)
    script.enqueue(5000)
    #expect(script.take().map(\.count) == [5000])
    script.now = script.now.adding(milliseconds: 20)
    var blocks = TCPOptions()
    _ = blocks.sack.append(SACKBlock(left: script.iss + 2001, right: script.iss + 5001))
    script.inject(.ack, 1, ack: 1001, options: blocks)
    let repeated = script.take()
    #expect(repeated.map(\.sequence) == [1001])
    #expect(repeated.map(\.count) == [1000])
    #expect(repeated.map(\.size) == [0])
    #expect(repeated.allSatisfy { $0.isRetransmission })
  }

  @Test func whatIsUrgentLeavesOneByOne() {
    let script = script()
    script.enqueue(2500, urgent: true)
    #expect(script.take().map(\.size) == [0, 0, 0])
  }

  /// What leaves as one, and what leaves one by one, are the same segments, whatever is written, acknowledged, reported and
  /// lost: only how many are put together differs.
  @Test(arguments: [true, false], [TCPPersonality.linux, .bsd])
  func rowsAreTheirSegments(isSelective: Bool, personality: TCPPersonality) {
    var joined = 0
    for seed in 1...6 as ClosedRange<UInt64> { joined += compare(isSelective, personality, seed) }
    #expect(joined > 300, "there were rows")
  }

  /// Returns how many rows there were.
  private func compare(_ isSelective: Bool, _ personality: TCPPersonality, _ seed: UInt64) -> Int {
    var random = SeededGenerator(seed: seed)
    var options = TCPOptions()
    options.mss = 1000
    options.sackPermitted = isSelective
    options.windowScale = 7
    let pair = (0..<2).map { _ in
      script(options) {
        $0.personality = personality
        $0.windowScaling = true
      }
    }
    pair[1].joinedTextLimit = 0
    var (una, end, joined) = (1, 1, 0)
    for _ in 0..<300 {
      let what = random.below(12)
      let (count, isPushed) = ([10, 1000, 30_000, 64_000][random.below(4)], random.chance(percent: 70))
      // Mostly whole segments of it, now and then a part of one.
      var acknowledged = una + random.below(max(1, (end - una) / 1000 + 1)) * 1000
      if what == 4 { acknowledged = una + random.below(end - una + 1) }
      let window = UInt16(random.chance(percent: 10) ? random.below(60) : 2000)
      var blocks = TCPOptions()
      if isSelective, what < 3, end - acknowledged > 4000 {
        let left = acknowledged + 1000 * (1 + random.below(2))
        _ = blocks.sack.append(
          SACKBlock(left: pair[0].iss + left, right: pair[0].iss + (left + 1000 * (1 + random.below(2)))))
      }
      for script in pair {
        switch what {
        case 5...7 where end - una < 1 << 20: script.enqueue(count, push: isPushed)
        case 8: script.wait(.milliseconds(Int64([1, 40, 1500][count % 3])))
        default:
          script.now = script.now.adding(milliseconds: 3)
          script.inject(.ack, 1, ack: acknowledged, window: window, options: blocks)
        }
      }
      if what != 8, !(5...7).contains(what) { una = acknowledged }
      let (rows, segments) = (pair[0].take(), pair[1].take())
      #expect(rows.flatMap(pieces).map { "\($0)" } == segments.map { "\($0)" })
      joined += rows.filter { $0.size > 0 }.count
      end = segments.reduce(end) { max($0, $1.sequence + $1.count) }
      #expect(pair[0].nextDeadline == pair[1].nextDeadline)
      #expect("\(pair[0].info)" == "\(pair[1].info)")
    }
    return joined
  }
  /// The segments of a row, as whoever cuts it makes them.
  private func pieces(of sent: Sent) -> [Sent] {
    guard sent.size > 0 else { return [sent] }
    return stride(from: 0, to: sent.count, by: sent.size).map { at in
      var piece = sent
      piece.sequence += at
      piece.count = min(sent.size, sent.count - at)
      piece.size = 0
      if at + piece.count < sent.count { piece.flags.subtract([.psh, .fin]) }
      return piece
    }
  }
}
