import Timing

/// Slow start, congestion avoidance and the halving of RFC 5681, counting what is acknowledged (RFC 3465).
struct NewReno: CongestionControl {
  func threshold(after window: CongestionWindow, now: Instant) -> Int {
    max(window.segments / 2, 2)
  }
  func observe(_ sample: AcknowledgmentSample, _ window: inout CongestionWindow) {}
  @inline(__always) func grow(_ sample: AcknowledgmentSample, _ window: inout CongestionWindow) {
    guard sample.isLimiting else { return }
    var acknowledged = sample.delivered
    if window.isInSlowStart {
      acknowledged = window.growExponentially(acknowledged)
      if acknowledged == 0 { return }
    }
    // Equation 3 of RFC 5681: a segment for each window acknowledged.
    window.growLinearly(acknowledged, period: window.segments)
  }
  func note(_ event: CongestionEvent, now: Instant) {}
  func undone() {}
}
