#if Explore
  /// What the machine remembers about one place in memory.
  struct ShadowCell {
    /// The address; valid if `stamp` is the table's.
    var key: UInt = 0
    var stamp: UInt32 = 0
    /// The thread that wrote it last as plain memory, and when; -1: nobody.
    var writer: Int32 = -1
    var writerTick: UInt32 = 0
    /// When each thread read it last as plain memory, since that write.
    var readers = VectorClock()
    /// What an acquiring access learns.
    var released = VectorClock()
  }

  /// The cells by address. Emptied in no time: each schedule has a stamp of its own.
  @safe struct Shadow: ~Copyable {
    private var cells: UnsafeMutablePointer<ShadowCell>
    private var mask: Int
    private var used = 0
    private var stamp: UInt32 = 1

    init() {
      mask = (1 << 12) - 1
      unsafe cells = .allocate(capacity: mask + 1)
      unsafe cells.initialize(repeating: ShadowCell(), count: mask + 1)
    }
    deinit { unsafe cells.deallocate() }

    mutating func reset() {
      used = 0
      stamp &+= 1
    }

    /// The cell of `address`, made if there is none. Valid until the next call.
    @inline(__always) mutating func cell(_ address: UInt) -> UnsafeMutablePointer<ShadowCell> {
      var index = Int(truncatingIfNeeded: (address &* 0x9E37_79B9_7F4A_7C15) >> 40) & mask
      while unsafe cells[index].stamp == stamp {
        if unsafe cells[index].key == address { return unsafe cells + index }
        index = (index &+ 1) & mask
      }
      return unsafe add(address, index)
    }

    @inline(never) private mutating func add(_ address: UInt, _ index: Int)
      -> UnsafeMutablePointer<ShadowCell>
    {
      var index = index
      if used * 2 > mask {
        grow()
        index = Int(truncatingIfNeeded: (address &* 0x9E37_79B9_7F4A_7C15) >> 40) & mask
        while unsafe cells[index].stamp == stamp { index = (index &+ 1) & mask }
      }
      used += 1
      unsafe cells[index] = ShadowCell(key: address, stamp: stamp)
      return unsafe cells + index
    }

    private mutating func grow() {
      let (old, oldCount) = unsafe (cells, mask + 1)
      mask = oldCount * 2 - 1
      unsafe cells = .allocate(capacity: mask + 1)
      unsafe cells.initialize(repeating: ShadowCell(), count: mask + 1)
      for number in 0..<oldCount where unsafe old[number].stamp == stamp {
        var index = unsafe Int(truncatingIfNeeded: (old[number].key &* 0x9E37_79B9_7F4A_7C15) >> 40) & mask
        while unsafe cells[index].stamp == stamp { index = (index &+ 1) & mask }
        unsafe cells[index] = old[number]
      }
      unsafe old.deallocate()
    }

    /// The place is new memory: nobody has read or written it.
    mutating func forget(_ address: UInt) {
      unsafe cell(address).pointee = ShadowCell(key: address, stamp: stamp)
    }
  }
#endif
