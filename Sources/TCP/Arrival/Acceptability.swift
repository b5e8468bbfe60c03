import Timing
import Wire

/// What the checks before the ACK field say of a segment.
enum Verdict {
  /// It goes on to its ACK field.
  case accept
  /// It is dropped without a word.
  case drop
  /// It is dropped and answered with an ACK.
  case acknowledge
  /// It is dropped and answered with a challenge ACK, of which there is a limited number.
  case challenge
  /// It resets the connection.
  case reset
  /// A SYN in the window of a passive connection that is not yet open: back to LISTEN.
  case abandon
  /// A SYN in the window ends the connection, which is answered with a reset, as before RFC 5961.
  case destroy
}

extension TCPConnection {
  /// Checks a segment in a state after SYN-SENT: RFC 9293 section 3.10.7.4, first to fourth, with RFC 5961
  /// sections 3 and 4, and PAWS before them (RFC 7323 section 5.3). Keeps P1.
  func judge(_ segment: TCPSegment, payloadCount: Int, now: Instant) -> Verdict {
    let isReset = segment.flags.contains(.rst)
    let length = segment.length(payload: payloadCount)
    // What says nothing new may be an attack, or the other side of a war of ACKs: the answers are limited.
    let refusal: Verdict =
      payloadCount > 0 || segment.flags.contains(.fin) ? .acknowledge : .challenge

    if timestamps.isEnabled, !isReset {
      if let stamps = segment.options.timestamps {
        if isRefusedByAge(stamps, segment, payloadCount: payloadCount, now: now) { return refusal }
      } else if configuration.requiresTimestamps {
        return .drop
      }
    }
    guard isAcceptable(segment.sequence, length: length) else {
      if isReset { return isBelieved(reset: segment) ? .reset : .drop }
      return refusal
    }
    // Linux has a segment that reaches beyond the window whole or not at all: whole if nothing waits to be read. With a
    // closed window its ACK field counts in any case (section 3.10.7.4).
    if configuration.takesWholeSegments, receive.hasUnread, !isReset, acceptedWindow > 0,
      reachesBeyond(segment.sequence, payloadCount), segment.sequence < receive.next + acceptedWindow
    {
      return refusal
    }
    if isReset {
      if isBelieved(reset: segment) { return .reset }
      // The right edge is out of the window (RFC 5961 section 3.2); Linux is less strict.
      let isOutside = segment.sequence - receive.next >= max(acceptedWindow, 1)
      return isOutside && configuration.personality == .bsd ? .drop : .challenge
    }
    if segment.flags.contains(.syn) {
      if state == .synReceived, isPassive, !isFastOpened { return .abandon }
      return configuration.strictSyns ? .challenge : .destroy
    }
    return segment.flags.contains(.ack) ? .accept : .drop
  }

  /// PAWS, RFC 7323 section 5.3, R1. With Linux's habits a clock that is one tick behind is no stranger's, and neither
  /// is an acknowledgment that repeats what was known: it may have been overtaken by others.
  private func isRefusedByAge(
    _ stamps: TCPTimestamps, _ segment: TCPSegment, payloadCount: Int, now: Instant
  ) -> Bool {
    guard timestamps.isStale(stamps.value, now: now) else { return false }
    guard configuration.personality == .linux else { return true }
    let age = Int(Int32(bitPattern: timestamps.recent &- stamps.value))
    if age <= 1 { return false }
    let isOvertaken =
      segment.flags.contains(.ack) && segment.length(payload: payloadCount) == 0
      && segment.sequence == receive.next && segment.acknowledgment == send.unacknowledged
      && UInt32(segment.window) << UInt32(send.scale) == send.window
      && Nanoseconds.milliseconds(Int64(age)) <= roundTrip.timeout(configuration) * 6 / 5
    return !isOvertaken
  }

  /// Whether a reset ends the connection: RFC 5961 section 3.2, at RCV.NXT exactly. Linux adds where resets of known
  /// peers stand that have not heard of us: at the end of what we hold ahead of holes, and, from one that has sent its
  /// FIN, before that.
  private func isBelieved(reset segment: TCPSegment) -> Bool {
    if segment.sequence == receive.next { return true }
    if !configuration.strictResets {
      let begin = segment.sequence - receive.next
      return begin >= 0 && begin < acceptedWindow
    }
    guard configuration.personality == .linux else { return false }
    if isSelective, let highest = selective.highest, segment.sequence == highest { return true }
    switch state {
    case .closeWait, .lastAck, .closing: return segment.sequence == receive.next - 1
    case .closed, .listen, .synSent, .synReceived, .established, .finWait1, .finWait2, .timeWait:
      return false
    }
  }

  /// RCV.WND as what arrives is judged by it, in bytes: what was offered. BSD takes whatever it has room for, though a
  /// window field without a scale could not say so; but its half-open connections have no room but what they offered.
  var acceptedWindow: Int {
    guard configuration.personality == .bsd, state != .synReceived || !isPassive else {
      return receive.window
    }
    return max(receive.window, receive.room)
  }

  /// Whether text of so many bytes ends beyond the window.
  func reachesBeyond(_ sequence: SequenceNumber, _ payloadCount: Int) -> Bool {
    payloadCount > 0 && sequence + payloadCount > receive.next + acceptedWindow
  }

  /// Whether a segment that begins there is taken though it reaches beyond the window.
  func takesBeyond(_ sequence: SequenceNumber) -> Bool {
    let window = acceptedWindow
    return configuration.takesWholeSegments && !receive.hasUnread && window > 0
      && sequence < receive.next + window
  }

  /// The acceptability test of RFC 9293 section 3.4, as "something of it is in the window", which covers also
  /// a segment that reaches over both edges.
  ///
  /// Two allowances. With a closed window what touches RCV.NXT is looked at for its ACK field (section 3.10.7.4),
  /// its text is trimmed later. A segment without length may stand on the right edge: that is where a peer
  /// stands that has filled the window, and its acknowledgments count.
  func isAcceptable(_ sequence: SequenceNumber, length: Int) -> Bool {
    let begin = sequence - receive.next
    let window = acceptedWindow
    if length == 0 { return begin >= 0 && begin <= window }
    if window == 0 { return begin <= 0 && begin + length > 0 }
    return begin < window && begin + length > 0
  }
}
