// Payload on its way from a connection's owner to its reader, without a lock and without either waiting.
//
// Packets go through a mailbox. Small ones do not take a slot each: the owner writes the next bytes behind those of
// the newest packet, although the reader may be reading it, or may have read it to its end and be about to free
// it. One word, the *tail*, says whose it is:
//
//   tail:  0                 no packet may grow
//          OPEN  p, fill     the newest packet is p; its first `fill` bytes are written
//          BUSY  p, fill     the same, and the owner is writing behind them
//          LEFT  p           the reader had read p to its end while the owner was writing: p is the owner's
//
//   owner, to add n bytes                      reader, at the end of packet p as far as it knows it
//     CAS OPEN p,f → BUSY p,f, or post          loop: w = tail
//     write n bytes behind f                      w is not about p: p.fill says the rest (p is closed)
//     p.fill = f + n                              w says a fill beyond what is known: go on reading
//     CAS BUSY p,f → OPEN p,f+n                   CAS OPEN p → 0: free p
//       or it is LEFT p: free p, and post         CAS BUSY p → LEFT p: forget p
//   owner, to post q
//     q.fill = its length; tail = OPEN q; post q
//
// What was published can be read at any time, so nobody who was told of bytes finds none (SB-EXACT). p.fill lies in
// the slot and is written only while the slot cannot go, between BUSY and its end. The tail is set before the
// packet is posted: a reader that has a packet never takes it for closed because its owner is late.

import Buffers
import Exclusion

/// What owner and reader share: all atomic.
struct ReceiveQueue: ~Copyable {
  private let posted = Mailbox()
  private let tail = AtomicWord(0)
  /// Bytes appended for the reader; one writer, the owner.
  private let produced = AtomicWord(0)
  /// Bytes the reader took; one writer, the reader.
  private let consumed = AtomicWord(0)
  /// Memory appended and taken, in bytes; one writer each.
  private let occupiedIn = AtomicWord(0)
  private let occupiedOut = AtomicWord(0)

  /// Bytes that the reader has not taken.
  var available: Int { Int(truncatingIfNeeded: produced.load() &- consumed.loadRelaxed()) }
  /// Memory that they occupy, in bytes.
  var occupied: Int { Int(truncatingIfNeeded: occupiedIn.loadRelaxed() &- occupiedOut.load()) }
  /// Bytes that the reader took so far. The reader only.
  var taken: UInt64 { consumed.loadRelaxed() }

  /// Bytes appended so far, modulo 2⁶⁴.
  var total: UInt64 { produced.load() }

  // MARK: The owner

  /// What became of an appended packet.
  enum Appended {
    /// It waits for the reader.
    case posted
    /// Its bytes are behind those of the packet before; its slot is free.
    case collapsed
    /// It waits for the reader; and the slot before, which the reader had left to the owner, was freed.
    case postedInPlace(freed: Int)
  }

  /// Adds the next bytes of the stream; not empty. The owner only.
  func append(_ packet: consuming Packet, _ end: inout ReceiveEnd) -> Appended {
    let count = packet.totalCount
    var freed = 0
    if count <= end.room, packet.pieceCount == 0, mayExtend(&end) {
      switch extend(by: packet, &end) {
      case .extended:
        produced.store(produced.loadRelaxed() &+ UInt64(count))
        return .collapsed
      case .gone: break
      case .left: freed = Packet.occupied
      }
    }
    let occupied = packet.occupiedBytes
    let room = packet.pieceCount == 0 ? packet.tailroom : 0
    let last = unsafe packet.dataAddress + packet.count
    let item = packet.intoItem()
    item.value = UInt32(count)
    let mayGrow = room >= ReceiveEnd.worthwhileRoom
    unsafe end.open(item, fill: count, room: mayGrow ? room : 0, last)
    publish(item, mayGrow ? Tail.open(item, count) : 0)
    // The list first, the counts after it: who sees the count finds the packets.
    occupiedIn.store(occupiedIn.loadRelaxed() &+ UInt64(occupied) &- UInt64(freed))
    produced.store(produced.loadRelaxed() &+ UInt64(count))
    return freed == 0 ? .posted : .postedInPlace(freed: freed)
  }

  /// Adds packets in a row that are full: nothing grows behind them, and they fit behind nothing. The owner only.
  func append(_ packets: inout FullPackets, _ end: inout ReceiveEnd) {
    let (memory, bytes) = (packets.count * Packet.occupied, packets.bytes)
    end = ReceiveEnd()
    #if Explore
      if Mutation.receiveRowToldEarly.isOn { produced.store(produced.loadRelaxed() &+ UInt64(bytes)) }
    #endif
    tail.store(0)
    _ = posted.post(&packets.row)
    packets.bytes = 0
    occupiedIn.store(occupiedIn.loadRelaxed() &+ UInt64(memory))
    #if Explore
      if Mutation.receiveRowToldEarly.isOn { return }
    #endif
    produced.store(produced.loadRelaxed() &+ UInt64(bytes))
  }

