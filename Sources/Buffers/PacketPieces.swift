public import Wire

/// A range of a shared chunk, as a packet keeps it: in its slot's last bytes, piece *i* at 16 × (*i* + 1)
/// from the end.
@safe @frozen @usableFromInline struct PacketPiece {
  @usableFromInline var chunk: UInt
  @usableFromInline var offset: UInt32
  @usableFromInline var count: UInt32

  @usableFromInline init(chunk: UInt, offset: UInt32, count: UInt32) {
    (self.chunk, self.offset, self.count) = (chunk, offset, count)
  }
  @usableFromInline var data: UnsafeMutableRawPointer { unsafe ChunkRef(address: chunk).data + Int(offset) }
}

/// A place in a packet's bytes: those in the slot, then those of one piece after the other. Means nothing after a change of
/// the packet.
@frozen public struct PacketCursor: Sendable {
  /// −1: the slot.
  @usableFromInline var piece = -1
  @usableFromInline var offset: Int

  /// The place `offset` bytes behind the packet's first one, which is in its slot or just behind that.
  @inlinable public init(slotOffset offset: Int) { self.offset = offset }
}

/// Super-segments: payload that a packet refers to instead of holding it.
extension Packet {
  /// How many pieces a packet takes: 64 KiB in whole chunks, and some room for shorter ones.
  public static var pieceLimit: Int { 24 }

  /// Attaches `count` bytes of `chain`, from `offset`, behind everything the packet has: shared, not copied.
  /// The chunks live on while the packet does, whatever the chain drops meanwhile.
  ///
  /// - Returns: how many bytes were attached; fewer than asked for where ``pieceLimit`` or the slot's
  ///   tailroom (16 bytes a piece) ends. Traps when the chain does not have the bytes.
  public mutating func attach(_ chain: inout ByteChain, offset: Int, count wanted: Int) -> Int {
    chain.seek(to: offset)
    var attached = 0
    chain.forEachRange(offset: offset, count: wanted) { node, at, length in
      guard canTakePiece else { return false }
      node.chunk.retain()
      add(
        PacketPiece(
          chunk: node.chunk.address, offset: UInt32(node.offset &+ at), count: UInt32(length)))
      attached &+= length
      return true
    }
    return attached
  }

  /// Attaches fresh memory of at least `count` bytes, with whatever lies there, for a device to read a
  /// super-segment into; cut it with ``truncate(to:)`` afterwards.
  ///
  /// - Parameter pool: of the calling context.
  /// - Returns: false when the pool or ``pieceLimit`` does not allow it; the packet is as it was.
  public mutating func attachRoom(_ wanted: Int, from pool: ChunkPoolRef) -> Bool {
    let before = totalCount
    var left = wanted
    while left > 0 {
      guard canTakePiece, let chunk = pool.allocateChunk() else {
        truncate(to: before)
        return false
      }
      let length = min(left, ChunkLayout.capacity)
      add(PacketPiece(chunk: chunk.address, offset: 0, count: UInt32(length)))
      left &-= length
    }
    return true
  }

  /// Copies `count` bytes from `offset`, counted over the slot's and the attached ones, to `destination`.
  /// Traps when the packet does not have them.
  public func copyBytes(from offset: Int, count wanted: Int, into destination: UnsafeMutableRawPointer) {
    var target = unsafe destination
    unsafe forEachRange(from: offset, count: wanted) { address, length in
      unsafe target.copyMemory(from: address, byteCount: length)
      unsafe target += length
    }
  }
  /// Copies the next `count` bytes from `cursor` on, and moves it behind them: for who goes through a packet from front to
  /// end, and does not look for each place anew. Traps when the packet does not have them.
  public func copyNext(
    _ wanted: Int, from cursor: inout PacketCursor, into destination: UnsafeMutableRawPointer
  ) {
    var target = unsafe destination
    unsafe forEachNext(wanted, from: &cursor) { address, length in
      unsafe target.copyMemory(from: address, byteCount: length)
      unsafe target += length
    }
  }
  /// The same, and adds the bytes to `sum`.
  public func copyNext(
    _ wanted: Int, from cursor: inout PacketCursor, into destination: UnsafeMutableRawPointer,
    addingTo sum: inout InternetChecksum
  ) {
    var target = unsafe destination
    unsafe forEachNext(wanted, from: &cursor) { address, length in
      unsafe sum.add(copying: address, to: target, count: length)
      unsafe target += length
    }
  }
  @inline(__always) private func forEachNext(
    _ wanted: Int, from cursor: inout PacketCursor, _ body: (UnsafeRawPointer, Int) -> Void
  ) {
    var left = wanted
    while left > 0 {
      precondition(cursor.piece < pieceCount, "RX-TOTAL: a look beyond the packet's end")
      var (address, length) = unsafe (dataAddress, count)
      if cursor.piece >= 0 {
        let piece = unsafe Packet.piece(slot, cursor.piece).pointee
        unsafe (address, length) = (piece.data, Int(piece.count))
      }
      let taken = min(left, length &- cursor.offset)
      guard taken > 0 else {
        (cursor.piece, cursor.offset) = (cursor.piece &+ 1, 0)
        continue
      }
      unsafe body(UnsafeRawPointer(address + cursor.offset), taken)
      cursor.offset &+= taken
      left &-= taken
    }
  }
  /// Copies as many bytes as `destination` has, from `offset`. Traps when the packet does not have them.
  public func copyBytes(from offset: Int, into destination: inout MutableRawSpan) {
    unsafe destination.withUnsafeMutableBytes { target in
      guard let base = target.baseAddress else { return }
      unsafe copyBytes(from: offset, count: target.count, into: base)
    }
  }
  /// Calls `body` with `count` bytes from `offset`, in as many spans as they lie in.
  public func forEachSpan(from offset: Int, count wanted: Int, _ body: (RawSpan) -> Void) {
    unsafe forEachRange(from: offset, count: wanted) { address, length in
      unsafe body(RawSpan(_unsafeStart: UnsafeRawPointer(address), byteCount: length))
    }
  }
  /// Calls `body` with where the packet's bytes lie, the slot's own first: what `readv` and `writev` take.
  public func forEachBuffer(_ body: (UnsafeMutableRawBufferPointer) -> Void) {
    unsafe forEachBuffer(count: totalCount, body)
  }
  /// Calls `body` with where the packet's first `wanted` bytes lie, the slot's own first.
  public func forEachBuffer(count wanted: Int, _ body: (UnsafeMutableRawBufferPointer) -> Void) {
    unsafe forEachRange(from: 0, count: wanted) { address, length in
      unsafe body(UnsafeMutableRawBufferPointer(start: address, count: length))
    }
  }

