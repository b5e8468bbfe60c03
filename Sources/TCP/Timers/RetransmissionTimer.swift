import Timing
import Wire

/// The one timer that watches over what is out; what for changes.
struct RetransmissionTimer {
  enum Purpose {
    /// Nothing was acknowledged for a retransmission timeout (RFC 6298).
    case timeout
    /// The end of a flight may be lost (RFC 8985 section 7).
    case lossProbe
    /// A segment was overtaken, and may be late or lost (RFC 8985 section 6.2).
    case reordering
  }

  private(set) var deadline = Deadline()
  private(set) var purpose = Purpose.timeout

  var isArmed: Bool { deadline.isArmed }
  mutating func arm(_ purpose: Purpose, _ when: Instant) {
    self.purpose = purpose
    deadline.arm(when)
  }
  mutating func disarm() {
    deadline.disarm()
    purpose = .timeout
  }
}

extension TCPConnection {
  mutating func armRetransmission(_ purpose: RetransmissionTimer.Purpose, _ when: Instant) {
    deadlines.retransmission.arm(purpose, when)
  }

  /// The timer begins anew: for a probe where that may be sent, else for the timeout.
  ///
  /// - Parameters:
  ///   - isProgress: an acknowledgment has moved things on.
  ///   - isFinal: for the timeout in any case.
  mutating func restartRetransmissionTimer(isProgress: Bool, isFinal: Bool = false, now: Instant) {
    guard !outstanding.isEmpty else { return deadlines.retransmission.disarm() }
    if !isFinal, armLossProbe(isProgress: isProgress, now: now) { return }
    var due = now + roundTrip.timeout(configuration)
    if deadlines.retransmission.isArmed, deadlines.retransmission.purpose != .timeout {
      // What the other purposes took of the timeout is not given twice.
      due = max(retransmissionDue(now: now), now + .milliseconds(1))
    }
    armRetransmission(.timeout, due)
  }

  /// Sets persist and user timers to what is out and what waits, and the retransmission timer where there is nothing to
  /// watch over, or nobody does.
  mutating func armSendTimers(now: Instant) {
    noteSendLimit(now: now)
    let isHandshake = !state.isSynchronized && send.unacknowledged < send.maximum
    if !outstanding.isEmpty || isHandshake {
      deadlines.persist.disarm()
      if !deadlines.retransmission.isArmed {
        armRetransmission(.timeout, now + roundTrip.timeout(configuration))
      }
    } else {
      deadlines.retransmission.disarm()
      if state.maySendText || exchangesText, send.unsentBytes > 0 || send.finPending {
        if !deadlines.persist.isArmed { deadlines.persist.arm(now + persistInterval) }
      } else {
        deadlines.persist.disarm()
      }
    }
    if pacer.isOn, !pacer.mayLeave(now), outstanding.lost > 0 || send.unsentBytes > 0 {
      deadlines.pacing.arm(pacer.next)
    } else {
      deadlines.pacing.disarm()
    }
    if configuration.userTimeout > .zero, !send.isFinished {
      if !deadlines.user.isArmed { deadlines.user.arm(now + configuration.userTimeout) }
    } else {
      deadlines.user.disarm()
    }
  }

  /// The same while all is quiet: there is nothing to watch over.
  mutating func restSendTimers(now: Instant) {
    limits.become(.idle, now: now)
    deadlines.retransmission.disarm()
    deadlines.persist.disarm()
    deadlines.pacing.disarm()
    deadlines.user.disarm()
  }

  /// Until the next window probe, which backs off as retransmissions do; or, with a window that is only too
  /// small to be worth a segment, the override timeout of 0.1 to 1 second.
  private var persistInterval: Nanoseconds {
    send.window > 0
      ? min(max(roundTrip.base(configuration), .milliseconds(200)), .seconds(1))
      : RoundTripEstimator.backedOff(
        roundTrip.base(configuration), probeBackoff, configuration.maximumTimeout)
  }
}
