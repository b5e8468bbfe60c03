import CLinux

/// Type-stable slots of one size: memory that was once a slot stays one until the pool goes. One thread at a time
/// allocates, its owner; anyone gives back, the owner locally and others by one compare-and-swap, and the owner
/// takes all of those by one exchange (no ABA). Bytes 16..<28 of every slot are the pool's (`SlotLayout`).
public struct SlotPool: ~Copyable, Sendable {
  /// The pool, for whoever does not own its memory.
  public let ref: SlotPoolRef

  /// A pool of at most `limit` slots of `slotBytes` (a multiple of 64), which takes memory from the system
  /// `slotsPerSlab` slots at a time, and keeps it, but for what ``SlotPoolRef/shrink(keeping:step:_:)`` gives back.
  /// `limit` is below four million.
  public init(slotBytes: Int, slotsPerSlab: Int, limit: Int) {
    ref = SlotPoolRef(slotBytes: slotBytes, slotsPerSlab: slotsPerSlab, limit: limit)
  }
  deinit { ref.destroy() }
}

/// What only the owner touches. First cache line of the pool.
@frozen @usableFromInline struct PoolOwnerState {
  @usableFromInline var free: UInt = 0
  /// Slots of the newest slab that were never used.
  @usableFromInline var fresh: UInt = 0
  @usableFromInline var freshEnd: UInt = 0
  var slabCount = 0
  /// What was given back to the system; nil: nothing ever was.
  @usableFromInline var reserve: PoolReserve?
}

/// What others may look at. From the second cache line on.
@unsafe @frozen @usableFromInline struct PoolSharedState: ~Copyable {
  /// head/64 42 · count 22: what others gave back.
  @usableFromInline let remote = AtomicWord(0)
  /// Address of the context that owns the pool; 0: every give-back is remote.
  @usableFromInline let owner = AtomicWord(0)
  @usableFromInline let allocated = Counter()
  @usableFromInline let freed = Counter()
  @usableFromInline let failures = Counter()
  @usableFromInline let capacity = Counter()
  @usableFromInline let slotBytes: Int
  @usableFromInline let slotsPerSlab: Int
  @usableFromInline let limit: Int
  /// By number; the last may be shorter.
  let slabs: UnsafeMutablePointer<UnsafeMutableRawPointer>
}

/// A pool. Lives as long as its `SlotPool`.
@safe @frozen public struct SlotPoolRef: Hashable, @unchecked Sendable {
  @usableFromInline let raw: UnsafeMutableRawPointer

  @inlinable @inline(__always) init(raw: UnsafeMutableRawPointer) { unsafe self.raw = raw }

  @inlinable @inline(__always) var local: UnsafeMutablePointer<PoolOwnerState> {
    unsafe raw.assumingMemoryBound(to: PoolOwnerState.self)
  }
  @inlinable @inline(__always) var shared: UnsafePointer<PoolSharedState> {
    unsafe UnsafePointer((raw + 64).assumingMemoryBound(to: PoolSharedState.self))
  }

  private static var headerBytes: Int { unsafe 64 + MemoryLayout<PoolSharedState>.size }

  init(slotBytes: Int, slotsPerSlab: Int, limit: Int) {
    precondition(slotBytes > 0 && slotBytes % 64 == 0, "slots are multiples of 64 bytes")
    precondition(slotsPerSlab > 0 && 0..<(1 << 22) ~= limit)
    unsafe raw = SharedMemory.allocate(byteCount: Self.headerBytes, alignment: 64)
    unsafe local.initialize(to: PoolOwnerState())
    let slabs = UnsafeMutablePointer<UnsafeMutableRawPointer>.allocate(capacity: limit / slotsPerSlab + 1)
    unsafe UnsafeMutablePointer(mutating: shared).initialize(
      to: PoolSharedState(slotBytes: slotBytes, slotsPerSlab: slotsPerSlab, limit: limit, slabs: slabs))
  }

  /// A slot that is still out would be written to after its memory is gone: then the memory stays.
  func destroy() {
    invariant(inUse == 0, "RS-LEAK: \(inUse) slots are out while their pool goes")
    guard inUse == 0 else { return }
    for number in unsafe 0..<local.pointee.slabCount {
      unsafe SharedMemory.unmapSlab(shared.pointee.slabs[number], slotCount(number) * slotBytes)
    }
    unsafe local.deinitialize(count: 1)
    unsafe shared.pointee.slabs.deallocate()
    unsafe UnsafeMutablePointer(mutating: shared).deinitialize(count: 1)
    unsafe SharedMemory.deallocate(raw, byteCount: Self.headerBytes)
  }

  // MARK: Slots

