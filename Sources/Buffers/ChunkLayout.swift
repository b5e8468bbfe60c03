import Exclusion

/// Where things lie in a chunk and in a view, in bytes from the slot's start. Both are *nodes* of a chain; a
/// chunk is the node of the chain it was made for, further chains reach it through views.
///
/// ``` 0     WorkItem, owning pool, generation          (Exclusion's) 40    chunk       8   whose bytes these
/// are; a chunk's own address in a chunk 48    offset      4   of the first byte, in the chunk's data 52
/// count       4 56    next        8   the next node of the chain 64    references  8   (a) of a chunk: its
/// own node, views, pieces of packets 72    tail, count, nodes   3 × 8, of the chain whose first node this
/// is, while the chain is an item 128   data     3968   of a chunk ```
///
/// (a) atomic; all else belongs to who owns the chain, and a chunk's bytes are constant once written: a chain
/// grows only behind the end of what its last chunk's own node covers, which nobody else can see.
@usableFromInline enum ChunkLayout {
  @usableFromInline static var slotBytes: Int { 4096 }
  @usableFromInline static var viewBytes: Int { 128 }
  @usableFromInline static var chunk: Int { 40 }
  @usableFromInline static var offset: Int { 48 }
  @usableFromInline static var count: Int { 52 }
  @usableFromInline static var next: Int { 56 }
  @usableFromInline static var references: Int { 64 }
  @usableFromInline static var tail: Int { 72 }
  @usableFromInline static var chainCount: Int { 80 }
  @usableFromInline static var chainNodes: Int { 88 }
  @usableFromInline static var data: Int { 128 }
  @usableFromInline static var capacity: Int { slotBytes - data }
}

/// A chunk by its address; what it says about lifetime is up to its reference count.
@safe @frozen @usableFromInline struct ChunkRef: Equatable {
  @usableFromInline let slot: UnsafeMutableRawPointer

  @inlinable init(_ slot: UnsafeMutableRawPointer) { unsafe self.slot = slot }
  @inlinable init(address: UInt) {
    unsafe slot = UnsafeMutableRawPointer(bitPattern: address).unsafelyUnwrapped
  }
  @inlinable var address: UInt { unsafe UInt(bitPattern: slot) }
  @inlinable var data: UnsafeMutableRawPointer { unsafe slot + ChunkLayout.data }

  private var references: UnsafeMutablePointer<AtomicWord> {
    unsafe (slot + ChunkLayout.references).assumingMemoryBound(to: AtomicWord.self)
  }
  /// The first reference, of whoever allocated the chunk.
  func initializeReferences() {
    unsafe references.initialize(to: AtomicWord(1))
  }
  /// One more reference, from somebody who holds one.
  func retain() { unsafe references.pointee.add(1) }
  /// Gives a reference up, from any thread; the last one frees the chunk.
  func release() {
    // Nobody else can take one any more from who holds the only one: no need to count down.
    if unsafe references.pointee.load() == 1 || references.pointee.subtract(1) == 1 {
      PoolCore.give(back: unsafe ItemRef(slot))
    }
  }
  /// The same; the slot of the last one goes back with others.
  @inline(__always) func release(_ returned: inout ReturnedSlots) {
    if unsafe references.pointee.load() == 1 || references.pointee.subtract(1) == 1 {
      returned.append(unsafe ItemRef(slot))
    }
  }
  var referenceCount: Int { unsafe Int(references.pointee.load()) }

  @usableFromInline static func == (left: ChunkRef, right: ChunkRef) -> Bool { left.address == right.address }
}

/// A link of a chain: a chunk or a view, by its address.
@safe struct ChainNode {
  let slot: UnsafeMutableRawPointer

  init(_ slot: UnsafeMutableRawPointer) { unsafe self.slot = slot }
  init(address: UInt) { unsafe slot = UnsafeMutableRawPointer(bitPattern: address).unsafelyUnwrapped }
  var address: UInt { unsafe UInt(bitPattern: slot) }

  var chunk: ChunkRef {
    get { ChunkRef(address: load(ChunkLayout.chunk)) }
    nonmutating set { store(newValue.address, ChunkLayout.chunk) }
  }
  var offset: Int {
    get { unsafe Int(slot.load(fromByteOffset: ChunkLayout.offset, as: UInt32.self)) }
    nonmutating set {
      unsafe slot.storeBytes(of: UInt32(newValue), toByteOffset: ChunkLayout.offset, as: UInt32.self)
    }
  }
  var count: Int {
    get { unsafe Int(slot.load(fromByteOffset: ChunkLayout.count, as: UInt32.self)) }
    nonmutating set {
      unsafe slot.storeBytes(of: UInt32(newValue), toByteOffset: ChunkLayout.count, as: UInt32.self)
    }
  }
  /// Address of the next node, 0 at the end.
  var next: UInt {
    get { load(ChunkLayout.next) }
    nonmutating set { store(newValue, ChunkLayout.next) }
  }
  /// Whether this is the chunk's own node, the only one that may grow.
  var isChunk: Bool { load(ChunkLayout.chunk) == address }
  /// Bytes that can be added behind the node's own, which nobody else can see.
  var room: Int { isChunk ? ChunkLayout.capacity &- offset &- count : 0 }
  /// The first byte.
  var data: UnsafeMutableRawPointer { unsafe chunk.data + offset }

  /// Frees a node that is in no chain any more, and its reference to the chunk; slots go back with others.
  @inline(__always) func drop(_ returned: inout ReturnedSlots) {
    let chunk = chunk
    if chunk.address != address { returned.append(unsafe ItemRef(slot)) }
    chunk.release(&returned)
  }

  func load(_ at: Int) -> UInt { unsafe slot.load(fromByteOffset: at, as: UInt.self) }
  func store(_ value: UInt, _ at: Int) { unsafe slot.storeBytes(of: value, toByteOffset: at, as: UInt.self) }
}
