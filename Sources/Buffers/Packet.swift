public import Exclusion

/// A packet: one slot of 2048 bytes of a pool, owned by whoever holds this value (TX-OWN: never by two).
///
/// Its bytes lie in the slot's data region of 1920 bytes, between headroom for the headers that lower layers
/// prepend and tailroom. A super-segment has headers there and its payload in *attached pieces*: ranges of
/// the shared chunks of a ``ByteChain``, up to 64 KiB, without a copy. Whatever says "bytes" without more
/// means those in the slot; ``totalCount`` and trimming mean both.
///
/// Dropping the value gives the slot back to its pool, from any thread: the pool's own context does it
/// locally, everyone else by one compare-and-swap.
@frozen @safe public struct Packet: ~Copyable, @unchecked Sendable {
  @usableFromInline let slot: UnsafeMutableRawPointer

  /// Takes over the packet whose slot is `item`: the other half of ``intoItem()``. Exactly one for each.
  @inlinable @inline(__always) public init(item: ItemRef) { unsafe slot = item.raw }

  /// Gives up the value for its slot, to be linked into gates, mailboxes and lists. The slot is leaked unless
  /// ``init(item:)`` takes it over.
  @inlinable @inline(__always) public consuming func intoItem() -> ItemRef {
    let item = unsafe ItemRef(slot)
    discard self
    return item
  }

  @inlinable deinit { unsafe Packet.release(slot) }

  @usableFromInline static func release(_ slot: UnsafeMutableRawPointer) {
    unsafe letGo(slot)
    PoolCore.give(back: unsafe ItemRef(slot))
  }
  /// Drops the value as its end does, but for the slot, which goes back to its pool with others.
  @inlinable @inline(__always) public consuming func end(_ returned: inout ReturnedSlots) {
    unsafe Packet.letGo(slot)
    returned.append(unsafe ItemRef(slot))
    discard self
  }
  /// What the packet has beside its slot goes back.
  @inlinable @inline(__always) static func letGo(_ slot: UnsafeMutableRawPointer) {
    let owner = unsafe slot.load(fromByteOffset: PacketLayout.creditOwner, as: UInt.self)
    if owner != 0 { unsafe settle(owner, slot) }
    if unsafe slot.load(fromByteOffset: PacketLayout.attachment, as: UInt32.self) != 0 {
      unsafe releasePieces(slot)
    }
  }

  // MARK: Bytes

  /// Bytes of headroom that a new packet has unless asked otherwise: Ethernet with VLAN tag, IPv6, and TCP
  /// with all the options there is room for.
  @inlinable public static var headroomDefault: Int { 128 }
  /// Bytes in the data region: headroom, bytes and tailroom together.
  @inlinable public static var capacity: Int { PacketLayout.capacity }
  /// Bytes of memory that a packet without attached pieces occupies.
  @inlinable public static var occupied: Int { PacketLayout.slotBytes }
  /// Bytes of memory that the packet keeps from being used otherwise, as accounting wants it: its slot, and a
  /// whole chunk for each attached piece.
  @inlinable public var occupiedBytes: Int {
    PacketLayout.slotBytes &+ pieceCount &* ChunkLayout.slotBytes
  }

  /// Bytes in the slot.
  @inlinable @inline(__always) public internal(set) var count: Int {
    get { unsafe Int(slot.load(fromByteOffset: PacketLayout.count, as: UInt16.self)) }
    set {
      unsafe slot.storeBytes(
        of: UInt16(truncatingIfNeeded: newValue), toByteOffset: PacketLayout.count, as: UInt16.self)
    }
  }
  /// Where the first byte lies in the data region; what ``PacketMetadata/networkOffset`` is compared with.
  @inlinable @inline(__always) public internal(set) var startOffset: Int {
    get { unsafe Int(slot.load(fromByteOffset: PacketLayout.start, as: UInt16.self)) }
    set {
      unsafe slot.storeBytes(
        of: UInt16(truncatingIfNeeded: newValue), toByteOffset: PacketLayout.start, as: UInt16.self)
    }
  }
  @usableFromInline @inline(__always) var attachment: UInt32 {
    get { unsafe slot.load(fromByteOffset: PacketLayout.attachment, as: UInt32.self) }
    set { unsafe slot.storeBytes(of: newValue, toByteOffset: PacketLayout.attachment, as: UInt32.self) }
  }
  /// Ranges of shared chunks that follow the bytes in the slot.
  @inlinable @inline(__always) public var pieceCount: Int { Int(attachment &>> 24) }
  /// Bytes in those ranges.
  @inlinable @inline(__always) public var attachedCount: Int { Int(attachment & 0xff_ffff) }
  /// All the packet's bytes: in the slot and attached.
  @inlinable @inline(__always) public var totalCount: Int { count &+ attachedCount }

  /// How many bytes can be prepended.
  @inlinable @inline(__always) public var headroom: Int { startOffset }
  /// How many bytes can be appended; the places of attached pieces do not count.
  @inlinable @inline(__always) public var tailroom: Int {
    PacketLayout.capacity &- startOffset &- count &- pieceCount &* PacketLayout.pieceBytes
  }

