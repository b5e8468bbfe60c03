import Buffers
import Timing
import Wire

extension TCPConnection {
  /// What is done with text that does not fill a segment.
  enum PartialText {
    /// Nagle's rule decides, and the cork.
    case usual
    /// It waits: there is more to come (MSG_MORE).
    case holding
    /// It goes.
    case flushing
  }

  /// Sends what is new, as far as the windows permit and the rules of `maySendPart` want, then sets the timers.
  mutating func output(
    _ partial: PartialText = .usual, now: Instant, sink: inout some TCPSink & ~Copyable
  ) {
    guard state.maySendText || exchangesText else { return }
    var next = nextSegment(from: send.next, partial)
    var isLimited = outstanding.inFlight >= window.segments
    guard next != nil else {
      if isLimited { noteWindowUse(isLimited: true, now: now) }
      return armSendTimers(now: now)
    }
    if outstanding.isEmpty {
      restartAfterIdle(now: now)
      noteRestart(now: now)
    }
    var sent = 0
    if search.isOn {
      switch probePath(now: now, sink: &sink) {
      case .none: break
      case .waits: return armSendTimers(now: now)
      case .sent:
        sent = 1
        next = nextSegment(from: send.next, partial)
      }
    }
    var burst = 0
    var row = SegmentRow(limit: joinLimit(sink.joinedTextLimit))
    isLimited = outstanding.inFlight >= window.segments
    // Asked for by who has more than one segment: it divides.
    var knownBurstLimit: Int?
    while let segment = next {
      if burst == 0, let isCongestion = defers(now: now) {
        isLimited = isLimited || isCongestion
        break
      }
      // The congestion window counts text; a FIN alone goes in any case.
      if segment.text > 0 {
        // A burst is paced as a whole, as Linux paces its large segments.
        guard !isLimited, burst > 0 || pacer.mayLeave(now) else { break }
        // What is still in this host's own queues is neither sent nor lost.
        guard sink.mayTransmitText(beside: row.segments) else { break }
      }
      guard !outstanding.isFull else { break }
      isLimited = outstanding.inFlight + 1 >= window.segments
      next = nextSegment(from: send.next + segment.text + (segment.fin ? 1 : 0), partial)
      burst += 1
      var endsBurst = isLimited || next == nil || segment.endsBurst
      if !endsBurst {
        let limit = knownBurstLimit ?? burstLimit
        knownBurstLimit = limit
        endsBurst = burst >= limit
      }
      // Linux's habit: what leaves as one large segment ends with PSH, since the next one may be long in coming.
      let isPushed =
        endsBurst && burst > 1 && configuration.personality == .linux && configuration.pushesBursts
      if row.limit == 0 {
        sendNew(segment, isPushed: isPushed, isJoined: !endsBurst, now: now, sink: &sink)
      } else {
        join(segment, isPushed: isPushed, endsBurst: endsBurst, to: &row, now: now, sink: &sink)
      }
      sent += 1
      guard !endsBurst else {
        burst = 0
        continue
      }
      // What follows is mostly more of the same.
      let more = extend(&row, limit: (knownBurstLimit ?? 0) - burst - 1, now: now, sink: &sink)
      guard more > 0 else { continue }
      (burst, sent) = (burst + more, sent + more)
      next = nextSegment(from: send.next, partial)
    }
    transmit(&row, now: now, sink: &sink)
    if sent > 0 { _ = armLossProbe(isProgress: false, now: now) }
    if sent > 0 || isLimited { noteWindowUse(isLimited: isLimited, now: now) }
    armSendTimers(now: now)
  }

  /// Segments that leave as one burst: as many as a millisecond takes at the present rate, more where the path is
  /// short; at least two, and no more than half of the window, so that acknowledgments keep coming (Linux's
  /// tcp_tso_autosize and tcp_cwnd_test).
  var burstLimit: Int { max(1, min(burstSize, window.segments / 2)) }
  private var burstSize: Int {
    let trip = max(roundTrip.smoothed.count, 1)
    let perMillisecond = Int(clamping: Int64(window.segments) * 2_000_000 / trip)
    let shift = roundTrip.minimum.count / 512_000
    let short = shift < 16 ? (65536 >> Int(shift)) / max(1, fullSegment) : 0
    return max(perMillisecond + short, Int(configuration.minimumBurst))
  }

