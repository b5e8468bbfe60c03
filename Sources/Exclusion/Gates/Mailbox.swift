/// A gate that its consumer owns from the start: an accept shard, a UDP receive list. Anyone posts, in any
/// context; one consumer at a time takes.
@frozen public struct Mailbox: ~Copyable, Sendable {
  /// head/64 42 · count 21 · CLOSED.
  @usableFromInline let word: AtomicWord
  @inlinable static var closed: UInt64 { 1 }
  /// The greatest limit that `post` can keep.
  @inlinable public static var maximumCount: Int { 1 << 21 - 1 }

  /// Open and empty.
  @inlinable public init() { word = AtomicWord(0) }

  @inlinable @inline(__always) static func head(_ word: UInt64) -> UInt {
    UInt(truncatingIfNeeded: (word &>> 22) &<< 6)
  }
  @inlinable @inline(__always) static func count(_ word: UInt64) -> Int {
    Int(truncatingIfNeeded: word &>> 1 & 0x1F_FFFF)
  }

  /// Adds `item`, unless `limit` items count already. Anything but `.posted` leaves it the caller's.
  @inlinable public func post(_ item: ItemRef, limit: Int = Mailbox.maximumCount) -> Outcome {
    let limit = min(limit, Mailbox.maximumCount)
    var seen = word.loadRelaxed()
    while true {
      if seen & Self.closed != 0 { return .closed }  // keeps AQ-CLOSE
      if Self.count(seen) >= limit { return .dropped }
      item.nextAddress = Self.head(seen)
      if word.compareExchange(&seen, UInt64(item.address) &<< 16 | (seen & 0x3F_FFFF) &+ 2) { return .posted }
    }
  }

  /// Adds all items of `row` at once, in their order, unless more than `limit` would count. Anything but `.posted` leaves
  /// them in it.
  @inlinable public func post(_ row: inout PostedRow, limit: Int = Mailbox.maximumCount) -> Outcome {
    let limit = min(limit, Mailbox.maximumCount)
    guard let oldest = ItemRef(address: row.oldest) else { return .posted }
    var seen = word.loadRelaxed()
    while true {
      if seen & Self.closed != 0 { return .closed }  // keeps AQ-CLOSE
      if Self.count(seen) + row.count > limit { return .dropped }
      oldest.nextAddress = Self.head(seen)
      let counted = (seen & 0x3F_FFFF) &+ UInt64(row.count) &* 2
      if word.compareExchange(&seen, UInt64(row.newest) &<< 16 | counted) {
        row = PostedRow()
        return .posted
      }
    }
  }

  /// Everything that was posted, oldest first. With `stillCounted` the items stay counted against the limit
  /// until `discount`, so that a consumer that keeps them for later does not double the bound (AQ-BOUND).
  @inlinable public func takeAll(stillCounted: Bool = false) -> ItemList {
    var seen = word.loadRelaxed()
    #if Explore
      if Mutation.mailboxTakenByStore.isOn, seen & Self.closed == 0, Self.head(seen) != 0 {
        word.store(stillCounted ? seen & 0x3F_FFFE : 0)
        return ItemList(newestFirst: Self.head(seen))
      }
    #endif
    while seen & Self.closed == 0 && Self.head(seen) != 0 {
      if word.compareExchange(&seen, stillCounted ? seen & 0x3F_FFFE : 0) {
        return ItemList(newestFirst: Self.head(seen))
      }
    }
    return ItemList()
  }
  /// `count` items taken with `stillCounted` left the consumer.
  @inlinable public func discount(_ count: Int) {
    var seen = word.loadRelaxed()
    repeat {
      if seen & Self.closed != 0 { return }
    } while !word.compareExchange(&seen, seen &- UInt64(count) &* 2)
  }

  /// Closes it for good and returns what was in it, oldest first. A second close returns nothing.
  @inlinable public func close() -> ItemList {
    #if Explore
      if Mutation.mailboxClosedWithContents.isOn {
        word.formOr(Self.closed)
        return ItemList()
      }
    #endif
    return ItemList(newestFirst: Self.head(word.exchange(Self.closed)))
  }

  /// Whether nothing can be taken. Acquires.
  @inlinable @inline(__always) public var isEmpty: Bool { Self.head(word.load()) == 0 }
  /// How many items count against the limit.
  @inlinable public var count: Int { Self.count(word.load()) }
  /// Whether posts are refused for ever.
  @inlinable public var isClosed: Bool { word.load() & Self.closed != 0 }
}

/// Items that are to be posted at once, linked as the list that they go to. Private to whoever holds it; one that is dropped
/// drops no slot.
@frozen public struct PostedRow: ~Copyable, Sendable {
  @usableFromInline var newest: UInt = 0
  @usableFromInline var oldest: UInt = 0
  /// How many.
  public private(set) var count = 0

  /// None.
  @inlinable public init() {}

  /// Adds the newest.
  @inline(__always) public mutating func append(_ item: ItemRef) {
    item.nextAddress = newest
    newest = item.address
    if oldest == 0 { oldest = newest }
    count &+= 1
  }
}
