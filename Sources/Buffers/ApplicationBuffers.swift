public import Exclusion

/// What application threads allocate from: packets for datagrams, chunks for streams. One per stack.
///
/// Allocation takes a leaf lock, for a few instructions a buffer; nothing is copied while it is held. Freeing
/// takes none, so contexts give back without waiting (RX-NOBLOCK).
public final class ApplicationBuffers: Sendable {
  private let packetPool: OrderedMutex<MemoryLevel, PacketPool>
  private let chunkPool: OrderedMutex<MemoryLevel, ChunkPool>
  private let packetRef: PacketPoolRef
  private let chunkRef: ChunkPoolRef

  /// Pools without memory yet.
  ///
  /// - Parameters:
  ///   - packetLimit: packets of 2048 bytes at most.
  ///   - chunkLimit: chunks of 4096 bytes at most.
  public init(packetLimit: Int, chunkLimit: Int) {
    let packets = PacketPool(limit: packetLimit, reserve: 0)
    let chunks = ChunkPool(limit: chunkLimit)
    packetRef = packets.ref
    chunkRef = chunks.ref
    packetPool = OrderedMutex(packets)
    chunkPool = OrderedMutex(chunks)
  }

  /// An empty packet with `headroom` bytes in front; nil at the limit.
  public func makePacket<Before: BeforeMemory>(
    headroom: Int = Packet.headroomDefault, _ held: inout Held<Before>
  ) -> Packet? {
    packetPool.withLock(&held) { pool, _ in pool.ref.allocate(headroom: headroom) }
  }

  /// A chain of `source`'s bytes; nil when the limit does not allow all of them. The bytes are copied with
  /// the lock released.
  public func makeChain<Before: BeforeMemory>(
    copying source: UnsafeRawBufferPointer, _ held: inout Held<Before>
  ) -> ByteChain? {
    let count = source.count
    let unfilled = chunkPool.withLock(&held) { pool, _ in pool.ref.makeUnfilledChain(count: count) }
    guard var chain = unfilled else { return nil }
    unsafe chain.fill(from: source)
    return chain
  }
  /// A chain of `source`'s bytes; nil when the limit does not allow all of them.
  public func makeChain<Before: BeforeMemory>(
    copying source: RawSpan, _ held: inout Held<Before>
  ) -> ByteChain? {
    unsafe source.withUnsafeBytes { unsafe makeChain(copying: $0, &held) }
  }
  /// A chain that shares `count` bytes of `chain` from `offset`; nil at the limit of views.
  public func slice<Before: BeforeMemory>(
    _ chain: borrowing ByteChain, offset: Int, count: Int, _ held: inout Held<Before>
  ) -> ByteChain? {
    chunkPool.withLock(&held) { pool, _ in chain.slice(offset: offset, count: count, from: pool.ref) }
  }

  /// The numbers of the packets; any thread.
  public var packets: PoolCounters { packetRef.counters }
  /// The numbers of the chunks; any thread.
  public var chunks: PoolCounters { chunkRef.counters }
  /// The numbers of the links to shared chunks; any thread.
  public var views: PoolCounters { chunkRef.viewCounters }
}
