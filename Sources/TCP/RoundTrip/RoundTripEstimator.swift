import Timing
import Wire

/// Round-trip time and retransmission timeout, RFC 6298.
///
/// One segment at a time is timed with the clock of arrival stamps; a retransmission ends that timing (Karn's
/// rule, section 3). With timestamps every acknowledgment can be a measurement (RFC 7323 section 4); they serve
/// where no segment is being timed, since their clock is coarser.
struct RoundTripEstimator {
  /// SRTT; zero before the first measurement.
  private(set) var smoothed = Nanoseconds.zero
  /// RTTVAR.
  private(set) var variation = Nanoseconds.zero
  /// The smallest measurement; zero before the first.
  private(set) var minimum = Nanoseconds.zero
  /// When the timed segment was sent.
  private var timedAt = Instant.zero
  /// One past the last number of the timed segment.
  private var timedEnd = SequenceNumber(0)
  /// A segment is being timed.
  private var isTiming = false
  /// How many times in a row the timeout was doubled.
  private(set) var backoff: UInt8 = 0
  /// The SYN was repeated.
  private var isCautious = false
  /// A measurement was taken.
  private(set) var isMeasured = false

  /// A segment leaves.
  mutating func sent(end: SequenceNumber, isRetransmission: Bool, now: Instant) {
    if isRetransmission {
      isTiming = false
    } else if !isTiming {
      isTiming = true
      timedAt = now
      timedEnd = end
    }
  }

  /// An acknowledgment of new data arrived. `echoed` is the round trip by its timestamp, where there is one.
  mutating func acknowledged(_ acknowledgment: SequenceNumber, at arrival: Instant, echoed: Nanoseconds?) {
    if isTiming {
      guard timedEnd <= acknowledgment else { return }
      isTiming = false
      measured(arrival - timedAt)
    } else if let echoed {
      measured(echoed)
    }
  }

  /// Section 2.2 and 2.3, with alpha 1/8 and beta 1/4.
  private mutating func measured(_ sample: Nanoseconds) {
    let sample = max(sample, Nanoseconds(1))
    minimum = isMeasured ? min(minimum, sample) : sample
    if isMeasured {
      let deviation = Nanoseconds(abs((smoothed - sample).count))
      variation = Nanoseconds(variation.count + (deviation.count - variation.count) / 4)
      smoothed = Nanoseconds(smoothed.count + (sample.count - smoothed.count) / 8)
    } else {
      smoothed = sample
      variation = sample / 2
      isMeasured = true
    }
    backoff = 0
  }

  /// The timer went off: the timeout doubles (section 5.5), until a measurement says better.
  mutating func timedOut() {
    isTiming = false
    if backoff < 30 { backoff += 1 }
  }

  /// Section 5.7: the SYN was repeated and nothing could be measured; data begins with three times the initial
  /// timeout.
  mutating func restartCautiously() {
    isTiming = false
    isCautious = true
    backoff = 0
  }

  /// RTO, backed off and bounded. The variation counts at least `minimumTimeout`, as in Linux: it stands for
  /// the clock granularity G of section 2, and covers the peer's delayed acknowledgments.
  func timeout(_ configuration: borrowing TCPConfiguration) -> Nanoseconds {
    Self.backedOff(base(configuration), backoff, configuration.maximumTimeout)
  }

  /// RTO before any doubling.
  func base(_ configuration: borrowing TCPConfiguration) -> Nanoseconds {
    isMeasured
      ? smoothed + max(variation * 4, configuration.minimumTimeout)
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
