import Buffers
import Timing
import Wire

// The ACK field: RFC 9293 section 3.10.7.4, fifth.
extension TCPConnection {
  /// Takes the ACK field of an acceptable segment. False: nothing further is done with the segment.
  mutating func takeAcknowledgment(
    _ segment: TCPSegment, payloadCount: Int, now: Instant, sink: inout some TCPSink & ~Copyable,
    _ effects: inout TCPEffects
  ) -> Bool {
    let acknowledgment = segment.acknowledgment
    // RFC 5961 section 5.2: what acknowledges the future, or a past beyond any window, is not from the peer.
    guard
      acknowledgment <= send.maximum,
      acknowledgment >= send.unacknowledged - Int(send.largestWindow)
    else {
      counters.rejected &+= 1
      transmitChallenge(now: now, sink: &sink)
      return false
    }
    let offered = UInt32(segment.window) << UInt32(send.scale)
    // RFC 5681 section 2. A closed window is probed, and the answers say nothing of losses.
    let isDuplicate =
      acknowledgment == send.unacknowledged && payloadCount == 0 && !segment.flags.contains(.fin)
      && send.flight > 0 && offered == send.window && offered > 0

    if acknowledgment >= send.unacknowledged {
      let wasClosed = send.window == 0
      send.takeWindow(offered, sequence: segment.sequence, acknowledgment: acknowledgment)
      probes = 0
      if send.window > 0 {
        probeBackoff = 0
        if wasClosed { deadlines.persist.disarm() }
      } else {
        // The peer lives and has no room: it is never given up for that (RFC 9293 section 3.8.6.1).
        attempts = 0
      }
    }
    if acknowledgment > send.unacknowledged {
      advance(to: segment, now: now, sink: &sink, &effects)
    } else if isDuplicate {
      takeDuplicate(now: now, sink: &sink)
    }
    switch state {
    case .finWait1:
      if send.finAcknowledged { enterFinWait2(now: now) }
    case .closing:
      if send.finAcknowledged { enterTimeWait(now: now, &effects) }
    case .lastAck:
      if send.finAcknowledged {
        end(nil, &effects)
        return false
      }
    case .closed, .listen, .synSent, .synReceived, .established, .finWait2, .closeWait, .timeWait:
      break
    }
    return true
  }

  /// SND.UNA moves.
  private mutating func advance(
    to segment: TCPSegment, now: Instant, sink: inout some TCPSink & ~Copyable, _ effects: inout TCPEffects
  ) {
    let acknowledgment = segment.acknowledgment
    let flight = max(send.flight, 0)
    let first = send.dataStart
    let bytes = acknowledgment - send.unacknowledged
    send.unacknowledged = acknowledgment
    if send.next < acknowledgment { send.next = acknowledgment }

    let text = max(0, SequenceNumber.earlier(acknowledgment, send.queueEnd) - first)
    effects.acknowledgedBytes += text
    counters.bytesAcknowledged &+= UInt64(text)
    if send.finAcknowledged { effects.events.insert(.sendFinished) }

    roundTrip.acknowledged(acknowledgment, at: segment.arrival, echoed: echoedRoundTrip(segment))
    attempts = 0
    deadlines.user.disarm()

    switch recovery.acknowledged(acknowledgment, bytes: bytes, segment: fullSegment) {
    case .none, .enter:
      congestion.acknowledged(
        AcknowledgmentSample(
          acknowledged: bytes, flight: flight, segment: fullSegment, roundTrip: roundTrip.smoothed,
          now: now))
      deadlines.retransmission.disarm()
    case .retransmit(let restartsTimer):
      if restartsTimer { deadlines.retransmission.disarm() }
      retransmitFirst(now: now, sink: &sink)
    case .leave:
      congestion.recovered(flight: send.flight, segment: fullSegment, now: now)
      deadlines.retransmission.disarm()
    }
    armSendTimers(now: now)
  }

  /// A duplicate acknowledgment while data is out.
  private mutating func takeDuplicate(now: Instant, sink: inout some TCPSink & ~Copyable) {
    counters.duplicateAcknowledgments &+= 1
    let action = recovery.duplicate(
      unacknowledged: send.unacknowledged, maximum: send.maximum, segment: fullSegment)
    switch action {
    case .enter:
      // What limited transmit has added does not count (RFC 5681 section 3.2, step 2).
      let flight = min(send.flight, max(congestion.window, fullSegment))
      congestion.lost(flight: flight, segment: fullSegment, now: now)
      retransmitFirst(now: now, sink: &sink)
    case .none, .retransmit, .leave:
      break
    }
  }

  /// Our FIN is acknowledged, the peer may go on (P2). An orphan does not wait for that for ever.
  private mutating func enterFinWait2(now: Instant) {
    state = .finWait2
    if isOrphan { deadlines.linger.arm(now + configuration.finWait2) }
  }
}
