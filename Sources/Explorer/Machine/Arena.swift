#if Explore
  import CFiber

  /// The memory that virtual threads share: always at the same addresses, so that a schedule can be repeated word by
  /// word and two schedules that reach the same state are seen to. Given back as a whole when the schedule ends;
  /// what is freed before is not used again, so that touching it is caught.
  @safe struct Arena: ~Copyable {
    private static var byteCount: Int { 1 << 30 }
    private static var granule: Int { 64 }

    private let base: UnsafeMutableRawPointer
    private var end = 0
    /// A bit for each 64 bytes that are freed: a block, or a slot of a pool.
    private var freed: UnsafeMutablePointer<UInt64>
    /// Blocks that were allocated and not freed.
    private var live: [UInt: Int] = [:]
    /// Words that hold statistics: they say nothing about what happens next.
    private var statistics: [UInt] = []

    init() {
      guard let mapped = unsafe cfiber_map_arena(Self.byteCount) else {
        fatalError("no address space for the memory of virtual threads")
      }
      unsafe base = mapped
      let words = Self.byteCount / Self.granule / 64
      unsafe freed = .allocate(capacity: words)
      unsafe freed.initialize(repeating: 0, count: words)
    }
    deinit { unsafe freed.deallocate() }

    mutating func reset() {
      unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: end)
      unsafe freed.update(repeating: 0, count: end / Self.granule / 64 + 1)
      end = 0
      live.removeAll(keepingCapacity: true)
      statistics.removeAll(keepingCapacity: true)
    }

    mutating func allocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawPointer {
      let step = max(alignment, Self.granule)
      let start = (end + step - 1) / step * step
      end = (start + max(byteCount, 1) + Self.granule - 1) / Self.granule * Self.granule
      precondition(end <= Self.byteCount, "a schedule uses more memory than there is")
      return unsafe base + start
    }
    /// How many blocks must still be freed.
    var liveBlocks: Int { live.count }
    /// The block must be freed before the schedule ends.
    mutating func own(_ raw: UnsafeMutableRawPointer, byteCount: Int) {
      live[UInt(bitPattern: raw)] = byteCount
    }
    /// Their sizes, for people.
    var liveSizes: [Int] { live.sorted { $0.key < $1.key }.map(\.value) }
    /// False: the block is not one that is to be freed.
    mutating func deallocate(_ raw: UnsafeMutableRawPointer, byteCount: Int) -> Bool {
      guard live.removeValue(forKey: UInt(bitPattern: raw)) != nil else { return false }
      unsafe mark(raw, byteCount: byteCount, isFree: true)
      return true
    }

    @inline(__always) private func offset(_ raw: UnsafeRawPointer) -> Int? {
      let offset = unsafe raw - UnsafeRawPointer(base)
      return offset >= 0 && offset < end ? offset : nil
    }
    /// Whether the memory is this arena's.
    func contains(_ raw: UnsafeRawPointer) -> Bool { unsafe offset(raw) != nil }
    /// Whether the memory, or the slot it is in, was freed.
    @inline(__always) func isFreed(_ raw: UnsafeRawPointer) -> Bool {
      guard let offset = unsafe offset(raw) else { return false }
      let number = offset / Self.granule
      return unsafe freed[number >> 6] >> UInt64(number & 63) & 1 != 0
    }
    mutating func mark(_ raw: UnsafeRawPointer, byteCount: Int, isFree: Bool) {
      guard let offset = unsafe offset(raw) else { return }
      for number in offset / Self.granule..<(offset + byteCount + Self.granule - 1) / Self.granule {
        let bit = UInt64(1) << UInt64(number & 63)
        if isFree { unsafe freed[number >> 6] |= bit } else { unsafe freed[number >> 6] &= ~bit }
      }
    }

    mutating func noteStatistic(_ raw: UnsafeRawPointer) {
      guard unsafe offset(raw) != nil else { return }
      let address = UInt(bitPattern: raw)
      if !statistics.contains(address) { statistics.append(address) }
    }

    /// A number for all that is in the memory, statistics aside.
    func digest() -> UInt64 {
      var result: UInt64 = 0
      let words = unsafe UnsafeRawBufferPointer(start: base, count: end / 8 * 8).assumingMemoryBound(
        to: UInt64.self)
      let start = unsafe UInt(bitPattern: base)
      for index in words.indices {
        let word = unsafe words[index]
        if word != 0 { result ^= mixed(UInt64(start) &+ UInt64(index) &* 8, word) }
      }
      for address in statistics {
        let word = unsafe UnsafePointer<UInt64>(bitPattern: address).unsafelyUnwrapped.pointee
        if word != 0 { result ^= mixed(UInt64(address), word) }
      }
      return result
    }

    /// Where in the arena, for people.
    func name(_ raw: UnsafeRawPointer) -> String? {
      guard let offset = unsafe offset(raw) else { return nil }
      return "memory+\(String(offset, radix: 16))"
    }
  }

  /// One number from two, well spread.
  @inline(__always) func mixed(_ a: UInt64, _ b: UInt64) -> UInt64 {
    let product = (a ^ 0x2D35_8DCC_AA6C_78A5).multipliedFullWidth(by: b ^ 0x8BB8_4B93_962E_ACC9)
    return product.low ^ product.high
  }
#endif
