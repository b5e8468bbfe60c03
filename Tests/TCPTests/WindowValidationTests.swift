import TCP
import Testing
import Timing
import Wire

/// RFC 7661, in virtual time: a window that the application does not use is kept, and believed only as far as it was used.
@Suite struct WindowValidationTests {
  /// A connection with round trips of 100 ms.
  private final class Flow {
    let script: Script
    var acknowledged = 1
    init(_ validation: TCPWindowValidation = .preserving) {
      var configuration = Script.plain
      configuration.windowValidation = validation
      configuration.congestionControl = .newReno
      script = Script.established(configuration)
    }
    var window: Int { script.info.congestionWindow }
    var threshold: Int { script.info.slowStartThreshold }

    /// So many segments of 1000 bytes leave, and their acknowledgments come a round trip later, one for two.
    func exchange(_ segments: Int) {
      script.enqueue(segments * 1000)
      script.wait(milliseconds: 100)
      for step in stride(from: 2, through: segments, by: 2) {
        script.inject(.ack, 1, ack: acknowledged + step * 1000)
      }
      acknowledged += segments * 1000
      _ = script.take()
    }
    /// So many segments leave, the first is lost, and is repaired. `meanwhile` looks when it has been sent again.
    func lose(_ segments: Int, meanwhile: () -> Void = {}) {
      script.enqueue(segments * 1000)
      #expect(script.take().count == segments)
      script.wait(milliseconds: 100)
      for _ in 0..<3 { script.inject(.ack, 1, ack: acknowledged) }
      #expect(script.take().filter(\.isRetransmission).count == 1)
      #expect(script.info.isRecovering)
      meanwhile()
      for _ in 3..<(segments - 1) { script.inject(.ack, 1, ack: acknowledged) }
      // Without SACK it ends with what was sent since.
      script.enqueue(1000)
      script.inject(.ack, 1, ack: acknowledged + segments * 1000)
      script.inject(.ack, 1, ack: acknowledged + segments * 1000 + 1000)
      #expect(!script.info.isRecovering)
      _ = script.take()
      acknowledged += segments * 1000 + 1000
    }
    /// Three flights that fill the window: it is 80 segments then.
    static func grown(_ validation: TCPWindowValidation = .preserving) -> Flow {
      let flow = Flow(validation)
      for segments in [10, 20, 40] { flow.exchange(segments) }
      #expect(flow.window == 80)
      return flow
    }
    /// Then two seconds in which only four are in use. The first acknowledgment makes it 82, of which forty is no half.
    static func unused() -> Flow {
      let flow = grown()
      for _ in 0..<20 { flow.exchange(4) }
      return flow
    }
  }

  // Rules: RFC 7661 4.4-1, 4.4-3
  @Test func aWindowThatIsNotUsedStaysAsItIs() {
    #expect(Flow.unused().window == 82)
    let decaying = Flow.grown(.decaying)
    for _ in 0..<20 { decaying.exchange(4) }
    #expect(decaying.window < 40)
  }

  @Test func aPauseDoesNotShrinkIt() {
    let flow = Flow.grown()
    flow.script.wait(.seconds(100))
    flow.exchange(4)
    #expect(flow.window == 80)
    let decaying = Flow.grown(.decaying)
    decaying.script.wait(.seconds(100))
    decaying.exchange(4)
    #expect(decaying.window == 10)
  }

  // Rules: RFC 7661 4.2-1, 4.4-6
  @Test func halfOfItInUseIsEnoughToGrow() {
    let flow = Flow.unused()
    flow.exchange(38)
    flow.exchange(2)
    #expect(flow.window == 82)
    // The sample of this flight is more than half: from its end on the window grows by the usual rules.
    flow.exchange(42)
    #expect(flow.window == 84)
    flow.exchange(2)
    #expect(flow.window == 86)
    flow.exchange(2)
    #expect(flow.window == 86)
  }

  // Rules: RFC 7661 4.2-2
  @Test func samplesCountForASecond() {
    let flow = Flow.grown()
    // The flight of 40 is remembered for a second: the window may grow.
    flow.script.wait(milliseconds: 800)
    flow.exchange(2)
    #expect(flow.window == 82)
    let other = Flow.grown()
    other.script.wait(milliseconds: 1000)
    other.exchange(2)
    #expect(other.window == 80)
  }

  // Rules: RFC 7661 4.2-3, 4.4-4, 4.4.1-1, 4.4.1-2, 4.4.1-4
  @Test func aLossMakesItHalfOfWhatWasUsed() {
    let flow = Flow.unused()
    flow.lose(20) { #expect(flow.threshold == 10) }
    // Twenty had been out, of which one was lost.
    #expect(flow.window == 9 && flow.threshold == 9)
    // The estimate is undefined again: four in use are enough to grow.
    flow.exchange(4)
    flow.exchange(9)
    #expect(flow.window == 10)
  }

  // Rules: RFC 7661 4.4-5
  @Test func aTimeoutForgetsWhatWasNotInUse() {
    let flow = Flow.unused()
    flow.script.enqueue(20_000)
    flow.script.wait(.milliseconds(1500))
    #expect(flow.script.info.counters.timeouts > 0)
    #expect(flow.threshold == 10 && flow.window < 10)
  }

  // Rules: RFC 7661 4.4-2, 4.4.3-1, 4.4.3-2
  @Test func afterFiveMinutesItHalves() {
    let flow = Flow.unused()
    flow.script.wait(.seconds(290))
    flow.exchange(4)
    #expect(flow.window == 82)
    flow.script.wait(.seconds(20))
    flow.exchange(4)
    #expect(flow.window == 41)
    // Once for each five minutes, and never below the initial window.
    flow.script.wait(.seconds(601))
    flow.exchange(4)
    #expect(flow.window == 10)
    flow.script.wait(.seconds(3600))
    flow.exchange(4)
    #expect(flow.window == 10)
  }

  // Rules: RFC 7661 4.4.3-1
  @Test func theThresholdRemembersIt() {
    let flow = Flow.grown()
    // A loss in a window that is in use: the usual half.
    flow.lose(60)
    #expect(flow.threshold == 40)
    #expect(flow.window == 40)
    for _ in 0..<20 { flow.exchange(4) }
    flow.script.wait(.seconds(310))
    flow.exchange(4)
    #expect(flow.window < 30 && flow.threshold == 40)
  }
}
