import TCP
import Testing
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
}
