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
}

/// What all pools of this target add to slots: a reserve, and a high-water mark.
///
/// (h) home context, or who holds the lock around the pool · (c) constant
@usableFromInline struct PoolCore: ~Copyable {
  private let slots: SlotPool  // (c)
  private let bound: Int  // (c) the limit without the reserve
  private let highWater = Counter()  // (h) writes
  private let failures = Counter()  // (h) writes
  private let reserveUses = Counter()  // (h) writes

  private init(slotBytes: Int, slotsPerSlab: Int, limit: Int, reserve: Int, home: ContextCoreRef?) {
    precondition(limit > 0 && reserve >= 0 && reserve < limit, "a pool's reserve is part of its limit")
    slots = SlotPool(slotBytes: slotBytes, slotsPerSlab: slotsPerSlab, limit: limit)
    slots.ref.owner = home
    bound = limit - reserve
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
    unsafe core.deinitialize(count: 1)
    unsafe core.deallocate()
  }

  /// Less than an eighth is left. (a)
  var isLow: Bool { inUse > bound - bound / 8 }
  /// A slot, or nil at the limit, or short of it by the reserve. (h)
  borrowing func allocate(fromReserve: Bool) -> ItemRef? {
    let used = slots.ref.inUse
    let isLow = used >= bound
    guard fromReserve || !isLow, let item = slots.ref.allocate() else {
      failures.increment()
      return nil
    }
    let high = highWater.value
    if UInt64(used) >= high { highWater.increment(by: UInt64(used) &+ 1 &- high) }
    if isLow { reserveUses.increment() }
    return item
  }

  /// Frees a slot of any pool, from any thread: locally in its pool's home context, else by a
  /// compare-and-swap.
  static func give(back item: ItemRef) {
    guard let pool = SlotPoolRef.of(item) else { preconditionFailure("TX-OWN: a slot of no pool was freed") }
    pool.giveBack(item)
  }

  var inUse: Int { slots.ref.inUse }
  var counters: PoolCounters {
    PoolCounters(
      inUse: inUse, highWater: Int(highWater.value), capacity: slots.ref.capacity, limit: slots.ref.limit,
      failures: failures.value, reserveUses: reserveUses.value)
  }
}
