/// An option of a neighbour discovery message. Ranges are from the start of the options.
@frozen public enum NeighborDiscoveryOption: Hashable, Sendable {
  /// Type 1.
  case sourceLinkLayer(MACAddress)
  /// Type 2.
  case targetLinkLayer(MACAddress)
  /// Type 3.
  case prefixInformation(PrefixInformation)
  /// Type 4. The range holds the start of the redirected packet and padding.
  case redirectedPacket(Range<Int>)
  /// Type 5.
  case mtu(UInt32)
  /// Type 14 with six bytes (RFC 3971, RFC 7527), in the low 48 bits.
  case nonce(UInt64)
  /// Type 25 (RFC 8106). The range holds the addresses, 16 bytes each.
  case recursiveServers(lifetimeSeconds: UInt32, addresses: Range<Int>)
  /// Any other type, or a known one with another length; the range holds what follows type and length.
  case other(type: UInt8, data: Range<Int>)

  /// Bytes of the option with type and length: a multiple of 8 in 8...2040, if a range is one that was parsed.
  @inlinable
  public var byteCount: Int {
    switch self {
    case .sourceLinkLayer, .targetLinkLayer, .mtu, .nonce: 8
    case .prefixInformation: 32
    case .redirectedPacket(let range), .recursiveServers(_, let range): 8 + range.count
    case .other(_, let range): 2 + range.count
    }
  }

  /// Writes the option from `offset` of `span`; of those with a range, only what is before it: the caller
  /// copies the bytes, which must fill the option to a multiple of 8.
  public func emit(into span: inout MutableRawSpan, at offset: Int) {
    func start(_ type: UInt8) {
      span.set(type, at: offset)
      span.set(UInt8(truncatingIfNeeded: byteCount / 8), at: offset + 1)
    }
    switch self {
    case .sourceLinkLayer(let address):
      start(1)
      address.emit(into: &span, at: offset + 2)
    case .targetLinkLayer(let address):
      start(2)
      address.emit(into: &span, at: offset + 2)
    case .prefixInformation(let information):
      start(3)
      span.set(information.length, at: offset + 2)
      span.set(information.flags, at: offset + 3)
      span.set(information.validSeconds, at: offset + 4)
      span.set(information.preferredSeconds, at: offset + 8)
      span.set(0 as UInt32, at: offset + 12)
      information.prefix.emit(into: &span, at: offset + 16)
    case .redirectedPacket:
      start(4)
      span.clear(offset + 2..<offset + 8)
    case .mtu(let mtu):
      start(5)
      span.set(0 as UInt16, at: offset + 2)
      span.set(mtu, at: offset + 4)
    case .nonce(let nonce):
      start(14)
      MACAddress(nonce).emit(into: &span, at: offset + 2)
    case .recursiveServers(let lifetime, _):
      start(25)
      span.set(0 as UInt16, at: offset + 2)
      span.set(lifetime, at: offset + 4)
    case .other(let type, _):
      start(type)
    }
  }
}

/// Walks neighbour discovery options. Total: any bytes end it, or make it throw once.
@frozen public struct NeighborDiscoveryOptionCursor: ~Escapable {
  @usableFromInline let bytes: RawSpan
  @usableFromInline var at = 0

  /// From the first option of `options`, all that follows the fixed part of the message.
  @inlinable
  @_lifetime(copy options)
  public init(_ options: RawSpan) { bytes = options }

  /// The next option; nil at the end. Throws `.badOption` for a length of zero or one that runs past the
  /// end: the whole message must then be discarded (RFC 4861 section 4.6).
  public mutating func next() throws(WireError) -> NeighborDiscoveryOption? {
    let room = bytes.byteCount - at
    guard room > 0 else { return nil }
    let offset = at
    let type = bytes.uint8(at: offset)
    let length = room >= 2 ? Int(bytes.uint8(at: offset + 1)) * 8 : 0
    guard length > 0, length <= room else {
      at = bytes.byteCount
      throw .badOption(kind: type, offset: offset)
    }
    at += length
    switch (type, length) {
    case (1, 8): return .sourceLinkLayer(MACAddress(bytes, at: offset + 2))
    case (2, 8): return .targetLinkLayer(MACAddress(bytes, at: offset + 2))
    case (3, 32):
      return .prefixInformation(
        PrefixInformation(
          prefix: IPv6Address(bytes, at: offset + 16), length: bytes.uint8(at: offset + 2),
          flags: bytes.uint8(at: offset + 3), validSeconds: bytes.uint32(at: offset + 4),
          preferredSeconds: bytes.uint32(at: offset + 8)))
    case (4, _): return .redirectedPacket(offset + 8..<at)
    case (5, 8): return .mtu(bytes.uint32(at: offset + 4))
    case (14, 8): return .nonce(MACAddress(bytes, at: offset + 2).rawValue)
    case (25, 24...) where length % 16 == 8:
      return .recursiveServers(lifetimeSeconds: bytes.uint32(at: offset + 4), addresses: offset + 8..<at)
    default: return .other(type: type, data: offset + 2..<at)
    }
  }
}

/// What the options of a neighbour or router message say to a host that resolves addresses: the first of
/// each kind, after all of them were checked.
@frozen public struct NeighborDiscoveryOptions: Hashable, Sendable {
  /// Who sent the message.
  public var sourceLinkLayer: MACAddress?
  /// Who is meant by its target.
  public var targetLinkLayer: MACAddress?
  /// The link's MTU.
  public var mtu: UInt32?
  /// The nonce of a solicitation for duplicate detection.
  public var nonce: UInt64?

  /// Checks every option; throws as the cursor does.
  public static func parse(_ options: RawSpan) throws(WireError) -> NeighborDiscoveryOptions {
    var cursor = NeighborDiscoveryOptionCursor(options)
    var found = NeighborDiscoveryOptions()
    while let option = try cursor.next() {
      switch option {
      case .sourceLinkLayer(let address): found.sourceLinkLayer = found.sourceLinkLayer ?? address
      case .targetLinkLayer(let address): found.targetLinkLayer = found.targetLinkLayer ?? address
      case .mtu(let mtu): found.mtu = found.mtu ?? mtu
      case .nonce(let nonce): found.nonce = found.nonce ?? nonce
      case .prefixInformation, .redirectedPacket, .recursiveServers, .other: break
      }
    }
    return found
  }
}
