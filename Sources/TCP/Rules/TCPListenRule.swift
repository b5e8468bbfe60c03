import Wire

/// What a listener does with a segment: RFC 9293 section 3.10.7.2.
public enum TCPListenRule {
  /// The answer.
  public enum Decision: Sendable {
    /// Nothing is done.
    case ignore
    /// This is sent.
    case reset(TCPOutgoing)
    /// A connection begins: `TCPConnection.passive`.
    case open
  }

  /// Looks at a segment that matched no connection but a listener. Pure; any context may call it.
  ///
  /// A SYN with further flags is a SYN: with ECE and CWR (RFC 3168), with PSH or URG or bits to come (P7). With
  /// FIN as well it is no valid opening, and is dropped.
  public static func examine(_ segment: TCPSegment) -> Decision {
    if segment.flags.contains(.rst) { return .ignore }
    if segment.flags.contains(.ack) {
      return .reset(
        TCPOutgoing(
          sequence: segment.acknowledgment, acknowledgment: SequenceNumber(0), flags: .rst, window: 0))
    }
    guard segment.flags.contains(.syn), !segment.flags.contains(.fin) else { return .ignore }
    return .open
  }
}
