import TCP
import Testing
import Timing
import Wire

/// RFC 9293 sections 3.6 and 3.10.4.
@Suite struct CloseTests {
  // Rules: RFC 9293 MUST-13
  @Test func activeCloseGoesThroughFinWaitAndTimeWait() {
    let script = Script.established()
    script.shutdown()
    #expect(script.state == .finWait1)
    #expect(script.take().map(\.flags) == [[.fin, .ack]])
    script.inject(.ack, 1, ack: 2)
    #expect(script.state == .finWait2)
    #expect(script.last.sendFinished)
    script.inject([.fin, .ack], 1, ack: 2)
    #expect(script.state == .timeWait)
    #expect(script.last.endOfStream && script.last.enteredTimeWait)
    let ack = script.take()
    #expect(ack.map(\.flags) == [.ack])
    #expect(ack[0].sequence == 2 && ack[0].acknowledgment == 2)
    #expect(script.fire() == .seconds(60))
    #expect(script.state == .closed)
    #expect(script.last.closed && script.last.error == nil)
  }

  @Test func passiveCloseGoesThroughCloseWaitAndLastAck() {
    let script = Script.established()
    script.inject([.fin, .ack], 1, ack: 1)
    #expect(script.state == .closeWait)
    #expect(script.last.endOfStream)
    #expect(script.take().map(\.acknowledgment) == [2])
    script.enqueue(50)
    #expect(script.take().first?.count == 50)
    script.shutdown()
    #expect(script.state == .lastAck)
    #expect(script.take().map(\.flags) == [[.fin, .ack]])
    script.inject(.ack, 2, ack: 51)
    #expect(script.state == .lastAck)
    script.inject(.ack, 2, ack: 52)
    #expect(script.state == .closed)
    #expect(script.last.closed && script.last.sendFinished && script.last.error == nil)
  }

  @Test func simultaneousClose() {
    let script = Script.established()
    script.shutdown()
    _ = script.take()
    script.inject([.fin, .ack], 1, ack: 1)
    #expect(script.state == .closing)
    #expect(script.take().map(\.acknowledgment) == [2])
    script.inject(.ack, 2, ack: 2)
    #expect(script.state == .timeWait)
    #expect(script.last.enteredTimeWait)
  }

  @Test func finAndItsAcknowledgmentTogether() {
    let script = Script.inState(.finWait1)
    script.inject([.fin, .ack], 1, ack: 2)
    #expect(script.state == .timeWait)
  }

  @Test func P2_onlyTheAcknowledgmentOfOurFinMovesFinWait1() {
    let script = Script.established()
    script.enqueue(10)
    script.shutdown()
    #expect(script.take().map(\.flags) == [[.ack, .psh], [.fin, .ack]])
    script.inject(.ack, 1, ack: 1)
    script.inject(.ack, 1, ack: 11)
    #expect(script.state == .finWait1)
    #expect(!script.last.sendFinished)
    script.inject(.ack, 1, ack: 12)
    #expect(script.state == .finWait2)
  }

  @Test func P3_nothingIsTakenAfterShutdown() {
    let script = Script.established()
    script.shutdown()
    _ = script.take()
    #expect(!script.canEnqueue)
    script.enqueue(10)
    #expect(script.last.error == .sendClosed)
    #expect(script.queuedBytes == 0)
    #expect(script.take().isEmpty)
  }

  @Test func halfCloseKeepsReceiving() {
    let script = Script.inState(.finWait2)
    script.inject([.ack, .psh], 1, stream(500), ack: 2)
    script.inject([.ack, .psh], 501, stream(500, from: 500), ack: 2)
    #expect(script.delivered == stream(1000))
    #expect(script.take().last?.acknowledgment == 1001)
    #expect(script.nextDeadline == nil)
  }

  @Test func halfCloseKeepsSending() {
    let script = Script.inState(.closeWait)
    script.enqueue(2500)
    #expect(script.take().map(\.count) == [1000, 1000, 500])
    script.inject(.ack, 2, ack: 2501)
    #expect(script.last.acknowledgedBytes == 2500)
  }

