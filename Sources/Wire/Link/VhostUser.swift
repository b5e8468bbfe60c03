/// What stands before each message of the vhost-user protocol, by which a virtual machine's monitor hands the rings of a
/// virtio device to another process (QEMU, docs/interop/vhost-user.rst, "Header"). In the byte order of the machine that
/// both are on, which is little-endian here.
@frozen public struct VhostUserHeader: Hashable, Sendable {
  /// Length of every header.
  @inlinable public static var byteCount: Int { 12 }
  /// A longer payload is no front-end's that we speak to.
  @inlinable public static var payloadLimit: Int { 1024 }

  /// What is asked for, or answered.
  public var request: UInt32
  /// An answer.
  public var isReply: Bool
  /// An answer is wanted also where there is nothing to tell: 0 for done.
  public var needsReply: Bool
  /// Bytes of payload.
  public var size: Int

  /// A header of version 1.
  @inlinable public init(request: UInt32, isReply: Bool = false, needsReply: Bool = false, size: Int) {
    (self.request, self.isReply, self.needsReply, self.size) = (request, isReply, needsReply, size)
  }

  /// Parses the header at the start of `bytes`. Throws where the version is not 1, or the payload is longer than
  /// ``payloadLimit``.
  public static func parse(_ bytes: RawSpan) throws(WireError) -> VhostUserHeader {
    try bytes.require(byteCount)
    let (flags, size) = (bytes.little32(at: 4), Int(bytes.little32(at: 8)))
    guard flags & 3 == 1 else { throw .badVersion(UInt8(flags & 3)) }
    guard size <= payloadLimit else { throw .badLength(size) }
    return VhostUserHeader(
      request: bytes.little32(at: 0), isReply: flags & 4 != 0, needsReply: flags & 8 != 0, size: size)
  }

  /// Writes the header to the start of `span`.
  public func emit(into span: inout MutableRawSpan) {
    span.set(request.byteSwapped, at: 0)
    span.set((1 | (isReply ? 4 : 0) | (needsReply ? 8 : 0) as UInt32).byteSwapped, at: 4)
    span.set(UInt32(size).byteSwapped, at: 8)
  }
}

/// A piece of a guest's memory ("Memory region description").
@frozen public struct VhostUserRegion: Hashable, Sendable {
  /// Where the guest sees it.
  public var guestAddress: UInt64
  /// Bytes.
  public var size: UInt64
  /// Where the front-end sees it, by which it names rings.
  public var userAddress: UInt64
  /// Where it begins in its file.
  public var fileOffset: UInt64

  /// A piece.
  @inlinable public init(guestAddress: UInt64, size: UInt64, userAddress: UInt64, fileOffset: UInt64) {
    (self.guestAddress, self.size) = (guestAddress, size)
    (self.userAddress, self.fileOffset) = (userAddress, fileOffset)
  }
}

/// Where the three parts of a ring lie, in the front-end's addresses ("A vring address description").
@frozen public struct VhostUserRingAddress: Hashable, Sendable {
  /// Which ring.
  public var ring: UInt32
  /// Bit 0: writes are to be logged.
  public var flags: UInt32
  /// The table of descriptors.
  public var descriptors: UInt64
  /// The used ring.
  public var used: UInt64
  /// The available ring.
  public var available: UInt64

  /// Three places.
  @inlinable public init(
    ring: UInt32, flags: UInt32 = 0, descriptors: UInt64, used: UInt64, available: UInt64
  ) {
    (self.ring, self.flags, self.descriptors) = (ring, flags, descriptors)
    (self.used, self.available) = (used, available)
  }
}

