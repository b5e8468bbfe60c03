import Timing

/// When to acknowledge what arrived in order: RFC 9293 section 3.8.6.3 and RFC 5681 section 4.2.
struct AcknowledgmentPolicy {
  /// Bytes that arrived and are not acknowledged.
  var pendingBytes = 0
  /// Segments that arrived and are not acknowledged.
  var pendingSegments: UInt8 = 0
  /// An acknowledgment is due now.
  var now = false
  /// Segments still to be acknowledged at once.
  var quick: UInt8

  init(quick: UInt8) { self.quick = quick }

  /// Data arrived in order. Returns whether the acknowledgment may wait for the timer.
  ///
  /// Every second full segment is acknowledged at once, as RFC 5681 wants it; so are the first ones of a
  /// connection, so that the peer's slow start is not held back.
  mutating func arrived(bytes: Int, segment: Int) -> Bool {
    pendingBytes += bytes
    pendingSegments &+= 1
    if quick > 0 {
      quick -= 1
      now = true
    }
    if pendingSegments >= 2 || pendingBytes >= 2 * segment { now = true }
    return !now
  }

  /// A segment left that acknowledges everything.
  mutating func sent(withText: Bool) {
    // An answer carried the acknowledgment: the exchange is interactive, where waiting saves segments.
    if withText, pendingSegments > 0 { quick = 0 }
    pendingBytes = 0
    pendingSegments = 0
    now = false
  }
}