  /// Whether what the windows permit waits for more, so that it leaves as one burst: Linux's habit (tcp_tso_should_defer),
  /// where a burst has just left, what is permitted is neither whole nor a good part of a window, and the oldest segment is
  /// out for so long that its acknowledgment cannot be far. Nil: it does not; true: the congestion window is what limits.
  private func defers(now: Instant) -> Bool? {
    let divisor = Int(configuration.deferralDivisor)
    guard divisor > 0, !outstanding.isEmpty, !send.finQueued, now - send.lastTransmission <= .milliseconds(1)
    else { return nil }
    switch recovery.phase {
    case .open, .disorder, .reduction: break
    case .recovery, .loss: return nil
    }
    let size = fullTextSegment
    let isLast = marks?.burstEnd(after: send.next) == nil
    let burst = (marks?.burstEnd(after: send.next) ?? send.queueEnd) - send.next
    let offered = send.unacknowledged + Int(send.window) - send.next
    let allowed = (window.segments - outstanding.inFlight) * size
    let limit = min(offered, allowed)
    guard burst > size, limit > 0, limit < burstSize * size, isLast || limit < burst,
      limit < min(Int(send.window), window.segments * size) / divisor,
      now - outstanding[0].sent >= max(roundTrip.smoothed / 2, Nanoseconds(1))
    else { return nil }
    return allowed < offered && allowed <= burst
  }

  /// A piece of the send queue that goes into one segment.
  struct Piece {
    /// Bytes.
    var text: Int
    /// The FIN follows them.
    var fin: Bool
    /// What follows it goes into another burst.
    var endsBurst = false
  }

  /// What the segment from `start` on would be by the peer's window and the rules against small ones; nil: none may go.
  private func nextSegment(from start: SequenceNumber, _ partial: PartialText) -> Piece? {
    guard send.finQueued ? start <= send.queueEnd : start < send.queueEnd else { return nil }
    let unsent = send.queueEnd - start
    // A SYN-ACK that is out is not text.
    let room = send.dataStart + Int(send.window) - start
    // Full segments of bulk: nothing is to be asked of them.
    let full = fullTextSegment
    if unsent > full, room >= full, marks == nil, fastOpen == nil { return Piece(text: full, fin: false) }
    var text = max(0, min(unsent, fullTextSegment, room))
    // What the SYN brought in vain goes again as it was.
    let isSynText = fastOpen != nil && start < synTextEnd && synTextEnd <= send.maximum
    if isSynText { text = min(text, synTextEnd - start) }
    let record = marks?.recordEnd(after: start)
    if let record { text = min(text, record - start) }
    // Nothing will be added to it.
    let isWhole = isSynText || text < unsent && record.map { $0 == start + text } ?? false
    let endsBurst = isWhole || marks?.endsBurst(at: start + text) ?? false
    // The FIN has a sequence number, which the peer's window must cover.
    let fin = send.finQueued && text == unsent && room > text
    if text == 0, !fin { return nil }
    guard fin || isWhole || maySendPart(text, of: unsent, partial) else { return nil }
    return Piece(text: text, fin: fin, endsBurst: endsBurst)
  }

  /// Whether a segment of `count` bytes, out of `unsent`, may go now: the sender's side of silly-window
  /// avoidance (RFC 9293 section 3.8.6.2.1) and Nagle's rule (section 3.7.4).
  ///
  /// Nagle's rule is taken as Linux takes it (Minshall): what holds a small segment back is another small one
  /// that is not acknowledged, not any segment.
  private func maySendPart(_ count: Int, of unsent: Int, _ partial: PartialText) -> Bool {
    if count >= fullTextSegment { return true }
    switch partial {
    case .flushing: return true
    case .holding: return false
    case .usual: break
    }
    if count < unsent { return count * 2 >= Int(send.largestWindow) }
    if configuration.corked, !send.finQueued { return false }
    return configuration.noDelay || send.finQueued || send.smallEnd <= send.unacknowledged
  }

  /// Sends the next piece of the queue for the first time. `isPushed`: with PSH in any case; `isJoined`: the next one
  /// leaves in the same burst.
  mutating func sendNew(
    _ piece: Piece, isPushed: Bool, isJoined: Bool = false, now: Instant,
    sink: inout some TCPSink & ~Copyable
  ) {
    let start = send.next
    let isFirst = outstanding.isEmpty
    let isRepeated = noteNew(piece, isJoined: isJoined, now: now)
    transmitText(
      at: start, count: piece.text, fin: piece.fin, isPushed: isPushed, isRetransmission: isRepeated,
      now: now, sink: &sink)
    watchNew(isFirst: isFirst, now: now)
  }

  /// Whoever watches over what is out begins with the first, or instead of the probe.
  mutating func watchNew(isFirst: Bool, now: Instant) {
    if isFirst || deadlines.retransmission.purpose == .lossProbe {
      restartRetransmissionTimer(isProgress: false, isFinal: true, now: now)
    }
  }

