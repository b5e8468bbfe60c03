import TCP
import Testing
import Timing
import Wire

/// RFC 6298, RFC 9293 section 3.8.
@Suite struct RetransmissionTests {
  /// Acknowledges `count` bytes in one round trip of `milliseconds`.
  private func roundTrip(_ script: Script, from: Int, milliseconds: Int64) {
    script.enqueue(100)
    script.now = script.now + .milliseconds(milliseconds)
    script.inject(.ack, 1, ack: from + 100)
  }

  @Test func timeoutFollowsTheMeasurements() {
    let script = Script.established()
    // The handshake took no time: one nanosecond counts.
    roundTrip(script, from: 1, milliseconds: 80)
    // SRTT = 80/8; RTTVAR = 80/4 (the first was half of nothing).
    #expect(script.info.smoothedRoundTrip.milliseconds == 10)
    #expect(script.info.roundTripVariation.milliseconds >= 19)
    #expect(script.info.retransmissionTimeout.milliseconds >= 209)
  }

  // Rules: RFC 6298 2.2-1
  @Test func firstMeasurement() throws {
    let script = Script(active: Script.plain)
    script.now = script.now.adding(milliseconds: 100)
    script.inject([.syn, .ack], 0, ack: 1)
    #expect(script.info.smoothedRoundTrip == .milliseconds(100))
    #expect(script.info.roundTripVariation == .milliseconds(50))
    #expect(script.info.retransmissionTimeout == .milliseconds(300))
    #expect(script.info.minimumRoundTrip == .milliseconds(100))
  }

  // Rules: RFC 1122 4.2.3.1-5; RFC 6298 4-1
  @Test func timeoutIsNeverBelowTheMinimum() {
    let script = Script.established()
    for index in 0..<50 { roundTrip(script, from: 1 + index * 100, milliseconds: 1) }
    #expect(script.info.retransmissionTimeout >= .milliseconds(200))
    #expect(script.info.retransmissionTimeout <= .milliseconds(202))
  }

