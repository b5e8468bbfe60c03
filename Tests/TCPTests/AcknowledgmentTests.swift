import TCP
import Testing
import Timing
import Wire

/// When acknowledgments wait and for how long, by Linux's habits and by BSD's: RFC 9293 section 3.8.6.3.
@Suite struct AcknowledgmentTests {
  private func established(_ change: (inout TCPConfiguration) -> Void = { _ in }) -> Script {
    var configuration = Script.plain
    configuration.quickAcknowledgments = 16
    change(&configuration)
    return Script.established(configuration)
  }
  private var patient: Script { established { $0.quickAcknowledgments = 0 } }

  /// Sixteen at the beginning, or as many as half the window holds full segments.
  @Test func quickAtTheBeginning() {
    for (buffer, quick): (UInt32, Int) in [(65_535, 16), (10_000, 5), (3000, 2)] {
      let script = established { $0.receiveBuffer = buffer }
      var atOnce = 0
      for index in 0..<40 {
        script.inject([.ack, .psh], 1 + index * 1000, stream(1000, from: index * 1000), ack: 1)
        if script.take().isEmpty { break }
        script.space(Int(buffer))
        _ = script.take()
        atOnce += 1
      }
      #expect(atOnce == quick, "\(buffer)")
    }
  }

  /// Small segments are not segments: Linux counts bytes, BSD segments.
  @Test func everySecondSegmentIsOfFullOnes() {
    for (personality, expected): (TCPPersonality, [Int]) in [(.linux, []), (.bsd, [21, 41])] {
      let script = established {
        $0.personality = personality
        $0.quickAcknowledgments = 0
      }
      script.inject(.ack, 1, stream(10), ack: 1)
      for index in 1..<5 { script.inject([.ack, .psh], 1 + index * 10, stream(10), ack: 1) }
      #expect(script.take().compactMap(\.acknowledgment) == expected)
      #expect(script.fire() == .milliseconds(40))
      #expect(script.take().map(\.acknowledgment) == [51])
    }
  }

  /// Segments that come together are acknowledged as one; what is told of holes and repetitions does not wait, and
  /// nothing waits for a segment that was no good.
  // Rules: RFC 9293 MUST-59
  @Test func segmentsThatComeTogetherAreAcknowledgedAsOne() {
    let script = established()
    for index in 0..<8 {
      script.inject(.ack, 1 + index * 1000, stream(1000, from: index * 1000), ack: 1, isFollowed: index < 7)
      #expect(script.take().map(\.acknowledgment) == (index < 7 ? [] : [8001]))
    }
    script.finish()
    #expect(script.take().isEmpty)
    script.inject(.ack, 8001, stream(1000, from: 8000), ack: 1, isFollowed: true)
    script.inject(.ack, 9_000_001, stream(1000), ack: 1)
    #expect(script.take().map(\.acknowledgment) == [9001], "beyond the window")
    script.inject(.ack, 9001, stream(1000, from: 9000), ack: 1, isFollowed: true)
    #expect(script.take().isEmpty)
    script.finish()
    #expect(script.take().map(\.acknowledgment) == [10_001])
    script.inject(.ack, 11_001, stream(1000, from: 11_000), ack: 1, isFollowed: true)
    #expect(script.take().map(\.acknowledgment) == [10_001], "ahead of a hole")
  }

  /// A full segment is what the peer's segments hold, not what they might.
  @Test func theSizeOfAFullSegmentIsLearnt() {
    let script = patient
    script.inject(.ack, 1, stream(700), ack: 1)
    script.inject(.ack, 701, stream(700, from: 700), ack: 1)
    #expect(script.take().map(\.acknowledgment) == [1401])
    // Shorter ones, twice in a row and not pushed: the path has become narrower.
    for index in 0..<4 {
      script.inject(.ack, 1401 + index * 600, stream(600, from: 1400 + index * 600), ack: 1)
    }
    #expect(script.take().map(\.acknowledgment) == [2601, 3801])
  }

  /// An answer makes the exchange interactive, and acknowledgments wait for the next one; a wait in vain ends that.
  @Test func interactiveExchanges() {
    let script = established()
    script.inject([.ack, .psh], 1, stream(10), ack: 1)
    #expect(script.take().count == 1)
    script.enqueue(10)
    #expect(script.take().count == 1)
    script.wait(milliseconds: 10)
    script.inject([.ack, .psh], 11, stream(10), ack: 11)
    #expect(script.take().isEmpty)
    #expect(script.fire() == .milliseconds(40))
    #expect(script.take().map(\.acknowledgment) == [21])
    #expect(script.info.counters.delayedAcknowledgments == 1)
    script.inject([.ack, .psh], 21, stream(10), ack: 11)
    #expect(script.take().map(\.acknowledgment) == [31], "quick again")
  }

  @Test func oneAnswerMayBeTooFew() {
    let script = established { $0.pingPongThreshold = 2 }
    for (round, isQuick) in [true, true, false].enumerated() {
      script.inject([.ack, .psh], 1 + 10 * round, stream(10), ack: 1 + 10 * round)
      #expect(script.take().isEmpty != isQuick, "\(round)")
      script.enqueue(10)
      _ = script.take()
    }
  }

