/// An IPv6 address (RFC 4291), in host byte order.
@frozen public struct IPv6Address: Hashable, Sendable {
  /// The first eight octets.
  public let high: UInt64
  /// The last eight octets.
  public let low: UInt64

  /// From two halves in host byte order.
  @inlinable
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// The sixteen bytes from `offset` of `span`; traps if they are not there.
  @inlinable @inline(__always)
  public init(_ span: RawSpan, at offset: Int) {
    high = span.uint64(at: offset)
    low = span.uint64(at: offset + 8)
  }

  /// Stores the sixteen bytes from `offset`.
  @inlinable @inline(__always)
  public func emit(into span: inout MutableRawSpan, at offset: Int) {
    span.set(high, at: offset)
    span.set(low, at: offset + 8)
  }

  /// `::`.
  @inlinable public static var any: Self { .init(high: 0, low: 0) }
  /// `::1`.
  @inlinable public static var loopback: Self { .init(high: 0, low: 1) }
  /// `ff02::1`.
  @inlinable public static var allNodes: Self { .init(high: 0xFF02_0000_0000_0000, low: 1) }
  /// `ff02::2`.
  @inlinable public static var allRouters: Self { .init(high: 0xFF02_0000_0000_0000, low: 2) }

  /// fe80::/64 with the modified EUI-64 identifier of `mac` (RFC 4862 section 5.3).
  @inlinable
  public init(linkLocal mac: MACAddress) {
    self.init(high: 0xFE80_0000_0000_0000, low: mac.interfaceIdentifier)
  }

  /// `::`.
  @inlinable public var isUnspecified: Bool { high | low == 0 }
  /// `::1`.
  @inlinable public var isLoopback: Bool { high == 0 && low == 1 }
  /// ff00::/8.
  @inlinable public var isMulticast: Bool { high &>> 56 == 0xFF }
  /// fe80::/10.
  @inlinable public var isLinkLocal: Bool { high &>> 54 == 0xFE80 &>> 6 }
  /// fc00::/7 (RFC 4193).
  @inlinable public var isUniqueLocal: Bool { high &>> 57 == 0xFC &>> 1 }
  /// ::ffff:0:0/96. On the wire such an address is no one's (RFC 4291 section 2.5.5.2).
  @inlinable public var isIPv4Mapped: Bool { high == 0 && low &>> 32 == 0xFFFF }
  /// Scope field of a multicast address: 1 interface, 2 link, 5 site, 14 global. Nil for unicast.
  @inlinable
  public var multicastScope: UInt8? { isMulticast ? UInt8(truncatingIfNeeded: high &>> 48) & 15 : nil }

  /// The multicast group to which neighbour solicitations for this address go (RFC 4291 section 2.7.1).
  @inlinable
  public var solicitedNodeMulticast: IPv6Address {
    IPv6Address(high: 0xFF02_0000_0000_0000, low: 0x0000_0001_FF00_0000 | low & 0xFF_FFFF)
  }
}

extension IPv6Address: LosslessStringConvertible {
  /// The forms of RFC 4291 section 2.2, without a zone; nil for anything else.
  public init?(_ description: String) {
    var text = TextCursor(description)
    guard let address = text.ipv6(), text.isAtEnd else { return nil }
    self = address
  }

  /// The one canonical form of RFC 5952.
  public var description: String {
    if isIPv4Mapped { return "::ffff:\(IPv4Address(UInt32(truncatingIfNeeded: low)))" }
    let groups = (0..<8).map { index in
      UInt16(truncatingIfNeeded: (index < 4 ? high : low) >> UInt64(48 - 16 * (index & 3)))
    }
    // The longest run of at least two zero groups, the first one of equals (RFC 5952 section 4.2).
    var best = 0..<0
    var start = 0
    while start < 8 {
      var end = start
      while end < 8, groups[end] == 0 { end += 1 }
      if end - start > max(best.count, 1) { best = start..<end }
      start = max(end, start + 1)
    }
    let hexadecimal = groups.map { String($0, radix: 16) }
    guard !best.isEmpty else { return hexadecimal.joined(separator: ":") }
    return hexadecimal[..<best.lowerBound].joined(separator: ":") + "::"
      + hexadecimal[best.upperBound...].joined(separator: ":")
  }
}