  /// The next piece of the queue is about to be out. Returns whether any of it has been before.
  mutating func noteNew(_ piece: Piece, isJoined: Bool, now: Instant) -> Bool {
    let start = send.next
    let end = start + piece.text + (piece.fin ? 1 : 0)
    // The byte that probed a closed window, or the text of a SYN, went before without being out.
    let isRepeated = start < send.maximum
    let isSynText = isRepeated && start < synTextEnd
    let isAlone = outstanding.inFlight == 0
    outstanding.append(
      SentSegment(
        start: start, end: end, sent: now, delivered: count.delivered,
        marks: isRepeated ? .repeated : isJoined ? .joined : []))
    noteSent(outstanding.count - 1, isAlone: isAlone, now: now)
    if isSynText {
      // Lost with the SYN, and out again: not sent for the first time (`tcpi_retrans`).
      markLost(outstanding.count - 1)
      outstanding.mark(outstanding.count - 1, .repeating)
    }
    send.next = end
    if piece.text > 0, piece.text < fullTextSegment, !isSynText { send.smallEnd = start + piece.text }
    if recovery.isReducing { recovery.out += 1 }
    return isRepeated
  }

  /// One new segment, whatever the congestion window and Nagle's rule say.
  mutating func sendOneNew(isPushed: Bool = false, now: Instant, sink: inout some TCPSink & ~Copyable) {
    guard state.maySendText || exchangesText, send.unsentBytes > 0 || send.finPending, !outstanding.isFull,
      sink.mayTransmitText(), let next = nextSegment(from: send.next, .flushing)
    else { return }
    sendNew(next, isPushed: isPushed, now: now, sink: &sink)
  }

  /// RFC 5681 section 4.1: the window says nothing any more about the path.
  private mutating func restartAfterIdle(now: Instant) {
    guard send.unsentBytes > 0, send.next != send.initial + 1, !send.isSynOut || send.next > send.initial
    else { return }
    resumeAfter(now - send.lastTransmission, timeout: roundTrip.timeout(configuration), now: now)
  }

  /// The same, after nothing was sent for `idle`.
  mutating func resumeAfter(_ idle: Nanoseconds, timeout: Nanoseconds, now: Instant) {
    control.note(.resumed(after: idle), now: now)
    if let validation = window.validation { return validateWindow(validation, now: now) }
    guard configuration.restartsAfterIdle, !control.hasModel, idle > timeout else { return }
    window.restart(after: idle, timeout: timeout, initial: initialWindow, now: now)
  }

  /// The pace that fits the window.
  mutating func followPace() {
    if control.hasModel { return }
    pacer.follow(
      window: window.segments * Int(send.segment), roundTrip: roundTrip.smoothed,
      isDoubling: window.segments < window.threshold / 2)
  }

  /// Notes whether the window was what limited us, RFC 2861 or 7661.
  private mutating func noteWindowUse(isLimited: Bool, now: Instant) {
    noteWindowUse(isLimited: isLimited, timeout: roundTrip.timeout(configuration), now: now)
    if let validation = window.validation, recovery.phase == .open || recovery.phase == .disorder {
      validation.sent(next: send.next, delivered: count.delivered)
      validateWindow(validation, now: now)
    }
  }
  /// The same where RFC 2861 decides. `timeout`: RTO.
  @inline(__always) mutating func noteWindowUse(isLimited: Bool, timeout: Nanoseconds, now: Instant) {
    let isInUse = window.note(
      isLimited: isLimited, out: outstanding.count, una: send.unacknowledged, next: send.next, now: now)
    guard !isInUse, configuration.restartsAfterIdle, !control.hasModel, recovery.phase == .open,
      window.validation == nil, window.isUnused(for: timeout, now: now)
    else { return }
    window.decay(initialWindow: initialWindow, now: now)
  }

  /// What keeps text from leaving now: where both windows do, the congestion window. A writer that waits for room is known
  /// to the environment: ``bufferIsFull(_:now:)``.
  mutating func noteSendLimit(now: Instant) {
    let isIdle = outstanding.isEmpty && !(send.unsentBytes > 0 || send.finPending)
    guard !isIdle, state.isSynchronized else { return limits.become(.idle, now: now) }
    let wanted = min(send.unsentBytes, fullTextSegment)
    let hasSentAll = wanted <= 0 && !outstanding.isEmpty && !window.isLimiting
    if limits.isBufferFull, hasSentAll || limits.reason == .buffer {
      limits.become(.buffer, now: now)
    } else if wanted > 0, send.room < wanted, state.maySendText, outstanding.inFlight < window.segments {
      limits.become(.window, now: now)
    } else {
      limits.become(.network, now: now)
    }
  }

  /// Whether a writer waits for room in the send buffer, for statistics: it is what limits the connection where
  /// everything was sent, and the congestion window would take more (`tcpi_sndbuf_limited`).
  public mutating func bufferIsFull(_ isFull: Bool, now: Instant) {
    guard isFull != limits.isBufferFull else { return }
    limits.isBufferFull = isFull
    noteSendLimit(now: now)
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
