import Timing

/// A moment at which something is due, or none.
struct Deadline {
  private(set) var instant = Instant.distantFuture

  var isArmed: Bool { instant != .distantFuture }
  /// Armed, and `now` has reached it. A late or early call of an environment's timer changes nothing else: keeps
  /// TM-STALE.
  func isDue(_ now: Instant) -> Bool { isArmed && instant <= now }
  mutating func arm(_ when: Instant) { instant = when }
  mutating func disarm() { instant = .distantFuture }
}

/// What a connection waits for in time. Each is a moment, never a count of calls (T3).
struct Deadlines {
  /// Retransmission and the probes for losses.
  var retransmission = RetransmissionTimer()
  /// Probe of a closed window, or the end of waiting for a better segment (RFC 9293 sections 3.8.6.1 and
  /// 3.8.6.2.1).
  var persist = Deadline()
  /// Acknowledgment that waits for company.
  var acknowledgment = Deadline()
  /// Keep-alive probe.
  var keepalive = Deadline()
  /// End of TIME-WAIT, or of an orphan's FIN-WAIT-2.
  var linger = Deadline()
  /// End of patience with unacknowledged data.
  var user = Deadline()
  /// The next paced segment may leave.
  var pacing = Deadline()

  /// The earliest; the distant future: there is none.
  @inline(__always) var earliest: Instant {
    min(
      min(
        min(retransmission.deadline.instant, persist.instant), min(acknowledgment.instant, keepalive.instant)),
      min(min(linger.instant, user.instant), pacing.instant))
  }
  /// The earliest.
  var next: Instant? {
    let earliest = earliest
    return earliest == .distantFuture ? nil : earliest
  }

  /// Disarms all.
  mutating func clear() { self = Deadlines() }
}