/// A message of a front-end's, as far as this back-end speaks it ("Front-end message types").
public enum VhostUserMessage: Hashable, Sendable {
  /// What the device can do; answered.
  case getFeatures
  /// What is to be used of it.
  case setFeatures(UInt64)
  /// What the back-end can do of the protocol; answered.
  case getProtocolFeatures
  /// What is to be used of it.
  case setProtocolFeatures(UInt64)
  /// The front-end is there.
  case setOwner
  /// All rings are to stop: deprecated.
  case resetOwner
  /// The guest's memory, with a descriptor for each piece.
  case setMemoryTable([VhostUserRegion])
  /// How many places a ring has.
  case setRingSize(ring: UInt32, value: UInt32)
  /// Where a ring is.
  case setRingAddress(VhostUserRingAddress)
  /// Where to go on in a ring.
  case setRingBase(ring: UInt32, value: UInt32)
  /// Stops a ring; answered with where it stood.
  case getRingBase(ring: UInt32)
  /// A descriptor by which the guest tells that there is something in a ring; false: there is none.
  case setRingKick(ring: UInt8, hasDescriptor: Bool)
  /// One by which the guest is told.
  case setRingCall(ring: UInt8, hasDescriptor: Bool)
  /// One by which the front-end is told that a ring is broken.
  case setRingError(ring: UInt8, hasDescriptor: Bool)
  /// Whether a ring has an effect.
  case setRingEnabled(ring: UInt32, value: UInt32)
  /// How many pairs of rings there may be; answered.
  case getQueueCount
  /// Something else.
  case unknown

  /// Pieces of memory that a table may have.
  @inlinable public static var regionLimit: Int { 8 }
  @usableFromInline static let noDescriptor: UInt64 = 0x100

  /// Parses the payload that came behind `header`. Throws `.badLength` where it has not the size that its message has, or
  /// a table has more pieces than ``regionLimit`` or none, and `.unsupported` for an answer.
  public static func parse(_ header: VhostUserHeader, _ payload: RawSpan) throws(WireError)
    -> VhostUserMessage
  {
    try payload.require(header.size)
    if header.isReply { throw .unsupported }
    func exactly(_ count: Int) throws(WireError) {
      guard header.size == count else { throw .badLength(header.size) }
    }
    switch header.request {
    case 5: return .setMemoryTable(try regions(header, payload))
    case 1, 3, 4, 15, 17: try exactly(0)
    case 9: try exactly(40)
    case 2, 8, 10...14, 16, 18: try exactly(8)
    default: return .unknown
    }
    // Of those that have a payload: what its first eight bytes are, in each of three readings.
    let bits = header.size >= 8 ? payload.little64(at: 0) : 0
    let (ring, value) = (UInt32(truncatingIfNeeded: bits), UInt32(truncatingIfNeeded: bits >> 32))
    let (number, has) = (UInt8(truncatingIfNeeded: bits), bits & noDescriptor == 0)
    switch header.request {
    case 1: return .getFeatures
    case 2: return .setFeatures(bits)
    case 3: return .setOwner
    case 4: return .resetOwner
    case 8: return .setRingSize(ring: ring, value: value)
    case 9:
      return .setRingAddress(
        VhostUserRingAddress(
          ring: ring, flags: value, descriptors: payload.little64(at: 8), used: payload.little64(at: 16),
          available: payload.little64(at: 24)))
    case 10: return .setRingBase(ring: ring, value: value)
    case 11: return .getRingBase(ring: ring)
    case 12: return .setRingKick(ring: number, hasDescriptor: has)
    case 13: return .setRingCall(ring: number, hasDescriptor: has)
    case 14: return .setRingError(ring: number, hasDescriptor: has)
    case 15: return .getProtocolFeatures
    case 16: return .setProtocolFeatures(bits)
    case 17: return .getQueueCount
    default: return .setRingEnabled(ring: ring, value: value)
    }
  }

