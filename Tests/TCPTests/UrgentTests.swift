import TCP
import Testing
import Timing
import Wire

/// Urgent data as far as RFC 6093 leaves it.
@Suite struct UrgentTests {
  // Rules: RFC 9293 MUST-62
  @Test func thePointerStandsBehindTheLastUrgentByte() {
    let script = Script.established()
    script.enqueue(10)
    script.enqueue(5, urgent: true)
    script.inject(.ack, 1, ack: 11)
    let sent = script.take()
    #expect(sent.map { $0.flags.contains(.urg) } == [false, true])
    #expect(sent.map(\.urgent) == [0, 5])
    // What follows is not urgent, what comes again still is.
    script.enqueue(1000)
    #expect(script.take().map(\.urgent) == [0])
    script.fire()
    while script.take().first?.urgent != 5, script.state == .established, script.fire() != nil {}
    script.inject(.ack, 1, ack: 1016)
    script.enqueue(10)
    #expect(script.take().map(\.urgent) == [0])
  }

  // Rules: RFC 9293 MUST-31
  @Test func everySegmentOnTheWaySaysHowFar() {
    let script = Script.established()
    script.enqueue(2500, urgent: true)
    #expect(script.take().map(\.urgent) == [2500, 1500, 500])
    let far = Script.established()
    far.enqueue(70_000, urgent: true)
    #expect(far.take().map(\.urgent).first == 65_535)
  }

  @Test func whatArrivesIsCountedAndInLine() {
    let script = Script.established()
    script.inject([.ack, .urg], 1, stream(10), ack: 1, urgent: 5)
    script.inject([.ack, .urg], 11, stream(10, from: 10), ack: 1, urgent: 0)
    script.inject(.ack, 21, stream(10, from: 20), ack: 1, urgent: 9)
    #expect(script.delivered == stream(30) && script.info.counters.urgentSegments == 1)
  }

  /// A closed window keeps text out, but neither the pointer nor a reset.
  // Rules: RFC 9293 MUST-66
  @Test func itIsSeenAtAClosedWindow() {
    var configuration = Script.plain
    configuration.receiveBuffer = 1000
    let script = Script.established(configuration)
    script.inject(.ack, 1, stream(1000), ack: 1)
    #expect(script.info.receiveWindow == 0)
    script.inject([.ack, .urg], 1001, stream(5, from: 1000), ack: 1, urgent: 5)
    #expect(script.info.counters.urgentSegments == 1 && script.delivered == stream(1000))
    script.inject(.rst, 1001)
    #expect(script.state == .closed)
  }
}

/// The user timeout option, RFC 5482.
@Suite struct UserTimeoutTests {
  private func configuration(_ change: (inout TCPUserTimeoutUse) -> Void = { _ in }) -> TCPConfiguration {
    var configuration = Script.plain
    configuration.userTimeoutOption.isEnabled = true
    configuration.userTimeoutOption.advertised = .seconds(300)
    change(&configuration.userTimeoutOption)
    return configuration
  }
  private func told(_ raw: UInt16) -> TCPOptions {
    var options = TCPOptions()
    options.mss = 1000
    options.userTimeout = TCPUserTimeout(rawValue: raw)
    return options
  }

  // Rules: RFC 5482 3-2, 3-3
  @Test func itIsToldWithTheSynAndAfterIt() {
    let script = Script.established(configuration())
    let first = Script(active: configuration())
    #expect(first.take().first?.options.userTimeout?.seconds == 300)
    script.enqueue(10)
    script.inject(.ack, 1, ack: 11)
    script.enqueue(10)
    #expect(script.take().map { $0.options.userTimeout?.seconds } == [300, nil])
    script.reconfigure { $0.userTimeoutOption.advertised = .seconds(40_000) }
    script.inject(.ack, 1, ack: 21)
    script.enqueue(10)
    let minutes = script.take().last?.options.userTimeout
    #expect(minutes?.seconds == 666 * 60, "in minutes")
    // A full segment has no room for it.
    script.reconfigure { $0.userTimeoutOption.advertised = .seconds(5) }
    script.inject(.ack, 1, ack: 31)
    script.enqueue(1000)
    script.inject(.ack, 1, ack: 1031)
    script.enqueue(10)
    #expect(script.take().map { $0.options.userTimeout?.seconds } == [nil, 5])
  }

  // Rules: RFC 5482 3.4-1
  @Test func nothingIsToldByDefaultNorWithoutATimeout() {
    #expect(Script(active: Script.plain).take().first?.options.userTimeout == nil)
    let script = Script(active: configuration { $0.advertised = .zero })
    #expect(script.take().first?.options.userTimeout == nil)
  }

