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
    if nextDeadline.map({ $0 <= now }) ?? false { noteApplicationLimit() }
    if deadlines.retransmission.deadline.isDue(now) {
      let purpose = deadlines.retransmission.purpose
      deadlines.retransmission.disarm()
      switch purpose {
      case .timeout: retransmissionTimedOut(now: now, sink: &sink, &effects)
      case .lossProbe: lossProbeTimedOut(now: now, sink: &sink)
      case .reordering: reorderingTimedOut(now: now, sink: &sink)
      }
    }
    if deadlines.pacing.isDue(now) {
      deadlines.pacing.disarm()
      retransmitLost(now: now, sink: &sink)
      output(now: now, sink: &sink)
    }
    if deadlines.persist.isDue(now) { persistTimedOut(now: now, sink: &sink, &effects) }
    if deadlines.acknowledgment.isDue(now) { acknowledgmentTimedOut(now: now, sink: &sink) }
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
      case .synSent: UInt8(clamping: Int(configuration.synAttempts) + Int(configuration.synLinearTimeouts))
      case .synReceived: isPassive ? configuration.synAckAttempts : configuration.synAttempts
      case .closed, .listen, .established, .finWait1, .finWait2, .closeWait, .closing, .lastAck, .timeWait:
        configuration.retransmissionAttempts
      }
    guard attempts < limit || waitsForUser else { return giveUp(&effects) }
    counters.timeouts &+= 1
    guard state.isSynchronized else {
      if attempts < .max { attempts += 1 }
      if state != .synSent || attempts > configuration.synLinearTimeouts { roundTrip.timedOut() }
      if state == .synSent, attempts >= 3, configuration.dropsSynOptions { offerNothing() }
      transmitSyn(now: now, sink: &sink)
      return
    }
    guard !outstanding.isEmpty else { return }
    if send.window == 0 {
      // The peer took its window back: what is out will not arrive, and probes it now. Answers keep us going.
      guard probes < configuration.retransmissionAttempts else { return giveUp(&effects) }
      probes += 1
      attempts = 0
    }
    suspectOption()
    suspectBlackHole(now: now)
    stepDown(now: now)
    enterLoss(now: now)
    if attempts < .max { attempts += 1 }
    // What is still in this host's own queues is not lost: it is not sent again.
    outstanding.clear(0, .joined)
    if sink.mayTransmitText() { _ = retransmit(0, now: now, sink: &sink) }
    roundTrip.timedOut()
    armRetransmission(.timeout, now + roundTrip.timeout(configuration))
    armSendTimers(now: now)
  }

  /// RFC 5681 section 3.1, RFC 6675 section 5.1: everything counts as lost that is not known to have arrived, and is sent
  /// again in slow start. What RACK knows to be sent a short time ago may still arrive.
  private mutating func enterLoss(now: Instant) {
    let isFirst = recovery.phase == .open || recovery.phase == .disorder || recovery.phase == .reduction
    let wasQuiet = recovery.phase == .open || recovery.phase == .disorder
    let reneged = outstanding[0].marks.contains(.sacked)
    if reneged {
      // RFC 2018 section 8: the peer does not hold any more what it had reported.
      for index in 0..<outstanding.count { outstanding.clear(index, .sacked) }
      counters.renegings &+= 1
    }
    if wasQuiet, outstanding.sacked + outstanding.presumed >= LossRecovery.duplicateThreshold {
      // Many had arrived, and nothing was found lost: too much reordering was allowed for.
      recovery.reordering = min(recovery.reordering, LossRecovery.duplicateThreshold)
    }
    if !isSelective { outstanding.presumed = 0 }
    for index in 0..<outstanding.count {
      if index > 0, !reneged, isSelective, configuration.recentAcknowledgment,
        recent.remaining(outstanding[index], window: .zero, now: now) > .zero
      {
        continue
      }
      markLost(index)
    }
    if wasQuiet || recovery.end <= send.unacknowledged || (recovery.phase == .loss && attempts == 0) {
      recovery.priorThreshold = window.knownThreshold
      _ = reduceToUse(now: now)
      window.validation?.forget()
      recovery.priorWindow = window.segments
      window.threshold = control.threshold(after: window, now: now)
      prepareUndo()
    }
    control.note(.timedOut, now: now)
    window.set(outstanding.inFlight + 1, now: now)
    window.forgetCredit()
    recovery.probeEnd = nil
    ecn.reductionIsQueued = ecn.isClassic
    recovery.isProbingTimeout = configuration.forwardRecovery && (isFirst || attempts > 0)
    recovery.enter(.loss, until: send.next)
  }

  private mutating func persistTimedOut(
    now: Instant, sink: inout some TCPSink & ~Copyable, _ effects: inout TCPEffects
  ) {
    deadlines.persist.disarm()
    if send.window > 0 {
      // The wait for a better segment is over (RFC 9293 section 3.8.6.2.1, the override timeout).
      sendOneNew(isPushed: configuration.personality == .linux, now: now, sink: &sink)
      output(now: now, sink: &sink)
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
    // Before the connection is open it watches over that (BSD).
    guard state.isSynchronized else { return giveUp(&effects) }
    guard configuration.keepaliveIdle > .zero, state != .timeWait else { return }
    let quiet = now - lastArrival
    if !send.isFinished || quiet < configuration.keepaliveIdle {
      // Alive, or about to be found out by retransmission.
      keepaliveProbes = 0
      let rest = send.isFinished ? configuration.keepaliveIdle - quiet : configuration.keepaliveIdle
      deadlines.keepalive.arm(now + rest)
    } else if isKeepaliveOver(quiet: quiet) {
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
