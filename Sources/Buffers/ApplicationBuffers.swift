public import Exclusion

/// Why application memory was not to be had.
public enum MemoryShortage: Error, Hashable, Sendable {
  /// The account of the stack is at its hard limit.
  case account
  /// The pool is at its limit.
  case pool
}

/// What application threads allocate from: packets for datagrams, chunks for streams. One per stack. What they
/// occupy is taken from the stack's account; whoever frees it gives it back there.
///
/// Allocation takes a leaf lock, for a few instructions a buffer; nothing is copied while it is held. Freeing
/// takes none, so contexts give back without waiting (RX-NOBLOCK).
public final class ApplicationBuffers: Sendable {
  private let packetPool: OrderedMutex<MemoryLevel, PacketPool>
  private let chunkPool: OrderedMutex<MemoryLevel, ChunkPool>
  /// Under the lock of `packetPool`; anyone looks.
  private let packetShare: MemoryShare
  /// Under the lock of `chunkPool`; anyone looks.
  private let chunkShare: MemoryShare
  private let packetRef: PacketPoolRef
  private let chunkRef: ChunkPoolRef

  /// Pools without memory yet.
  ///
  /// - Parameters:
  ///   - packetLimit: packets of 2048 bytes at most.
  ///   - chunkLimit: chunks of 4096 bytes at most.
  ///   - account: what memory is taken from; it outlives this.
  public init(packetLimit: Int, chunkLimit: Int, account: MemoryAccountRef) {
    let packets = PacketPool(limit: packetLimit, reserve: 0)
    let chunks = ChunkPool(limit: chunkLimit)
    packetRef = packets.ref
    chunkRef = chunks.ref
    packetShare = MemoryShare(account)
    chunkShare = MemoryShare(account)
    packetPool = OrderedMutex(packets)
    chunkPool = OrderedMutex(chunks)
  }

  /// An empty packet with `headroom` bytes in front, for a datagram: ``Packet/occupied`` bytes of the account.
  public func makePacket<Before: BeforeMemory>(
    headroom: Int = Packet.headroomDefault, _ held: inout Held<Before>
  ) throws(MemoryShortage) -> Packet {
    try packetPool.withLock(&held) { pool, _ throws(MemoryShortage) in
      guard packetShare.take(Packet.occupied, .datagram) else { throw .account }
      guard let packet = pool.ref.allocate(headroom: headroom) else {
        packetShare.give(Packet.occupied, .datagram)
        throw .pool
      }
      return packet
    }
  }

