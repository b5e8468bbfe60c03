import Timing
import Wire

/// The congestion window and what goes with it, in segments, as Linux counts them: a window of ten is ten segments
/// however full they are. What a congestion control works on.
struct CongestionWindow {
  /// cwnd; at least one.
  var segments: Int
  /// ssthresh; `Int.max` before the first loss.
  var threshold = Int.max
  /// No more than this many, whatever the control says.
  static var limit: Int { 1 << 20 }
  /// Segments acknowledged in congestion avoidance towards the next step.
  private var credit = 0

  // Whether the window was what limited us: RFC 2861, in the way that Linux keeps it. A window that was not in
  // use says nothing about the path, and does not grow.
  private var wasLimited = false
  private var mostOut = 0
  /// Where the flight ends that `wasLimited` and `mostOut` are about.
  private var flightEnd: SequenceNumber
  private var used = 0
  /// When the window was in full use last, or changed.
  private var stamp: Instant
  /// What RFC 7661 goes by, if it decides what becomes of a window that is not in use; nil: the rules above do.
  var validation: WindowValidation?

  init(initial: Int, next: SequenceNumber, now: Instant) {
    segments = max(1, initial)
    flightEnd = next
    stamp = now
  }

  /// Whether it was full when something was sent last.
  var isFull: Bool { wasLimited }
  var isInSlowStart: Bool { segments < threshold }
  /// Whether it may grow: it was in use, or, in slow start, half of it was.
  var isLimiting: Bool {
    if let validation { return wasLimited || validation.isValidated }
    return wasLimited || (isInSlowStart && segments < 2 * mostOut)
  }

  /// ssthresh where the window says more than it: three quarters of a window that was never reduced count as known.
  var knownThreshold: Int { max(threshold, segments / 2 + segments / 4) }

  /// Slow start (RFC 5681 section 3.1 with RFC 3465: by what was acknowledged). Returns what is left for congestion
  /// avoidance.
  mutating func growExponentially(_ acknowledged: Int) -> Int {
    let target = min(segments + acknowledged, threshold)
    let rest = acknowledged - (target - segments)
    segments = min(target, Self.limit)
    return rest
  }

  /// One segment for each `period` acknowledged.
  mutating func growLinearly(_ acknowledged: Int, period: Int) {
    if credit >= period {
      credit = 0
      segments += 1
    }
    credit += acknowledged
    if credit >= period {
      let steps = credit / period
      credit -= steps * period
      segments += steps
    }
    segments = min(segments, Self.limit)
  }

  /// The window was set by a rule of recovery.
  mutating func set(_ count: Int, now: Instant? = nil) {
    segments = max(1, min(count, Self.limit))
    if let now { stamp = now }
  }

  /// The window counts as in use now.
  mutating func touch(_ now: Instant) { stamp = now }

  /// The steps made towards the next segment no longer count.
  mutating func forgetCredit() { credit = 0 }

  /// Something was sent, or could not be for want of window: notes what was in use. Returns whether the window was.
  @inline(__always) mutating func note(
    isLimited: Bool, out: Int, una: SequenceNumber, next: SequenceNumber, now: Instant
  ) -> Bool {
    if una >= flightEnd || isLimited || (!wasLimited && out > mostOut) {
      wasLimited = isLimited
      mostOut = out
      flightEnd = next
    }
    guard isLimiting else {
      used = max(used, out)
      return false
    }
    used = 0
    stamp = now
    return true
  }

  /// Whether it was not in full use for so long.
  func isUnused(for span: Nanoseconds, now: Instant) -> Bool { now - stamp >= span }

  /// It was not in full use for long: it is halfway cut to what was used.
  mutating func decay(initialWindow: Int, now: Instant) {
    let basis = max(used, initialWindow)
    if basis < segments {
      threshold = knownThreshold
      segments = (segments + basis) / 2
    }
    used = 0
    stamp = now
  }

  /// Nothing was out for `idle`: the window halves with each `timeout` of that, down to `initial` (RFC 5681 section
  /// 4.1, RFC 2861).
  mutating func restart(after idle: Nanoseconds, timeout: Nanoseconds, initial: Int, now: Instant) {
    threshold = knownThreshold
    let floor = min(initial, segments)
    var rest = idle - timeout
    while rest > .zero, segments > floor {
      segments /= 2
      rest = rest - timeout
    }
    segments = max(segments, floor)
    used = 0
    stamp = now
  }
}
