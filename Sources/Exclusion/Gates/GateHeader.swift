/// Bits that are posted to a gate and never lost. What they mean is the block's; bit 9 is the gate's.
@frozen public struct GateEvents: OptionSet, Hashable, Sendable {
  /// Ten bits are used.
  public let rawValue: UInt16
  /// Bits above the tenth are ignored.
  @inlinable @inline(__always) public init(rawValue: UInt16) { self.rawValue = rawValue & 0x3FF }
  /// The last reference is gone: when nothing is left to run, the gate closes and the block retires. A bit, so
  /// that detaching cannot fail for want of memory (SO-NOFAIL).
  @inlinable public static var detach: GateEvents { GateEvents(rawValue: 1 << 9) }
}

/// The first 64 bytes of a gated block, at a 64-byte aligned address: one cache line apart from what the owner
/// changes.
///
///     (l) whoever holds the block as an item    (a) atomic    (o) the gate's owner    (c) constant
///
///      0  WorkItem: the block's link in its home's run queue                 (l)
///     16  pool, generation                                                   (c), (a)
///     28  detached                                                           (o)
///     32  word: head/64 42 · segments 10 · events 10 · CLOSED · OWNED        (a)
///     40  backlog: taken, not yet run, oldest first                          (o)
///     48  home: its port                                                     (a), changed by the owner
///     56  segment limit, budget                                              (c)
///
/// The fields are reached one by one, never as one value: the owner changes some while others look at the word.
@frozen public enum GateHeader {
  /// Where the block's own fields may begin.
  @inlinable public static var byteCount: Int { 64 }
  @inlinable static var detached: Int { 28 }
  @inlinable static var word: Int { 32 }
  @inlinable static var backlog: Int { 40 }
  @inlinable static var home: Int { 48 }
  @inlinable static var segmentLimit: Int { 56 }
  @inlinable static var budget: Int { 58 }
}

/// PROTOCOLS 1. Unowned means that all the rest is zero.
@frozen @usableFromInline enum GateWord {
  @inlinable static var owned: UInt64 { 1 }
  @inlinable static var closed: UInt64 { 2 }
  @inlinable static var maximumSegments: Int { 1 << 10 - 1 }

  @inlinable @inline(__always) static func events(_ word: UInt64) -> GateEvents {
    GateEvents(rawValue: UInt16(truncatingIfNeeded: word &>> 2))
  }
  @inlinable @inline(__always) static func segments(_ word: UInt64) -> Int {
    Int(truncatingIfNeeded: word &>> 12 & 0x3FF)
  }
  @inlinable @inline(__always) static func head(_ word: UInt64) -> UInt {
    UInt(truncatingIfNeeded: (word &>> 22) &<< 6)
  }
  @inlinable @inline(__always)
  static func pushing(_ item: ItemRef, isSegment: Bool, onto word: UInt64) -> UInt64 {
    #if Explore
      let isSegment = isSegment && !Mutation.gateCountsNoSegments.isOn
    #endif
    return UInt64(item.address) &<< 16 | (word & 0x3F_FFFF) &+ (isSegment ? 1 &<< 12 : 0) | owned
  }
  @inlinable @inline(__always) static func adding(_ events: GateEvents, to word: UInt64) -> UInt64 {
    word | UInt64(events.rawValue) &<< 2 | owned
  }
}

/// What happened to what was submitted.
@frozen public enum Outcome: Hashable, Sendable {
  /// The caller entered, ran it, and left.
  case ran
  /// The owner will run it, in order. The item is no longer the caller's: touch nothing of it.
  case posted
  /// Too many segments wait already. The item is the caller's again.
  case dropped
  /// Nobody will ever run it. The item is the caller's again.
  case closed
}

/// What a context counts about the gates it met. One writer: the context.
@frozen public struct GateCounters: ~Copyable, Sendable {
  /// Submissions that found the gate free.
  public let entries = Counter()
  /// Submissions that found it owned.
  public let posts = Counter()
  /// Gates passed on to their home with ownership held, out of budget.
  public let handOvers = Counter()
  /// Submissions that found it closed.
  public let closedFound = Counter()
  /// Segments refused at the limit.
  public let dropped = Counter()
  @inlinable init() {}
}
