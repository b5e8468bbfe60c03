/// The protocol number of an IPv4 header, or a next-header value of an IPv6 one (IANA protocol numbers).
@frozen public struct IPProtocol: RawRepresentable, Hashable, Sendable {
  /// The number on the wire.
  public var rawValue: UInt8
  /// Any number is a protocol.
  @inlinable
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// IPv6 hop-by-hop options, 0.
  @inlinable public static var hopByHop: Self { .init(rawValue: 0) }
  /// ICMP for IPv4, 1.
  @inlinable public static var icmpv4: Self { .init(rawValue: 1) }
  /// IGMP, 2.
  @inlinable public static var igmp: Self { .init(rawValue: 2) }
  /// TCP, 6.
  @inlinable public static var tcp: Self { .init(rawValue: 6) }
  /// UDP, 17.
  @inlinable public static var udp: Self { .init(rawValue: 17) }
  /// IPv6 routing header, 43.
  @inlinable public static var routing: Self { .init(rawValue: 43) }
  /// IPv6 fragment header, 44.
  @inlinable public static var fragment: Self { .init(rawValue: 44) }
  /// Encapsulating security payload, 50.
  @inlinable public static var encapsulatedSecurity: Self { .init(rawValue: 50) }
  /// Authentication header, 51.
  @inlinable public static var authentication: Self { .init(rawValue: 51) }
  /// ICMP for IPv6, 58.
  @inlinable public static var icmpv6: Self { .init(rawValue: 58) }
  /// No next header, 59.
  @inlinable public static var none: Self { .init(rawValue: 59) }
  /// IPv6 destination options, 60.
  @inlinable public static var destinationOptions: Self { .init(rawValue: 60) }
}

/// The type field of an Ethernet frame (IEEE 802 numbers).
@frozen public struct EtherType: RawRepresentable, Hashable, Sendable {
  /// The number on the wire.
  public var rawValue: UInt16
  /// Any number is a type; below 1536 it is an 802.3 length.
  @inlinable
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// IPv4.
  @inlinable public static var ipv4: Self { .init(rawValue: 0x0800) }
  /// ARP.
  @inlinable public static var arp: Self { .init(rawValue: 0x0806) }
  /// 802.1Q customer tag.
  @inlinable public static var vlan: Self { .init(rawValue: 0x8100) }
  /// IPv6.
  @inlinable public static var ipv6: Self { .init(rawValue: 0x86DD) }
  /// 802.1ad service tag.
  @inlinable public static var serviceVLAN: Self { .init(rawValue: 0x88A8) }

  /// The field counts payload bytes (802.3) and names no protocol.
  @inlinable public var isLength: Bool { rawValue < 1536 }
}

/// Explicit congestion notification field of an IP header (RFC 3168 section 5).
@frozen public enum CongestionNotification: UInt8, Hashable, Sendable {
  /// Not ECN-capable transport.
  case notCapable = 0
  /// ECT(1), low latency (RFC 9331).
  case capable1 = 1
  /// ECT(0).
  case capable0 = 2
  /// CE: a router met congestion.
  case experienced = 3
}

/// Type of service byte of IPv4, traffic class of IPv6: six bits of DSCP (RFC 2474) and two of ECN.
@frozen public struct TrafficClass: RawRepresentable, Hashable, Sendable {
  /// The byte on the wire.
  public var rawValue: UInt8
  /// Any byte is a traffic class.
  @inlinable
  public init(rawValue: UInt8) { self.rawValue = rawValue }
  /// `dscp` is 0...63; its upper two bits are dropped.
  @inlinable
  public init(dscp: UInt8, notification: CongestionNotification) {
    rawValue = dscp &<< 2 | notification.rawValue
  }

  /// Best effort, not ECN-capable.
  @inlinable public static var bestEffort: Self { .init(rawValue: 0) }
  /// Differentiated services code point, 0...63.
  @inlinable public var dscp: UInt8 { rawValue &>> 2 }
  /// The congestion notification field.
  @inlinable
  public var notification: CongestionNotification {
    get {
      switch rawValue & 3 {
      case 0: .notCapable
      case 1: .capable1
      case 2: .capable0
      default: .experienced
      }
    }
    set { rawValue = rawValue & ~3 | newValue.rawValue }
  }
}