  @Test func finFollowsTheLastByteInTheSameSegment() {
    let script = Script.established()
    script.inject(.ack, 1, ack: 1, window: 0)
    script.enqueue(1500)
    script.shutdown()
    _ = script.take()
    script.inject(.ack, 1, ack: 1, window: 5000)
    let sent = script.take()
    #expect(sent.map(\.count) == [1000, 500])
    #expect(sent.map(\.flags) == [.ack, [.ack, .psh, .fin]])
  }

  @Test func lostFinIsRepeated() {
    let script = Script.established()
    script.shutdown()
    _ = script.take()
    script.fire()
    #expect(script.take().map(\.flags) == [[.fin, .ack]])
    script.inject(.ack, 1, ack: 2)
    #expect(script.state == .finWait2)
    #expect(script.nextDeadline == nil)
  }

  @Test func repeatedFinRestartsTimeWait() {
    let script = Script.inState(.timeWait)
    script.wait(milliseconds: 40_000)
    script.inject([.fin, .ack], 1, ack: 2)
    #expect(script.take().map(\.acknowledgment) == [2])
    #expect(script.state == .timeWait)
    #expect(script.fire() == .seconds(60))
    #expect(script.state == .closed)
  }

  @Test func repeatedFinIsAcknowledgedInEveryState() {
    for state: TCPState in [.closeWait, .closing, .lastAck] {
      let script = Script.inState(state)
      for _ in 0..<20 { script.inject([.fin, .ack], 1, ack: 1) }
      #expect(script.take().map(\.acknowledgment) == Array(repeating: 2, count: 20))
      #expect(script.state == state)
    }
  }

  @Test func P1_finAheadOfAHoleWaitsForItsTurn() {
    let script = Script.established()
    script.inject([.fin, .ack], 101, stream(100, from: 100), ack: 1)
    #expect(script.state == .established)
    #expect(!script.last.endOfStream)
    #expect(script.take().map(\.acknowledgment) == [1])
    script.inject(.ack, 1, stream(100), ack: 1)
    #expect(script.delivered == stream(200))
    #expect(script.state == .closeWait)
    #expect(script.last.endOfStream)
    #expect(script.take().map(\.acknowledgment) == [202])
  }

  @Test func bareFinAheadOfAHoleWaitsForItsTurn() {
    let script = Script.established()
    script.inject([.fin, .ack], 101, ack: 1)
    #expect(script.state == .established)
    script.inject(.ack, 1, stream(100), ack: 1)
    #expect(script.state == .closeWait)
  }

  @Test func P1_finBeyondTheWindowIsRefused() {
    let script = Script.established()
    script.inject([.fin, .ack], 70_000, ack: 1)
    script.inject([.fin, .ack], -100, ack: 1)
    #expect(script.state == .established)
    script.inject(.ack, 1, stream(10), ack: 1)
    #expect(script.state == .established)
  }

  @Test func nothingIsDeliveredBeyondTheFin() {
    let script = Script.established()
    script.inject([.fin, .ack], 51, ack: 1)
    script.inject(.ack, 1, stream(100), ack: 1)
    #expect(script.delivered == stream(50))
    #expect(script.state == .closeWait)
    script.inject(.ack, 52, stream(100), ack: 1)
    #expect(script.delivered == stream(50))
  }

  @Test func resetsDoNotAssassinateTimeWait() {
    let script = Script.inState(.timeWait)
    script.inject(.rst, 2)
    script.inject([.rst, .ack], 2, ack: 2)
    #expect(script.state == .timeWait)
    // An old segment is answered, and its answer's reset does not count (RFC 1337).
    script.inject(.ack, 1, stream(1), ack: 1)
    #expect(script.take().map(\.flags) == [.ack])
    script.inject(.rst, 2)
    #expect(script.state == .timeWait)
  }

  // Rules: RFC 9293 MAY-2
  @Test func newerSynReopensTimeWait() {
    let script = Script.inState(.timeWait)
    script.inject(.syn, 2)
    #expect(script.state == .timeWait)
    #expect(script.take().map(\.flags) == [.ack])
    script.inject(.syn, 100_000)
    #expect(script.state == .closed)
    #expect(script.last.reopen && script.last.closed)
    #expect(script.take().isEmpty)
  }

