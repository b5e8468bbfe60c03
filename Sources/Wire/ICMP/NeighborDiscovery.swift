/// Flags of a neighbour advertisement (RFC 4861 section 4.4).
@frozen public struct NeighborFlags: OptionSet, Hashable, Sendable {
  /// The upper three bits of the octet.
  public var rawValue: UInt8
  /// Other bits are dropped.
  @inlinable
  public init(rawValue: UInt8) { self.rawValue = rawValue & 0xE0 }
  /// The sender is a router.
  @inlinable public static var router: Self { .init(rawValue: 0x80) }
  /// The answer to a solicitation.
  @inlinable public static var solicited: Self { .init(rawValue: 0x40) }
  /// Replaces a cached link-layer address.
  @inlinable public static var override: Self { .init(rawValue: 0x20) }
}

/// The fixed part of a router advertisement (RFC 4861 section 4.2).
@frozen public struct RouterAdvertisement: Hashable, Sendable {
  /// Hop limit for packets of this host; 0 unspecified.
  public var currentHopLimit: UInt8
  /// Flags: M 0x80, O 0x40, router preference 0x18 (RFC 4191), as on the wire.
  public var flags: UInt8
  /// How long the sender is a default router, in seconds; 0: it is not one.
  public var routerLifetimeSeconds: UInt16
  /// How long a neighbour counts as reachable, in milliseconds; 0 unspecified.
  public var reachableMilliseconds: UInt32
  /// Time between solicitations, in milliseconds; 0 unspecified.
  public var retransmitMilliseconds: UInt32

  /// All fields.
  @inlinable
  public init(
    currentHopLimit: UInt8, flags: UInt8, routerLifetimeSeconds: UInt16, reachableMilliseconds: UInt32,
    retransmitMilliseconds: UInt32
  ) {
    self.currentHopLimit = currentHopLimit
    self.flags = flags
    self.routerLifetimeSeconds = routerLifetimeSeconds
    self.reachableMilliseconds = reachableMilliseconds
    self.retransmitMilliseconds = retransmitMilliseconds
  }

  /// M: addresses by DHCPv6.
  @inlinable public var isManaged: Bool { flags & 0x80 != 0 }
  /// O: other configuration by DHCPv6.
  @inlinable public var hasOtherConfiguration: Bool { flags & 0x40 != 0 }

  init(_ message: RawSpan) throws(WireError) {
    try message.require(16)
    self.init(
      currentHopLimit: message.uint8(at: 4), flags: message.uint8(at: 5),
      routerLifetimeSeconds: message.uint16(at: 6), reachableMilliseconds: message.uint32(at: 8),
      retransmitMilliseconds: message.uint32(at: 12))
  }

  func emit(into span: inout MutableRawSpan) {
    span.set(currentHopLimit, at: 4)
    span.set(flags, at: 5)
    span.set(routerLifetimeSeconds, at: 6)
    span.set(reachableMilliseconds, at: 8)
    span.set(retransmitMilliseconds, at: 12)
  }
}

/// A prefix information option (RFC 4861 section 4.6.2).
@frozen public struct PrefixInformation: Hashable, Sendable {
  /// The prefix; bits beyond `length` mean nothing.
  public var prefix: IPv6Address
  /// Leading bits that count. 0...128 from an honest router, anything from others.
  public var length: UInt8
  /// Flags: L 0x80, A 0x40, as on the wire.
  public var flags: UInt8
  /// How long the prefix is on the link, in seconds; all ones for ever.
  public var validSeconds: UInt32
  /// How long addresses made from it are preferred, in seconds; all ones for ever.
  public var preferredSeconds: UInt32

  /// All fields.
  @inlinable
  public init(
    prefix: IPv6Address, length: UInt8, flags: UInt8, validSeconds: UInt32, preferredSeconds: UInt32
  ) {
    self.prefix = prefix
    self.length = length
    self.flags = flags
    self.validSeconds = validSeconds
    self.preferredSeconds = preferredSeconds
  }

  /// L: the prefix says what is on the link.
  @inlinable public var isOnLink: Bool { flags & 0x80 != 0 }
  /// A: addresses may be made from it (RFC 4862).
  @inlinable public var isAutonomous: Bool { flags & 0x40 != 0 }
}
