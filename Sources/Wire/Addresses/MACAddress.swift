/// A 48-bit link-layer address.
@frozen public struct MACAddress: Hashable, Sendable {
  /// The address in the low 48 bits, first octet most significant; the high 16 bits are zero.
  public let rawValue: UInt64

  /// The low 48 bits of `rawValue`.
  @inlinable
  public init(_ rawValue: UInt64) { self.rawValue = rawValue & 0xFFFF_FFFF_FFFF }

  /// The six bytes from `offset` of `span`; traps if they are not there.
  @inlinable @inline(__always)
  public init(_ span: RawSpan, at offset: Int) {
    rawValue = UInt64(span.uint16(at: offset)) &<< 32 | UInt64(span.uint32(at: offset + 2))
  }

  /// Stores the six bytes from `offset`.
  @inlinable @inline(__always)
  public func emit(into span: inout MutableRawSpan, at offset: Int) {
    span.set(UInt16(truncatingIfNeeded: rawValue &>> 32), at: offset)
    span.set(UInt32(truncatingIfNeeded: rawValue), at: offset + 2)
  }

  /// ff:ff:ff:ff:ff:ff.
  @inlinable public static var broadcast: Self { .init(0xFFFF_FFFF_FFFF) }
  /// 00:00:00:00:00:00, which no station has.
  @inlinable public static var zero: Self { .init(0) }

  /// All stations.
  @inlinable public var isBroadcast: Bool { rawValue == 0xFFFF_FFFF_FFFF }
  /// A group address; broadcast is one.
  @inlinable public var isMulticast: Bool { rawValue & 0x0100_0000_0000 != 0 }
  /// One station: neither a group nor zero.
  @inlinable public var isUnicast: Bool { !isMulticast && rawValue != 0 }
  /// Assigned locally rather than by a manufacturer.
  @inlinable public var isLocallyAdministered: Bool { rawValue & 0x0200_0000_0000 != 0 }

  /// The group address that carries an IPv4 multicast address (RFC 1112 section 6.4).
  @inlinable
  public init(multicast address: IPv4Address) {
    self.init(0x0100_5E00_0000 | UInt64(address.rawValue & 0x7F_FFFF))
  }
  /// The group address that carries an IPv6 multicast address (RFC 2464 section 7).
  @inlinable
  public init(multicast address: IPv6Address) {
    self.init(0x3333_0000_0000 | address.low & 0xFFFF_FFFF)
  }

  /// The modified EUI-64 interface identifier (RFC 4291 appendix A).
  @inlinable
  public var interfaceIdentifier: UInt64 {
    let flipped = rawValue ^ 0x0200_0000_0000
    return (flipped &>> 24) &<< 40 | 0xFF_FE00_0000 | flipped & 0xFF_FFFF
  }
}

extension MACAddress: LosslessStringConvertible {
  /// Six pairs of hexadecimal digits with colons or hyphens between them; nil for anything else.
  public init?(_ description: String) {
    var text = TextCursor(description)
    var value: UInt64 = 0
    for index in 0..<6 {
      if index > 0 {
        guard text.skip(":") || text.skip("-") else { return nil }
      }
      guard let byte = text.hexadecimal(digits: 1...2) else { return nil }
      value = value << 8 | UInt64(byte)
    }
    guard text.isAtEnd else { return nil }
    self.init(value)
  }

  /// As `02:00:00:00:00:01`.
  public var description: String {
    var text = ""
    for shift in stride(from: 40, through: 0, by: -8) {
      let byte = UInt8(truncatingIfNeeded: rawValue >> UInt64(shift))
      if !text.isEmpty { text += ":" }
      if byte < 16 { text += "0" }
      text += String(byte, radix: 16)
    }
    return text
  }
}