  private func publish(_ item: ItemRef, _ word: UInt64) {
    #if Explore
      if Mutation.receiveTailSetAfterPosting.isOn {
        _ = posted.post(item, limit: Mailbox.maximumCount)
        return tail.store(word)
      }
    #endif
    tail.store(word)
    _ = posted.post(item, limit: Mailbox.maximumCount)
  }

  private enum Extended { case extended, gone, left }

  /// Whether the newest packet is not known to be the reader's. A reader who has taken it over does not give it back: then a
  /// look is enough.
  @inline(__always) private func mayExtend(_ end: inout ReceiveEnd) -> Bool {
    guard let item = end.item, tail.loadRelaxed() == Tail.open(item, end.fill) else {
      end.room = 0
      return false
    }
    return true
  }
  private func extend(by packet: borrowing Packet, _ end: inout ReceiveEnd) -> Extended {
    guard let item = end.item else { return .gone }
    let count = packet.count
    var seen = Tail.open(item, end.fill)
    let busy = Tail.busy(item, end.fill)
    guard tail.compareExchange(&seen, busy) else {
      end.room = 0
      return .gone
    }
    unsafe willLook(item.raw)  // it cannot go while it is BUSY
    unsafe end.write(packet.dataAddress, count)
    noteLength(item, end.fill)
    seen = busy
    if tail.compareExchange(&seen, Tail.open(item, end.fill)) { return .extended }
    end.room = 0
    _ = Packet(item: item)
    return .left
  }

  private func noteLength(_ item: ItemRef, _ fill: Int) {
    #if Explore
      if Mutation.receiveLengthNotInSlot.isOn { return }
    #endif
    item.storeValue(UInt32(fill))
  }

  /// Frees what the reader has not taken over; nothing is appended any more. Returns the memory that was freed. The
  /// owner only.
  func discard() -> Int {
    var freed = 0
    var items = posted.takeAll()
    while let item = items.popFirst() { freed += Packet(item: item).occupiedBytes }
    occupiedIn.store(occupiedIn.loadRelaxed() &- UInt64(freed))
    return freed
  }

  // MARK: The reader

  /// Copies at most so many bytes as `buffer` has. Returns how many, and the memory that was freed. The holder of
  /// the read turn only.
  func read(_ reader: inout ReceiveReader, into buffer: UnsafeMutableRawBufferPointer) -> (
    count: Int, freed: Int
  ) {
    guard let base = buffer.baseAddress else { return (0, 0) }
    var copied = 0
    return take(&reader, atMost: buffer.count) { packet, count in
      if packet.pieceCount == 0 {
        unsafe (base + copied).copyMemory(from: packet.dataAddress, byteCount: count)
      } else {
        unsafe packet.copyBytes(from: 0, count: count, into: base + copied)
      }
      copied += count
      return count
    }
  }

  /// Calls `body` with the bytes where they lie, piece by piece, at most `limit` of them, until it does not take all
  /// of a piece; it returns how many it took. Returns how many were taken, and the memory that was freed. The holder of
  /// the read turn only.
  func lend(_ reader: inout ReceiveReader, atMost limit: Int, _ body: (RawSpan) -> Int) -> (
    count: Int, freed: Int
  ) {
    take(&reader, atMost: limit) { packet, count in
      guard packet.pieceCount > 0 else {
        let taken = body(packet.bytes.extracting(0..<count))
        precondition(taken >= 0 && taken <= count, "more bytes taken than were lent")
        return taken
      }
      var taken = 0
      var goesOn = true
      packet.forEachSpan(from: 0, count: count) { span in
        guard goesOn else { return }
        let count = body(span)
        precondition(count >= 0 && count <= span.byteCount, "more bytes taken than were lent")
        taken += count
        goesOn = count == span.byteCount
      }
      return taken
    }
  }