  private static func regions(
    _ header: VhostUserHeader, _ payload: RawSpan
  ) throws(WireError) -> [VhostUserRegion] {
    guard header.size >= 8 else { throw .badLength(header.size) }
    let count = Int(payload.little32(at: 0))
    // Some front-ends send the room for all pieces whatever there are.
    guard (1...regionLimit).contains(count), header.size >= 8 + 32 * count,
      header.size <= 8 + 32 * regionLimit
    else { throw .badLength(header.size) }
    return (0..<count).map { index in
      let at = 8 + 32 * index
      return VhostUserRegion(
        guestAddress: payload.little64(at: at), size: payload.little64(at: at + 8),
        userAddress: payload.little64(at: at + 16), fileOffset: payload.little64(at: at + 24))
    }
  }

  /// The message as a front-end sends it, header and all. Of ``unknown`` it is one that nobody knows.
  public func encoded(needsReply: Bool = false) -> [UInt8] {
    switch self {
    case .getFeatures: Self.encode(1, needsReply)
    case .setFeatures(let bits): Self.encode(2, needsReply, bits)
    case .setOwner: Self.encode(3, needsReply)
    case .resetOwner: Self.encode(4, needsReply)
    case .setMemoryTable(let regions):
      Self.encode(
        5, needsReply,
        [UInt64(regions.count)]
          + regions.flatMap { [$0.guestAddress, $0.size, $0.userAddress, $0.fileOffset] })
    case .setRingSize(let ring, let value): Self.encode(8, needsReply, Self.pair(ring, value))
    case .setRingAddress(let place):
      Self.encode(
        9, needsReply,
        [Self.pair(place.ring, place.flags), place.descriptors, place.used, place.available, 0])
    case .setRingBase(let ring, let value): Self.encode(10, needsReply, Self.pair(ring, value))
    case .getRingBase(let ring): Self.encode(11, needsReply, Self.pair(ring, 0))
    case .setRingKick(let ring, let has): Self.encode(12, needsReply, Self.word(ring, has))
    case .setRingCall(let ring, let has): Self.encode(13, needsReply, Self.word(ring, has))
    case .setRingError(let ring, let has): Self.encode(14, needsReply, Self.word(ring, has))
    case .getProtocolFeatures: Self.encode(15, needsReply)
    case .setProtocolFeatures(let bits): Self.encode(16, needsReply, bits)
    case .getQueueCount: Self.encode(17, needsReply)
    case .setRingEnabled(let ring, let value): Self.encode(18, needsReply, Self.pair(ring, value))
    case .unknown: Self.encode(UInt32.max, needsReply)
    }
  }

  private static func pair(_ low: UInt32, _ high: UInt32) -> UInt64 { UInt64(high) << 32 | UInt64(low) }
  private static func word(_ ring: UInt8, _ hasDescriptor: Bool) -> UInt64 {
    UInt64(ring) | (hasDescriptor ? 0 : noDescriptor)
  }
  private static func encode(_ request: UInt32, _ needsReply: Bool, _ words: UInt64...) -> [UInt8] {
    encode(request, needsReply, words)
  }
  private static func encode(_ request: UInt32, _ needsReply: Bool, _ words: [UInt64]) -> [UInt8] {
    let header = VhostUserHeader(request: request, needsReply: needsReply, size: words.count * 8)
    return header.followed(by: words)
  }
}

extension VhostUserHeader {
  /// Header and payload of a message whose payload is made of words of eight bytes, as all that this side sends are.
  public func followed(by words: [UInt64]) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Self.byteCount + words.count * 8)
    var elements = bytes.mutableSpan
    // An array of bytes has no padding.
    var span = unsafe elements.mutableBytes
    emit(into: &span)
    for (index, word) in words.enumerated() { span.set(word.byteSwapped, at: Self.byteCount + index * 8) }
    return bytes
  }
}

extension RawSpan {
  /// The four bytes from `offset`, the least significant first.
  @inlinable @inline(__always) func little32(at offset: Int) -> UInt32 { uint32(at: offset).byteSwapped }
  /// The eight bytes from `offset`, the least significant first.
  @inlinable @inline(__always) func little64(at offset: Int) -> UInt64 { uint64(at: offset).byteSwapped }
}
