import Wire

/// Fast retransmit and fast recovery without selective acknowledgments: RFC 5681 section 3.2 as amended by
/// RFC 6582, with limited transmit (RFC 3042).
struct LossRecovery {
  /// What a segment that arrived asks for.
  enum Action {
    /// Nothing beyond the usual.
    case none
    /// A loss was found: the window is to be cut, and the segment at SND.UNA sent again.
    case enter
    /// A partial acknowledgment: the segment at SND.UNA is lost too. The retransmission timer starts anew on
    /// the first one only, so that many losses end in a timeout rather than in one segment for a round trip
    /// (the impatient variant of RFC 6582 section 4).
    case retransmit(restartsTimer: Bool)
    /// All that was out when recovery began has arrived.
    case leave
  }

  /// In fast recovery.
  private(set) var isActive = false
  private var sawPartial = false
  /// Duplicate acknowledgments in a row.
  private(set) var duplicates: UInt8 = 0
  /// One past the highest sequence number sent when recovery last began, or the timer last went off.
  private var recover: SequenceNumber
  /// What the congestion window is widened by for the moment; may be negative after partial acknowledgments.
  private(set) var inflation: Int32 = 0

  init(initial: SequenceNumber) { recover = initial }

  /// A duplicate acknowledgment of `unacknowledged` arrived while data was out.
  mutating func duplicate(unacknowledged: SequenceNumber, maximum: SequenceNumber, segment: Int) -> Action {
    if duplicates < .max { duplicates += 1 }
    if isActive {
      // RFC 5681 section 3.2, step 4: a segment has left the network. No more than are out can have.
      inflation = min(inflation + Int32(segment), Int32(clamping: maximum - unacknowledged))
      return .none
    }
    guard unacknowledged > recover else { return .none }
    if duplicates == 3 {
      recover = maximum
      isActive = true
      sawPartial = false
      inflation = 3 * Int32(segment)
      return .enter
    }
    // RFC 3042: one new segment for each of the first two.
    if duplicates < 3 { inflation = Int32(duplicates) * Int32(segment) }
    return .none
  }

  /// An acknowledgment moved SND.UNA to `unacknowledged` by `bytes`.
  mutating func acknowledged(_ unacknowledged: SequenceNumber, bytes: Int, segment: Int) -> Action {
    duplicates = 0
    guard isActive else {
      inflation = 0
      return .none
    }
    if unacknowledged >= recover {
      isActive = false
      inflation = 0
      return .leave
    }
    // RFC 6582 section 3.2, step 3, partial acknowledgment.
    inflation = inflation &- Int32(clamping: bytes)
    if bytes >= segment { inflation = inflation &+ Int32(segment) }
    defer { sawPartial = true }
    return .retransmit(restartsTimer: !sawPartial)
  }

  /// The retransmission timer went off: RFC 6582 section 3.2, step 4.
  mutating func timedOut(maximum: SequenceNumber) {
    isActive = false
    duplicates = 0
    inflation = 0
    recover = maximum
  }
}
