public import Exclusion

/// Chunks and views for the chains of one context. Must outlive them (RS-LEAK).
@safe public struct ChunkPool: ~Copyable, @unchecked Sendable {
  private let chunks: UnsafeMutablePointer<PoolCore>
  private let views: UnsafeMutablePointer<PoolCore>

  /// A pool without memory yet; it grows in slabs of a quarter of a megabyte.
  ///
  /// - Parameters:
  ///   - limit: chunks of 4096 bytes at most, and views (links of 128 bytes to shared chunks) at most.
  ///   - home: the context that allocates. Nil: whoever calls, one at a time.
  public init(limit: Int, home: ContextCoreRef? = nil) {
    unsafe chunks = PoolCore.make(
      slotBytes: ChunkLayout.slotBytes, slotsPerSlab: 64, limit: limit, reserve: 0, home: home)
    unsafe views = PoolCore.make(
      slotBytes: ChunkLayout.viewBytes, slotsPerSlab: 256, limit: limit, reserve: 0, home: home)
  }
  deinit {
    unsafe PoolCore.destroy(views)
    unsafe PoolCore.destroy(chunks)
  }

  /// The pool by its address; valid as long as the pool is.
  public var ref: ChunkPoolRef { unsafe ChunkPoolRef(chunks: chunks, views: views) }
}

/// A pool of chunks by its address. Copying it counts nothing; the pool's owner outlives it.
@safe @frozen public struct ChunkPoolRef: @unchecked Sendable {
  @usableFromInline let chunks: UnsafeMutablePointer<PoolCore>
  @usableFromInline let views: UnsafeMutablePointer<PoolCore>

  init(chunks: UnsafeMutablePointer<PoolCore>, views: UnsafeMutablePointer<PoolCore>) {
    unsafe self.chunks = chunks
    unsafe self.views = views
  }

  /// A chain of `source`'s bytes; nil when the limit does not allow all of them. Home context only.
  public func makeChain(copying source: UnsafeRawBufferPointer) -> ByteChain? {
    guard var chain = makeUnfilledChain(count: source.count) else { return nil }
    unsafe chain.fill(from: source)
    return chain
  }
  /// A chain of `source`'s bytes; nil when the limit does not allow all of them. Home context only.
  public func makeChain(copying source: RawSpan) -> ByteChain? {
    unsafe source.withUnsafeBytes { unsafe makeChain(copying: $0) }
  }

  /// The numbers of the chunks; any thread.
  public var counters: PoolCounters { unsafe chunks.pointee.counters }
  /// The numbers of the views; any thread.
  public var viewCounters: PoolCounters { unsafe views.pointee.counters }

  /// Gives memory back that nothing in it is in use of, if there is much more than is: one step of that, of at most `step`
  /// chunks and views. Returns whether there is more to do; who
  /// goes on does not say that it `begins`, or there may be no end. Home context only.
  public func shrink(begins: Bool, step: Int = 256) -> Bool {
    let chunksGoOn = unsafe chunks.pointee.shrink(begins: begins, step: step)
    let viewsGoOn = unsafe views.pointee.shrink(begins: begins, step: step)
    return chunksGoOn || viewsGoOn
  }

  /// A chunk with one reference, the caller's.
  func allocateChunk() -> ChunkRef? {
    guard let item = unsafe chunks.pointee.allocate(fromReserve: false) else { return nil }
    let chunk = unsafe ChunkRef(item.raw)
    chunk.initializeReferences()
    return chunk
  }
  /// A link that is in no chain; its chunk, offset and count are for the caller to set.
  func allocateView() -> ChainNode? {
    guard let item = unsafe views.pointee.allocate(fromReserve: false) else { return nil }
    return unsafe ChainNode(item.raw)
  }
  /// A chain of `count` bytes that are yet to be written, at least one, and no more than a chunk holds.
  @inline(__always) func makeShortChain(count: Int) -> ByteChain? {
    guard let item = unsafe chunks.pointee.allocate(fromReserve: false) else { return nil }
    return ByteChain(chunk: item, count: count)
  }
  /// A chain of `count` bytes that are yet to be written.
  func makeUnfilledChain(count: Int) -> ByteChain? {
    var chain = ByteChain()
    var left = count
    while left > 0 {
      guard let chunk = allocateChunk() else { return nil }
      let node = unsafe ChainNode(chunk.slot)
      node.chunk = chunk
      node.offset = 0
      node.count = min(left, ChunkLayout.capacity)
      chain.link(node)
      left &-= node.count
    }
    return chain
  }
}

extension ByteChain {
  /// A chain of `count` bytes that are yet to be written, no more than a chunk holds, in the slot of one.
  @inline(__always) init(chunk item: ItemRef, count: Int) {
    let chunk = unsafe ChunkRef(item.raw)
    chunk.initializeReferences()
    let node = unsafe ChainNode(chunk.slot)
    node.chunk = chunk
    node.offset = 0
    node.count = count
    self.init(node: node)
  }
  /// Calls `body` with where the bytes of a chain lie that nobody else has seen, to be written.
  public mutating func forEachPlace(_ body: (UnsafeMutableRawBufferPointer) -> Void) {
    forEachRange(offset: 0, count: count) { node, at, length in
      unsafe body(UnsafeMutableRawBufferPointer(start: node.data + at, count: length))
      return true
    }
  }
  /// Writes all the bytes of a chain that nobody else has seen.
  mutating func fill(from source: UnsafeRawBufferPointer) {
    guard var from = source.baseAddress else { return }
    forEachRange(offset: 0, count: source.count) { node, at, length in
      unsafe (node.data + at).copyMemory(from: from, byteCount: length)
      unsafe from += length
      return true
    }
  }
}
