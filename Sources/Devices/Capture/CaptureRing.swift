public import Buffers
public import Exclusion
public import Timing

/// Bounded memory between a packet path that must not wait and a file that may: finished Enhanced Packet
/// Blocks, oldest first, for one producer and one consumer.
///
/// The producer is one queue's receiving context, or the owner of one transmit queue's gate (owners follow
/// one another through the gate). A frame for which there is no room is counted and lost; nothing waits.
/// A block is never split by the end of the memory, so what the consumer takes is always whole.
@safe
public final class CaptureRing: @unchecked Sendable {  // the memory is handed over by `tail` and `head`
  /// (c) The blocks, at their offsets modulo `capacity`.
  private let memory: UnsafeMutableRawPointer
  /// (c) Bytes of memory, a power of two.
  private let capacity: Int
  /// (c) Bytes kept of a frame.
  private let snapLength: Int
  /// (c) The number of the interface in the file.
  private let interface: UInt32
  /// (c) Nanoseconds from the beginning of 1970 to the beginning of the monotonic clock.
  private let epoch: UInt64
  private let direction: PcapNG.Direction

  /// (a) Bytes that the producer has ever published; it alone stores.
  private let tail = AtomicWord(0)
  /// (a) Bytes that the consumer has ever taken; it alone stores.
  private let head = AtomicWord(0)
  /// (p) Where `tail` will be once the staged block is published; `tail` itself when none is.
  private let staged = AtomicWord(0)
  /// (p) Drops that blocks in the ring have told about.
  private let toldDrops = AtomicWord(0)
  // (a): atomic, (c): constant, (p): the producer's own, atomic only because producers follow one another.

  /// Frames that were offered and taken onto or from the link, those lost included.
  public let frames = Counter()
  /// Frames that found no room.
  public let drops = Counter()

  /// A ring of at least `byteCount` bytes, rounded up to a power of two that holds several of the largest
  /// frames.
  ///
  /// - Parameters:
  ///   - interface: the number of the interface in the file, in the order of its descriptions.
  ///   - direction: the way of every frame in this ring.
  ///   - snapLength: bytes kept of each frame, 1 to 262,144.
  ///   - epoch: nanoseconds from 1970 to the beginning of the clock that stamps packets.
  public init(
    byteCount: Int, interface: UInt32, direction: PcapNG.Direction, snapLength: Int, epoch: UInt64
  ) {
    precondition((1...262_144).contains(snapLength), "a snap length is 1 to 262,144 bytes")
    let least = max(byteCount, 4 * EnhancedPacket.largestBlock(frame: snapLength))
    capacity = 1 << (Int.bitWidth - (least - 1).leadingZeroBitCount)
    unsafe memory = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 64)
    self.interface = interface
    self.direction = direction
    self.snapLength = snapLength
    self.epoch = epoch
  }

  deinit { unsafe memory.deallocate() }

  // MARK: Producer

  /// Copies a frame and publishes it. Any context; never waits.
  ///
  /// - Returns: whether there was room.
  @discardableResult
  public func record(_ packet: borrowing Packet, at now: Instant) -> Bool {
    let isStaged = stage(packet, at: now)
    commit()
    return isStaged
  }

  /// Copies a frame, its attached pieces included, without publishing it: the driver has yet to say whether
  /// it takes the packet. One of `commit` and `abandon` follows.
  @discardableResult
  public func stage(_ packet: borrowing Packet, at now: Instant) -> Bool {
    stage(count: packet.totalCount, at: now) { memory in packet.copyBytes(from: 0, into: &memory) }
  }

  /// Stages a frame of `count` bytes, of which `copy` fills in as many as it is asked for.
  func stage(count frameCount: Int, at now: Instant, copy: (inout MutableRawSpan) -> Void) -> Bool {
    let packet = EnhancedPacket(
      interface: interface, time: now.nanoseconds &+ epoch, capturedCount: min(frameCount, snapLength),
      originalCount: frameCount, direction: direction, drops: drops.value &- toldDrops.loadRelaxed())
    let count = packet.blockCount
    let tail = tail.loadRelaxed()
    let offset = Int(tail) & (capacity - 1)
    let skipped = offset + count > capacity ? capacity - offset : 0
    guard Int(tail &- head.load()) + skipped + count <= capacity else {
      staged.storeRelaxed(tail)
      return false
    }
    if skipped > 0 {
      // Blocks are whole words and so is the memory: there is room for the mark.
      unsafe memory.storeBytes(of: Self.skipMark, toByteOffset: offset, as: UInt32.self)
    }
    let start = skipped > 0 ? 0 : offset
    // Between tail and head + capacity the memory is the producer's.
    var block = unsafe MutableRawSpan(_unsafeStart: memory + start, byteCount: count)
    packet.emit(into: &block)
    let frameStart = start + packet.frameRange.lowerBound
    var frame = unsafe MutableRawSpan(_unsafeStart: memory + frameStart, byteCount: packet.frameRange.count)
    copy(&frame)
    staged.storeRelaxed(tail &+ UInt64(skipped + count))
    return true
  }

  /// Publishes what was staged, or counts the frame as lost if there was no room for it.
  public func commit() {
    frames.increment()
    let end = staged.loadRelaxed()
    if end == tail.loadRelaxed() {
      drops.increment()
    } else {
      toldDrops.storeRelaxed(drops.value)
      tail.store(end)
    }
  }

  /// Forgets what was staged: the frame did not go onto the link.
  public func abandon() { staged.storeRelaxed(tail.loadRelaxed()) }

  // MARK: Consumer

  /// The time of the oldest block, nanoseconds since 1970; nil when the ring is empty. Consumer only.
  public var firstTime: UInt64? {
    guard let offset = firstOffset else { return nil }
    let high = unsafe memory.loadUnaligned(
      fromByteOffset: offset + EnhancedPacket.timeOffset, as: UInt32.self)
    let low = unsafe memory.loadUnaligned(
      fromByteOffset: offset + EnhancedPacket.timeOffset + 4, as: UInt32.self)
    return UInt64(UInt32(littleEndian: high)) << 32 | UInt64(UInt32(littleEndian: low))
  }

  /// Lends the oldest block and takes it out of the ring. False when the ring is empty. Consumer only.
  public func takeFirst(_ body: (RawSpan) -> Void) -> Bool {
    guard let offset = firstOffset else { return false }
    let count = unsafe memory.loadUnaligned(
      fromByteOffset: offset + EnhancedPacket.lengthOffset, as: UInt32.self)
    // Between head and tail the memory is the consumer's.
    unsafe body(RawSpan(_unsafeStart: memory + offset, byteCount: Int(UInt32(littleEndian: count))))
    head.store(head.loadRelaxed() &+ UInt64(UInt32(littleEndian: count)))
    return true
  }

  /// Where the oldest block is, past the mark at the end of the memory if that comes first.
  private var firstOffset: Int? {
    let head = head.loadRelaxed()
    guard head != tail.load() else { return nil }
    let offset = Int(head) & (capacity - 1)
    guard unsafe memory.load(fromByteOffset: offset, as: UInt32.self) == Self.skipMark else { return offset }
    // A mark is published together with the block after it.
    self.head.store(head &+ UInt64(capacity - offset))
    return 0
  }

  /// No block type: reserved by pcapng section 11.1.
  private static let skipMark: UInt32 = 0
}
