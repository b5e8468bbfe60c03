import TCP
import Testing
import Timing
import Wire

/// Nagle, silly windows, push and persist: RFC 9293 sections 3.7.4, 3.8.6 and 3.9.1.2.
@Suite struct SendTests {
  // Rules: RFC 9293 SHLD-7
  @Test func nagleHoldsASecondSmallSegment() {
    let script = Script.established()
    script.enqueue(10)
    #expect(script.take().map(\.count) == [10])
    script.enqueue(10)
    script.enqueue(10)
    #expect(script.take().isEmpty)
    script.inject(.ack, 1, ack: 11)
    let sent = script.take()
    #expect(sent.map(\.count) == [20])
    #expect(sent.map(\.flags) == [[.ack, .psh]])
  }

  @Test func nagleLetsFullSegmentsGo() {
    let script = Script.established()
    script.enqueue(10)
    script.enqueue(1995)
    #expect(script.take().map(\.count) == [10, 1000])
    script.inject(.ack, 1, ack: 11)
    #expect(script.take().map(\.count) == [995])
  }

  @Test func nagleLetsTheTailOfAFullWriteGo() {
    // Minshall: a full segment that is out does not hold the small one back.
    let script = Script.established()
    script.enqueue(1500)
    #expect(script.take().map(\.count) == [1000, 500])
  }

  @Test func noDelaySendsAtOnce() {
    var configuration = Script.plain
    configuration.noDelay = true
    let script = Script.established(configuration)
    for _ in 0..<3 { script.enqueue(10) }
    #expect(script.take().map(\.count) == [10, 10, 10])
  }

  @Test func noDelayReleasesWhatWaits() {
    let script = Script.established()
    script.enqueue(10)
    script.enqueue(20)
    _ = script.take()
    script.reconfigure { $0.noDelay = true }
    #expect(script.take().map(\.count) == [20])
  }

  @Test func shutdownReleasesWhatWaits() {
    let script = Script.established()
    script.enqueue(10)
    script.enqueue(20)
    _ = script.take()
    script.shutdown()
    let sent = script.take()
    #expect(sent.map(\.count) == [20])
    #expect(sent[0].flags == [.ack, .psh, .fin])
  }

  @Test func whatIsNotPushedWaitsForMore() {
    let script = Script.established()
    script.enqueue(300, push: false)
    #expect(script.take().isEmpty)
    script.enqueue(800, push: false)
    #expect(script.take().map(\.flags) == [.ack])
    script.enqueue(100, push: true)
    let sent = script.take()
    #expect(sent.map(\.count) == [200])
    #expect(sent[0].flags == [.ack, .psh])
  }

  @Test func whatIsNotPushedWaitsForATimeout() {
    let script = Script.established()
    script.enqueue(300, push: false)
    #expect(script.fire() == script.info.retransmissionTimeout)
    #expect(script.take().map(\.count) == [300])
  }

  @Test func pushIsOnTheLastSegmentOfTheQueue() {
    let script = Script.established()
    script.enqueue(3000)
    #expect(script.take().map(\.flags) == [.ack, .ack, [.ack, .psh]])
  }

  @Test func sillyWindowsAreNotFilled() {
    let script = Script.established(window: 4000)
    script.enqueue(10_000)
    #expect(script.take().count == 4)
    script.inject(.ack, 1, ack: 4001, window: 300)
    #expect(script.take().isEmpty)
    // The override timeout: what fits goes, lest nothing ever does.
    #expect(script.fire() == script.info.retransmissionTimeout)
    #expect(script.take().map(\.count) == [300])
  }

  @Test func halfOfTheLargestWindowIsNotSilly() {
    let script = Script.established(window: 900)
    script.enqueue(10_000)
    #expect(script.take().map(\.count) == [900])
    script.inject(.ack, 1, ack: 901, window: 450)
    #expect(script.take().map(\.count) == [450])
    script.inject(.ack, 1, ack: 1351, window: 449)
    #expect(script.take().isEmpty)
  }

