import Exclusion

/// Memory that a device reads into when it does not know how long the next frame is: chunks that become a packet's if
/// the frame fills them, and wait for the next one if not. Each pool of packets has one, for whoever receives.
///
/// Private to the pool's home context.
@usableFromInline @safe struct SpareRoom: ~Copyable {
  /// Chunks for the longest packet, with what lies in the packet's slot.
  static var limit: Int { 17 }
  private var chunks = InlineArray<17, UInt>(repeating: 0)
  private(set) var count = 0

  mutating func fill(from pool: UnsafeMutablePointer<PoolCore>) {
    while count < Self.limit, let item = unsafe pool.pointee.allocate(fromReserve: false) {
      let chunk = unsafe ChunkRef(item.raw)
      chunk.initializeReferences()
      chunks[count] = chunk.address
      count += 1
    }
  }

  func address(_ index: Int) -> UnsafeMutableRawPointer {
    precondition(index < count)
    return unsafe ChunkRef(address: chunks[index]).data
  }

  /// The first `amount` chunks are somebody else's now.
  mutating func take(_ amount: Int, _ body: (UInt) -> Void) {
    for index in 0..<amount { body(chunks[index]) }
    for index in amount..<count { chunks[index - amount] = chunks[index] }
    count -= amount
  }

  mutating func release() { take(count) { ChunkRef(address: $0).release() } }
}

extension PacketPoolRef {
  /// Bytes of a slot to be read into, so that its packet can take all the spare room behind them.
  public static var slotShare: Int {
    Packet.capacity - Packet.headroomDefault - SpareRoom.limit * PacketLayout.pieceBytes
  }

  /// Calls `body` with pieces of memory for what of a frame does not fit into ``slotShare``: enough for a packet of
  /// 64 KiB, or fewer where the limit does not allow it. Home context only.
  public func forEachSpare(_ body: (UnsafeMutableRawBufferPointer) -> Void) {
    let spare = unsafe spare
    unsafe spare.pointee.fill(from: room)
    for index in 0..<(unsafe spare.pointee.count) {
      unsafe body(
        UnsafeMutableRawBufferPointer(start: spare.pointee.address(index), count: ChunkLayout.capacity))
    }
  }

  /// Makes the first `count` bytes of the spare room part of `packet`, behind what it has. Home context only.
  public func attachSpare(_ wanted: Int, to packet: inout Packet) {
    let needed = (wanted + ChunkLayout.capacity - 1) / ChunkLayout.capacity
    precondition(needed <= (unsafe spare.pointee.count), "RX-TOTAL: more bytes than there was room for")
    var left = wanted
    unsafe spare.pointee.take(needed) { chunk in
      let length = min(left, ChunkLayout.capacity)
      packet.addSpare(chunk, length)
      left -= length
    }
  }
}
