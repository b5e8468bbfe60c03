/// An address and a port, with the interface for link-local IPv6 addresses (RFC 4007).
@frozen public struct SocketAddress: Hashable, Sendable {
  /// The address of either family.
  public var address: IPAddress
  /// The port; 0 leaves the choice to the stack where that has a meaning.
  public var port: UInt16
  /// Index of the interface that a link-local address belongs to; 0 for none.
  public var zone: UInt16

  /// An address, a port and, for link-local addresses, an interface.
  @inlinable
  public init(_ address: IPAddress, port: UInt16, zone: UInt16 = 0) {
    self.address = address
    self.port = port
    self.zone = zone
  }
}

extension SocketAddress: LosslessStringConvertible {
  /// As `10.0.2.2:80`, `[fd00::2]:80` or `[fe80::1%3]:80` with a numeric zone; nil for anything else.
  public init?(_ description: String) {
    var text = TextCursor(description)
    var zone = 0
    let address: IPAddress
    if text.skip("[") {
      guard let ipv6 = text.ipv6() else { return nil }
      if text.skip("%") {
        guard let number = text.decimal(upTo: 65535) else { return nil }
        zone = number
      }
      guard text.skip("]") else { return nil }
      address = IPAddress(ipv6)
    } else {
      guard let ipv4 = text.ipv4() else { return nil }
      address = IPAddress(ipv4)
    }
    guard text.skip(":"), let port = text.decimal(upTo: 65535), text.isAtEnd else { return nil }
    self.init(address, port: UInt16(port), zone: UInt16(zone))
  }

  /// As `10.0.2.2:80` or `[fd00::2]:80`.
  public var description: String {
    if address.isIPv4 { return "\(address):\(port)" }
    return zone == 0 ? "[\(address)]:\(port)" : "[\(address)%\(zone)]:\(port)"
  }
}