  /// A slot nobody else has, with its old bytes (zero the first time); nil at the limit or when the system has
  /// no memory. The owner only.
  @inlinable @inline(__always) public func allocate() -> ItemRef? {
    if let item = unsafe ItemRef(address: local.pointee.free) {
      unsafe local.pointee.free = item.freeLink
      item.freeLink = 0
      unsafe shared.pointee.allocated.increment()
      noteAllocated(item)
      return item
    }
    return refill()
  }

  /// Gives a slot back. The owner only.
  @inlinable @inline(__always) public func free(_ item: ItemRef) {
    noteFreed(item)
    bumpGeneration(item)
    item.freeLink = unsafe local.pointee.free
    unsafe local.pointee.free = item.address
    unsafe shared.pointee.freed.increment()
  }

  /// Gives a slot back from any thread.
  @inlinable public func freeRemote(_ item: ItemRef) {
    noteFreed(item)
    bumpGeneration(item)
    var seen = unsafe shared.pointee.remote.loadRelaxed()
    repeat {
      item.freeLink = UInt(truncatingIfNeeded: (seen &>> 22) &<< 6)
    } while unsafe !shared.pointee.remote.compareExchange(
      &seen, UInt64(item.address) &<< 16 | (seen & 0x3F_FFFF) &+ 1)
  }

  /// Gives a slot back, locally if the calling thread runs the context that owns the pool.
  @inlinable public func giveBack(_ item: ItemRef) {
    let owner = unsafe shared.pointee.owner.loadRelaxed()
    if owner != 0 && owner == currentContextAddress() { free(item) } else { freeRemote(item) }
  }

  /// The pool that `item` came from; nil for memory of no pool.
  @inlinable @inline(__always) public static func of(_ item: ItemRef) -> SlotPoolRef? {
    guard let raw = unsafe item.raw.load(fromByteOffset: SlotLayout.pool, as: UnsafeMutableRawPointer?.self)
    else { return nil }
    return unsafe SlotPoolRef(raw: raw)
  }

  /// How often `item` was freed, modulo 2³²: a handle that remembers it knows whether the slot is still what it
  /// was (SO-GEN). Any thread.
  @inlinable @inline(__always) public static func generation(of item: ItemRef) -> UInt32 {
    unsafe generationWord(item).pointee.load()
  }
  @inlinable @inline(__always) static func generationWord(_ item: ItemRef) -> UnsafePointer<AtomicHalfWord> {
    unsafe UnsafePointer((item.raw + SlotLayout.generation).assumingMemoryBound(to: AtomicHalfWord.self))
  }
  @inlinable @inline(__always) func bumpGeneration(_ item: ItemRef) {
    let word = unsafe Self.generationWord(item)
    unsafe word.pointee.storeRelaxed(word.pointee.loadRelaxed() &+ 1)  // one holder at a time
  }

  // For the explorer, which catches who touches a slot that is free, or frees it again.
  @inlinable @inline(__always) func noteAllocated(_ item: ItemRef) {
    #if Explore
      unsafe _noteAllocated(item.raw, slotBytes)
    #endif
  }
  @inlinable @inline(__always) func noteFreed(_ item: ItemRef) {
    #if Explore
      unsafe _noteFreed(item.raw, slotBytes)
    #endif
  }

  /// Calls `body` with every slot that was ever allocated. While nobody else uses the pool.
  public func forEachUsed(_ body: (ItemRef) -> Void) {
    let empty = unsafe Set(local.pointee.reserve?.empty ?? [])
    for number in unsafe 0..<local.pointee.slabCount where !empty.contains(number) {
      let slots = slotCount(number)
      let slab = unsafe shared.pointee.slabs[number]
      let end = UInt(bitPattern: slab) + UInt(slots * slotBytes)
      let used = unsafe end == local.pointee.freshEnd ? local.pointee.fresh : end
      for address in stride(from: UInt(bitPattern: slab), to: used, by: slotBytes) {
        if let item = ItemRef(address: address) { body(item) }
      }
    }
  }

  // MARK: Looking, from any thread; exact at rest