  /// A chain of `source`'s bytes, or of as many of the first as there is memory for: ``ByteChain/occupied`` bytes
  /// of the account. The bytes are copied with the lock released.
  ///
  /// - Parameter isGuaranteed: the first chunk is not refused by the account.
  public func makeChain<Before: BeforeMemory>(
    copying source: UnsafeRawBufferPointer, isGuaranteed: Bool = false, _ held: inout Held<Before>
  ) throws(MemoryShortage) -> ByteChain {
    if let start = source.baseAddress, 1...ByteChain.chunkCapacity ~= source.count {
      let chain = try makeShortChain(source.count, isGuaranteed: isGuaranteed, &held)
      unsafe chain.firstPlace.copyMemory(from: start, byteCount: source.count)
      return chain
    }
    var chain = try makeUnfilledChain(count: source.count, isGuaranteed: isGuaranteed, &held)
    unsafe chain.fill(from: UnsafeRawBufferPointer(rebasing: source[..<chain.count]))
    return chain
  }
  /// What one chunk holds, as most writes do.
  @inline(__always) private func makeShortChain<Before: BeforeMemory>(
    _ count: Int, isGuaranteed: Bool, _ held: inout Held<Before>
  ) throws(MemoryShortage) -> ByteChain {
    try chunkPool.withLock(&held) { pool, _ throws(MemoryShortage) in
      guard chunkShare.take(ByteChain.chunkOccupied, .send, isGuaranteed: isGuaranteed) else {
        throw .account
      }
      guard let chain = pool.ref.makeShortChain(count: count) else {
        chunkShare.give(ByteChain.chunkOccupied, .send)
        throw .pool
      }
      return chain
    }
  }
  /// A chain of `count` bytes that are yet to be written (``ByteChain/forEachPlace(_:)``), or of as many of the first as
  /// there is memory for: ``ByteChain/occupied`` bytes of the account.
  ///
  /// - Parameter isGuaranteed: the first chunk is not refused by the account.
  public func makeUnfilledChain<Before: BeforeMemory>(
    count: Int, isGuaranteed: Bool = false, _ held: inout Held<Before>
  ) throws(MemoryShortage) -> ByteChain {
    try chunkPool.withLock(&held) { pool, _ throws(MemoryShortage) in
      var affordable = 0
      while affordable < count {
        guard
          chunkShare.take(ByteChain.chunkOccupied, .send, isGuaranteed: isGuaranteed && affordable == 0)
        else { break }
        affordable += ByteChain.chunkCapacity
      }
      if affordable == 0, count > 0 { throw .account }
      guard let chain = pool.ref.makeUnfilledChain(count: min(affordable, count)) else {
        chunkShare.give(affordable / ByteChain.chunkCapacity * ByteChain.chunkOccupied, .send)
        throw .pool
      }
      return chain
    }
  }
  /// A chain of `source`'s bytes, or of as many of the first as there is memory for.
  public func makeChain<Before: BeforeMemory>(
    copying source: RawSpan, _ held: inout Held<Before>
  ) throws(MemoryShortage) -> ByteChain {
    try unsafe source.withUnsafeBytes { bytes throws(MemoryShortage) in
      try unsafe makeChain(copying: bytes, &held)
    }
  }
  /// A chain that shares `count` bytes of `chain` from `offset`; nil at the limit of views. Takes nothing of the
  /// account: the chunks are in it.
  public func slice<Before: BeforeMemory>(
    _ chain: borrowing ByteChain, offset: Int, count: Int, _ held: inout Held<Before>
  ) -> ByteChain? {
    chunkPool.withLock(&held) { pool, _ in
      chain.slice(offset: offset, count: count, from: pool.ref)
    }
  }

  /// A chain that shares `count` bytes of `chain` from `offset`, or as many of the first as the account allows: as
  /// much is taken of the account as the chain says that it ``ByteChain/occupied``, although the chunks are in it
  /// already. So whoever frees it does as with any other, and what waits for a slow peer is bounded.
  ///
  /// - Parameter isGuaranteed: the first chunk is not refused by the account.
  public func share<Before: BeforeMemory>(
    _ chain: borrowing ByteChain, offset: Int, count: Int, isGuaranteed: Bool = false,
    _ held: inout Held<Before>
  ) throws(MemoryShortage) -> ByteChain {
    try chunkPool.withLock(&held) { pool, _ throws(MemoryShortage) in
      var (affordable, occupied) = (0, 0)
      chain.forEachRange(offset: offset, count: count) { _, _, length in
        guard chunkShare.take(ByteChain.chunkOccupied, .send, isGuaranteed: isGuaranteed && occupied == 0)
        else { return false }
        affordable += length
        occupied += ByteChain.chunkOccupied
        return true
      }
      if affordable == 0, count > 0 { throw .account }
      guard let shared = chain.slice(offset: offset, count: affordable, from: pool.ref) else {
        chunkShare.give(occupied, .send)
        throw .pool
      }
      return shared
    }
  }

  /// Gives memory back that a busy time has left behind: one step of that, of about a hundred microseconds under each lock.
  /// Returns whether there is more to do; who goes on does not say that it `begins`, or there may be no end.
  public func shrink<Before: BeforeMemory>(begins: Bool, _ held: inout Held<Before>) -> Bool {
    let packetsGoOn = packetPool.withLock(&held) { pool, _ in pool.ref.shrink(begins: begins) }
    let chunksGoOn = chunkPool.withLock(&held) { pool, _ in pool.ref.shrink(begins: begins) }
    return packetsGoOn || chunksGoOn
  }

  /// What these pools have of the account; any thread.
  public func forEachShare(_ body: (borrowing MemoryShare) -> Void) {
    body(packetShare)
    body(chunkShare)
  }
  /// The numbers of the packets; any thread.
  public var packets: PoolCounters { packetRef.counters }
  /// The numbers of the chunks; any thread.
  public var chunks: PoolCounters { chunkRef.counters }
  /// The numbers of the links to shared chunks; any thread.
  public var views: PoolCounters { chunkRef.viewCounters }
}
