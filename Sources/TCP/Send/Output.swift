import Buffers
import Timing
import Wire

extension TCPConnection {
  /// What may be out by the congestion window, with what recovery adds or takes for the moment.
  var congestionRoom: Int {
    max(congestion.window + Int(recovery.inflation), fullSegment) - send.flight
  }

  /// Sends what the windows permit and the rules of `maySendPart` want, then sets the timers.
  ///
  /// `isForced`: the wait for a better segment is over (RFC 9293 section 3.8.6.2.1, the override timeout).
  mutating func output(isForced: Bool = false, now: Instant, sink: inout some TCPSink & ~Copyable) {
    guard state.maySendText else { return }
    if send.flight == 0, send.unsentBytes > 0,
      now - send.lastTransmission > roundTrip.timeout(configuration)
    {
      // RFC 5681 section 4.1: the window says nothing any more about the path.
      congestion.restartAfterIdle(initialWindow: initialWindow)
    }
    let full = fullSegment
    while send.unsentBytes > 0 || send.finPending {
      let unsent = send.unsentBytes
      let room = send.room
      let count = max(0, min(unsent, full, room, congestionRoom))
      // The FIN has a sequence number, which the peer's window must cover; the congestion window counts bytes.
      let fin = send.finPending && count == unsent && room > count
      if count == 0, !fin { break }
      let isRetransmission = send.next < send.maximum
      guard fin || isRetransmission || isForced || maySendPart(count, of: unsent) else { break }
      // What is still in this host's own queues is neither sent nor lost: it is not sent again either.
      guard count == 0 || sink.mayTransmitText() else { break }
      let sequence = send.next
      send.next = sequence + count + (fin ? 1 : 0)
      transmitText(at: sequence, count: count, fin: fin, now: now, sink: &sink)
    }
    armSendTimers(now: now)
  }

  /// Whether a segment of `count` bytes, out of `unsent`, may go now: the sender's side of silly-window
  /// avoidance (RFC 9293 section 3.8.6.2.1) and Nagle's rule (section 3.7.4).
  ///
  /// Nagle's rule is taken as Linux takes it (Minshall): what holds a small segment back is another small one
  /// that is not acknowledged, not any segment.
  private func maySendPart(_ count: Int, of unsent: Int) -> Bool {
    if count >= fullSegment { return true }
    if count < unsent { return count * 2 >= Int(send.largestWindow) }
    if send.pushed < send.queueEnd { return false }
    return configuration.noDelay || send.finQueued || send.smallEnd <= send.unacknowledged
  }

  /// Sends the segment at SND.UNA again, whatever the congestion window says.
  mutating func retransmitFirst(now: Instant, sink: inout some TCPSink & ~Copyable) {
    let first = send.unacknowledged
    let count = max(0, min(fullSegment, send.queueEnd - first, send.maximum - first))
    let fin = send.finQueued && first + count == send.queueEnd && send.maximum > send.queueEnd
    guard count > 0 || fin else { return }
    counters.fastRetransmissions &+= 1
    transmitText(at: first, count: count, fin: fin, now: now, sink: &sink)
    send.next = SequenceNumber.later(send.next, first + count + (fin ? 1 : 0))
  }

  /// One byte beyond a closed window, or the FIN: what makes the peer say its window again (RFC 9293 section
  /// 3.8.6.1). SND.NXT stays: nothing is in flight that could be lost.
  mutating func transmitProbe(now: Instant, sink: inout some TCPSink & ~Copyable) {
    let first = send.unacknowledged
    let count = min(1, send.queueEnd - first)
    let fin = count <= 0 && send.finPending
    guard count > 0 || fin else { return }
    counters.probes &+= 1
    transmitText(at: first, count: max(0, count), fin: fin, now: now, sink: &sink)
  }

  /// Sets retransmission, persist and user timers to what is out and what waits.
  mutating func armSendTimers(now: Instant) {
    if send.flight > 0 {
      deadlines.persist.disarm()
      if !deadlines.retransmission.isArmed {
        deadlines.retransmission.arm(now + roundTrip.timeout(configuration))
      }
    } else {
      deadlines.retransmission.disarm()
      if state.maySendText, send.unsentBytes > 0 || send.finPending {
        if !deadlines.persist.isArmed { deadlines.persist.arm(now + persistInterval) }
      } else {
        deadlines.persist.disarm()
      }
    }
    if configuration.userTimeout > .zero, !send.isFinished {
      if !deadlines.user.isArmed { deadlines.user.arm(now + configuration.userTimeout) }
    } else {
      deadlines.user.disarm()
    }
  }

  /// Until the next window probe, which backs off as retransmissions do; or, with a window that is only too
  /// small to be worth a segment, the override timeout of 0.1 to 1 second.
  private var persistInterval: Nanoseconds {
    send.window > 0
      ? .milliseconds(200)
      : RoundTripEstimator.backedOff(
        roundTrip.base(configuration), probeBackoff, configuration.maximumTimeout)
  }
}
