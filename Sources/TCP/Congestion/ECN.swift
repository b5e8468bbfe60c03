/// What a connection does about explicit congestion notification (RFC 3168 section 6.1.1).
@frozen public enum CongestionNotificationUse: UInt8, Sendable {
  /// It is neither offered nor taken (`net.ipv4.tcp_ecn` = 0).
  case off
  /// It is offered, and taken where it is offered (1).
  case request
  /// It is taken where it is offered (2).
  case accept
}

/// Explicit congestion notification, RFC 3168: both sides of one connection.
struct ECNState {
  /// Both SYNs agreed on it.
  var isOn = false
  /// A packet arrived that had met congestion, and the sender has not said yet that it slows down: every segment that
  /// leaves echoes it (section 6.1.3).
  var echoes = false
  /// The window was reduced: the next new segment says so (section 6.1.2).
  var reductionIsQueued = false
}
