import Timing
import Wire

// A request, or the answer to one: less than a segment, written while nothing is out, so that no rule holds it back but the
// windows, and nothing can be said of it but the usual. What ``output(_:now:sink:)`` does for it is done here, and nothing
// else.
extension TCPConnection {
  /// Whether so many bytes that are about to be queued, pushed, leave as one segment with no other options than time
  /// stamps.
  @inline(__always) func leavesAlone(_ bytes: Int) -> Bool {
    isQuiet && bytes <= fullSegment && bytes <= Int(send.window) && sendsPlainly && !configuration.corked
      && recovery.phase == .open && selective.isEmpty
      && !(isUserTimeoutUntold && configuration.userTimeoutOption.isEnabled)
  }

  /// Sends the `bytes` that were just queued. Only if they ``leavesAlone(_:)``.
  mutating func sendAlone(_ bytes: Int, now: Instant, sink: inout some TCPSink & ~Copyable) {
    let timeout = roundTrip.timeout(configuration)
    let start = send.next
    if start != send.initial + 1 { resumeAfter(now - send.lastTransmission, timeout: timeout, now: now) }
    // What is still in this host's own queues is neither sent nor lost.
    guard sink.mayTransmitText() else { return armSendTimers(now: now) }
    let end = start + bytes
    outstanding.append(SentSegment(start: start, end: end, sent: now, delivered: count.delivered))
    send.next = end
    send.maximum = end
    if bytes < fullSegment { send.smallEnd = end }
    send.lastTransmission = now
    transmitAlone(at: start, bytes, now: now, sink: &sink)
    noteWindowUse(isLimited: window.segments <= 1, timeout: timeout, now: now)
    watchAlone(timeout: timeout, now: now)
  }

  /// The segment, and the bookkeeping of the acknowledgment that it carries.
  @inline(__always) private mutating func transmitAlone(
    at start: SequenceNumber, _ bytes: Int, now: Instant, sink: inout some TCPSink & ~Copyable
  ) {
    let window = receive.offer(segment: Int(configuration.maximumSegment), configuration.personality)
    receive.lastAcknowledgment = receive.next
    policy.sent(withText: true, now: now, configuration)
    deadlines.acknowledgment.disarm()
    counters.segmentsSent &+= 1
    counters.bytesSent &+= UInt64(bytes)
    sink.sendPlain(
      TCPGlance(
        sequence: start, acknowledgment: receive.next, flags: [.ack, .psh], window: window,
        timestamps: timestamps.isEnabled ? timestamps.option(now: now, acknowledges: true) : nil),
      payloadOffset: start - send.queueFront, payloadCount: bytes)
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
