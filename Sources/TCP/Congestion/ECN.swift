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
