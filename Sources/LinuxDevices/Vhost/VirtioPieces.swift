/// Where the bytes of descriptor chains lie: what was found once, and is not asked for again, whatever the guest writes into
/// its descriptors meanwhile. Read or written from front to end.
@safe struct VirtioPieces: ~Copyable {
  @safe private struct Piece {
    let at: UnsafeMutableRawPointer
    let count: Int
  }
  private let pieces: UnsafeMutablePointer<Piece>
  private var used = 0
  /// Bytes of all.
  private(set) var total = 0
  private var index = 0
  private var offset = 0

  /// Pieces that there may be: the longest chain there is, and as many again for those that cross borders of memory.
  static var limit: Int { 2 * VirtioRing.largestSize }

  init() { unsafe pieces = .allocate(capacity: Self.limit) }
  deinit { unsafe pieces.deallocate() }

  mutating func reset() { (used, total, index, offset) = (0, 0, 0, 0) }

  /// False: there are too many.
  @inline(__always) mutating func add(_ at: UnsafeMutableRawPointer, _ count: Int) -> Bool {
    guard used < Self.limit else { return false }
    unsafe (pieces + used).initialize(to: Piece(at: at, count: count))
    used += 1
    total += count
    return true
  }

  /// Copies the next `wanted` bytes out. Traps where there are not so many.
  mutating func read(_ wanted: Int, into target: UnsafeMutableRawPointer) {
    var done = 0
    unsafe pass(wanted) { at, count in
      unsafe (target + done).copyMemory(from: at, byteCount: count)
      done += count
    }
  }

  /// Copies `source` over the next bytes. Traps where there are not so many.
  mutating func write(_ source: UnsafeRawBufferPointer) {
    guard let first = source.baseAddress else { return }
    var done = 0
    unsafe pass(source.count) { at, count in
      unsafe at.copyMemory(from: first + done, byteCount: count)
      done += count
    }
  }

  @inline(__always) private mutating func pass(_ wanted: Int, _ body: (UnsafeMutableRawPointer, Int) -> Void)
  {
    var left = wanted
    while left > 0 {
      precondition(index < used, "RX-TOTAL: more bytes than a chain has")
      let piece = unsafe pieces[index]
      let count = min(left, piece.count - offset)
      unsafe body(piece.at + offset, count)
      left -= count
      offset += count
      if offset == piece.count { (index, offset) = (index + 1, 0) }
    }
  }
}
