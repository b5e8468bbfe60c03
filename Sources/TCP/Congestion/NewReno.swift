import Timing

/// Slow start, congestion avoidance and the halving of RFC 5681, with appropriate byte counting (RFC 3465).
struct NewReno: CongestionControl {
  private(set) var window: Int
  private(set) var threshold = Int.max
  /// Bytes acknowledged in congestion avoidance since the window last grew.
  private var credit = 0
  /// In the slow start that follows a timeout, where RFC 3465 section 2.3 wants no more than one segment for
  /// an acknowledgment.
  private var isAfterTimeout = false

  init(initialWindow: Int) { window = initialWindow }

  mutating func acknowledged(_ sample: AcknowledgmentSample) {
    let segment = sample.segment
    if window < threshold {
      // A window that was not in use says nothing about the path: RFC 7661, in Linux's short form.
      guard sample.flight * 2 > window || window <= 2 * segment else { return }
      window += min(sample.acknowledged, isAfterTimeout ? segment : 2 * segment)
      if window >= threshold { isAfterTimeout = false }
    } else {
      guard sample.flight + 2 * segment > window else { return }
      credit += sample.acknowledged
      // Equation 3 of RFC 5681: a segment for each window acknowledged.
      if credit >= window {
        credit -= window
        window += segment
      }
    }
    window = min(window, 1 << 30)
  }

  mutating func lost(flight: Int, segment: Int, now: Instant) {
    threshold = max(flight / 2, 2 * segment)
    window = threshold
    credit = 0
  }

  mutating func recovered(flight: Int, segment: Int, now: Instant) {
    // RFC 6582 section 3.2, step 3, full acknowledgment, first way: no burst when little is out.
    window = min(threshold, max(flight, segment) + segment)
  }

  mutating func timedOut(flight: Int, segment: Int, isFirst: Bool) {
    // RFC 5681 section 3.1: the threshold is held while the same segment times out again.
    if isFirst { threshold = max(flight / 2, 2 * segment) }
    window = segment
    credit = 0
    isAfterTimeout = true
  }

  mutating func restartAfterIdle(initialWindow: Int) {
    window = min(window, initialWindow)
  }
}
