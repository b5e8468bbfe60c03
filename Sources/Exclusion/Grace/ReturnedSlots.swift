/// Slots on their way back to their pools: those of one pool that come in a row go back by one compare-and-swap, not one each.
/// Private to whoever holds it. A slot in it is nobody's any more, and its pool's again after ``giveBack()``, at the latest
/// with the end of this.
@frozen public struct ReturnedSlots: ~Copyable {
  /// More than so many do not wait for others: the pool may be in need of them.
  @inlinable static var limit: Int { 64 }

  @usableFromInline var pool: SlotPoolRef?
  @usableFromInline var newest: UInt = 0
  @usableFromInline var oldest: UInt = 0
  @usableFromInline var count = 0

  /// None.
  @inlinable @inline(__always) public init() {}
  @inlinable @inline(__always) deinit { pool?.giveBack(newest: newest, oldest: oldest, count: count) }

  /// Takes over a slot of a pool, from any thread.
  @inlinable @inline(__always) public mutating func append(_ item: ItemRef) {
    guard let home = SlotPoolRef.of(item) else {
      preconditionFailure("TX-OWN: a slot of no pool was freed")
    }
    if home != pool || count == Self.limit {
      giveBack()
      pool = home
      oldest = item.address
    }
    home.noteFreed(item)
    home.bumpGeneration(item)
    item.freeLink = newest
    newest = item.address
    count &+= 1
  }

  /// Gives back what there is.
  @inlinable public mutating func giveBack() {
    pool?.giveBack(newest: newest, oldest: oldest, count: count)
    (pool, newest, count) = (nil, 0, 0)
  }
}

extension SlotPoolRef {
  /// The slots from `newest` to `oldest`, linked as free ones are, from any thread.
  @usableFromInline func giveBack(newest: UInt, oldest: UInt, count: Int) {
    guard let last = ItemRef(address: oldest) else { return }
    let owner = unsafe shared.pointee.owner.loadRelaxed()
    if owner != 0 && owner == currentContextAddress() {
      last.freeLink = unsafe local.pointee.free
      unsafe local.pointee.free = newest
      unsafe shared.pointee.freed.increment(by: UInt64(count))
      return
    }
    var seen = unsafe shared.pointee.remote.loadRelaxed()
    last.freeLink = UInt(truncatingIfNeeded: (seen &>> 22) &<< 6)
    while unsafe !shared.pointee.remote.compareExchange(
      &seen, UInt64(newest) &<< 16 | (seen & 0x3F_FFFF) &+ UInt64(count))
    {
      #if Explore
        if Mutation.slotsReturnedByOldLink.isOn { continue }
      #endif
      last.freeLink = UInt(truncatingIfNeeded: (seen &>> 22) &<< 6)
    }
  }
}