  /// Calls `body` once with where the bytes lie, at most `limit` of them in at most ``lentPieces`` pieces; it returns how
  /// many it took, from their start. Returns how many were taken, and the memory that was freed; nothing, and no call of
  /// `body`, if nothing is there. The holder of the read turn only.
  func lendPieces(
    _ reader: inout ReceiveReader, atMost limit: Int,
    _ body: (UnsafeBufferPointer<UnsafeRawBufferPointer>) -> Int
  ) -> (count: Int, freed: Int) {
    unsafe withUnsafeTemporaryAllocation(of: UnsafeRawBufferPointer.self, capacity: Self.lentPieces) {
      places in
      var (pieces, bytes) = (0, 0)
      unsafe look(&reader, atMost: limit) { piece in
        unsafe places.initializeElement(at: pieces, to: UnsafeRawBufferPointer(piece))
        pieces += 1
        bytes += piece.count
        return pieces < Self.lentPieces
      }
      guard pieces > 0 else { return (0, 0) }
      let wanted = unsafe body(UnsafeBufferPointer(rebasing: places[..<pieces]))
      precondition(wanted >= 0 && wanted <= bytes, "more bytes taken than were lent")
      return take(&reader, atMost: wanted) { _, count in count }
    }
  }
  /// Pieces that are lent at once: of super-segments a quarter of a megabyte.
  static var lentPieces: Int { 80 }

  /// Passes over packets, oldest first, until `use` has had `limit` bytes: it gets a packet and how many of its first
  /// bytes, and says how many of them it took. Fewer than it got end it.
  @inline(__always) private func take(
    _ reader: inout ReceiveReader, atMost limit: Int, _ use: (borrowing Packet, Int) -> Int
  ) -> (count: Int, freed: Int) {
    var taken = 0
    var freed = 0
    var returned = ReturnedSlots()
    while taken < limit {
      if reader.packets.isEmpty { reader.packets.append(contentsOf: posted.takeAll()) }
      guard let item = reader.packets.popFirst() else { break }
      unsafe willLook(item.raw)
      var packet = Packet(item: item)
      if reader.known == 0 { reader.known = packet.totalCount }
      let offered = min(packet.totalCount, limit - taken)
      let count = use(packet, offered)
      if packet.pieceCount == 0 {
        packet.trimFront(count)
      } else {
        let before = packet.occupiedBytes
        packet.trimFront(count)
        freed += before - packet.occupiedBytes  // chunk by chunk
      }
      taken += count
      guard packet.totalCount == 0 else {
        reader.packets.prepend(packet.intoItem())
        break
      }
      switch finish(item, known: reader.known) {
      case .grew(let amount):
        packet.append(amount)
        reader.known += amount
        reader.packets.prepend(packet.intoItem())
      case .mine:
        reader.known = 0
        freed += packet.occupiedBytes
        packet.end(&returned)
      case .left:
        reader.known = 0
        _ = packet.intoItem()
      }
    }
    if freed > 0 { occupiedOut.store(occupiedOut.loadRelaxed() &+ UInt64(freed)) }
    if taken > 0 { consumed.store(consumed.loadRelaxed() &+ UInt64(taken)) }
    return (taken, freed)
  }

  /// Copies at most so many bytes as `buffer` has, and leaves them. Returns how many. The holder of the read turn only.
  func peek(_ reader: inout ReceiveReader, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    guard let base = buffer.baseAddress else { return 0 }
    var copied = 0
    unsafe look(&reader, atMost: buffer.count) { piece in
      if let bytes = piece.baseAddress {
        unsafe (base + copied).copyMemory(from: bytes, byteCount: piece.count)
      }
      copied += piece.count
      return true
    }
    return copied
  }

  /// Calls `body` with where the bytes lie, piece by piece, at most `limit` of them, until it says false; and leaves them.
  /// The holder of the read turn only.
  private func look(
    _ reader: inout ReceiveReader, atMost limit: Int, _ body: (UnsafeMutableRawBufferPointer) -> Bool
  ) {
    reader.packets.append(contentsOf: posted.takeAll())
    var (seen, next) = (0, reader.packets.first)
    var (isFirst, goesOn) = (true, true)
    while goesOn, seen < limit, let item = next {
      next = item.next
      var packet = Packet(item: item)
      // Of those behind the first nothing was read: what they have is what is known of them.
      let known = isFirst && reader.known != 0 ? reader.known : packet.totalCount
      let fill = published(item)
      if fill > known { packet.append(fill - known) }
      if isFirst { reader.known = max(known, fill) }
      isFirst = false
      let count = min(packet.totalCount, limit - seen)
      if packet.pieceCount == 0 {
        goesOn = unsafe body(UnsafeMutableRawBufferPointer(start: packet.dataAddress, count: count))
      } else {
        unsafe packet.forEachBuffer(count: count) { piece in
          if goesOn { goesOn = unsafe body(piece) }
        }
      }
      seen += count
      _ = packet.intoItem()
    }
  }

