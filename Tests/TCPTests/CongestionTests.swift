import TCP
import Testing
import Timing
import Wire

/// RFC 5681, 6582, 6928, 3042, 3465.
@Suite struct CongestionTests {
  /// A connection with much to send: segments of 1000 bytes, a window of 10 of them.
  private func sending(_ bytes: Int = 1_000_000) -> Script {
    let script = Script.established()
    script.enqueue(bytes)
    return script
  }

  // Rules: RFC 6928 2-1
  @Test func initialWindow() {
    #expect(sending().take().count == 10)
    var options = TCPOptions()
    options.mss = 1460
    var configuration = Script.plain
    configuration.maximumSegment = 9000
    let usual = Script.established(configuration, syn: options)
    #expect(usual.info.congestionWindow == 10)
    options.mss = 9000
    #expect(Script.established(configuration, syn: options).info.congestionWindow == 2)
  }

  // Rules: RFC 3465 2.2-1; RFC 9293 MUST-19; RFC 9438 4.10-1
  @Test func slowStartDoublesInARoundTrip() {
    let script = sending()
    _ = script.take()
    for segment in stride(from: 2, through: 10, by: 2) { script.inject(.ack, 1, ack: 1 + segment * 1000) }
    #expect(script.info.congestionWindow == 20)
    #expect(script.take().count == 20)
  }

  // Rules: RFC 3465 2.2-1, 2.3-1; RFC 9406 4.3-2
  @Test func anAcknowledgmentOfMuchCountsAsWhatItAcknowledges() {
    // RFC 3465 with L as RFC 9406 section 4.2 has it.
    let script = sending()
    script.inject(.ack, 1, ack: 10_001)
    #expect(script.info.congestionWindow == 18)
  }

  @Test func aWindowThatIsNotUsedDoesNotGrow() {
    let script = Script.established()
    for index in 0..<100 {
      script.enqueue(1000)
      script.inject(.ack, 1, ack: 1001 + index * 1000)
    }
    #expect(script.info.congestionWindow == 10)
  }

  @Test func thirdDuplicateRetransmits() {
    let script = sending()
    script.inject(.ack, 1, ack: 1001)
    _ = script.take()
    script.inject(.ack, 1, ack: 1001)
    // RFC 3042: a new segment for each of the first two.
    #expect(script.take().map(\.sequence) == [12_001])
    script.inject(.ack, 1, ack: 1001)
    #expect(script.take().map(\.sequence) == [13_001])
    #expect(!script.info.isRecovering)
    script.inject(.ack, 1, ack: 1001)
    let resent = script.take()
    #expect(resent.map(\.sequence) == [1001])
    #expect(resent[0].isRetransmission)
    #expect(script.info.isRecovering)
    // Half of what the window of 11 segments had out.
    #expect(script.info.slowStartThreshold == 7)
    #expect(script.info.counters.fastRetransmissions == 1)
    // Proportional rate reduction: nine were in flight of twelve, and come down to seven by seven for twelve.
    #expect(script.info.congestionWindow == 10)
    var sent = 0
    for _ in 0..<9 {
      script.inject(.ack, 1, ack: 1001)
      sent += script.take().count
    }
    #expect(sent == 6)
    // All that was out when recovery began arrives; without SACK it ends with the next.
    script.inject(.ack, 1, ack: 14_001)
    #expect(script.info.isRecovering)
    script.inject(.ack, 1, ack: 15_001)
    #expect(!script.info.isRecovering)
    #expect(script.info.congestionWindow == 7)
  }

