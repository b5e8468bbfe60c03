import Wire

// Urgent data, as far as RFC 6093 leaves it: the sender marks where it ends, the receiver gets it in line. Nobody is
// interrupted by it: what a pointer means was never the same on both sides.
extension TCPConnection {
  /// The urgent pointer of a segment that begins at `sequence`; 0: it has none. It points behind the last urgent byte,
  /// as every stack has it (RFC 6093 section 3.1), or as far as it reaches.
  func urgentPointer(from sequence: SequenceNumber) -> UInt16 {
    guard let end = urgentEnd, send.unacknowledged < end, sequence < end else { return 0 }
    return UInt16(clamping: end - sequence)
  }
}
