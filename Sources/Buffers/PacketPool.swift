public import Exclusion

/// Packets for one context: the context allocates, anyone frees.
///
/// The last part of the limit is a reserve for what ends or acknowledges connections (ACK, RST, FIN), so that
/// a stack short of memory can still give memory back. Must outlive its packets (RS-LEAK; a debug build
/// traps, a release build leaves them their memory).
@safe public struct PacketPool: ~Copyable, @unchecked Sendable {
  private let core: UnsafeMutablePointer<PoolCore>
  private let room: UnsafeMutablePointer<PoolCore>
  private let spare: UnsafeMutablePointer<SpareRoom>

  /// A pool with its reserve; it grows in slabs of half a megabyte. Beside it are chunks of 4 KiB for what is received
  /// and does not fit into a packet, half as many, which grow by themselves.
  ///
  /// - Parameters:
  ///   - limit: packets at most, reserve included; more than `reserve`.
  ///   - reserve: packets that only ``PacketPoolRef/allocateReserve(headroom:)`` gets.
  ///   - home: the context that allocates, and frees without a compare-and-swap. Nil: whoever calls, one at a
  ///     time.
  public init(limit: Int, reserve: Int = 64, home: ContextCoreRef? = nil) {
    unsafe core = PoolCore.make(
      slotBytes: PacketLayout.slotBytes, slotsPerSlab: 256, limit: limit, reserve: reserve, home: home)
    unsafe room = PoolCore.make(
      slotBytes: ChunkLayout.slotBytes, slotsPerSlab: 64, limit: max(1, limit / 2), reserve: 0, home: home)
    unsafe spare = .allocate(capacity: 1)
    unsafe spare.initialize(to: SpareRoom())
  }
  deinit {
    unsafe spare.pointee.release()
    unsafe spare.deinitialize(count: 1)
    unsafe spare.deallocate()
    unsafe PoolCore.destroy(core)
    unsafe PoolCore.destroy(room)
  }

  /// The pool by its address; valid as long as the pool is.
  public var ref: PacketPoolRef { unsafe PacketPoolRef(core, room, spare) }
  /// The pool's numbers; any thread.
  public var counters: PoolCounters { ref.counters }
}

/// A pool of packets by its address. Copying it counts nothing; the pool's owner outlives it.
@safe @frozen public struct PacketPoolRef: Hashable, @unchecked Sendable {
  @usableFromInline let core: UnsafeMutablePointer<PoolCore>
  @usableFromInline let room: UnsafeMutablePointer<PoolCore>
  @usableFromInline let spare: UnsafeMutablePointer<SpareRoom>

  init(
    _ core: UnsafeMutablePointer<PoolCore>, _ room: UnsafeMutablePointer<PoolCore>,
    _ spare: UnsafeMutablePointer<SpareRoom>
  ) {
    unsafe self.core = core
    unsafe self.room = room
    unsafe self.spare = spare
  }

  /// An empty packet with `headroom` bytes in front, its metadata cleared; nil when only the reserve is left.
  /// Home context only.
  public func allocate(headroom: Int = Packet.headroomDefault) -> Packet? {
    guard let item = unsafe core.pointee.allocate(fromReserve: false) else { return nil }
    return Packet(fresh: item, headroom: headroom)
  }
  /// An empty packet that is to be like `other`: with its headroom and metadata, but on no account, and with nothing left to a
  /// device. Nil when only the reserve is left. Home context only.
  public func allocate(like other: borrowing Packet) -> Packet? {
    guard let item = unsafe core.pointee.allocate(fromReserve: false) else { return nil }
    return Packet(fresh: item, like: other)
  }
  /// As ``allocate(headroom:)``, with the reserve: for ACK, RST and FIN. Home context only.
  public func allocateReserve(headroom: Int = Packet.headroomDefault) -> Packet? {
    guard let item = unsafe core.pointee.allocate(fromReserve: true) else { return nil }
    return Packet(fresh: item, headroom: headroom)
  }

  /// A chain of `source`'s bytes, which one chunk holds, of the chunks beside the packets; nil: these run low. Home context
  /// only.
  public func makeShortChain(copying source: UnsafeRawBufferPointer) -> ByteChain? {
    precondition(1...ByteChain.chunkCapacity ~= source.count, "SB-WHOLE: more bytes than a chunk holds")
    guard let start = source.baseAddress, unsafe !room.pointee.isLow,
      let item = unsafe room.pointee.allocate(fromReserve: false)
    else { return nil }
    let chain = ByteChain(chunk: item, count: source.count)
    unsafe chain.firstPlace.copyMemory(from: start, byteCount: source.count)
    return chain
  }

  /// The pool's numbers; any thread.
  public var counters: PoolCounters { unsafe core.pointee.counters }
  /// The numbers of the chunks beside the packets; any thread.
  public var roomCounters: PoolCounters { unsafe room.pointee.counters }
  /// Whether less than an eighth of the limit is left: whoever holds much should hold back. Any thread.
  public var isLow: Bool { unsafe core.pointee.isLow || room.pointee.isLow }
  /// Packets that are allocated; any thread.
  public var inUse: Int { unsafe core.pointee.inUse }

  /// Gives memory back that nothing in it is in use of, if there is much more than is: one step of that, of at most `step`
  /// packets and chunks. Returns whether there is more to do; who
  /// goes on does not say that it `begins`, or there may be no end. Home context only.
  public func shrink(begins: Bool, step: Int = 256) -> Bool {
    let packetsGoOn = unsafe core.pointee.shrink(begins: begins, step: step)
    let roomGoesOn = unsafe room.pointee.shrink(begins: begins, step: step)
    return packetsGoOn || roomGoesOn
  }

  /// Whether both are the same pool.
  public static func == (left: PacketPoolRef, right: PacketPoolRef) -> Bool { unsafe left.core == right.core }
  /// Hashes the pool's identity.
  public func hash(into hasher: inout Hasher) { unsafe hasher.combine(core) }
}

extension Packet {
  /// A packet in a slot that was just allocated.
  init(fresh item: ItemRef, headroom: Int) {
    precondition(headroom >= 0 && headroom <= Packet.capacity, "TX-OWN: headroom beyond the slot")
    unsafe (item.raw + PacketLayout.metadata).initializeMemory(as: PacketMetadata.self, to: PacketMetadata())
    self.init(item: item)
    startOffset = headroom
    count = 0
    attachment = 0
  }
  /// The same, with what is known of `other`.
  init(fresh item: ItemRef, like other: borrowing Packet) {
    unsafe (item.raw + PacketLayout.metadata).initializeMemory(as: PacketMetadata.self, to: other.metadata)
    self.init(item: item)
    metadata.offload = PacketOffload()
    forfeitCredit()
    startOffset = other.headroom
    count = 0
    attachment = 0
  }
}
