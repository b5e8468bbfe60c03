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
  /// - Parameters:
  ///   - segment: what arrived.
  ///   - configuration: how the listener behaves. BSD says nothing to a SYN with an ACK, unless it is an earlier one, and
  ///     may be told to take one with a FIN.
  public static func examine(
    _ segment: TCPSegment, _ configuration: TCPConfiguration = TCPConfiguration()
  ) -> Decision {
    if segment.flags.contains(.rst) { return .ignore }
    if segment.flags.contains(.ack) {
      if segment.flags.contains(.syn), configuration.personality == .bsd, !configuration.isEarlierBSD {
        return .ignore
      }
      return .reset(
        TCPOutgoing(
          sequence: segment.acknowledgment, acknowledgment: SequenceNumber(0), flags: .rst, window: 0))
    }
    guard segment.flags.contains(.syn) else { return .ignore }
    if segment.flags.contains(.fin), configuration.dropsSynFin { return .ignore }
    return .open
  }
}
