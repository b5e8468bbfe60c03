import TCP
import Testing
import Timing
import Wire

@Suite struct HandshakeTests {
  @Test func sizeOfAConnection() {
    #expect(MemoryLayout<TCPConnection>.size <= 1824, "\(MemoryLayout<TCPConnection>.size)")
    #expect(MemoryLayout<TCPEffects>.size <= 24)
  }

  @Test func activeOpen() throws {
    let script = Script(active: TCPConfiguration())
    let syn = try #require(script.take().first)
    #expect(syn.flags == .syn)
    #expect(syn.sequence == 0)
    #expect(syn.acknowledgment == nil)
    #expect(syn.options.mss == 1460)
    #expect(syn.options.windowScale == 5)
    #expect(syn.options.sackPermitted)
    #expect(syn.options.timestamps?.echo == 0)
    #expect(syn.window == 64_240, "whole segments")

    var options = TCPOptions()
    options.mss = 1400
    options.windowScale = 7
    script.stamps = true
    script.now = script.now.adding(milliseconds: 30)
    script.inject([.syn, .ack], 0, ack: 1, options: options)
    #expect(script.state == .established)
    #expect(script.last.connected)
    let ack = script.take()
    #expect(ack.map(\.flags) == [.ack])
    #expect(ack[0].sequence == 1)
    #expect(ack[0].acknowledgment == 1)
    #expect(ack[0].window == (1 << 20) >> 5)
    #expect(try #require(ack[0].options.timestamps).echo == 6030)
    #expect(script.info.sendSegment == 1388)
    #expect(script.info.smoothedRoundTrip == .milliseconds(30))
    #expect(script.nextDeadline == nil)
  }

  @Test func passiveOpen() {
    var options = TCPOptions()
    options.mss = 1200
    let script = Script(passive: TCPConfiguration(), syn: options)
    let answer = script.take()
    #expect(answer.map(\.flags) == [[.syn, .ack]])
    #expect(answer[0].acknowledgment == 1)
    // What the SYN did not offer is not answered.
    #expect(answer[0].options.windowScale == nil)
    #expect(answer[0].options.timestamps == nil)
    #expect(answer[0].options.mss == 1460)
    script.inject(.ack, 1, ack: 1)
    #expect(script.state == .established)
    #expect(script.last.connected)
    #expect(script.take().isEmpty)
    #expect(script.info.sendSegment == 1200)
  }

  @Test func dataWithTheHandshakesLastAcknowledgment() {
    let script = Script(passive: Script.plain)
    _ = script.take()
    script.inject([.ack, .psh], 1, stream(10), ack: 1)
    #expect(script.state == .established)
    #expect(script.delivered == stream(10))
  }

  @Test func dataAndFinWithTheHandshakesLastAcknowledgment() {
    let script = Script(passive: Script.plain)
    _ = script.take()
    script.inject([.ack, .fin], 1, stream(10), ack: 1)
    #expect(script.state == .closeWait)
    #expect(script.last.connected && script.last.endOfStream)
    script.wait(milliseconds: 40)
    #expect(script.take().last?.acknowledgment == 12)
  }

  @Test func dataInTheSynAck() {
    let script = Script(active: Script.plain)
    script.inject([.syn, .ack], 0, stream(10), ack: 1)
    #expect(script.state == .established)
    #expect(script.delivered == stream(10))
    #expect(script.take().last?.acknowledgment == 11)
  }

  @Test func bytesQueuedBeforeTheHandshakeFollowIt() {
    let script = Script(active: Script.plain)
    script.enqueue(100)
    script.shutdown()
    #expect(script.take().map(\.flags) == [.syn])
    script.inject([.syn, .ack], 0, ack: 1)
    let sent = script.take()
    #expect(sent.map(\.flags) == [[.ack, .psh, .fin]])
    #expect(sent[0].count == 100)
    #expect(script.state == .finWait1)
    #expect(script.last.connected)
  }

  // Rules: RFC 9293 MUST-10
  @Test func simultaneousOpen() {
    let script = Script(active: Script.plain)
    _ = script.take()
    script.inject(.syn, 0)
    #expect(script.state == .synReceived)
    let answer = script.take()
    #expect(answer.map(\.flags) == [[.syn, .ack]])
    #expect(answer[0].sequence == 0 && answer[0].acknowledgment == 1)
    script.inject([.syn, .ack], 0, ack: 1)
    #expect(script.state == .established)
    #expect(script.last.connected)
    // Linux tells the peer that its SYN came twice.
    #expect(script.take().map(\.flags) == [.ack])
    script.enqueue(5)
    #expect(script.take().first?.sequence == 1)
  }

  @Test func simultaneousOpenWhereTheSynAckIsLost() {
    // The peer is in ESTABLISHED already and acknowledges our repeated SYN-ACK.
    let script = Script(active: Script.plain)
    script.inject(.syn, 0)
    _ = script.take()
    script.fire()
    #expect(script.take().map(\.flags) == [[.syn, .ack]])
    script.inject(.ack, 1, ack: 1)
    #expect(script.state == .established)
  }

