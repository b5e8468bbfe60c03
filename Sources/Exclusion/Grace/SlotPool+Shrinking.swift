// A pool gives memory back of which nothing is in use any more. What is free is sorted by slab, a few slots at a time; a
// slab that is free as a whole loses its pages, and is the first to be used again. Its addresses stay the pool's: who
// looks at a slot that once was sees zeroes, not somebody else's memory.

/// Free slots while they are sorted, by slab in order of address; the owner's.
final class PoolSweep {
  /// Where each slab begins, and which it is.
  let slabs: [(start: UInt, number: Int)]
  /// The free slots of each that were found: first, last, how many.
  var found: [(head: UInt, tail: UInt, count: Int)]
  /// Those that were not looked at: heads of lists.
  var rest: [UInt]
  /// Slots that may still be given back.
  var allowance: Int

  init(slabs: [(start: UInt, number: Int)], rest: [UInt], allowance: Int) {
    self.slabs = slabs
    self.rest = rest
    self.allowance = allowance
    found = Array(repeating: (0, 0, 0), count: slabs.count)
  }

  /// The next slot that was not looked at.
  func next() -> ItemRef? {
    while let head = rest.popLast() {
      guard let item = ItemRef(address: head) else { continue }
      rest.append(item.freeLink)
      return item
    }
    return nil
  }

  /// The slab that has `address`.
  func place(of address: UInt) -> Int {
    var (low, high) = (0, slabs.count)
    while high - low > 1 {
      let middle = (low + high) / 2
      if slabs[middle].start <= address { low = middle } else { high = middle }
    }
    return low
  }
}

/// What a pool's owner keeps of slabs whose memory was given back.
@usableFromInline final class PoolReserve {
  /// Slabs without pages.
  var empty: [Int] = []
  /// Lists of free slots that were not sorted: heads.
  var spare: [UInt] = []
  var sweep: PoolSweep?
}

extension SlotPoolRef {
  /// Looks at up to `step` free slots, and gives memory back of slabs that are free as a whole, as long as `kept` free
  /// slots stay. The owner only; time in proportion to `step`, and in the first and the last step to the number of slabs.
  ///
  /// - Parameter end: ends what is in a slot that was used; called for each slot of a slab that goes.
  /// - Returns: whether there is more to look at.
  public func shrink(keeping kept: Int, step: Int, _ end: (ItemRef) -> Void) -> Bool {
    #if Explore
      return false  // the explorer knows slabs as long as their pool
    #else
      let reserve = unsafe local.pointee.reserve ?? PoolReserve()
      unsafe local.pointee.reserve = reserve
      let sweep = reserve.sweep ?? begin(reserve, kept)
      reserve.sweep = sweep
      for _ in 0..<step {
        guard sweep.allowance > 0, let item = sweep.next() else {
          endSweep()
          return false
        }
        let place = sweep.place(of: item.address)
        item.freeLink = sweep.found[place].head
        if sweep.found[place].head == 0 { sweep.found[place].tail = item.address }
        sweep.found[place].head = item.address
        sweep.found[place].count += 1
        let number = sweep.slabs[place].number
        let slots = slotCount(number)
        guard sweep.found[place].count == slots, slots <= sweep.allowance else { continue }
        sweep.found[place] = (0, 0, 0)
        sweep.allowance -= slots
        let slab = unsafe shared.pointee.slabs[number]
        for index in 0..<slots { unsafe end(ItemRef(slab + index * slotBytes)) }
        unsafe SharedMemory.emptySlab(slab, slots * slotBytes)
        unsafe shared.pointee.capacity.increment(by: 0 &- UInt64(slots))
        reserve.empty.append(number)
      }
      return true
    #endif
  }

  /// Free slots are being looked at. The owner only.
  public var isShrinking: Bool { unsafe local.pointee.reserve?.sweep != nil }
  /// Slots that are free and have memory.
  public var freeSlots: Int { capacity - inUse }

  private func begin(_ reserve: PoolReserve, _ kept: Int) -> PoolSweep {
    let allowance = freeSlots - kept
    let taken = unsafe shared.pointee.remote.exchange(0)
    unsafe shared.pointee.freed.increment(by: taken & 0x3F_FFFF)
    let empty = Set(reserve.empty)
    let slabs = unsafe (0..<local.pointee.slabCount).filter { !empty.contains($0) }
      .map { unsafe (start: UInt(bitPattern: shared.pointee.slabs[$0]), number: $0) }
      .sorted { $0.start < $1.start }
    let rest = unsafe reserve.spare + [local.pointee.free, UInt(truncatingIfNeeded: (taken &>> 22) &<< 6)]
    reserve.spare = []
    unsafe local.pointee.free = 0
    return PoolSweep(slabs: slabs, rest: rest, allowance: allowance)
  }

  /// What was found, and what was not looked at, is free again.
  private func endSweep() {
    guard let reserve = unsafe local.pointee.reserve, let sweep = reserve.sweep.take() else { return }
    for found in sweep.found {
      guard let last = ItemRef(address: found.tail) else { continue }
      last.freeLink = unsafe local.pointee.free
      unsafe local.pointee.free = found.head
    }
    reserve.spare += sweep.rest.filter { $0 != 0 }
  }

  /// Of what a sweep has put aside, if there is any: what it has not looked at, then what it has found, which is its end;
  /// then what an earlier one left. The owner, who has no other free slot.
  func takeAside() -> ItemRef? {
    guard let reserve = unsafe local.pointee.reserve else { return nil }
    if let item = reserve.sweep?.next() {
      item.freeLink = 0
      return item
    }
    endSweep()
    if unsafe local.pointee.free == 0, let head = reserve.spare.popLast() {
      unsafe local.pointee.free = head
    }
    guard let item = unsafe ItemRef(address: local.pointee.free) else { return nil }
    unsafe local.pointee.free = item.freeLink
    item.freeLink = 0
    return item
  }

  /// Slots of a slab: only the last may have fewer than the others.
  func slotCount(_ number: Int) -> Int {
    unsafe min(shared.pointee.slotsPerSlab, limit - number * shared.pointee.slotsPerSlab)
  }

  /// A slab without pages, to be used again.
  func takeEmptySlab() -> Int? { unsafe local.pointee.reserve?.empty.popLast() }
}
