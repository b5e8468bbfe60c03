/// A hash table with one writer at a time (the owner of a shard's gate) and readers that take no lock, count no
/// reference and never wait. It knows slots by address and compares them through the caller: the same hash and
/// more than one equal entry are the caller's business, and so is check-and-insert (PCB-UNIQ), which is one step
/// because there is one writer.
///
/// Open addressing, linear probing, at most half full. An entry is 42 bits of address and 22 of the hash. Removal
/// leaves a tombstone where a probe might pass. A larger array is filled, then published; the old one is freed
/// after a grace period. Growing takes time proportional to the count: `SegmentedTable` keeps that short.
@safe public struct PublishedTable: ~Copyable, @unchecked Sendable {
  /// What only the writer touches.
  @unsafe private struct Writer {
    /// Entries and tombstones.
    var used = 0
    var retired: [(array: UnsafeMutableRawPointer, epoch: UInt64)] = unsafe []
  }
  private let writer: UnsafeMutablePointer<Writer>
  private let domain: GraceDomain
  private let entries = AtomicWord(0)
  /// Address of the array: its mask, then its entries, then (the writer's) their hashes.
  @usableFromInline let current: AtomicWord

  @inlinable static var tombstone: UInt64 { 1 }
  @inlinable static var headerBytes: Int { 64 }

  /// An empty table with room for `capacity` entries before it first grows.
  public init(capacity: Int, domain: GraceDomain) {
    self.domain = domain
    unsafe writer = .allocate(capacity: 1)
    unsafe writer.initialize(to: Writer())
    unsafe current = AtomicWord(UInt64(UInt(bitPattern: Self.makeArray(for: capacity))))
  }
  deinit {
    unsafe writer.pointee.retired.forEach { unsafe Self.freeArray($0.array) }
    unsafe Self.freeArray(array)
    unsafe writer.deinitialize(count: 1)
    unsafe writer.deallocate()
  }

  // MARK: Any thread, inside a grace section

  /// The entry with this hash for which `matches` says yes. What it returns is valid until the reader's next
  /// quiescent point; whether it is still in the table is checked again after entering it (PCB-MATCH).
  @inlinable @inline(__always)
  public func find(hash: UInt64, where matches: (ItemRef) -> Bool) -> ItemRef? {
    let array = unsafe self.array
    unsafe willLook(array)
    let mask = unsafe array.load(as: Int.self)
    let tag = Self.tag(hash)
    var index = Int(truncatingIfNeeded: hash) & mask
    while true {
      let entry = unsafe Self.entry(array, index).pointee.load()
      if entry == 0 { return nil }
      if entry & 0x3F_FFFF == tag, let item = Self.item(entry) {
        unsafe willLook(item.raw)  // a removed entry's slot stays until its readers have let go (PCB-GRACE)
        if matches(item) { return item }
      }
      index = (index &+ 1) & mask
    }
  }
  /// Calls `body` with every entry, in no order. Entries that come or go meanwhile may be missed or seen.
  public func forEach(_ body: (ItemRef) -> Void) {
    let array = unsafe self.array
    for index in 0...(unsafe array.load(as: Int.self)) {
      if let item = unsafe Self.item(Self.entry(array, index).pointee.load()) { body(item) }
    }
  }
  /// How many entries there are.
  public var count: Int { Int(entries.loadRelaxed()) }

  // MARK: The writer

  /// Adds `item`, which is whole (SO-PUBLISH).
  public func insert(hash: UInt64, _ item: ItemRef) {
    if unsafe !writer.pointee.retired.isEmpty { reclaim() }
    if unsafe (writer.pointee.used + 1) * 2 > array.load(as: Int.self) + 1 { rebuild() }
    if unsafe Self.place(item, hash, in: array) { unsafe writer.pointee.used += 1 }
    entries.storeRelaxed(entries.loadRelaxed() + 1)
  }

  /// Removes `item`; false if it is not there. Readers may still hold it: it goes to a `LimboList`.
  public func remove(hash: UInt64, _ item: ItemRef) -> Bool {
    let array = unsafe self.array
    let mask = unsafe array.load(as: Int.self)
    let wanted = Self.pack(item, hash)
    var index = Int(truncatingIfNeeded: hash) & mask
    while true {
      let entry = unsafe Self.entry(array, index).pointee.loadRelaxed()
      if entry == 0 { return false }
      if entry == wanted { break }
      index = (index &+ 1) & mask
    }
    entries.storeRelaxed(entries.loadRelaxed() - 1)
    defer { shrinkIfSparse() }
    // No probe passes the last entry of a run: it, and the tombstones before it, become free at once.
    guard unsafe Self.entry(array, (index + 1) & mask).pointee.loadRelaxed() == 0 else {
      unsafe Self.entry(array, index).pointee.store(Self.tombstone)
      return true
    }
    repeat {
      unsafe Self.entry(array, index).pointee.store(0)
      unsafe writer.pointee.used -= 1
      index = (index - 1) & mask
    } while unsafe Self.entry(array, index).pointee.loadRelaxed() == Self.tombstone
    return true
  }

