import Timing
import Wire

extension TCPConnection {
  /// Does what is due at `now`. Calling it when nothing is due does nothing (keeps TM-STALE).
  ///
  /// - Parameters:
  ///   - now: the time.
  ///   - sink: where segments go.
  public mutating func timeout(now: Instant, sink: inout some TCPSink & ~Copyable) -> TCPEffects {
    var effects = TCPEffects()
    if deadlines.linger.isDue(now) {
      end(nil, &effects)
      return effects
    }
    if deadlines.user.isDue(now) {
      giveUp(&effects)
      return effects
    }
    if deadlines.retransmission.isDue(now) { retransmissionTimedOut(now: now, sink: &sink, &effects) }
    if deadlines.persist.isDue(now) { persistTimedOut(now: now, sink: &sink, &effects) }
    if deadlines.acknowledgment.isDue(now) { transmitAcknowledgment(now: now, sink: &sink) }
    if deadlines.keepalive.isDue(now) { keepaliveTimedOut(now: now, sink: &sink, &effects) }
    return effects
  }

  /// R2 is reached (RFC 9293 section 3.8.3): what ICMP had to say is a better reason than silence.
  private mutating func giveUp(_ effects: inout TCPEffects) {
    end(softError ?? .timedOut, &effects)
  }

  /// RFC 6298 section 5.4 to 5.7, RFC 5681 section 3.1.
  private mutating func retransmissionTimedOut(
    now: Instant, sink: inout some TCPSink & ~Copyable, _ effects: inout TCPEffects
  ) {
    let limit =
      switch state {
      case .synSent: configuration.synAttempts
      case .synReceived: isPassive ? configuration.synAckAttempts : configuration.synAttempts
      case .closed, .listen, .established, .finWait1, .finWait2, .closeWait, .closing, .lastAck, .timeWait:
        configuration.retransmissionAttempts
      }
    guard attempts < limit else { return giveUp(&effects) }
    attempts += 1
    counters.timeouts &+= 1
    roundTrip.timedOut()
    deadlines.retransmission.disarm()
    guard state.isSynchronized else {
      transmitSyn(now: now, sink: &sink)
      return
    }
    congestion.timedOut(flight: send.flight, segment: fullSegment, isFirst: attempts == 1)
    recovery.timedOut(maximum: send.maximum)
    send.next = send.unacknowledged
    if send.window == 0 {
      // The peer took its window back: what is out will not arrive, and is probed with instead.
      attempts = 0
      probe(now: now, sink: &sink, &effects)
    } else {
      output(now: now, sink: &sink)
    }
  }

  private mutating func persistTimedOut(
    now: Instant, sink: inout some TCPSink & ~Copyable, _ effects: inout TCPEffects
  ) {
    deadlines.persist.disarm()
    if send.window > 0 {
      output(isForced: true, now: now, sink: &sink)
    } else {
      probe(now: now, sink: &sink, &effects)
    }
  }

  /// Probes the closed window. The connection lasts while probes are answered, however long the window stays
  /// closed (RFC 9293 section 3.8.6.1).
  private mutating func probe(
    now: Instant, sink: inout some TCPSink & ~Copyable, _ effects: inout TCPEffects
  ) {
    guard probes < configuration.retransmissionAttempts else { return giveUp(&effects) }
    probes += 1
    if probeBackoff < 30 { probeBackoff += 1 }
    transmitProbe(now: now, sink: &sink)
    armSendTimers(now: now)
  }

  /// RFC 9293 section 3.8.4.
  private mutating func keepaliveTimedOut(
    now: Instant, sink: inout some TCPSink & ~Copyable, _ effects: inout TCPEffects
  ) {
    deadlines.keepalive.disarm()
    guard configuration.keepaliveIdle > .zero, state.isSynchronized, state != .timeWait else { return }
    let quiet = now - lastArrival
    if !send.isFinished || quiet < configuration.keepaliveIdle {
      // Alive, or about to be found out by retransmission.
      keepaliveProbes = 0
      let rest = send.isFinished ? configuration.keepaliveIdle - quiet : configuration.keepaliveIdle
      deadlines.keepalive.arm(now + rest)
    } else if keepaliveProbes >= configuration.keepaliveProbes {
      transmitReset(now: now, sink: &sink)
      giveUp(&effects)
    } else {
      keepaliveProbes += 1
      counters.probes &+= 1
      // One before what the peer expects, without text: not acceptable, so it must be answered.
      transmit(at: send.unacknowledged - 1, .ack, now: now, sink: &sink)
      deadlines.keepalive.arm(now + configuration.keepaliveInterval)
    }
  }
}