  /// ATO follows the gaps, between 40 and 200 ms.
  @Test func theWaitFollowsTheGaps() {
    var configuration = Script.plain
    configuration.quickAcknowledgments = 0
    let script = Script(passive: configuration)
    script.wait(milliseconds: 300)
    script.inject(.ack, 1, ack: 1)
    _ = script.take()
    var position = 0
    func text() {
      script.inject([.ack, .psh], 1 + position, stream(10), ack: 1)
      position += 10
    }
    text()
    #expect(script.fire() == .milliseconds(40))
    #expect(script.info.acknowledgmentTimeout == .milliseconds(80), "in vain: twice as long")
    script.wait(milliseconds: 60)
    text()  // 100 ms after the last: beyond ATO, which stays
    #expect(script.fire() == .milliseconds(80))
    text()
    #expect(
      script.info.acknowledgmentTimeout == .milliseconds(160), "80 ms since the last: half of 160, and 80")
    #expect(script.fire() == .milliseconds(160))
    text()
    #expect(script.fire() == .milliseconds(200), "at the most")
    script.wait(milliseconds: 1)
    text()
    let long = script.info.acknowledgmentTimeout
    script.wait(milliseconds: 1)
    text()
    #expect(script.info.acknowledgmentTimeout < long)
  }

  /// Company that takes longer than a round trip is no company.
  @Test func theWaitIsBoundedByTheRoundTrip() {
    let script = patient
    script.enqueue(10)
    script.wait(milliseconds: 50)
    script.inject(.ack, 1, ack: 11)
    #expect(script.info.smoothedRoundTrip < .milliseconds(50))
    script.wait(milliseconds: 500)
    var position = 0
    for _ in 0..<3 {
      script.inject([.ack, .psh], 1 + position, stream(10), ack: 11)
      position += 10
      script.fire()
    }
    script.inject([.ack, .psh], 1 + position, stream(10), ack: 11)
    let waited = script.fire()!
    #expect(waited <= .milliseconds(50) && waited >= .milliseconds(40))
  }

  /// Where a loss was, acknowledgments are quick again, and the exchange is not interactive.
  @Test func repetitionsHurry() {
    let script = established { $0.quickAcknowledgments = 4 }
    var position = 0
    func text() -> Int {
      script.inject([.ack, .psh], 1 + position, stream(10), ack: 1)
      position += 10
      return script.take().count
    }
    #expect((0..<5).map { _ in text() } == [1, 1, 1, 1, 0])
    script.inject(.ack, 1, stream(10), ack: 1)
    #expect(script.take().count == 1)
    #expect((0..<5).map { _ in text() } == [1, 1, 1, 0, 0])
    // And after a silence longer than the retransmission timeout.
    script.wait(.seconds(5))
    _ = script.take()
    #expect((0..<5).map { _ in text() } == [1, 1, 1, 1, 0])
  }

  /// What is pushed and read is acknowledged: nothing need follow it.
  @Test func readingEverythingAcknowledges() {
    let script = patient
    script.inject([.ack, .psh], 1, stream(10), ack: 1)
    #expect(script.acknowledgesWhenRead)
    script.space(65_530)
    #expect(script.take().isEmpty, "not all")
    script.space(65_535)
    #expect(script.take().map(\.acknowledgment) == [11])
    #expect(!script.acknowledgesWhenRead)
    // In an interactive exchange the second push in a row does it.
    script.inject([.ack, .psh], 11, stream(10), ack: 1)
    script.enqueue(10)
    _ = script.take()
    script.inject([.ack, .psh], 21, stream(10), ack: 11)
    script.space(65_535)
    #expect(script.take().isEmpty)
    script.inject([.ack, .psh], 31, stream(10), ack: 11)
    script.space(65_535)
    #expect(script.take().map(\.acknowledgment) == [41])
  }

  @Test func quickAcknowledgmentsCanBeAskedFor() {
    let script = established()
    script.quick(false)
    script.inject([.ack, .psh], 1, stream(10), ack: 1)
    #expect(script.take().isEmpty)
    script.quick(true)
    #expect(script.take().map(\.acknowledgment) == [11], "what waited")
    script.inject([.ack, .psh], 11, stream(10), ack: 1)
    #expect(script.take().map(\.acknowledgment) == [21])
  }

  /// The acknowledgment that has waited long goes with the next segment.
  @Test func aLongWaitDoesNotBeginAnew() {
    let script = patient
    script.inject([.ack, .psh], 1, stream(10), ack: 1)
    script.wait(milliseconds: 35)
    script.inject([.ack, .psh], 11, stream(10), ack: 1)
    #expect(script.take().map(\.acknowledgment) == [21])
  }

  /// RFC 5961 section 7; Linux: one answer in half a second where nothing is lost by it.
  @Test func refusalsAreAnsweredNowAndThen() {
    for (personality, expected) in [(TCPPersonality.linux, 1), (.bsd, 10)] {
      let script = established {
        $0.refusalInterval = .milliseconds(500)
        $0.personality = personality
      }
      for _ in 0..<20 { script.inject(.syn, 10, ack: nil) }
      #expect(script.take().count == expected)
      script.wait(milliseconds: 499)
      script.inject(.syn, 10)
      #expect(script.take().isEmpty)
      script.wait(milliseconds: 1)
      script.inject(.syn, 10)
      #expect(script.take().count == (personality == .linux ? 1 : 0))
      // Text that comes again is answered each time.
      script.inject(.ack, -100, stream(10), ack: 1)
      script.inject(.ack, -100, stream(10), ack: 1)
      #expect(script.take().count == 2)
    }
  }
}
