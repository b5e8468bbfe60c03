import Wire

/// What a closed port answers: RFC 9293 section 3.10.7.1.
public enum TCPResetRule {
  /// The reset that answers `segment`, or nil if it is a reset itself. Pure; any context may call it.
  ///
  /// - Parameters:
  ///   - segment: what arrived for a connection that does not exist.
  ///   - payloadCount: its payload in bytes.
  public static func reply(to segment: TCPSegment, payloadCount: Int) -> TCPOutgoing? {
    if segment.flags.contains(.rst) { return nil }
    if segment.flags.contains(.ack) {
      return TCPOutgoing(
        sequence: segment.acknowledgment, acknowledgment: SequenceNumber(0), flags: .rst, window: 0)
    }
    return TCPOutgoing(
      sequence: SequenceNumber(0),
      acknowledgment: segment.sequence + segment.length(payload: payloadCount),
      flags: [.rst, .ack], window: 0)
  }
}
