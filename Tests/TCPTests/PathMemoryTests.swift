import Testing
import Timing
import Wire

@testable import TCP

/// What connections leave to those that follow.
@Suite struct PathMemoryTests {
  private func memory(_ smoothed: Int64, _ variation: Int64 = 10, threshold: Int = 0, reordering: Int = 0)
    -> TCPPathMemory
  {
    var memory = TCPPathMemory()
    memory.smoothed = .milliseconds(smoothed)
    memory.variation = .milliseconds(variation)
    memory.threshold = threshold
    memory.reordering = reordering
    return memory
  }

  /// A timeout that is too short costs more than one that is too long.
  @Test func aLongerRoundTripCountsAtOnceAndAShorterOneSlowly() {
    #expect(memory(100).updated(by: memory(300)).smoothed == .milliseconds(300))
    #expect(memory(100).updated(by: memory(100)).smoothed == .milliseconds(100))
    #expect(memory(200).updated(by: memory(40)).smoothed == .milliseconds(180))
    #expect(TCPPathMemory().updated(by: memory(40)) == memory(40))
  }

  @Test func theVariationHasWhatChanged() {
    // Half of the change, or what the later one has measured, whichever is more; less of it counts a quarter.
    #expect(memory(100, 10).updated(by: memory(300, 10)).variation == .milliseconds(100))
    #expect(memory(100, 10).updated(by: memory(100, 50)).variation == .milliseconds(50))
    #expect(memory(100, 50).updated(by: memory(100, 10)).variation == .milliseconds(40))
  }

  @Test func whatIsNotKnownChangesNothing() {
    let known = memory(100, threshold: 20, reordering: 9)
    let later = known.updated(by: memory(100))
    #expect(later.threshold == 20 && later.reordering == 9)
    let better = known.updated(by: memory(100, threshold: 30, reordering: 12))
    #expect(better.threshold == 30 && better.reordering == 12)
  }

  /// It is for the timeout only: what is measured is measured.
  @Test func aTimeoutIsNoShorterThanIsRememberedUntilDataIsMeasured() {
    let configuration = TCPConfiguration()
    var estimator = RoundTripEstimator()
    estimator.remember(.milliseconds(500))
    #expect(estimator.timeout(configuration) == configuration.initialTimeout)
    estimator.sentSyn(isRetransmission: false, now: .zero)
    let first = SequenceNumber(1)
    estimator.synAcknowledged(at: Instant(milliseconds: 10), echoed: nil, next: first, configuration)
    #expect(estimator.smoothed == .milliseconds(10))
    #expect(estimator.timeout(configuration) == .milliseconds(1500))
    estimator.measured(.milliseconds(10), unacknowledged: first, next: first, configuration)
    #expect(estimator.timeout(configuration) == .milliseconds(210))

    var shorter = RoundTripEstimator()
    shorter.remember(.milliseconds(10))
    shorter.sentSyn(isRetransmission: false, now: .zero)
    shorter.synAcknowledged(at: Instant(milliseconds: 100), echoed: nil, next: first, configuration)
    #expect(shorter.timeout(configuration) == .milliseconds(300))
  }
}