  /// The bytes in the slot. Attached ones: ``forEachSpan(from:count:_:)``, ``copyBytes(from:count:into:)``.
  @inlinable public var bytes: RawSpan {
    @_lifetime(borrow self) @inline(__always) get {
      let span = unsafe RawSpan(_unsafeStart: UnsafeRawPointer(dataAddress), byteCount: count)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }
  /// The bytes in the slot, to be changed.
  @inlinable public var mutableBytes: MutableRawSpan {
    @_lifetime(&self) @inline(__always) mutating get {
      let span = unsafe MutableRawSpan(_unsafeStart: dataAddress, byteCount: count)
      return unsafe _overrideLifetime(span, mutating: &self)
    }
  }
  /// What is known about the packet.
  @inlinable public var metadata: PacketMetadata {
    @inline(__always) _read {
      yield unsafe slot.load(fromByteOffset: PacketLayout.metadata, as: PacketMetadata.self)
    }
    @inline(__always) _modify {
      yield unsafe &(slot + PacketLayout.metadata).assumingMemoryBound(to: PacketMetadata.self).pointee
    }
  }

  // MARK: Making room

  /// Makes the packet begin `amount` bytes earlier, with whatever lies there: also the way back after
  /// ``trimFront(_:)``. Traps when `amount` is more than ``headroom``.
  @inlinable @inline(__always) public mutating func prepend(_ amount: Int) {
    precondition(amount >= 0 && amount <= headroom, "TX-OWN: prepend beyond the slot's headroom")
    startOffset = startOffset &- amount
    count = count &+ amount
  }
  /// Makes the packet `amount` bytes longer, with whatever lies there. Traps when that is more than
  /// ``tailroom``, or when pieces are attached: their bytes come last.
  @inlinable @inline(__always) public mutating func append(_ amount: Int) {
    precondition(amount >= 0 && amount <= tailroom, "TX-OWN: append beyond the slot's tailroom")
    precondition(amount == 0 || attachment == 0, "TX-OWN: append to the slot behind attached pieces")
    count = count &+ amount
  }
  /// Drops `amount` bytes in front, attached ones when those in the slot do not suffice. Traps when there are
  /// fewer.
  @inlinable @inline(__always) public mutating func trimFront(_ amount: Int) {
    // Mostly a header, which lies in the slot.
    guard amount >= 0, amount <= count else { return trimBeyond(amount) }
    startOffset = startOffset &+ amount
    count = count &- amount
  }
  @usableFromInline mutating func trimBeyond(_ amount: Int) {
    precondition(amount >= 0 && amount <= totalCount, "RX-TOTAL: trim beyond the packet's end")
    let here = count
    startOffset = startOffset &+ here
    count = 0
    trimPiecesFront(amount &- here)
  }
  /// The same of bytes that lie in the slot. Traps when it has fewer.
  @inlinable @inline(__always) public mutating func trimHeader(_ amount: Int) {
    precondition(amount >= 0 && amount <= count, "RX-TOTAL: trim beyond the bytes in the slot")
    startOffset = startOffset &+ amount
    count = count &- amount
  }
  /// Drops `amount` bytes at the end, attached ones first. Traps when there are fewer.
  @inlinable public mutating func trimBack(_ amount: Int) {
    precondition(amount >= 0 && amount <= totalCount, "RX-TOTAL: trim beyond the packet's start")
    let attached = min(amount, attachedCount)
    if attached > 0 { trimPiecesBack(attached) }
    count = count &- (amount &- attached)
  }
  /// Shortens the packet to its first `total` bytes; a packet that is not longer stays as it is.
  @inlinable public mutating func truncate(to total: Int) {
    precondition(total >= 0, "RX-TOTAL: truncate to a negative length")
    if total < totalCount { trimBack(totalCount &- total) }
  }
  /// Forgets all bytes, and leaves `headroom` bytes in front.
  public mutating func reset(headroom: Int = Packet.headroomDefault) {
    precondition(headroom >= 0 && headroom <= Packet.capacity, "TX-OWN: headroom beyond the slot")
    if attachment != 0 { unsafe Packet.releasePieces(slot) }
    startOffset = headroom
    count = 0
  }

  // MARK: Escape hatches

  /// Address of the first byte, for system calls; valid while the packet is, until it is trimmed or prepended
  /// to.
  @inlinable @inline(__always) public var dataAddress: UnsafeMutableRawPointer {
    unsafe slot + (PacketLayout.data &+ startOffset)
  }
  /// Calls `body` with the bytes in the slot.
  @inlinable @inline(__always)
  public func withUnsafeBytes<R, E>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    try unsafe body(UnsafeRawBufferPointer(start: dataAddress, count: count))
  }
  /// Calls `body` with the bytes in the slot, to be changed.
  @inlinable @inline(__always)
  public mutating func withUnsafeMutableBytes<R, E>(
    _ body: (UnsafeMutableRawBufferPointer) throws(E) -> R
  ) throws(E) -> R {
    try unsafe body(UnsafeMutableRawBufferPointer(start: dataAddress, count: count))
  }
}
