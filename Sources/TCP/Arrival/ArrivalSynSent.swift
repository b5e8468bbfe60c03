import Buffers
import Timing
import Wire

extension TCPConnection {
  /// RFC 9293 section 3.10.7.3.
  mutating func arriveInSynSent(
    _ segment: TCPSegment, _ payload: consuming Packet?, now: Instant,
    sink: inout some TCPSink & ~Copyable, _ effects: inout TCPEffects
  ) {
    let flags = segment.flags
    let count = byteCount(payload)
    if flags.contains(.ack) {
      guard segment.acknowledgment > send.initial, segment.acknowledgment <= send.maximum,
        echoesOurClock(segment)
      else {
        counters.rejected &+= 1
        transmit(TCPResetRule.reply(to: segment, payloadCount: count), sink: &sink)
        return
      }
    }
    if flags.contains(.rst) {
      // Only a reset that acknowledges our SYN comes from someone who saw it (P1).
      if flags.contains(.ack) { end(.refused, &effects) }
      return
    }
    guard flags.contains(.syn) else { return }
    if flags.contains(.fin), configuration.dropsSynFin, configuration.personality == .bsd { return }

    lastArrival = now
    takeSyn(segment, now: now)
    guard flags.contains(.ack) else {
      // Simultaneous open, section 3.5, figure 8. Text of the SYN waits until the connection is open (section 3.10.7.3);
      // Linux leaves it to be sent again.
      if let text = payload, count > 0, configuration.personality == .bsd { keepSynText(text, sink: &sink) }
      state = .synReceived
      deadlines.retransmission.disarm()
      transmitSyn(now: now, sink: &sink)
      return
    }
    let attempts = attempts
    takeHandshakeAcknowledgment(segment.options.timestamps, arrival: segment.arrival)
    takeFastSynAck(segment, attempts: attempts, &effects)
    establish(now: now, &effects)
    acknowledgeSyn(now: now)
    receiveText(
      segment, at: segment.sequence + 1, count: count, payload, now: now, sink: &sink, &effects)
    // RFC 9768 section 3.2.2.1: how the SYN-ACK came is told by an ACK alone.
    if ecn.isAccurate, state.isSynchronized { transmitAcknowledgment(now: now, sink: &sink) }
    answer(now: now, sink: &sink)
  }

  /// The peer's SYN is acknowledged at once. With Linux's habits, where a writer waited for the connection, it goes with
  /// the text, which is the first answer of an interactive exchange.
  private mutating func acknowledgeSyn(now: Instant) {
    let isTextWaiting = send.queueEnd > SequenceNumber.later(synTextEnd, send.next)
    if isTextWaiting, send.unacknowledged >= synTextEnd, configuration.personality == .linux {
      policy.opened(window: receive.offered, now: now, configuration)
    } else {
      policy.now = true
    }
  }

  /// Whether a timestamp that the segment echoes can be that of our SYN: it answers another one otherwise.
  private func echoesOurClock(_ segment: TCPSegment) -> Bool {
    guard configuration.timestamps, !configuration.sendsNoOptions, let stamps = segment.options.timestamps,
      stamps.echo != 0
    else {
      return true
    }
    return timestamps.roundTrip(echo: stamps.echo, arrival: segment.arrival) != nil
  }

  /// Our SYN is acknowledged.
  mutating func takeHandshakeAcknowledgment(_ stamps: TCPTimestamps?, arrival: Instant) {
    let first = send.initial + 1
    send.unacknowledged = SequenceNumber.later(send.unacknowledged, first)
    send.next = SequenceNumber.later(send.next, first)
    // BSD's cache of half-open connections does not know when the SYN-ACK left.
    if configuration.personality == .linux || !isPassive || timestamps.isEnabled {
      roundTrip.synAcknowledged(
        at: arrival, echoed: echoedRoundTrip(stamps, arrival: arrival), next: send.next, configuration)
    }
    if !roundTrip.isMeasured, attempts > 0 { roundTrip.restartCautiously() }
    // A mark on our SYN is a reason to begin with little, like its loss.
    let wasMarked = ecn.isAccurate && accurate.feedback.synWasMarked
    beginSending(isCautious: attempts > 1 || wasMarked, now: arrival)
    // The SYN counts as a segment that arrived.
    count.delivered &+= 1
    if attempts > 0, !outstanding.isEmpty {
      // What was sent beside a SYN-ACK that got lost has not arrived either.
      for index in 0..<outstanding.count { markLost(index) }
      recovery.enter(.loss, until: send.next)
    }
    attempts = 0
    deadlines.retransmission.disarm()
    deadlines.user.disarm()
  }

  /// The round trip that the segment's timestamp tells.
  func echoedRoundTrip(_ segment: TCPSegment) -> Nanoseconds? {
    echoedRoundTrip(segment.options.timestamps, arrival: segment.arrival)
  }
  /// The same of a segment with these timestamps.
  func echoedRoundTrip(_ stamps: TCPTimestamps?, arrival: Instant) -> Nanoseconds? {
    guard timestamps.isEnabled, let stamps else { return nil }
    return timestamps.roundTrip(echo: stamps.echo, arrival: arrival)
  }

  /// ESTABLISHED is entered; or FIN-WAIT-1 at once, if the sending side was shut down meanwhile.
  mutating func establish(now: Instant, _ effects: inout TCPEffects) {
    state = send.finQueued ? .finWait1 : .established
    // One that was opened fast was said to be connected when it began.
    if !isFastOpened { effects.events.insert(.connected) }
    deadlines.keepalive.disarm()
    if configuration.keepaliveIdle > .zero { deadlines.keepalive.arm(now + configuration.keepaliveIdle) }
  }
}
