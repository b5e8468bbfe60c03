/// A prefix of either family, as in a route or an interface address. The host bits are kept, so that
/// `10.0.2.100/24` can say both; `network` clears them.
@frozen public struct IPPrefix: Hashable, Sendable {
  /// An address inside the prefix.
  public let address: IPAddress
  /// Leading bits that count: 0...32 for IPv4, 0...128 for IPv6.
  public let length: Int

  /// Nil if `length` is not in the range of the address's family.
  @inlinable
  public init?(_ address: IPAddress, length: Int) {
    guard (0...address.bitCount).contains(length) else { return nil }
    self.address = address
    self.length = length
  }

  /// The prefix that holds this address alone.
  @inlinable
  public init(host address: IPAddress) {
    self.address = address
    length = address.bitCount
  }

  /// The 128-bit mask, halves in host byte order.
  @inlinable
  var mask: (high: UInt64, low: UInt64) {
    let bits = address.isIPv4 ? length + 96 : length
    // Smart shifts: shifting by 64 or more gives zero.
    return (~0 << UInt64(64 - min(bits, 64)), bits > 64 ? ~0 << UInt64(128 - bits) : 0)
  }

  /// The address with its host bits zero.
  @inlinable
  public var network: IPAddress {
    let mask = mask
    return IPAddress(high: address.high & mask.high, low: address.low & mask.low)
  }

  /// The address with its host bits one: the directed broadcast of an IPv4 network (RFC 1122 3.2.1.3).
  @inlinable
  public var broadcast: IPAddress {
    let mask = mask
    return IPAddress(high: address.high | ~mask.high, low: address.low | ~mask.low)
  }

  /// Whether the prefix covers `other`. Never true across families: `::/0` holds no IPv4 address.
  @inlinable
  public func contains(_ other: IPAddress) -> Bool {
    let mask = mask
    return address.isIPv4 == other.isIPv4
      && (address.high ^ other.high) & mask.high == 0
      && (address.low ^ other.low) & mask.low == 0
  }
}

extension IPPrefix: LosslessStringConvertible {
  /// As `10.0.2.0/24` or `fd00::/64`; an address without a length is a host prefix. Nil for anything else.
  public init?(_ description: String) {
    var text = TextCursor(description)
    guard let address = text.address() else { return nil }
    guard !text.isAtEnd else {
      self.init(host: address)
      return
    }
    guard text.skip("/"), let length = text.decimal(upTo: 128), text.isAtEnd else { return nil }
    self.init(address, length: length)
  }

  /// As `10.0.2.100/24`.
  public var description: String { "\(address)/\(length)" }
}
