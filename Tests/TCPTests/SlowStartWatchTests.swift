import Testing
import Timing
import Wire

@testable import TCP

/// RFC 9406: HyStart++.
@Suite struct SlowStartWatchTests {
  /// Seven flights, each twice the one before, acknowledged two segments at a time. Within a flight the round trip grows,
  /// since it arrives faster than the bottleneck takes it; `standing` is what a queue adds that stands from one flight to
  /// the next. Returns how many acknowledgments did not count in full.
  private func slowStart(standing: (_ flight: Int) -> Nanoseconds) -> Int {
    var watch = SlowStartWatch(.hyStartPlusPlus)
    var window = CongestionWindow(initial: 10, next: SequenceNumber(1), now: .zero)
    var (acknowledged, next, held) = (1, 11, 0)
    for flight in 0..<7 {
      for pair in 0..<(5 << flight) {
        acknowledged += 2
        let roundTrip = Nanoseconds.milliseconds(100) + .microseconds(Int64(600 * pair)) + standing(flight)
        watch.observe(
          AcknowledgmentSample(
            delivered: 2, marked: 0, roundTrip: roundTrip, smoothed: roundTrip, minimum: .milliseconds(100),
            unacknowledged: SequenceNumber(UInt32(acknowledged)), next: SequenceNumber(UInt32(next)),
            isLimiting: true, isPaced: false, count: DeliveryCount(), inFlight: next - acknowledged,
            isRepairing: false, isSelective: true, isWindowFull: true, segment: 1460, initialWindow: 10,
            now: .zero), minimum: .milliseconds(100), &window)
        if watch.allowed(2, isPaced: false) < 2 { held += 1 }
        next += 4
      }
    }
    return held
  }

  @Test func aFlightThatQueuesBehindItselfIsNoReasonToSlowDown() {
    // A round ends with the first acknowledgment beyond it: the smallest round trip of each is that of its first segment.
    #expect(slowStart { _ in .zero } == 0)
  }

  @Test func aQueueThatStandsIs() {
    #expect(slowStart { $0 < 5 ? .zero : .milliseconds(20) } > 100)
  }
}
