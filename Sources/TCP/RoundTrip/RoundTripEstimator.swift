import Timing
import Wire

/// Round-trip time and retransmission timeout, RFC 6298.
///
/// Every acknowledgment of segments that were sent only once is a measurement (Karn's rule, section 3), by the times
/// that the retransmission queue keeps; with timestamps the others can be too (RFC 7323 section 4), by a coarser
/// clock.
///
/// What takes the configuration is inlined: else the whole of it would be copied for each call.
struct RoundTripEstimator {
  /// SRTT; zero before the first measurement.
  private(set) var smoothed = Nanoseconds.zero
  /// The mean deviation as RFC 6298 has RTTVAR, renewed with each measurement.
  private(set) var variation = Nanoseconds.zero
  /// RTTVAR as the timeout uses it: the largest deviation of a round trip, which sinks once in each, so that many
  /// measurements in one do not make it forget.
  private var deviation = Nanoseconds.zero
  private var largest = Nanoseconds.zero
  /// Where the round trip ends that `largest` is about.
  private var periodEnd = SequenceNumber(0)
  /// The smallest measurement of the last five minutes; zero before the first.
  private(set) var minimum = Nanoseconds.zero
  /// When the SYN was sent, if only once.
  private var synSent: Instant?
  /// How many times in a row the timeout was doubled.
  private(set) var backoff: UInt8 = 0
  /// The SYN was repeated.
  private var isCautious = false
  /// A measurement was taken.
  private(set) var isMeasured = false
  /// SRTT of connections before this one in microseconds, until data of its own was measured; 0: it is not known.
  private var remembered: UInt32 = 0

  /// What earlier connections have measured.
  mutating func remember(_ smoothed: Nanoseconds) { remembered = UInt32(clamping: smoothed.count / 1000) }

  /// Our SYN leaves.
  mutating func sentSyn(isRetransmission: Bool, now: Instant) { synSent = isRetransmission ? nil : now }

  /// Our SYN is acknowledged; `echoed` is the round trip by its timestamp, where there is one.
  mutating func synAcknowledged(
    at arrival: Instant, echoed: Nanoseconds?, next: SequenceNumber, _ configuration: TCPConfiguration
  ) {
    guard let sample = synSent.map({ arrival - $0 }) ?? echoed else { return }
    synSent = nil
    let known = remembered
    measured(sample, unacknowledged: next, next: next, configuration)
    remembered = known
  }

  /// Sections 2.2 and 2.3, with alpha 1/8 and beta 1/4.
  @inline(__always) mutating func measured(
    _ sample: Nanoseconds, unacknowledged: SequenceNumber, next: SequenceNumber,
    _ configuration: borrowing TCPConfiguration
  ) {
    measured(
      sample, unacknowledged: unacknowledged, next: next, least: configuration.minimumTimeout / 4)
  }
  private mutating func measured(
    _ sample: Nanoseconds, unacknowledged: SequenceNumber, next: SequenceNumber, least: Nanoseconds
  ) {
    let sample = max(sample, Nanoseconds(1))
    minimum = isMeasured ? min(minimum, sample) : sample
    backoff = 0
    remembered = 0
    guard isMeasured else {
      smoothed = sample
      variation = sample / 2
      deviation = max(variation, least)
      largest = deviation
      periodEnd = next
      isMeasured = true
      return
    }
    let error = sample.count - smoothed.count
    smoothed = Nanoseconds(smoothed.count + error / 8)
    // A round trip that became shorter is no reason to wait longer: its error counts an eighth of what it would.
    var change = abs(error) - variation.count
    if error < 0, change > 0 { change /= 8 }
    variation = Nanoseconds(variation.count + change / 4)
    if variation > largest {
      largest = variation
      deviation = max(deviation, largest)
    }
    if unacknowledged > periodEnd {
      if largest < deviation { deviation = Nanoseconds(deviation.count - (deviation - largest).count / 4) }
      periodEnd = next
      largest = least
    }
  }

  /// The timer went off: the timeout doubles (section 5.5), until a measurement says better.
  mutating func timedOut() {
    if backoff < 30 { backoff += 1 }
  }

  /// Section 5.7: the SYN was repeated and nothing could be measured; data begins with three times the initial
  /// timeout.
  mutating func restartCautiously() {
    isCautious = true
    backoff = 0
  }

  /// RTO, backed off and bounded. With Linux's habits the variation counts at least `minimumTimeout`: it
  /// stands for the clock granularity G of section 2, and covers the peer's delayed acknowledgments. BSD adds it.
  @inline(__always) func timeout(_ configuration: borrowing TCPConfiguration) -> Nanoseconds {
    if backoff > 0, configuration.personality == .bsd { return backedOffAlone(configuration) }
    return Self.backedOff(base(configuration), backoff, configuration.maximumTimeout)
  }
  /// BSD doubles without what it adds, and adds that to the initial timeout too, once it is doubled.
  private func backedOffAlone(_ configuration: borrowing TCPConfiguration) -> Nanoseconds {
    let (slop, most) = (configuration.minimumTimeout, configuration.maximumTimeout)
    let alone = base(configuration) - (isMeasured ? slop : .zero)
    return min(Self.backedOff(alone, backoff, most) + slop, most)
  }

  /// RTO before any doubling.
  @inline(__always) func base(_ configuration: borrowing TCPConfiguration) -> Nanoseconds {
    // Not of a SYN, whose timeout is the initial one.
    if remembered > 0, isMeasured || isCautious {
      let known = Nanoseconds.microseconds(Int64(remembered))
      if known > smoothed { return known + max(known * 2, configuration.minimumTimeout) }
    }
    return isMeasured
      ? configuration.personality == .bsd
        ? smoothed + variation * 4 + configuration.minimumTimeout
        : smoothed + max(deviation * 4, configuration.minimumTimeout)
      : configuration.initialTimeout * (isCautious ? 3 : 1)
  }

  /// An interval doubled `times` times, bounded.
  static func backedOff(_ interval: Nanoseconds, _ times: UInt8, _ bound: Nanoseconds) -> Nanoseconds {
    let interval = min(interval, bound)
    let factor = Int64(1) << Int64(min(times, 40))
    let (product, overflow) = interval.count.multipliedReportingOverflow(by: factor)
    return overflow ? bound : min(Nanoseconds(product), bound)
  }
}
