/// An address of either family in sixteen bytes. IPv4 is held as `::ffff:a.b.c.d`, so one table and one
/// comparison serve both; an IPv6 packet that carries a mapped address must be refused before it gets here
/// (`IPv6Address.isIPv4Mapped`).
@frozen public struct IPAddress: Hashable, Sendable {
  /// The first eight octets; zero for IPv4.
  public let high: UInt64
  /// The last eight octets; 0x0000_FFFF in the upper half for IPv4.
  public let low: UInt64

  /// From two halves in host byte order.
  @inlinable
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }
  /// An IPv4 address.
  @inlinable @inline(__always)
  public init(_ address: IPv4Address) {
    high = 0
    low = 0xFFFF_0000_0000 | UInt64(address.rawValue)
  }
  /// An IPv6 address; a mapped one becomes IPv4.
  @inlinable @inline(__always)
  public init(_ address: IPv6Address) {
    high = address.high
    low = address.low
  }

  /// 0.0.0.0.
  @inlinable public static var anyIPv4: Self { .init(IPv4Address.any) }
  /// `::`.
  @inlinable public static var anyIPv6: Self { .init(IPv6Address.any) }

  /// The family is IPv4.
  @inlinable @inline(__always)
  public var isIPv4: Bool { high == 0 && low &>> 32 == 0xFFFF }
  /// The family is IPv6.
  @inlinable public var isIPv6: Bool { !isIPv4 }
  /// The IPv4 address, or nil for the other family.
  @inlinable
  public var ipv4: IPv4Address? { isIPv4 ? IPv4Address(UInt32(truncatingIfNeeded: low)) : nil }
  /// The IPv6 address, or nil for the other family.
  @inlinable
  public var ipv6: IPv6Address? { isIPv4 ? nil : IPv6Address(high: high, low: low) }

  /// 0.0.0.0 or `::`.
  @inlinable public var isUnspecified: Bool { high == 0 && (low == 0 || low == 0xFFFF_0000_0000) }
  /// 127/8 or `::1`.
  @inlinable public var isLoopback: Bool { high == 0 && (low == 1 || low &>> 24 == 0xFF_FF7F) }
  /// 224/4 or ff00::/8.
  @inlinable public var isMulticast: Bool { high &>> 56 == 0xFF || high == 0 && low &>> 28 == 0xF_FFFE }
  /// 169.254/16 or fe80::/10.
  @inlinable
  public var isLinkLocal: Bool { high &>> 54 == 0xFE80 &>> 6 || high == 0 && low &>> 16 == 0xFFFF_A9FE }
  /// 255.255.255.255.
  @inlinable public var isLimitedBroadcast: Bool { high == 0 && low == 0xFFFF_FFFF_FFFF }
  /// Bits in an address of this family: 32 or 128.
  @inlinable public var bitCount: Int { isIPv4 ? 32 : 128 }
}

extension IPAddress: LosslessStringConvertible {
  /// The text of either family; nil for anything else.
  public init?(_ description: String) {
    var text = TextCursor(description)
    guard let address = text.address(), text.isAtEnd else { return nil }
    self = address
  }

  /// As `10.0.2.2` or, canonical by RFC 5952, `fd00:2::2`.
  public var description: String { ipv4?.description ?? IPv6Address(high: high, low: low).description }
}
