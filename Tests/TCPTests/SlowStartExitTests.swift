import TCP
import Testing
import Timing
import Wire

/// RFC 9406: slow start is left when round trips become longer, by way of a slower one.
@Suite struct SlowStartExitTests {
  /// A transfer without end over a path whose round trip the test says, segment by segment.
  private final class Path {
    let script: Script
    private var out: [(end: Int, sent: Instant)] = []

    init(_ change: (inout TCPConfiguration) -> Void = { _ in }) {
      var configuration = Script.plain
      configuration.windowScaling = true
      change(&configuration)
      var options = TCPOptions()
      options.mss = 1000
      options.windowScale = 10
      script = Script.established(configuration, syn: options)
      script.enqueue(10_000_000)
      collect()
    }

    private func collect() {
      out += script.take().map { ($0.sequence + $0.count, script.now) }
    }

    /// So many segments arrive, and each is acknowledged after `trip`.
    func acknowledge(_ count: Int, _ trip: Nanoseconds) {
      for _ in 0..<count {
        let first = out.removeFirst()
        script.now = max(script.now, first.sent + trip)
        script.inject(.ack, 1, ack: first.end)
        collect()
      }
    }

    /// A round: the last of those before has ended it with its acknowledgment.
    func round(_ trip: Nanoseconds, last: Nanoseconds? = nil) {
      let count = out.count
      acknowledge(count - 1, trip)
      acknowledge(1, last ?? trip)
    }

    var window: Int { script.info.congestionWindow }
    var threshold: Int { script.info.slowStartThreshold }
    /// By how much the window grows with eight segments.
    func growth(_ trip: Nanoseconds) -> Int {
      let before = window
      acknowledge(8, trip)
      return window - before
    }
  }

  /// A path of `first` on which the second round takes `second`, up to where that was seen eight times.
  private func lengthened(_ first: Nanoseconds, _ second: Nanoseconds) -> Path {
    let path = Path()
    path.round(first, last: second)
    path.acknowledge(7, second)
    return path
  }

  // Rules: RFC 9406 4.2-1
  @Test func whileRoundTripsStayTheWindowDoubles() {
    let path = Path()
    for window in [20, 40, 80] {
      path.round(.milliseconds(100))
      #expect(path.window == window)
    }
    #expect(path.threshold == .max)
  }

  // Rules: RFC 9406 4.2-2, 4.2-4; RFC 9438 4.10-2
  @Test func longerRoundTripsSlowItDown() {
    let path = lengthened(.milliseconds(100), .milliseconds(120))
    #expect(path.growth(.milliseconds(120)) == 2)
    #expect(path.growth(.milliseconds(120)) == 2)
    #expect(path.threshold == .max)
  }

  // Rules: RFC 9406 4.2-3, 4.3-1
  @Test(
    arguments: [
      // An eighth of the round trip, between 4 and 16 ms.
      (100, 112_400, false), (100, 112_600, true), (8, 11_900, false), (8, 12_000, true),
      (300, 315_900, false),
      (300, 316_000, true),
    ] as [(Int64, Int64, Bool)])
  func howMuchLongerIsLonger(first: Int64, second: Int64, slows: Bool) {
    let path = lengthened(.milliseconds(first), .microseconds(second))
    #expect(path.growth(.microseconds(second)) == (slows ? 2 : 8))
  }

  // Rules: RFC 9406 4.2-3
  @Test func sevenMeasurementsAreTooFew() {
    let path = Path()
    path.round(.milliseconds(100), last: .milliseconds(120))
    let before = path.window
    path.acknowledge(6, .milliseconds(120))
    #expect(path.window == before + 6)
  }

  // Rules: RFC 9406 4.2-5
  @Test func shorterRoundTripsAgainWereNoQueue() {
    let path = lengthened(.milliseconds(100), .milliseconds(120))
    #expect(path.growth(.milliseconds(120)) == 2)
    // The rest of this round, and enough of the next.
    while path.growth(.milliseconds(100)) < 8, path.window < 200 {}
    #expect(path.window < 200)
    #expect(path.growth(.milliseconds(100)) == 8)
    #expect(path.threshold == .max)
  }

  // Rules: RFC 9406 4.2-6, 4.3-1
  @Test func afterFiveRoundsItIsOver() {
    let path = lengthened(.milliseconds(100), .milliseconds(120))
    var rounds = 0
    while path.threshold == .max, rounds < 10 {
      path.round(.milliseconds(120))
      rounds += 1
    }
    #expect(rounds == 6 || rounds == 5)
    #expect(path.threshold <= path.window)
    #expect(path.window < 80)
    #expect(path.growth(.milliseconds(120)) <= 1)
  }

  // Rules: RFC 9406 4.3-2
  @Test func oneAcknowledgmentCountsForEightAtMostUnlessPaced() {
    for paced in [false, true] {
      let script = Path { $0.pacing = paced }.script
      script.inject(.ack, 1, ack: 10_001)
      #expect(script.info.congestionWindow == (paced ? 20 : 18))
    }
  }
}