  /// Replaces the packet's contents by those of `other`, sharing its attached chunks; metadata too, headroom
  /// as there. For who must keep a packet and send it as well.
  public mutating func becomeCopy(of other: borrowing Packet) {
    reset(headroom: other.headroom)
    append(other.count)
    unsafe dataAddress.copyMemory(from: other.dataAddress, byteCount: other.count)
    metadata = other.metadata
    forfeitCredit()  // one packet's credit comes back once
    for index in 0..<other.pieceCount {
      let piece = unsafe Packet.piece(other.slot, index).pointee
      ChunkRef(address: piece.chunk).retain()
      add(piece)
    }
  }

  // MARK: Pieces

  private static func piece(
    _ slot: UnsafeMutableRawPointer, _ index: Int
  ) -> UnsafeMutablePointer<PacketPiece> {
    unsafe (slot + (PacketLayout.slotBytes &- PacketLayout.pieceBytes &* (index &+ 1)))
      .assumingMemoryBound(to: PacketPiece.self)
  }

  private var canTakePiece: Bool {
    pieceCount < Packet.pieceLimit && tailroom >= PacketLayout.pieceBytes
      && attachedCount <= 0xff_ffff &- ChunkLayout.capacity
  }

  private mutating func add(_ piece: PacketPiece) {
    unsafe Packet.piece(slot, pieceCount).initialize(to: piece)
    setAttachment(pieces: pieceCount &+ 1, bytes: attachedCount &+ Int(piece.count))
  }

  /// Adds a whole chunk of the spare room, whose reference becomes the packet's.
  mutating func addSpare(_ chunk: UInt, _ count: Int) {
    precondition(canTakePiece, "TX-OWN: no place for another piece")
    add(PacketPiece(chunk: chunk, offset: 0, count: UInt32(count)))
  }

  private mutating func setAttachment(pieces: Int, bytes: Int) {
    attachment = UInt32(truncatingIfNeeded: pieces &<< 24 | bytes)
  }

  private func forEachRange(
    from offset: Int, count wanted: Int, _ body: (UnsafeMutableRawPointer, Int) -> Void
  ) {
    precondition(
      offset >= 0 && wanted >= 0 && wanted <= totalCount &- offset,
      "RX-TOTAL: a look beyond the packet's end")
    var skip = offset
    var left = wanted
    if skip < count, left > 0 {
      let length = min(left, count &- skip)
      unsafe body(dataAddress + skip, length)
      left &-= length
      skip = 0
    } else {
      skip &-= count
    }
    var index = 0
    while left > 0 {
      let piece = unsafe Packet.piece(slot, index).pointee
      index &+= 1
      if skip >= Int(piece.count) {
        skip &-= Int(piece.count)
        continue
      }
      let length = min(left, Int(piece.count) &- skip)
      unsafe body(piece.data + skip, length)
      left &-= length
      skip = 0
    }
  }

  @usableFromInline mutating func trimPiecesFront(_ amount: Int) {
    let (pieces, bytes) = (pieceCount, attachedCount)
    var (left, dropped) = (amount, 0)
    while left > 0 {
      let piece = unsafe Packet.piece(slot, dropped)
      let length = unsafe Int(piece.pointee.count)
      if left < length {
        unsafe piece.pointee.offset += UInt32(left)
        unsafe piece.pointee.count -= UInt32(left)
        break
      }
      ChunkRef(address: unsafe piece.pointee.chunk).release()
      left &-= length
      dropped &+= 1
    }
    if dropped > 0 {
      for index in dropped..<pieces {
        unsafe Packet.piece(slot, index &- dropped).pointee = Packet.piece(slot, index).pointee
      }
    }
    setAttachment(pieces: pieces &- dropped, bytes: bytes &- amount)
  }

  @usableFromInline mutating func trimPiecesBack(_ amount: Int) {
    let bytes = attachedCount
    var (left, pieces) = (amount, pieceCount)
    while left > 0 {
      let piece = unsafe Packet.piece(slot, pieces &- 1)
      let length = unsafe Int(piece.pointee.count)
      if left < length {
        unsafe piece.pointee.count -= UInt32(left)
        break
      }
      ChunkRef(address: unsafe piece.pointee.chunk).release()
      left &-= length
      pieces &-= 1
    }
    setAttachment(pieces: pieces, bytes: bytes &- amount)
  }

  @usableFromInline static func releasePieces(_ slot: UnsafeMutableRawPointer) {
    let attachment = unsafe slot.load(fromByteOffset: PacketLayout.attachment, as: UInt32.self)
    for index in 0..<Int(attachment &>> 24) {
      ChunkRef(address: unsafe piece(slot, index).pointee.chunk).release()
    }
    unsafe slot.storeBytes(of: 0, toByteOffset: PacketLayout.attachment, as: UInt32.self)
  }
}
