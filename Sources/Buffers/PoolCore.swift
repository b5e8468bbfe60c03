import Exclusion

/// A pool's numbers. Any thread may ask; they are exact while nobody allocates and frees.
@frozen public struct PoolCounters: Hashable, Sendable {
  /// Slots that are allocated.
  public var inUse: Int
  /// The most that were allocated at once.
  public var highWater: Int
  /// Slots that there is memory for by now.
  public var capacity: Int
  /// Slots that there may be, reserve included.
  public var limit: Int
  /// Allocations that were refused.
  public var failures: UInt64
  /// Allocations that were served from the reserve.
  public var reserveUses: UInt64
  /// Slots that went back into the reserve.
  public var reserveRefills: UInt64
  /// Slots in the reserve now.
  public var reserveLeft: Int
}

/// What all pools of this target add to slots: a reserve, and a high-water mark.
///
/// The reserve is slots set aside, so it is there when the system has no more memory, too. They count as allocated
/// for the pool below, which therefore ends short of its limit by itself; what comes back fills the reserve first.
///
/// (h) home context, or who holds the lock around the pool · (c) constant
@usableFromInline struct PoolCore: ~Copyable {
  // What has one owner comes first: the thread sanitizer takes a change of any field for one of the first.
  private var aside = ItemList()  // (h)
  private let slots: SlotPool  // (c)
  private let reserve: Int  // (c) slots that should be set aside
  private let kept: Int  // (c) free slots that shrinking leaves whatever is in use
  private let asideCount = Counter()  // (h) writes; the length of `aside`
  private let highWater = Counter()  // (h) writes
  private let failures = Counter()  // (h) writes
  private let reserveUses = Counter()  // (h) writes
  private let reserveRefills = Counter()  // (h) writes

  private init(slotBytes: Int, slotsPerSlab: Int, limit: Int, reserve: Int, home: ContextCoreRef?) {
    precondition(limit > 0 && reserve >= 0 && reserve < limit, "a pool's reserve is part of its limit")
    slots = SlotPool(slotBytes: slotBytes, slotsPerSlab: slotsPerSlab, limit: limit)
    self.reserve = reserve
    kept = slotsPerSlab / 2
    // By who makes the pool: nobody else knows it yet.
    while aside.count < reserve, let item = slots.ref.allocate() { setAside(item) }
    slots.ref.owner = home
  }

  /// A pool at an address of its own, to be ended by ``destroy(_:)``.
  static func make(
    slotBytes: Int, slotsPerSlab: Int, limit: Int, reserve: Int, home: ContextCoreRef?
  ) -> UnsafeMutablePointer<PoolCore> {
    let core = UnsafeMutablePointer<PoolCore>.allocate(capacity: 1)
    unsafe core.initialize(
      to: PoolCore(
        slotBytes: slotBytes, slotsPerSlab: slotsPerSlab, limit: limit, reserve: reserve, home: home))
    return unsafe core
  }
  /// Ends the pool; its slots have all come back (RS-LEAK).
  static func destroy(_ core: UnsafeMutablePointer<PoolCore>) {
    unsafe core.pointee.giveUpReserve()
    unsafe core.deinitialize(count: 1)
    unsafe core.deallocate()
  }
  private mutating func giveUpReserve() {
    while let item = aside.popFirst() { slots.ref.freeRemote(item) }
    asideCount.increment(by: 0 &- asideCount.value)
  }

  private mutating func setAside(_ item: ItemRef) {
    aside.append(item)
    asideCount.increment()
  }

  /// Less than an eighth is left. (a)
  var isLow: Bool {
    let bound = slots.ref.limit &- reserve
    let enough = bound &- bound &>> 3
    // Those that others gave back are looked at only if they make a difference.
    return slots.ref.inUseAtMost &- Int(truncatingIfNeeded: asideCount.value) > enough && inUse > enough
  }
  /// A slot, or nil at the limit, or short of it by the reserve. (h)
  mutating func allocate(fromReserve: Bool) -> ItemRef? {
    // What was used of the reserve comes first, one slot for each call.
    if aside.count < reserve, let item = slots.ref.allocate() {
      setAside(item)
      reserveRefills.increment()
    }
    if let item = slots.ref.allocate() {
      noteHighWater()
      return item
    }
    guard fromReserve, let item = aside.popFirst() else {
      failures.increment()
      return nil
    }
    asideCount.increment(by: 0 &- 1)
    reserveUses.increment()
    noteHighWater()
    return item
  }

  /// Slots that others gave back and the pool has not seen are looked at only when there may be a new high.
  @inline(__always) private func noteHighWater() {
    let high = Int(highWater.value)
    guard slots.ref.inUseAtMost &- aside.count > high else { return }
    let used = inUse
    if used > high { highWater.increment(by: UInt64(used &- high)) }
  }

  /// Frees a slot of any pool, from any thread: locally in its pool's home context, else by a
  /// compare-and-swap.
  static func give(back item: ItemRef) {
    guard let pool = SlotPoolRef.of(item) else { preconditionFailure("TX-OWN: a slot of no pool was freed") }
    pool.giveBack(item)
  }

  /// Looks at up to `step` free slots if there are many more than are in use, and than half a slab, and gives memory back
  /// of slabs that are free as a whole. Returns whether there is more to look at. Unless it `begins` it only goes on: what
  /// lies scattered over its slabs does not become less by another look. (h)
  mutating func shrink(begins: Bool, step: Int) -> Bool {
    let stays = max(kept, inUse)
    guard slots.ref.isShrinking || (begins && slots.ref.freeSlots > 2 * stays) else { return false }
    return slots.ref.shrink(keeping: stays, step: step) { _ in }
  }

  var inUse: Int { max(0, slots.ref.inUse - Int(truncatingIfNeeded: asideCount.value)) }
  var counters: PoolCounters {
    PoolCounters(
      inUse: inUse, highWater: Int(highWater.value), capacity: slots.ref.capacity, limit: slots.ref.limit,
      failures: failures.value, reserveUses: reserveUses.value, reserveRefills: reserveRefills.value,
      reserveLeft: Int(truncatingIfNeeded: asideCount.value))
  }
}
