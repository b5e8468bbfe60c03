import Buffers
import Timing
import Wire

extension TCPConnection {
  /// RFC 9293 section 3.10.7.4 in TIME-WAIT.
  ///
  /// Resets are ignored, so that an old segment cannot end the wait by the answer that it provokes (RFC 1337
  /// section 3, F1). A SYN that is certainly newer than this connection may take its place.
  mutating func arriveInTimeWait(
    _ segment: TCPSegment, payloadCount: Int, now: Instant, sink: inout some TCPSink & ~Copyable,
    _ effects: inout TCPEffects
  ) {
    let flags = segment.flags
    if flags.contains(.rst) { return }
    if flags.contains(.syn), !flags.contains(.ack), mayReopen(segment) {
      end(nil, &effects)
      effects.events.insert(.reopen)
      return
    }
    // BSD drops a SYN that opens nothing with everything else that has no ACK.
    let isAnswered = flags.contains(.ack) || (flags.contains(.syn) && configuration.personality == .linux)
    guard isAnswered else { return }
    let length = segment.length(payload: payloadCount)
    if !flags.contains(.syn), flags.contains(.fin), segment.sequence + length == receive.next {
      // The peer's FIN again: our acknowledgment was lost, and the wait begins anew.
      deadlines.linger.arm(now + configuration.timeWait)
      transmitAcknowledgment(now: now, sink: &sink)
      return
    }
    // The last acknowledgment again says nothing; anything else is told where we stand.
    if length == 0, segment.sequence == receive.next, segment.acknowledgment == send.maximum { return }
    counters.rejected &+= 1
    transmitChallenge(now: now, sink: &sink)
  }

  /// Whether a segment is a SYN that takes the place of this connection, which is in TIME-WAIT: `arrive` ends it then, and
  /// its effects say `reopen`. For who asks before.
  public func mayBeReplaced(by segment: TCPSegment) -> Bool {
    state == .timeWait && segment.flags.intersection([.syn, .ack, .rst]) == .syn && mayReopen(segment)
  }

  /// Whether a SYN is newer than everything of this connection: by its timestamp (RFC 6191), or by its sequence
  /// number (RFC 9293 section 3.6.1).
  ///
  /// RFC 6191 section 2, case by case: where both incarnations have timestamps the newer one wins, and the sequence
  /// number decides between equal ones; where only the new one would have them it is another boot's, or another host's,
  /// and may begin; else the sequence number alone decides.
  private func mayReopen(_ syn: TCPSegment) -> Bool {
    if syn.flags.contains(.fin), configuration.dropsSynFin { return false }
    if configuration.timestamps, let stamps = syn.options.timestamps {
      guard timestamps.isEnabled else { return true }
      let ticks = Int32(bitPattern: stamps.value &- timestamps.recent)
      if ticks != 0 { return ticks > 0 }
    }
    return syn.sequence > receive.next
  }
}