  // Rules: RFC 7323 2.2-4, 2.3-4
  @Test func scaledWindow() {
    var options = TCPOptions()
    options.mss = 1000
    options.windowScale = 3
    var configuration = Script.plain
    configuration.windowScaling = true
    // The SYN's window is not scaled, that of the ACK is: 500 * 8.
    let script = Script.established(configuration, syn: options, window: 500)
    #expect(script.info.sendWindow == 4000)
    #expect(script.info.sendWindowScale == 3)
    script.enqueue(10_000)
    #expect(script.take().count == 4)
  }

  @Test func anOlderSegmentDoesNotSetTheWindow() {
    let script = Script.established()
    script.inject(.ack, 1, stream(10), ack: 1)
    script.inject(.ack, 11, ack: 1, window: 5000)
    #expect(script.info.sendWindow == 5000)
    script.inject(.ack, 1, stream(20), ack: 1, window: 100)
    #expect(script.delivered == stream(20))
    #expect(script.info.sendWindow == 5000)
  }

  // Rules: RFC 9293 MUST-36, MUST-37, SHLD-29, SHLD-30
  @Test func closedWindowIsProbedWithBackoffAndNeverGivenUp() {
    let script = Script.established(window: 0)
    script.enqueue(100)
    #expect(script.take().isEmpty)
    var intervals: [Int64] = []
    for _ in 0..<60 {
      intervals.append(script.fire()!.milliseconds)
      let probe = script.take()
      #expect(probe.map(\.sequence) == [1])
      #expect(probe.map(\.count) == [1])
      script.inject(.ack, 1, ack: 1, window: 0)
      #expect(script.take().isEmpty)
    }
    #expect(Array(intervals.prefix(5)) == [200, 400, 800, 1600, 3200])
    #expect(Array(intervals[5..<11]) == [6400, 12800, 25600, 51200, 102_400, 120_000])
    #expect(intervals.last == 120_000)
    #expect(script.state == .established)
    script.inject(.ack, 1, ack: 1, window: 1000)
    #expect(script.take().map(\.count) == [100])
    script.inject(.ack, 1, ack: 101)
    #expect(script.nextDeadline == nil)
    #expect(script.last.acknowledgedBytes == 100)
  }

  @Test func probeThatIsTakenCountsAsData() {
    let script = Script.established(window: 0)
    script.enqueue(100)
    script.fire()
    script.inject(.ack, 1, ack: 2, window: 0)
    #expect(script.last.acknowledgedBytes == 1)
    _ = script.take()
    script.fire()
    #expect(script.take().map(\.sequence) == [2])
    script.inject(.ack, 1, ack: 3, window: 500)
    #expect(script.take().map(\.sequence) == [3])
  }

  @Test func silentPeerWithAClosedWindowIsGivenUp() {
    let script = Script.established(window: 0)
    script.enqueue(100)
    while script.state == .established { script.fire() }
    #expect(script.take().count == 15)
    #expect(script.last.error == .timedOut)
  }

  @Test func finBehindAClosedWindowIsProbedWith() {
    let script = Script.established(window: 0)
    script.shutdown()
    #expect(script.take().isEmpty)
    script.fire()
    #expect(script.take().map(\.flags) == [[.fin, .ack]])
    script.inject(.ack, 1, ack: 2, window: 0)
    #expect(script.state == .finWait2)
    #expect(script.nextDeadline == nil)
  }