  // Rules: RFC 9293 SHLD-4
  @Test func newerTimestampReopensTimeWait() {
    var options = TCPOptions()
    options.timestamps = TCPTimestamps(value: 1, echo: 0)
    let script = Script.established(TCPConfiguration(), syn: options)
    script.shutdown()
    script.inject([.fin, .ack], 1, ack: 2)
    #expect(script.state == .timeWait)
    _ = script.take()
    options.timestamps = TCPTimestamps(value: 5000, echo: 0)
    script.inject(.syn, 100_000, options: options)
    #expect(script.state == .timeWait)
    // A sequence number that looks old, and a clock that is certainly newer.
    options.timestamps = TCPTimestamps(value: 7000, echo: 0)
    script.inject(.syn, -100_000, options: options)
    #expect(script.last.reopen)
  }

  /// RFC 6191 section 2, case by case: newer, the same, older, none; against a connection that had timestamps, the last
  /// of them 6,000, and one that had not.
  // Rules: RFC 6191 2-1, 2-2, 2-3, 2-4, 2-5; RFC 9293 SHLD-4
  @Test func timestampsDecideWhoReopens() {
    let (newer, older) = (100_000, -100_000)
    for (isStamped, value, sequence, opens): (Bool, UInt32?, Int, Bool) in [
      (true, 6001, older, true), (true, 6000, newer, true), (true, 6000, older, false),
      (true, 5999, newer, false),
      (true, nil, newer, true), (true, nil, older, false),
      (false, 1, older, true), (false, nil, newer, true), (false, nil, older, false),
    ] {
      var options = TCPOptions()
      if isStamped { options.timestamps = TCPTimestamps(value: 1, echo: 0) }
      let script = Script.established(TCPConfiguration(), syn: options)
      script.shutdown()
      script.inject([.fin, .ack], 1, ack: 2)
      #expect(script.state == .timeWait)
      options.timestamps = value.map { TCPTimestamps(value: $0, echo: 0) }
      script.stamps = false
      script.inject(.syn, sequence, options: options)
      #expect(script.last.reopen == opens, "\(isStamped) \(String(describing: value)) \(sequence)")
      #expect((script.state == .timeWait) != opens)
    }
  }

  @Test func orphanLeavesFinWait2() {
    let script = Script.established()
    script.close()
    #expect(script.take().map(\.flags) == [[.fin, .ack]])
    script.inject(.ack, 1, ack: 2)
    #expect(script.state == .finWait2)
    #expect(script.fire() == .seconds(60))
    #expect(script.state == .closed && script.last.closed)
    // Closed only now.
    let late = Script.inState(.finWait2)
    #expect(late.nextDeadline == nil)
    late.close()
    #expect(late.fire() == .seconds(60))
    #expect(late.state == .closed)
  }

  @Test func orphanAnswersDataWithAReset() {
    for state: TCPState in [.finWait1, .finWait2] {
      let script = Script.inState(state)
      script.close()
      script.inject(.ack, 1, stream(10), ack: Script.ownNext(state))
      #expect(script.take().map(\.flags) == [.rst])
      #expect(script.state == .closed)
      #expect(script.last.closed)
      #expect(script.delivered.isEmpty)
      #expect(script.pool.inUse == 0)
    }
  }

  @Test func orphanTakesTheFin() {
    let script = Script.inState(.finWait2)
    script.close()
    script.inject([.fin, .ack], 1, ack: 2)
    #expect(script.state == .timeWait)
  }

  @Test func closeWithUnreadDataResets() {
    let script = Script.established()
    script.inject(.ack, 1, stream(10), ack: 1)
    script.close(unread: true)
    #expect(script.take().map(\.flags) == [[.rst, .ack]])
    #expect(script.state == .closed)
  }

  @Test func queuedDataOutlivesClose() {
    let script = Script.established()
    script.inject(.ack, 1, ack: 1, window: 0)
    script.enqueue(100)
    script.close()
    #expect(script.state == .finWait1)
    #expect(script.take().isEmpty)
    script.inject(.ack, 1, ack: 1, window: 1000)
    #expect(script.take().map(\.flags) == [[.ack, .psh, .fin]])
  }

  @Test func lastAckIsGivenUpWhenThePeerIsGone() {
    let script = Script.inState(.lastAck)
    while script.state == .lastAck { script.fire() }
    #expect(script.take().count == 15)
    #expect(script.last.error == .timedOut)
  }
}
