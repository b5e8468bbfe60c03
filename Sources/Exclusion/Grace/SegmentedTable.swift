/// A `PublishedTable` for any number of entries: in 256 parts, by bits of the hash, so that growing moves a part's
/// entries at a time and never stalls its writer for long. A part is made when something first falls into it.
///
/// The parts of a table all have the one writer. Look-ups are for any thread inside a grace section.
@safe public struct SegmentedTable: ~Copyable, @unchecked Sendable {
  /// Addresses of the parts; 0: there is none yet.
  @usableFromInline let directory: UnsafeMutablePointer<AtomicWord>
  private let domain: GraceDomain
  @usableFromInline static var partCount: Int { 256 }
  private static var directoryBytes: Int { partCount * MemoryLayout<AtomicWord>.stride }
  /// Entries of a new part before it first grows.
  private static var firstCapacity: Int { 8 }

  /// An empty table.
  public init(domain: GraceDomain) {
    self.domain = domain
    unsafe directory = SharedMemory.allocate(byteCount: Self.directoryBytes, alignment: 64)
      .bindMemory(to: AtomicWord.self, capacity: Self.partCount)
    for index in 0..<Self.partCount { unsafe (directory + index).initialize(to: AtomicWord(0)) }
  }
  deinit {
    for index in 0..<Self.partCount {
      guard let part = unsafe part(at: index) else { continue }
      unsafe part.deinitialize(count: 1)
      unsafe SharedMemory.deallocate(part, byteCount: MemoryLayout<PublishedTable>.size)
    }
    unsafe directory.deinitialize(count: Self.partCount)
    unsafe SharedMemory.deallocate(directory, byteCount: Self.directoryBytes)
  }

  /// Neither of the bits that a part's index uses, nor of those that an entry remembers.
  @inlinable @inline(__always) static func number(_ hash: UInt64) -> Int {
    Int(truncatingIfNeeded: hash &>> 24) & (partCount - 1)
  }
  @inlinable @inline(__always) func part(at number: Int) -> UnsafeMutablePointer<PublishedTable>? {
    unsafe UnsafeMutablePointer(bitPattern: UInt(truncatingIfNeeded: directory[number].load()))
  }

  // MARK: Any thread, inside a grace section

  /// As `PublishedTable.find(hash:where:)`.
  @inlinable @inline(__always)
  public func find(hash: UInt64, where matches: (ItemRef) -> Bool) -> ItemRef? {
    guard let part = unsafe part(at: Self.number(hash)) else { return nil }
    return unsafe part.pointee.find(hash: hash, where: matches)
  }
  /// Calls `body` with every entry, in no order. Entries that come or go meanwhile may be missed or seen.
  public func forEach(_ body: (ItemRef) -> Void) {
    for index in 0..<Self.partCount { unsafe part(at: index)?.pointee.forEach(body) }
  }
  /// Calls `body` with every entry of the parts from `part` on, 0 the first, until `isEnough` says so after one of them; a
  /// part has a few thousand entries at most. Returns the next part, nil behind the last.
  public func forEach(from part: Int, until isEnough: () -> Bool, _ body: (ItemRef) -> Void) -> Int? {
    for index in part..<Self.partCount {
      unsafe self.part(at: index)?.pointee.forEach(body)
      if isEnough() { return index + 1 < Self.partCount ? index + 1 : nil }
    }
    return nil
  }
  /// How many entries there are; exact at rest.
  public var count: Int {
    (0..<Self.partCount).reduce(0) { unsafe $0 + (part(at: $1)?.pointee.count ?? 0) }
  }

  // MARK: The writer

  /// Adds `item`, which is whole (SO-PUBLISH).
  public func insert(hash: UInt64, _ item: ItemRef) {
    let number = Self.number(hash)
    if let part = unsafe part(at: number) { return unsafe part.pointee.insert(hash: hash, item) }
    let part = unsafe SharedMemory.allocate(
      byteCount: MemoryLayout<PublishedTable>.size, alignment: MemoryLayout<PublishedTable>.alignment
    ).bindMemory(to: PublishedTable.self, capacity: 1)
    unsafe part.initialize(to: PublishedTable(capacity: Self.firstCapacity, domain: domain))
    unsafe part.pointee.insert(hash: hash, item)
    unsafe directory[number].store(UInt64(UInt(bitPattern: part)))
  }

  /// Removes `item`; false if it is not there. Readers may still hold it: it goes to a `LimboList`.
  public func remove(hash: UInt64, _ item: ItemRef) -> Bool {
    guard let part = unsafe part(at: Self.number(hash)) else { return false }
    return unsafe part.pointee.remove(hash: hash, item)
  }
}
