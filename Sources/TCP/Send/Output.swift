import Buffers
import Timing
import Wire

extension TCPConnection {
  /// Sends what is new, as far as the windows permit and the rules of `maySendPart` want, then sets the timers.
  ///
  /// `isForced`: the wait for a better segment is over (RFC 9293 section 3.8.6.2.1, the override timeout).
  mutating func output(isForced: Bool = false, now: Instant, sink: inout some TCPSink & ~Copyable) {
    guard state.maySendText else { return }
    restartAfterIdle(now: now)
    var sent = 0
    var isLimited = false
    while send.unsentBytes > 0 || send.finPending {
      isLimited = outstanding.inFlight >= window.segments
      let count = nextSegment(isForced: isForced)
      guard let count else { break }
      // The congestion window counts text; a FIN alone goes in any case.
      if count.text > 0 || !count.fin {
        guard !isLimited, pacer.mayLeave(now) else { break }
        // What is still in this host's own queues is neither sent nor lost.
        guard sink.mayTransmitText() else { break }
      }
      guard !outstanding.isFull else { break }
      sendNew(count.text, fin: count.fin, now: now, sink: &sink)
      sent += 1
    }
    if sent > 0 { _ = armLossProbe(isProgress: false, now: now) }
    if sent > 0 || isLimited { noteWindowUse(isLimited: isLimited, now: now) }
    armSendTimers(now: now)
  }

  /// What the next segment would be by the peer's window and the rules against small ones; nil: none may go.
  private func nextSegment(isForced: Bool) -> (text: Int, fin: Bool)? {
    let unsent = max(0, send.unsentBytes)
    let room = send.room
    let text = max(0, min(unsent, fullTextSegment, room))
    // The FIN has a sequence number, which the peer's window must cover.
    let fin = send.finPending && text == unsent && room > text
    if text == 0, !fin { return nil }
    guard fin || isForced || maySendPart(text, of: unsent) else { return nil }
    return (text, fin)
  }

  /// Whether a segment of `count` bytes, out of `unsent`, may go now: the sender's side of silly-window
  /// avoidance (RFC 9293 section 3.8.6.2.1) and Nagle's rule (section 3.7.4).
  ///
  /// Nagle's rule is taken as Linux takes it (Minshall): what holds a small segment back is another small one
  /// that is not acknowledged, not any segment.
  private func maySendPart(_ count: Int, of unsent: Int) -> Bool {
    if count >= fullTextSegment { return true }
    if count < unsent { return count * 2 >= Int(send.largestWindow) }
    if send.pushed < send.queueEnd { return false }
    return configuration.noDelay || send.finQueued || send.smallEnd <= send.unacknowledged
  }

  /// Sends the next `text` bytes for the first time, with the FIN if it follows.
  mutating func sendNew(
    _ text: Int, fin: Bool, now: Instant, sink: inout some TCPSink & ~Copyable
  ) {
    let start = send.next
    let end = start + text + (fin ? 1 : 0)
    let isFirst = outstanding.isEmpty
    let (stamp, marks) = rate.stamp(inFlight: outstanding.inFlight, now: now)
    outstanding.append(
      SentSegment(start: start, end: end, sent: now, marks: marks, delivery: stamp))
    send.next = end
    if text > 0, text < fullTextSegment { send.smallEnd = start + text }
    if recovery.isReducing { recovery.out += 1 }
    transmitText(at: start, count: text, fin: fin, isRetransmission: false, now: now, sink: &sink)
    if isFirst || deadlines.retransmission.purpose == .lossProbe {
      restartRetransmissionTimer(isProgress: false, isFinal: true, now: now)
    }
  }

  /// One new segment, whatever the congestion window and Nagle's rule say.
  mutating func sendOneNew(now: Instant, sink: inout some TCPSink & ~Copyable) {
    guard state.maySendText, send.unsentBytes > 0 || send.finPending, !outstanding.isFull,
      sink.mayTransmitText(), let next = nextSegment(isForced: true)
    else { return }
    sendNew(next.text, fin: next.fin, now: now, sink: &sink)
  }

  /// RFC 5681 section 4.1: the window says nothing any more about the path.
  private mutating func restartAfterIdle(now: Instant) {
    guard outstanding.isEmpty, send.unsentBytes > 0, send.next > send.initial + 1 else { return }
    let idle = now - send.lastTransmission
    control.note(.resumed(after: idle), now: now)
    let timeout = roundTrip.timeout(configuration)
    guard configuration.restartsAfterIdle, idle > timeout else { return }
    window.restart(after: idle, timeout: timeout, initial: initialWindow, now: now)
  }

  /// Notes whether the window was what limited us, RFC 7661.
  private mutating func noteWindowUse(isLimited: Bool, now: Instant) {
    let mayValidate = configuration.restartsAfterIdle && recovery.phase == .open
    window.note(
      isLimited: isLimited, out: outstanding.count, una: send.unacknowledged, next: send.next,
      idleAfter: mayValidate ? roundTrip.timeout(configuration) : nil, initialWindow: initialWindow, now: now)
    if send.unsentBytes <= 0, !isLimited { rate.applicationLimited(inFlight: outstanding.inFlight) }
  }

  /// What makes the peer say its window again (RFC 9293 section 3.8.6.1). SND.NXT stays: nothing is in flight that could
  /// be lost.
  ///
  /// A byte beyond the window, which some peer may take; or, as Linux does, a segment that stands before what the peer
  /// expects and so must be answered.
  mutating func transmitProbe(now: Instant, sink: inout some TCPSink & ~Copyable) {
    let first = send.unacknowledged
    counters.probes &+= 1
    guard configuration.probesWithData else {
      transmit(at: first - 1, .ack, now: now, sink: &sink)
      return
    }
    let count = min(1, send.queueEnd - first)
    let fin = count <= 0 && send.finPending
    guard count > 0 || fin else { return }
    send.maximum = SequenceNumber.later(send.maximum, first + max(0, count) + (fin ? 1 : 0))
    transmitText(
      at: first, count: max(0, count), fin: fin, isRetransmission: false, now: now, sink: &sink)
  }
}
