import TCP
import Testing
import Timing
import Wire

/// RFC 7323.
@Suite struct TimestampTests {
  private static func options(_ value: UInt32, _ echo: UInt32 = 0) -> TCPOptions {
    var options = TCPOptions()
    options.timestamps = TCPTimestamps(value: value, echo: echo)
    return options
  }

  /// A connection with timestamps; the peer's clock stood at 10,000 in its SYN.
  private func established(_ change: (inout TCPConfiguration) -> Void = { _ in }) -> Script {
    var configuration = TCPConfiguration()
    configuration.quickAcknowledgments = 0
    configuration.maximumSegment = 1012
    change(&configuration)
    var syn = Self.options(10_000)
    syn.mss = 1012
    let script = Script(passive: configuration, syn: syn)
    _ = script.take()
    script.inject(.ack, 1, ack: 1, options: Self.options(10_000, 5000))
    #expect(script.state == .established)
    return script
  }

  // Rules: RFC 7323 3.2-4, 3.2-5, 5.2-3
  @Test func everySegmentCarriesThem() {
    let script = established()
    script.enqueue(2500)
    script.shutdown()
    for segment in script.take() { #expect(segment.options.timestamps?.value == 5000) }
    #expect(script.info.sendSegment == 1000)
    script.abort()
    #expect(script.take().first?.options.timestamps != nil)
  }

  // Rules: RFC 7323 5.3-1
  @Test func staleSegmentIsAcknowledgedAndDropped() {
    let script = established()
    script.inject(.ack, 1, stream(10), ack: 1, options: Self.options(9_998))
    #expect(script.delivered.isEmpty)
    #expect(script.take().map(\.acknowledgment) == [1])
    script.inject(.ack, 1, stream(10), ack: 1, options: Self.options(10_000))
    #expect(script.delivered == stream(10))
  }

  /// Linux's habits: one tick is no age, and a duplicate acknowledgment that was overtaken is no stranger's.
  @Test func aTickIsNoAge() {
    for personality in TCPPersonality.allCases {
      let script = established { $0.personality = personality }
      script.inject(.ack, 1, stream(10), ack: 1, options: Self.options(9_999))
      #expect(script.delivered.isEmpty == (personality == .bsd))
    }
    for (age, isTaken): (UInt32, Bool) in [(100, true), (4_000, false)] {
      let script = established()
      script.enqueue(10)
      let rejected = script.info.counters.rejected
      script.inject(.ack, 1, ack: 1, options: Self.options(10_000 - age, 5000))
      #expect((script.info.counters.rejected == rejected) == isTaken, "\(age)")
      script.inject(.ack, 1, ack: 11, options: Self.options(10_000 - age, 5000))
      #expect(script.last.acknowledgedBytes == 0, "it acknowledges more: it is no duplicate")
    }
  }

  // Rules: RFC 7323 5.2-4
  @Test func resetsAreNotJudgedByTimestamps() {
    let script = established()
    script.inject(.rst, 1, options: Self.options(1))
    #expect(script.state == .closed)
    let other = established()
    other.inject(.rst, 1)
    #expect(other.state == .closed)
  }

  // Rules: RFC 7323 3.2-7, 3.2-8
  @Test func segmentWithoutTimestampsIsDroppedUnlessTolerated() {
    let script = established()
    script.inject(.ack, 1, stream(10), ack: 1)
    #expect(script.delivered.isEmpty && script.take().isEmpty)
    let tolerant = established { $0.requiresTimestamps = false }
    tolerant.inject(.ack, 1, stream(10), ack: 1)
    #expect(tolerant.delivered == stream(10))
  }

  @Test func T4_theClockWraps() {
    let script = Script(passive: TCPConfiguration(), syn: Self.options(.max - 5))
    script.inject(.ack, 1, ack: 1, options: Self.options(.max - 1, 5000))
    script.inject(.ack, 1, stream(10), ack: 1, options: Self.options(3, 5000))
    #expect(script.delivered == stream(10))
    script.inject(.ack, 11, stream(10, from: 10), ack: 1, options: Self.options(.max, 5000))
    #expect(script.delivered == stream(10))
  }

  // Rules: RFC 7323 5.5-1
  @Test func afterTwentyFourDaysTheClockSaysNothing() {
    // Section 5.5.
    let script = established()
    script.wait(.seconds(24 * 24 * 3600 - 1))
    script.inject(.ack, 1, stream(10), ack: 1, options: Self.options(9_000))
    #expect(script.delivered.isEmpty)
    script.wait(.seconds(2))
    script.inject(.ack, 1, stream(10), ack: 1, options: Self.options(9_000))
    #expect(script.delivered == stream(10))
    // And the new clock counts from here.
    _ = script.take()
    script.inject(.ack, 11, stream(10), ack: 1, options: Self.options(8_998))
    #expect(script.delivered.count == 10)
  }

  // Rules: RFC 7323 4.3-1
  @Test func theEchoIsThatOfTheEarliestUnacknowledgedSegment() {
    // Section 4.3: with delayed acknowledgments the first of two segments counts.
    let script = established()
    script.inject(.ack, 1, stream(500), ack: 1, options: Self.options(10_010, 5000))
    #expect(script.take().isEmpty)
    script.inject(.ack, 501, stream(500, from: 500), ack: 1, options: Self.options(10_020, 5000))
    #expect(script.take().map { $0.options.timestamps?.echo } == [10_010])
  }

  // Rules: RFC 7323 4.3-2, 4.3-3, 5.3-3
  @Test func aHoleIsEchoedByWhatFillsIt() {
    // Section 4.3, case (B) and (C).
    let script = established()
    script.inject(.ack, 1, stream(1000), ack: 1, options: Self.options(10_010, 5000))
    script.wait(milliseconds: 40)
    #expect(script.take().last?.options.timestamps?.echo == 10_010)
    script.inject(.ack, 2001, stream(1000, from: 2000), ack: 1, options: Self.options(10_030, 5000))
    #expect(script.take().last?.options.timestamps?.echo == 10_010)
    script.inject(.ack, 1001, stream(1000, from: 1000), ack: 1, options: Self.options(10_040, 5000))
    let ack = script.take().last
    #expect(ack?.acknowledgment == 3001)
    #expect(ack?.options.timestamps?.echo == 10_040)
    #expect(script.delivered == stream(3000))
  }

  @Test func retransmittedDataIsMeasuredByItsEcho() {
    // Section 4.1: what Karn's rule forbids without timestamps.
    let script = established()
    script.enqueue(100)
    script.fire()
    let resent = script.take().last
    script.now = script.now.adding(milliseconds: 70)
    script.inject(.ack, 1, ack: 101, options: Self.options(10_100, resent!.options.timestamps!.value))
    // The handshake measured nothing, since no time passed: 0.5 ms at least for a tick not seen.
    #expect(script.info.smoothedRoundTrip > .milliseconds(8))
    #expect(script.info.backoff == 0)
  }

  /// An answer to a SYN that was not ours, which the echo of a clock shows, is reset, and ours is waited for.
  @Test func aSynAckMustEchoOurClock() {
    let script = Script(active: TCPConfiguration())
    _ = script.take()
    script.now = script.now.adding(milliseconds: 20)
    script.inject([.syn, .ack], 0, ack: 1, options: Self.options(1, 99_999))
    #expect(script.take().map(\.flags) == [.rst])
    #expect(script.state == .synSent)
    script.inject([.syn, .ack], 0, ack: 1, options: Self.options(1, 5000))
    #expect(script.state == .established)
  }

  /// Without ACK the echo means nothing: a SYN that crosses ours is no answer to it.
  // Rules: RFC 7323 3.2-3
  @Test func aSynEchoesNothing() {
    let script = Script(active: TCPConfiguration())
    _ = script.take()
    script.now = script.now.adding(milliseconds: 20)
    script.inject(.syn, 0, options: Self.options(1, 99_999))
    #expect(script.state == .synReceived)
    #expect(script.take().map(\.flags) == [[.syn, .ack]])
    #expect(script.info.smoothedRoundTrip == .zero)
  }

  // Rules: RFC 7323 3.2-9
  @Test func whatWasNotAgreedOnIsIgnored() {
    let script = Script.established()
    script.inject(.ack, 1, stream(10), ack: 1, options: Self.options(9000, 77))
    script.inject(.ack, 11, stream(10, from: 10), ack: 1, options: Self.options(5, 77))
    #expect(script.delivered == stream(20))
    script.enqueue(10)
    #expect(script.take().allSatisfy { $0.options.timestamps == nil })
    #expect(script.info.smoothedRoundTrip < .milliseconds(1))
  }

  /// Neither what is taken though its clock is a tick behind, nor a reset that is only challenged, changes what is
  /// echoed and compared with.
  // Rules: RFC 7323 5.2-1, 5.2-5
  @Test func whatIsKeptNeverGoesBack() {
    let script = established()
    script.inject(.ack, 1, stream(10), ack: 1, options: Self.options(9_999))
    #expect(script.delivered == stream(10))
    script.wait(milliseconds: 40)
    #expect(script.take().map { $0.options.timestamps?.echo } == [10_000])
    script.inject(.rst, 20, options: Self.options(20_000))
    #expect(script.state == .established)
    #expect(script.take().map { $0.options.timestamps?.echo } == [10_000])
    script.inject(.ack, 11, stream(10, from: 10), ack: 1, options: Self.options(10_001))
    #expect(script.delivered == stream(20))
  }

  @Test func absurdEchoesAreNotMeasured() {
    let script = established()
    let before = script.info.smoothedRoundTrip
    script.enqueue(100)
    script.fire()
    script.inject(.ack, 1, ack: 101, options: Self.options(10_100, 5_000_000))
    #expect(script.info.smoothedRoundTrip == before)
  }

  // Rules: RFC 6191 3-1; RFC 7323 7-1, 7.1-1; RFC 9293 MUST-8, MUST-9, SHLD-1
  @Test func initialSequenceNumbersAndClocks() {
    let generator = InitialSequenceGenerator(key: .init(seed: 1))
    let other = InitialSequenceGenerator(key: .init(seed: 2))
    func address(_ port: UInt16) -> SocketAddress {
      SocketAddress(IPAddress(IPv4Address(0x0A00_0001)), port: port)
    }
    let now = Instant(milliseconds: 1000)
    let first = generator.iss(local: address(80), remote: address(1000), now: now)
    #expect(first == generator.iss(local: address(80), remote: address(1000), now: now))
    #expect(first != generator.iss(local: address(80), remote: address(1001), now: now))
    #expect(first != generator.iss(local: address(1000), remote: address(80), now: now))
    #expect(first != other.iss(local: address(80), remote: address(1000), now: now))
    // 250,000 a second.
    let later = generator.iss(local: address(80), remote: address(1000), now: now + .seconds(1))
    #expect(later - first == 250_000)
    let offset = generator.timestampOffset(local: address(80), remote: address(1000))
    #expect(offset == generator.timestampOffset(local: address(80), remote: address(1000)))
    #expect(offset != first.rawValue)
  }
}
