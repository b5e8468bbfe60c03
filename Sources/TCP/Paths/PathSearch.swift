import Timing
import Wire

/// The search for the largest segment that a path takes, RFC 4821 section 7: between a size that is known to arrive and
/// one that may not. Sizes are payload before options, that is, an MTU less the headers of IP and TCP.
///
/// In memory of its own once it is needed, since few connections ever search.
///
/// Calling context: the owner of the connection.
@safe struct PathSearch: ~Copyable {
  /// How far it has come.
  struct Range {
    /// search_low: arrives, as far as known.
    var low: UInt16
    /// search_high: nothing larger has a chance.
    var high: UInt16
    /// The size of the probe that is out; 0: none is.
    var probe: UInt16 = 0
    /// The sequence numbers of the probe.
    var probeStart = SequenceNumber(0)
    var probeEnd = SequenceNumber(0)
    /// What is tried next.
    var middle: UInt16 { UInt16((Int(low) + Int(high)) / 2) }
    /// When the range was set as wide as it may be.
    var since: Instant
  }

  private var memory: UnsafeMutablePointer<Range>?

  init() { unsafe memory = nil }
  deinit { unsafe memory?.deallocate() }

  /// A search goes on.
  var isOn: Bool { unsafe memory != nil }

  /// Nil: there is no search.
  var range: Range? { unsafe memory?.pointee }

  /// Begins, or goes on with another range.
  mutating func set(_ range: Range) {
    let place = unsafe memory ?? .allocate(capacity: 1)
    unsafe place.initialize(to: range)
    unsafe memory = place
  }
}