  @Test func partialAcknowledgmentRetransmitsTheNextHole() {
    let script = sending(10_000)
    _ = script.take()
    script.inject(.ack, 1, ack: 1001)
    for _ in 0..<3 { script.inject(.ack, 1, ack: 1001) }
    #expect(script.take().map(\.sequence) == [1001])
    script.inject(.ack, 1, ack: 4001)
    #expect(script.info.isRecovering)
    #expect(script.take().map(\.sequence) == [4001])
    script.inject(.ack, 1, ack: 7001)
    #expect(script.take().map(\.sequence) == [7001])
    script.inject(.ack, 1, ack: 10_001)
    #expect(script.take().isEmpty)
    #expect(script.info.counters.retransmissions == 3)
    #expect(script.info.counters.recoveries == 1)
    #expect(script.nextDeadline == nil)
  }

  // Rules: RFC 6582 3.2-1
  @Test func firstSegmentOfAllCanBeRecovered() {
    let script = sending(10_000)
    _ = script.take()
    for _ in 0..<3 { script.inject(.ack, 1, ack: 1) }
    #expect(script.take().map(\.sequence) == [1])
  }

  @Test func dataOrAWindowUpdateIsNoDuplicate() {
    let script = sending(10_000)
    _ = script.take()
    for index in 0..<5 {
      script.inject(.ack, 1 + index * 10, stream(10, from: index * 10), ack: 1)
    }
    for window in 1...5 { script.inject(.ack, 51, ack: 1, window: 65535 - UInt16(window)) }
    #expect(!script.info.isRecovering)
    #expect(script.info.counters.duplicateAcknowledgments == 0)
  }

  // Rules: RFC 6582 3.2-2
  @Test func noSecondRecoveryForTheSameLosses() {
    // RFC 6582: duplicates of what does not go beyond `recover` say nothing new.
    let script = sending(10_000)
    script.inject(.ack, 1, ack: 1001)
    for _ in 0..<3 { script.inject(.ack, 1, ack: 1001) }
    script.fire()
    _ = script.take()
    let threshold = script.info.slowStartThreshold
    for _ in 0..<10 { script.inject(.ack, 1, ack: 1001) }
    #expect(script.info.slowStartThreshold == threshold)
    #expect(!script.info.isRecovering)
  }

  // Rules: RFC 9293 MUST-19
  @Test func avoidanceGrowsByASegmentInARoundTrip() {
    let script = sending(10_000_000)
    script.inject(.ack, 1, ack: 1001)
    for _ in 0..<3 { script.inject(.ack, 1, ack: 1001) }
    script.inject(.ack, 1, ack: 1 + script.info.outstandingBytes + 1000)
    let start = script.info.congestionWindow
    #expect(start <= 7)
    var una = 1 + 0
    for _ in 0..<3 {
      let before = script.info.congestionWindow
      let end = script.take().map { $0.sequence + $0.count }.max() ?? una
      una = end
      script.inject(.ack, 1, ack: end)
      #expect(script.info.congestionWindow - before <= 2)
    }
  }

  @Test func anIdleConnectionBeginsAnew() {
    let script = sending(500_000)
    var end = 0
    for _ in 0..<4 {
      end = script.take().map { $0.sequence + $0.count }.max() ?? end
      for part in stride(from: end - (end - 1) / 2, through: end, by: 1000) {
        script.inject(.ack, 1, ack: min(part, end))
      }
      script.inject(.ack, 1, ack: end)
    }
    while script.queuedBytes > 0 {
      end = script.take().map { $0.sequence + $0.count }.max() ?? end
      script.inject(.ack, 1, ack: end)
    }
    #expect(script.info.congestionWindow > 10)
    _ = script.take()
    script.wait(milliseconds: 5000)
    script.enqueue(100_000)
    #expect(script.take().count == 10)
    #expect(script.info.congestionWindow == 10)
  }

  @Test func thePeersWindowIsObeyed() {
    let script = Script.established(window: 3500)
    script.enqueue(10_000)
    // The rest of the window is less than half of the largest, and would be a silly segment.
    #expect(script.take().map(\.count) == [1000, 1000, 1000])
    script.inject(.ack, 1, ack: 3001, window: 2000)
    #expect(script.take().map(\.count) == [1000, 1000])
  }
}
