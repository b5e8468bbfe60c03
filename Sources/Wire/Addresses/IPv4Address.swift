/// An IPv4 address, in host byte order.
@frozen public struct IPv4Address: Hashable, Sendable {
  /// The address; 10.0.2.2 is 0x0A00_0202.
  public let rawValue: UInt32

  /// From host byte order.
  @inlinable
  public init(_ rawValue: UInt32) { self.rawValue = rawValue }

  /// From four octets, as they are written.
  @inlinable
  public init(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) {
    rawValue = UInt32(a) &<< 24 | UInt32(b) &<< 16 | UInt32(c) &<< 8 | UInt32(d)
  }

  /// 0.0.0.0.
  @inlinable public static var any: Self { .init(0) }
  /// 255.255.255.255, the limited broadcast.
  @inlinable public static var broadcast: Self { .init(0xFFFF_FFFF) }
  /// 127.0.0.1.
  @inlinable public static var loopback: Self { .init(0x7F00_0001) }
  /// 224.0.0.1.
  @inlinable public static var allSystems: Self { .init(0xE000_0001) }

  /// 0.0.0.0.
  @inlinable public var isUnspecified: Bool { rawValue == 0 }
  /// 127/8.
  @inlinable public var isLoopback: Bool { rawValue &>> 24 == 127 }
  /// 224/4.
  @inlinable public var isMulticast: Bool { rawValue &>> 28 == 0xE }
  /// 169.254/16 (RFC 3927).
  @inlinable public var isLinkLocal: Bool { rawValue &>> 16 == 0xA9FE }
  /// 255.255.255.255.
  @inlinable public var isLimitedBroadcast: Bool { rawValue == 0xFFFF_FFFF }
  /// 0/8 "this network" (RFC 1122 section 3.2.1.3): a source only while a host learns its address.
  @inlinable public var isThisNetwork: Bool { rawValue &>> 24 == 0 }
  /// 240/4, reserved; the limited broadcast is in it.
  @inlinable public var isReserved: Bool { rawValue &>> 28 == 0xF }
}

extension IPv4Address: LosslessStringConvertible {
  /// Four decimal octets without leading zeros; nil for anything else.
  public init?(_ description: String) {
    var text = TextCursor(description)
    guard let address = text.ipv4(), text.isAtEnd else { return nil }
    self = address
  }

  /// As `10.0.2.2`.
  public var description: String {
    "\(rawValue >> 24).\(rawValue >> 16 & 255).\(rawValue >> 8 & 255).\(rawValue & 255)"
  }
}

extension IPv4Address: Comparable {
  /// As numbers.
  @inlinable public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}