  /// Bytes that a posted packet was given so far.
  private func published(_ item: ItemRef) -> Int {
    let seen = tail.load()
    return Tail.isAbout(item, seen) ? Tail.fill(seen) : Int(item.loadValue())
  }

  private enum Finished {
    case grew(Int)
    case mine
    case left
  }

  /// Whether there is more in a packet that was read to its known end, or else whose it is now.
  @inline(__always) private func finish(_ item: ItemRef, known: Int) -> Finished {
    var seen = tail.load()
    while Tail.isAbout(item, seen) {
      let fill = Tail.fill(seen)
      if fill > known { return .grew(fill - known) }
      let isBusy = Tail.isBusy(seen)
      #if Explore
        if isBusy ? Mutation.receiveEndTakenFromWriter.isOn : Mutation.receiveEndTakenByStore.isOn {
          tail.store(0)
          return .mine
        }
      #endif
      if tail.compareExchange(&seen, isBusy ? Tail.left(item) : 0) { return isBusy ? .left : .mine }
    }
    let fill = Int(item.loadValue())
    return fill > known ? .grew(fill - known) : .mine
  }

  /// Frees everything; nobody reads or appends any more. Returns the memory that was freed.
  func discardAll(_ reader: inout ReceiveReader) -> Int {
    var freed = discard()
    while let item = reader.packets.popFirst() { freed += Packet(item: item).occupiedBytes }
    return freed
  }
}

/// Full packets in their order, which are posted as one. Private to the owner; one that is dropped drops no packet.
struct FullPackets: ~Copyable {
  fileprivate var row = PostedRow()
  fileprivate(set) var bytes = 0
  var count: Int { row.count }

  /// One for which ``ReceiveEnd/isFull(_:)``.
  @inline(__always) mutating func append(_ packet: consuming Packet) {
    let count = packet.count
    let item = packet.intoItem()
    item.value = UInt32(count)
    row.append(item)
    bytes += count
  }
}

/// What only the reader touches.
struct ReceiveReader: ~Copyable {
  /// Packets taken from the queue and not yet read to their end.
  fileprivate var packets = ItemList()
  /// Bytes that the first of them has, as far as the reader knows, those read included; 0: it was not looked at.
  fileprivate var known = 0
  /// Bytes consumed when the owner was last told.
  var told: UInt64 = 0
}

/// What only the owner touches: the newest packet, which may be the reader's by now.
@safe struct ReceiveEnd {
  /// A packet with less room than this behind its bytes is not worth an atomic operation of its reader's.
  static var worthwhileRoom: Int { 512 }

  fileprivate var item: ItemRef?
  /// Bytes written since the packet was posted, and those that it had then.
  fileprivate var fill = 0
  /// Bytes that can be written behind them; 0: the packet is not known to be there.
  fileprivate var room = 0
  /// Where the next byte goes.
  private var next: UInt = 0

  /// Whether a packet stands for itself: it does not fit behind the newest, and nothing behind it.
  @inline(__always) func isFull(_ packet: borrowing Packet) -> Bool {
    packet.pieceCount == 0 && packet.count > room && packet.tailroom < Self.worthwhileRoom
  }

  fileprivate mutating func open(_ item: ItemRef, fill: Int, room: Int, _ next: UnsafeMutableRawPointer) {
    (self.item, self.fill, self.room) = (item, fill, room)
    self.next = UInt(bitPattern: next)
  }
  fileprivate mutating func write(_ bytes: UnsafeMutableRawPointer, _ count: Int) {
    guard let target = unsafe UnsafeMutableRawPointer(bitPattern: next) else { return }
    unsafe target.copyMemory(from: bytes, byteCount: count)
    next += UInt(count)
    fill += count
    room -= count
  }
}

/// The words of a tail: address / 64 42 · fill 20 · state 2. A slot's bytes are fewer than 2²⁰.
private enum Tail {
  static func open(_ item: ItemRef, _ fill: Int) -> UInt64 { about(item) | UInt64(fill) &<< 2 | 1 }
  static func busy(_ item: ItemRef, _ fill: Int) -> UInt64 { about(item) | UInt64(fill) &<< 2 | 2 }
  static func left(_ item: ItemRef) -> UInt64 { about(item) | 3 }
  static func isAbout(_ item: ItemRef, _ word: UInt64) -> Bool {
    word & ~0x3F_FFFF == about(item) && word & 3 != 3
  }
  static func isBusy(_ word: UInt64) -> Bool { word & 3 == 2 }
  static func fill(_ word: UInt64) -> Int { Int(truncatingIfNeeded: word &>> 2 & 0xF_FFFF) }
  private static func about(_ item: ItemRef) -> UInt64 { UInt64(item.address) &<< 16 }
}