  // Rules: RFC 9293 MUST-34, MUST-35, SHLD-17
  @Test func windowTakenBackIsProbedAndNotGivenUp() {
    let script = Script.established(window: 3000)
    script.enqueue(3000)
    #expect(script.take().count == 3)
    script.inject(.ack, 1, ack: 1, window: 0)
    for _ in 0..<40 {
      script.fire()
      script.inject(.ack, 1, ack: 1, window: 0)
    }
    #expect(script.state == .established)
    #expect(script.take().allSatisfy { $0.sequence == 1 && $0.count == 1000 })
    script.inject(.ack, 1, ack: 1, window: 3000)
    #expect(script.take().first?.sequence == 1)
    while script.queuedBytes > 0 { script.inject(.ack, 1, ack: 3001, window: 3000) }
    #expect(script.nextDeadline == nil)
  }

  @Test func acknowledgmentsStayWithinAWindowThatShrank() {
    let script = Script.established(window: 3000)
    script.enqueue(3000)
    // With nothing new beside it a smaller window is an older one that was overtaken.
    script.inject(.ack, 1, ack: 1, window: 500)
    #expect(script.info.sendWindow == 3000)
    script.inject(.ack, 1, stream(10), ack: 1, window: 500)
    _ = script.take()
    script.inject(.ack, 11, stream(1900, from: 10), ack: 1, window: 500)
    script.wait(milliseconds: 40)
    #expect(script.take().last?.sequence == 501)
  }

  @Test func keepaliveProbesAndGivesUp() {
    var configuration = Script.plain
    configuration.keepaliveIdle = .seconds(7200)
    configuration.keepaliveInterval = .seconds(75)
    configuration.keepaliveProbes = 3
    let script = Script.established(configuration)
    #expect(script.fire() == .seconds(7200))
    let probe = script.take()
    #expect(probe.map(\.sequence) == [0] && probe.map(\.count) == [0] && probe.map(\.flags) == [.ack])
    // An answer begins the idle time anew.
    script.inject(.ack, 1, ack: 1)
    script.wait(.seconds(7199))
    #expect(script.take().isEmpty)
    script.wait(.seconds(1))
    #expect(script.take().count == 1)
    script.wait(.seconds(150))
    #expect(script.take().count == 2)
    script.wait(.seconds(75))
    #expect(script.take().map(\.flags) == [[.rst, .ack]])
    #expect(script.state == .closed && script.last.error == .timedOut)
  }

  @Test func keepaliveCanBeSetLater() {
    let script = Script.established()
    #expect(script.nextDeadline == nil)
    script.reconfigure { $0.keepaliveIdle = .seconds(10) }
    #expect(script.fire() == .seconds(10))
    #expect(script.take().count == 1)
    script.reconfigure { $0.keepaliveIdle = .zero }
    #expect(script.nextDeadline == nil)
  }

  @Test func keepaliveWaitsWhileDataIsOut() {
    var configuration = Script.plain
    configuration.keepaliveIdle = .milliseconds(500)
    let script = Script.established(configuration)
    script.enqueue(10)
    script.wait(milliseconds: 1500)
    #expect(script.take().allSatisfy { $0.count == 10 })
  }

  /// Numbers are compared within half of their space: nothing may stay where the connection began.
  @Test func moreThanHalfOfTheNumbersPass() {
    var configuration = Script.plain
    configuration.maximumSegment = 65_000
    configuration.windowScaling = true
    var options = TCPOptions()
    options.mss = 65_000
    options.windowScale = 10
    let script = Script.established(configuration, syn: options)
    var (sent, rounds) = (0, 0)
    while sent < 5 << 29, rounds < 10_000 {
      script.enqueue(65_000 * 100)
      var passed = 0
      while passed < 65_000 * 100, rounds < 10_000 {
        let count = script.take().reduce(0) { $0 + $1.count }
        passed += count
        script.now = script.now.adding(milliseconds: 1)
        script.inject(.ack, 1, ack: 1 + sent + passed)
        rounds += 1
      }
      sent += passed
    }
    #expect(sent >= 5 << 29)
    #expect(script.effects.acknowledgedBytes == sent)
    script.enqueue(10)
    #expect(script.take().map(\.count) == [10], "nothing small is out")
  }
}