  /// USER_TIMEOUT = min(U_LIMIT, max(ADV_UTO, REMOTE_UTO, L_LIMIT)).
  // Rules: RFC 5482 3-5, 3.1-3, 3.1-4, 3.1-5, 3.1-6, 3.3-4
  @Test func thePeersWishIsFollowedWithinBounds() {
    for (raw, expected): (UInt16, Int64) in [(600, 600), (30, 300), (0x8000 | 90, 3600), (0x8000 | 20, 1200)]
    {
      let script = Script.established(configuration())
      script.inject(.ack, 1, ack: 1, options: told(raw))
      #expect(script.userTimeout == .seconds(expected), "\(raw)")
      #expect(script.info.counters.userTimeoutsTaken == 1)
      script.enqueue(10)
      script.wait(.seconds(expected) - .milliseconds(1))
      #expect(script.state == .established)
      script.wait(milliseconds: 1)
      #expect(script.effects.error == .timedOut)
    }
    // The least is as the RFC has it.
    let script = Script.established(configuration { $0.advertised = .seconds(10) })
    script.inject(.ack, 1, ack: 1, options: told(20))
    #expect(script.userTimeout == .seconds(100))
    // With a SYN, too.
    let early = Script.established(configuration(), syn: told(500))
    #expect(early.userTimeout == .seconds(500))
  }

  // Rules: RFC 5482 3-4, 3.1-1, 3.4-2, 4.1-1
  @Test func itIsNotFollowedWhereItMayNotBe() {
    for change: (inout TCPUserTimeoutUse) -> Void in [{ $0.isEnabled = false }, { $0.isChangeable = false }] {
      let script = Script.established(configuration(change))
      script.inject(.ack, 1, ack: 1, options: told(600))
      #expect(script.userTimeout == .zero && script.info.counters.userTimeoutsTaken == 0)
    }
    let script = Script.established(configuration())
    script.inject(.ack, 1, ack: 1, options: told(0))
    #expect(script.userTimeout == .zero, "zero says nothing")
  }

  /// What the application sets is not the peer's to change.
  // Rules: RFC 5482 3-1, 3.1-1
  @Test func anOwnTimeoutStays() {
    let script = Script.established(configuration())
    script.reconfigure { $0.userTimeout = .seconds(200) }
    script.inject(.ack, 1, ack: 1, options: told(600))
    #expect(script.userTimeout == .seconds(200))
    script.reconfigure { $0.userTimeoutOption.isChangeable = true }
    script.inject(.ack, 1, ack: 1, options: told(600))
    #expect(script.userTimeout == .seconds(600))
  }

  /// However often was repeated in vain, there is time for one more.
  // Rules: RFC 5482 3.1-7
  @Test func theLeastIsLongerThanTheRetransmissionTimeout() {
    let script = Script.established(configuration { $0.advertised = .seconds(10) })
    script.enqueue(10)
    for _ in 0..<10 { script.fire() }
    #expect(script.info.retransmissionTimeout == .seconds(120))
    script.inject(.ack, 1, ack: 1, options: told(20))
    #expect(script.userTimeout > .seconds(120))
    #expect(script.state == .established)
  }

  /// Neither while a connection is being opened: there the attempts count.
  // Rules: RFC 5482 3.3-1
  @Test func openingHasItsOwnTime() {
    let script = Script(active: configuration())
    let begin = script.now
    while script.state == .synSent { script.fire() }
    #expect(script.now - begin == .seconds(127))
  }

  // Rules: RFC 5482 3.3-4, 3.3-5
  @Test func fifteenBitsAndAUnit() {
    for (raw, seconds): (UInt16, Int) in [
      (1, 1), (0x4000, 16384), (0x7FFF, 32767), (0x8001, 60), (0xFFFF, 32767 * 60),
    ] {
      #expect(TCPUserTimeout(rawValue: raw).seconds == seconds)
    }
  }

  /// TCP_USER_TIMEOUT ends the patience with an idle peer too, whatever the number of probes.
  // Rules: RFC 5482 4.2-1
  @Test func itCountsForProbes() {
    for (timeout, probes): (Int64, Int) in [(25, 2), (100, 9), (0, 3)] {
      var configuration = Script.plain
      configuration.keepaliveIdle = .seconds(10)
      configuration.keepaliveInterval = .seconds(10)
      configuration.keepaliveProbes = 3
      configuration.userTimeout = .seconds(timeout)
      let script = Script.established(configuration)
      var sent = 0
      while script.state == .established, script.fire() != nil {
        sent += script.take().count { $0.flags == .ack }
      }
      #expect(sent == probes && script.effects.error == .timedOut, "\(timeout)")
    }
  }
}