  /// Frees the arrays that nobody reads any more. Growing does it too.
  public func reclaim() {
    unsafe writer.pointee.retired.removeAll { retired in
      guard unsafe domain.hasPassed(retired.epoch) else { return false }
      unsafe Self.freeArray(retired.array)
      return true
    }
  }
  /// Places that the array has.
  var places: Int { unsafe array.load(as: Int.self) + 1 }
  /// Arrays that wait for a grace period.
  public var retiredArrays: Int { unsafe writer.pointee.retired.count }

  // MARK: Entries

  @inlinable @inline(__always) var array: UnsafeMutableRawPointer {
    unsafe UnsafeMutableRawPointer(bitPattern: UInt(truncatingIfNeeded: current.load())).unsafelyUnwrapped
  }
  @inlinable @inline(__always)
  static func entry(_ array: UnsafeMutableRawPointer, _ index: Int) -> UnsafePointer<AtomicWord> {
    unsafe atomicWord(array, headerBytes &+ index &* 8)
  }
  /// The index uses the low bits of the hash, the tag the high ones.
  @inlinable @inline(__always) static func tag(_ hash: UInt64) -> UInt64 { hash &>> 42 }
  @inlinable @inline(__always) static func pack(_ item: ItemRef, _ hash: UInt64) -> UInt64 {
    UInt64(item.address) &<< 16 | tag(hash)
  }
  @inlinable @inline(__always) static func item(_ entry: UInt64) -> ItemRef? {
    ItemRef(address: UInt(truncatingIfNeeded: (entry &>> 22) &<< 6))
  }

  private static func makeArray(for capacity: Int) -> UnsafeMutableRawPointer {
    var slots = 16
    while slots < capacity * 2 { slots *= 2 }
    let bytes = headerBytes + slots * 16
    let array = unsafe SharedMemory.allocate(byteCount: bytes, alignment: 64)
    unsafe array.initializeMemory(as: UInt64.self, repeating: 0, count: bytes / 8)
    unsafe array.storeBytes(of: slots - 1, as: Int.self)
    return unsafe array
  }
  private static func freeArray(_ array: UnsafeMutableRawPointer) {
    unsafe SharedMemory.deallocate(array, byteCount: headerBytes + (array.load(as: Int.self) + 1) * 16)
  }
  private static func hashes(_ array: UnsafeMutableRawPointer) -> UnsafeMutablePointer<UInt64> {
    unsafe (array + headerBytes + (array.load(as: Int.self) + 1) * 8).assumingMemoryBound(to: UInt64.self)
  }
  /// True if it took a place that was free, rather than a tombstone's.
  private static func place(_ item: ItemRef, _ hash: UInt64, in array: UnsafeMutableRawPointer) -> Bool {
    let mask = unsafe array.load(as: Int.self)
    var index = Int(truncatingIfNeeded: hash) & mask
    while true {
      let entry = unsafe Self.entry(array, index).pointee.loadRelaxed()
      if entry == 0 || entry == tombstone {
        unsafe hashes(array)[index] = hash
        #if Explore
          if Mutation.tableEntryBeforeSlot.isOn {
            unsafe Self.entry(array, index).pointee.storeRelaxed(pack(item, hash))
            return entry == 0
          }
        #endif
        unsafe Self.entry(array, index).pointee.store(pack(item, hash))
        return entry == 0
      }
      index = (index &+ 1) & mask
    }
  }

  /// Of a table that was large only a few entries are left: its memory goes back.
  private func shrinkIfSparse() {
    let slots = unsafe array.load(as: Int.self) + 1
    if slots > 256, count * 16 < slots { rebuild() }
  }

  /// Into an array that the entries fill to a quarter, or somewhat more, tombstones left behind.
  private func rebuild() {
    let old = unsafe array
    let larger = unsafe Self.makeArray(for: max(8, count * 2))
    for index in 0...(unsafe old.load(as: Int.self)) {
      if let item = unsafe Self.item(Self.entry(old, index).pointee.loadRelaxed()) {
        _ = unsafe Self.place(item, Self.hashes(old)[index], in: larger)
      }
    }
    unsafe writer.pointee.used = count
    current.store(UInt64(UInt(bitPattern: larger)))
    #if Explore
      if Mutation.tableFreedAtOnce.isOn { return unsafe Self.freeArray(old) }
    #endif
    unsafe writer.pointee.retired.append((old, domain.advance()))
    reclaim()
  }
}
