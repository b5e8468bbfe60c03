import Timing
import Wire

// A request, or the answer to one: less than a segment, written while nothing is out, so that no rule holds it back but the
// windows, and nothing can be said of it but the usual. Or the end, when everything was acknowledged. What
// ``output(_:now:sink:)`` does for it is done here, and nothing else.

/// A segment that leaves alone.
public struct TCPLoneSegment {
  /// Its header.
  public let header: TCPGlance
  /// When something of the connection is due then; the distant future: nothing is.
  public let deadline: Instant
}

extension TCPConnection {
  /// Whether so many bytes that are about to be queued, pushed, leave as one segment with no other options than time
  /// stamps.
  @inline(__always) func leavesAlone(_ bytes: Int) -> Bool {
    state == .established && bytes <= fullSegment && bytes <= Int(send.window) && !configuration.corked
      && leavesAlone
  }
  /// Whether what is queued next, and is whole, leaves as one segment with no other options than time stamps. In a state in
  /// which text is sent.
  @inline(__always) var leavesAlone: Bool {
    isIdle && sendsPlainly && recovery.phase == .open && selective.isEmpty
      && !(isUserTimeoutUntold && configuration.userTimeoutOption.isEnabled)
  }

  /// Takes `bytes`, which are pushed and at least one, to the send queue, and lets them leave at once as the one segment whose
  /// header this returns: the environment, which has asked nothing else of the engine, sends it, and has looked before
  /// whether text may leave (``TCPSink/mayTransmitText()``). It stands for
  /// ``enqueue(_:push:urgent:edge:now:sink:)``.
  ///
  /// - Parameters:
  ///   - bytes: how many.
  ///   - now: the time.
  /// - Returns: the header, and when something is due next; nil: other rules have a say in it, and nothing was done.
  public mutating func enqueueAlone(_ bytes: Int, now: Instant) -> TCPLoneSegment? {
    guard leavesAlone(bytes) else { return nil }
    send.queueEnd += bytes
    send.pushed = send.queueEnd
    let header = depart(bytes, now: now)
    return TCPLoneSegment(header: header, deadline: deadlines.earliest)
  }

  /// Sends the `bytes` that were just queued. Only if they ``leavesAlone(_:)``.
  mutating func sendAlone(_ bytes: Int, now: Instant, sink: inout some TCPSink & ~Copyable) {
    // What is still in this host's own queues is neither sent nor lost.
    guard sink.mayTransmitText() else { return armSendTimers(now: now) }
    let offset = send.next - send.queueFront
    let header = depart(bytes, now: now)
    sink.sendPlain(header, payloadOffset: offset, payloadCount: bytes)
  }

  /// The bookkeeping of the segment of `bytes` that leaves, and of the acknowledgment that it carries.
  @inline(__always) private mutating func depart(_ bytes: Int, now: Instant) -> TCPGlance {
    let timeout = roundTrip.timeout(configuration)
    let start = send.next
    let idle = now - send.lastTransmission
    // Nobody else has anything to do after a pause.
    if control.keepsTime || idle > timeout, start != send.initial + 1 {
      resumeAfter(idle, timeout: timeout, now: now)
    }
    let end = start + bytes
    outstanding.appendAlone(SentSegment(start: start, end: end, sent: now, delivered: count.delivered))
    send.next = end
    send.maximum = end
    if bytes < fullSegment { send.smallEnd = end }
    send.lastTransmission = now
    let field = receive.offer(segment: Int(configuration.maximumSegment), configuration.personality)
    receive.lastAcknowledgment = receive.next
    policy.sent(withText: true, now: now, configuration)
    deadlines.acknowledgment.disarm()
    counters.segmentsSent &+= 1
    counters.bytesSent &+= UInt64(bytes)
    noteWindowUse(isLimited: window.segments <= 1, timeout: timeout, now: now)
    watchAlone(timeout: timeout, now: now)
    return TCPGlance(
      sequence: start, acknowledgment: receive.next, flags: [.ack, .psh], window: field,
      timestamps: timestamps.isEnabled ? timestamps.option(now: now, acknowledges: true) : nil)
  }

  /// Sends the FIN that was just queued behind nothing. Only if it ``leavesAlone``. It has a sequence number, which the
  /// peer's window covers, and no congestion window counts it.
  mutating func endAlone(now: Instant, sink: inout some TCPSink & ~Copyable) {
    let timeout = roundTrip.timeout(configuration)
    let (start, end) = (send.next, send.next + 1)
    outstanding.append(SentSegment(start: start, end: end, sent: now, delivered: count.delivered))
    send.next = end
    send.maximum = end
    send.lastTransmission = now
    transmitPlain(at: start, [.fin, .ack], now: now, sink: &sink)
    noteWindowUse(isLimited: window.segments <= 1, timeout: timeout, now: now)
    watchAlone(timeout: timeout, now: now)
  }

  /// The timers of the only segment that is out, which has just left.
  @inline(__always) private mutating func watchAlone(timeout: Nanoseconds, now: Instant) {
    if configuration.tailLossProbe, isSelective, recovery.probeEnd == nil {
      // It may meet a delayed acknowledgment.
      let wait =
        roundTrip.isMeasured
        ? roundTrip.smoothed * 2 + configuration.minimumTimeout : configuration.initialTimeout
      deadlines.retransmission.arm(.lossProbe, now + min(wait, timeout))
    } else {
      deadlines.retransmission.arm(.timeout, now + timeout)
    }
    if limits.isBufferFull { noteSendLimit(now: now) } else { limits.become(.network, now: now) }
    if configuration.userTimeout > .zero, !deadlines.user.isArmed {
      deadlines.user.arm(now + configuration.userTimeout)
    }
  }
}