  // Rules: RFC 6298 2.5-1, 5-1, 5.4-1, 5.5-1, 5.6-1; RFC 9293 MUST-19, MUST-20
  @Test func backoffDoublesUpToTheBoundAndThenGivesUp() {
    let script = Script.established()
    script.enqueue(100)
    _ = script.take()
    var intervals: [Int64] = []
    while script.state == .established { intervals.append(script.fire()!.milliseconds) }
    #expect(
      intervals == [
        200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 102_400, 120_000, 120_000, 120_000, 120_000,
        120_000, 120_000,
      ])
    let sent = script.take()
    #expect(sent.count == 15)
    #expect(sent.allSatisfy { $0.sequence == 1 && $0.count == 100 && $0.isRetransmission })
    #expect(script.last.error == .timedOut)
    #expect(script.pool.inUse == 0)
  }

  // Rules: RFC 1122 4.2.3.1-1; RFC 6298 3-1, 3-2; RFC 9293 MUST-18
  @Test func karnsRule() {
    let script = Script.established()
    script.enqueue(100)
    script.fire()
    let before = script.info.smoothedRoundTrip
    script.now = script.now.adding(milliseconds: 500)
    script.inject(.ack, 1, ack: 101)
    #expect(script.info.smoothedRoundTrip == before)
    // The timeout stays backed off until something is measured.
    #expect(script.info.backoff == 1)
    script.enqueue(100)
    script.now = script.now.adding(milliseconds: 10)
    script.inject(.ack, 1, ack: 201)
    #expect(script.info.backoff == 0)
  }

  // Rules: RFC 6298 5.2-1, 5.3-1; RFC 6928 9-1
  @Test func timerRestartsWithNewDataAcknowledged() {
    // RFC 6298 section 5.3.
    let script = Script.established()
    script.enqueue(3000)
    script.wait(milliseconds: 150)
    script.inject(.ack, 1, ack: 1001)
    let deadline = script.nextDeadline!
    #expect(deadline - script.now >= .milliseconds(200))
    script.inject(.ack, 1, ack: 3001)
    #expect(script.nextDeadline == nil)
  }

  @Test func afterATimeoutEverythingIsSentAgainInSlowStart() {
    let script = Script.established()
    script.enqueue(5000)
    #expect(script.take().count == 5)
    script.fire()
    #expect(script.take().map(\.sequence) == [1])
    #expect(script.info.congestionWindow == 1)
    #expect(script.info.slowStartThreshold == 7)
    script.inject(.ack, 1, ack: 1001)
    #expect(script.take().map(\.sequence) == [1001, 2001])
    // What had arrived is not sent again.
    script.inject(.ack, 1, ack: 5001)
    #expect(script.take().isEmpty)
    #expect(script.nextDeadline == nil)
    #expect(script.last.acknowledgedBytes == 4000)
  }

  @Test func thresholdIsHeldWhileTheSameSegmentTimesOut() {
    let script = Script.established()
    script.enqueue(10_000)
    script.fire()
    #expect(script.info.slowStartThreshold == 7)
    script.fire()
    script.fire()
    #expect(script.info.slowStartThreshold == 7)
  }

  // Rules: RFC 6582 3.2-7
  @Test func duplicateAcknowledgmentsAfterATimeoutAreNoLoss() {
    // RFC 6582 section 3.2, step 4: they come from the segments that are sent twice.
    let script = Script.established()
    script.enqueue(8000)
    script.fire()
    script.inject(.ack, 1, ack: 1001)
    _ = script.take()
    for _ in 0..<5 { script.inject(.ack, 1, ack: 1001) }
    #expect(!script.info.isRecovering)
    #expect(!script.take().contains { $0.sequence == 1001 })
  }

  /// Many measurements in one round trip are no reason to forget how much round trips vary.
  // Rules: RFC 7323 4.2-1
  @Test func aRoundTripCountsOnce() {
    let script = Script(active: Script.plain)
    script.now = script.now.adding(milliseconds: 400)
    script.inject([.syn, .ack], 0, ack: 1)
    #expect(script.info.retransmissionTimeout == .milliseconds(1200))
    script.enqueue(5000)
    script.now = script.now.adding(milliseconds: 400)
    for index in 1...10 { script.inject(.ack, 1, ack: 1 + index * 500) }
    #expect(script.info.smoothedRoundTrip == .milliseconds(400))
    #expect(script.info.retransmissionTimeout >= .milliseconds(1000))
  }

  @Test func userTimeoutEndsUnacknowledgedData() {
    var configuration = Script.plain
    configuration.userTimeout = .seconds(3)
    let script = Script.established(configuration)
    script.enqueue(2000)
    script.wait(milliseconds: 2900)
    script.inject(.ack, 1, ack: 1001)
    script.wait(milliseconds: 2999)
    #expect(script.state == .established)
    script.wait(milliseconds: 1)
    #expect(script.state == .closed)
    #expect(script.last.error == .timedOut)
  }

  @Test func userTimeoutEndsAClosedWindow() {
    var configuration = Script.plain
    configuration.userTimeout = .seconds(3)
    let script = Script.established(configuration, window: 0)
    script.enqueue(2000)
    for _ in 0..<29 {
      script.wait(milliseconds: 100)
      script.inject(.ack, 1, ack: 1, window: 0)
    }
    #expect(script.state == .established)
    script.wait(milliseconds: 100)
    #expect(script.state == .closed)
  }

  @Test func userTimeoutCanBeSetLater() {
    let script = Script.established()
    script.enqueue(100)
    script.reconfigure { $0.userTimeout = .seconds(2) }
    script.wait(milliseconds: 2000)
    #expect(script.state == .closed)
  }

  @Test func connectTimeoutByUserTimeout() {
    var configuration = Script.plain
    configuration.userTimeout = .milliseconds(4500)
    let script = Script(active: configuration)
    script.wait(milliseconds: 4499)
    #expect(script.state == .synSent)
    script.wait(milliseconds: 1)
    #expect(script.last.error == .timedOut)
  }

  // Rules: RFC 5461 2.1-1, 4.1-1
  @Test func icmpEndsAnOpeningConnection() {
    let script = Script.inState(.synSent)
    script.icmp(.portUnreachable, 1)
    #expect(script.state == .synSent)
    script.icmp(.portUnreachable, 0)
    #expect(script.last.error == .refused)
    let soft = Script.inState(.synSent)
    soft.icmp(.hostUnreachable, 0)
    #expect(soft.last.error == .hostUnreachable)
  }

  // Rules: RFC 5461 4.1-2
  @Test func icmpSoftErrorIsWaitedOutWhereWanted() {
    var configuration = Script.plain
    configuration.softErrorsEndHandshake = false
    let script = Script(active: configuration)
    script.icmp(.networkUnreachable, 0)
    #expect(script.state == .synSent)
    while script.state == .synSent { script.fire() }
    #expect(script.last.error == .networkUnreachable)
  }

  // Rules: RFC 5461 4.2-1
  @Test func icmpDoesNotEndAnOpenConnection() {
    let script = Script.established()
    script.enqueue(100)
    script.icmp(.portUnreachable, 1)
    script.icmp(.hostUnreachable, 500)
    #expect(script.softError == nil)
    script.icmp(.hostUnreachable, 1)
    #expect(script.state == .established)
    #expect(script.softError == .hostUnreachable)
    while script.state == .established { script.fire() }
    #expect(script.last.error == .hostUnreachable)
  }

  // Rules: RFC 1191 3-3, 6.4-3, 6.4-6; RFC 4821 4-12; RFC 5681 3.1-5
  @Test func smallerPathSendsAgainAtOnce() {
    let script = Script.established()
    script.enqueue(3000)
    _ = script.take()
    script.path(500, 90_000)
    #expect(script.take().isEmpty)
    script.path(500, 1)
    #expect(script.take().map(\.count) == Array(repeating: 500, count: 6))
    #expect(script.info.congestionWindow == 10)
    script.path(10, 1)
    #expect(script.info.sendSegment == 48)
  }
}
