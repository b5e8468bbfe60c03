/// Whose habits a connection has where the RFCs leave a choice: the order of the options of a SYN, when an
/// acknowledgment waits, how often a refused segment is answered.
@frozen public enum TCPPersonality: UInt8, Hashable, Sendable, CaseIterable {
  /// SYN options `mss, sackOK, TS, nop, wscale`; acknowledgments wait as long as the peer's rhythm lets expect company,
  /// and hardly at the beginning; two refusals of segments without text within half a second get one answer.
  case linux
  /// SYN options `mss, nop, wscale, sackOK, TS`; every second segment is acknowledged at once, another one after a
  /// fixed time, the first ones too.
  case bsd
}