  /// Slots that were allocated and not given back.
  public var inUse: Int {
    let back = unsafe shared.pointee.freed.value &+ (shared.pointee.remote.load() & 0x3F_FFFF)
    return Int(truncatingIfNeeded: unsafe shared.pointee.allocated.value &- back)
  }
  /// At least ``inUse``: those that others gave back count until the owner takes them. Touches no shared word.
  public var inUseAtMost: Int {
    Int(truncatingIfNeeded: unsafe shared.pointee.allocated.value &- shared.pointee.freed.value)
  }
  /// Slots that there is memory for.
  public var capacity: Int { Int(unsafe shared.pointee.capacity.value) }
  /// Slots that there will ever be.
  public var limit: Int { unsafe shared.pointee.limit }
  /// Bytes of a slot.
  public var slotBytes: Int { unsafe shared.pointee.slotBytes }
  /// Allocations that found no slot.
  public var failures: UInt64 { unsafe shared.pointee.failures.value }
  /// The context whose give-backs are local. Set before the pool is used.
  public var owner: ContextCoreRef? {
    get {
      let address = unsafe shared.pointee.owner.loadRelaxed()
      guard let raw = unsafe UnsafeMutableRawPointer(bitPattern: UInt(address)) else { return nil }
      return unsafe ContextCoreRef(raw)
    }
    nonmutating set {
      let address = newValue.map { unsafe UInt(bitPattern: $0.raw) } ?? 0
      unsafe shared.pointee.owner.store(UInt64(address))
    }
  }

  /// The same pool.
  @inlinable public static func == (a: SlotPoolRef, b: SlotPoolRef) -> Bool { unsafe a.raw == b.raw }
  /// By address.
  @inlinable public func hash(into hasher: inout Hasher) { unsafe hasher.combine(raw) }
}

extension SlotPoolRef {
  /// What others gave back, then a slot never used, then a new slab.
  @usableFromInline @inline(never) func refill() -> ItemRef? {
    #if Explore
      let taken = takeRemote()
    #else
      let taken = unsafe shared.pointee.remote.exchange(0)
    #endif
    if let item = ItemRef(address: UInt(truncatingIfNeeded: (taken &>> 22) &<< 6)) {
      unsafe local.pointee.free = item.freeLink
      item.freeLink = 0
      unsafe shared.pointee.freed.increment(by: taken & 0x3F_FFFF)
      unsafe shared.pointee.allocated.increment()
      noteAllocated(item)
      return item
    }
    if let item = takeAside() {
      unsafe shared.pointee.allocated.increment()
      noteAllocated(item)
      return item
    }
    if unsafe local.pointee.fresh == local.pointee.freshEnd, !grow() {
      unsafe shared.pointee.failures.increment()
      return nil
    }
    guard let item = unsafe ItemRef(address: local.pointee.fresh) else { return nil }
    unsafe local.pointee.fresh += UInt(slotBytes)
    unsafe item.raw.storeBytes(of: raw, toByteOffset: SlotLayout.pool, as: UnsafeMutableRawPointer.self)
    unsafe shared.pointee.allocated.increment()
    noteAllocated(item)
    return item
  }

  private func grow() -> Bool {
    let slab: UnsafeMutableRawPointer, slots: Int
    if let number = takeEmptySlab() {
      unsafe (slab, slots) = unsafe (shared.pointee.slabs[number], slotCount(number))
    } else {
      let number = unsafe local.pointee.slabCount
      slots = slotCount(number)
      guard slots > 0, let new = unsafe SharedMemory.mapSlab(slots * slotBytes) else { return false }
      unsafe slab = new
      unsafe shared.pointee.slabs[number] = slab
      unsafe local.pointee.slabCount += 1
    }
    unsafe local.pointee.fresh = UInt(bitPattern: slab)
    unsafe local.pointee.freshEnd = UInt(bitPattern: slab) + UInt(slots * slotBytes)
    unsafe shared.pointee.capacity.increment(by: UInt64(slots))
    return true
  }
}

#if Explore
  extension SlotPoolRef {
    fileprivate func takeRemote() -> UInt64 {
      guard Mutation.remoteSlotsTakenByStore.isOn else { return unsafe shared.pointee.remote.exchange(0) }
      let taken = unsafe shared.pointee.remote.load()
      unsafe shared.pointee.remote.store(0)
      return taken
    }
  }

  @usableFromInline func _noteAllocated(_ raw: UnsafeMutableRawPointer, _ bytes: Int) {
    unsafe explorer?.slotAllocated(raw, byteCount: bytes)
  }
  @usableFromInline func _noteFreed(_ raw: UnsafeMutableRawPointer, _ bytes: Int) {
    unsafe explorer?.slotFreed(raw, byteCount: bytes)
  }
#endif

@usableFromInline func currentContextAddress() -> UInt64 { UInt64(ThreadLocal.currentContextAddress) }

extension ItemRef {
  /// The link of a slot that is free: the pool's, which nobody else may follow.
  @inlinable @inline(__always) var freeLink: UInt {
    get { unsafe raw.load(as: UInt.self) }
    nonmutating set { unsafe raw.storeBytes(of: newValue, as: UInt.self) }
  }
}