  // Rules: RFC 9293 MUST-22
  @Test func lostSynIsRepeatedWithBackoffAndThenGivenUp() {
    let script = Script(active: Script.plain)
    _ = script.take()
    var intervals: [Int64] = []
    while script.state == .synSent { intervals.append(script.fire()!.milliseconds) }
    #expect(intervals == [1000, 2000, 4000, 8000, 16000, 32000, 64000])
    #expect(script.take().map(\.flags) == Array(repeating: .syn, count: 6))
    #expect(script.last.error == .timedOut)
    #expect(script.last.closed)
    #expect(script.nextDeadline == nil)
  }

  @Test func lostSynAckIsRepeatedFiveTimes() {
    let script = Script(passive: Script.plain)
    _ = script.take()
    while script.state == .synReceived { script.fire() }
    #expect(script.take().map(\.flags) == Array(repeating: [.syn, .ack], count: 5))
    #expect(script.last.error == .timedOut)
  }

  @Test func repeatedSynIsAnsweredAgain() {
    let script = Script(passive: Script.plain)
    _ = script.take()
    script.inject(.syn, 0)
    #expect(script.take().map(\.flags) == [[.syn, .ack]])
    #expect(script.state == .synReceived)
  }

  // Rules: RFC 6298 5.7-1
  @Test func dataAfterARepeatedSynStartsWithThreeSeconds() {
    // RFC 6298 section 5.7: without a measurement.
    let script = Script(active: Script.plain)
    script.fire()
    script.inject([.syn, .ack], 0, ack: 1)
    #expect(script.info.retransmissionTimeout == .seconds(3))
  }

  // Rules: RFC 6928 2-3
  @Test func windowOfOneSegmentAfterALossyHandshake() {
    let script = Script(active: Script.plain)
    script.fire()
    script.fire()
    var options = TCPOptions()
    options.mss = 1000
    script.inject([.syn, .ack], 0, ack: 1, options: options)
    #expect(script.info.congestionWindow == 1)
  }

  @Test func P7_ecnSynIsNotReset() {
    for flags: TCPFlags in [[.syn, .ece, .cwr], [.syn, .ece, .cwr, .ae], [.syn, .psh], [.syn, .urg]] {
      let segment = TCPSegment(sequence: SequenceNumber(7), flags: flags)
      guard case .open = TCPListenRule.examine(segment) else {
        Issue.record("\(flags) was not taken for a SYN")
        continue
      }
      let script = Script(passive: Script.plain, flags: flags)
      // What is offered as RFC 3168 has it is taken, whatever else is.
      let isOffered = flags.isSuperset(of: [.syn, .ece, .cwr])
      #expect(script.take().map(\.flags) == [isOffered ? [.syn, .ack, .ece] : [.syn, .ack]])
      script.inject(.ack, 1, ack: 1)
      #expect(script.state == .established)
    }
    // The answer to an ECN SYN of ours.
    let script = Script(active: Script.plain)
    script.inject([.syn, .ack, .ece], 0, ack: 1)
    #expect(script.state == .established)
  }

  @Test func segmentSizeIsBoundedBelow() {
    var options = TCPOptions()
    options.mss = 1
    #expect(Script(passive: Script.plain, syn: options).info.sendSegment == 48)
    options.mss = 0
    #expect(Script(passive: Script.plain, syn: options).info.sendSegment == 48)
    options.timestamps = TCPTimestamps(value: 1, echo: 0)
    #expect(Script(passive: TCPConfiguration(), syn: options).info.sendSegment == 36)
  }

  @Test func segmentSizeWithoutTheOption() {
    #expect(Script(passive: TCPConfiguration()).info.sendSegment == 536)
    var configuration = TCPConfiguration()
    configuration.peerSegmentDefault = 1220
    #expect(Script(passive: configuration).info.sendSegment == 1220)
  }

  @Test func segmentSizeIsTheLesserOfBoth() {
    var options = TCPOptions()
    options.mss = 9000
    #expect(Script(passive: TCPConfiguration(), syn: options).info.sendSegment == 1460)
  }

  // Rules: RFC 7323 2.2-1, 2.3-2, 2.3-6
  @Test func windowScaleFollowsTheBuffer() {
    for (buffer, shift) in [(65535, 0), (65536, 1), (1 << 20, 5), (64 << 20, 11), (2 << 30, 14)] {
      var configuration = TCPConfiguration()
      configuration.receiveBuffer = UInt32(buffer)
      #expect(Script(active: configuration).take().first?.options.windowScale == UInt8(shift))
    }
  }

  @Test func shutdownWhileOpeningWaitsForTheHandshake() {
    let script = Script.inState(.synReceived)
    script.shutdown()
    #expect(script.take().isEmpty)
    script.inject(.ack, 1, ack: 1)
    #expect(script.state == .finWait1)
    #expect(script.take().map(\.flags) == [[.fin, .ack]])
  }

  @Test func closeAndAbortInSynSentSayNothing() {
    let closed = Script.inState(.synSent)
    closed.close()
    #expect(closed.state == .closed && closed.take().isEmpty && closed.last.error == nil)
    let aborted = Script.inState(.synSent)
    aborted.abort()
    #expect(aborted.state == .closed && aborted.take().isEmpty)
  }
}
