/// An option of a DHCP message (RFC 2132).
public enum DHCPOption: Hashable, Sendable {
  /// Code 1.
  case subnetMask(IPv4Address)
  /// Code 3, the best one first.
  case routers([IPv4Address])
  /// Code 6, the best one first.
  case nameServers([IPv4Address])
  /// Code 12, as the sender calls itself.
  case hostName([UInt8])
  /// Code 15.
  case domainName([UInt8])
  /// Code 26: the largest packet of the link, in bytes.
  case mtu(UInt16)
  /// Code 50.
  case requestedAddress(IPv4Address)
  /// Code 51, in seconds; all ones for ever.
  case leaseSeconds(UInt32)
  /// Code 54.
  case server(IPv4Address)
  /// Code 55: codes of options that the client wants.
  case wanted([UInt8])
  /// Code 57: the largest message that the sender takes, in bytes.
  case largestMessage(UInt16)
  /// Code 58: when the client asks its server for more time, in seconds from now.
  case renewalSeconds(UInt32)
  /// Code 59: when it asks everybody.
  case rebindingSeconds(UInt32)
  /// Code 61.
  case client([UInt8])
  /// Code 119: names as labels with their lengths, one after the other, without compression (RFC 3397).
  case domainSearch([UInt8])
  /// Any other code, or a known one with a length that it cannot have. Not 0 and 255, which are no options, nor 52 and 53.
  case other(UInt8, [UInt8])

  /// Its number.
  public var code: UInt8 {
    switch self {
    case .subnetMask: 1
    case .routers: 3
    case .nameServers: 6
    case .hostName: 12
    case .domainName: 15
    case .mtu: 26
    case .requestedAddress: 50
    case .leaseSeconds: 51
    case .server: 54
    case .wanted: 55
    case .largestMessage: 57
    case .renewalSeconds: 58
    case .rebindingSeconds: 59
    case .client: 61
    case .domainSearch: 119
    case .other(let code, _): code
    }
  }

  /// What follows code and length.
  var data: [UInt8] {
    switch self {
    case .subnetMask(let address), .requestedAddress(let address), .server(let address):
      Self.bytes(address.rawValue)
    case .routers(let addresses), .nameServers(let addresses): addresses.flatMap { Self.bytes($0.rawValue) }
    case .mtu(let value), .largestMessage(let value): Self.bytes(value)
    case .leaseSeconds(let value), .renewalSeconds(let value), .rebindingSeconds(let value): Self.bytes(value)
    case .hostName(let bytes), .domainName(let bytes), .wanted(let bytes), .client(let bytes),
      .domainSearch(let bytes), .other(_, let bytes):
      bytes
    }
  }

  /// An option by its number and data.
  init(_ code: UInt8, _ data: [UInt8]) {
    let word = data.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    func address() -> IPv4Address { IPv4Address(UInt32(truncatingIfNeeded: word)) }
    func addresses() -> [IPv4Address] {
      stride(from: 0, to: data.count, by: 4).map { at in
        IPv4Address(data[at..<at + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) })
      }
    }
    let isList = !data.isEmpty && data.count % 4 == 0
    switch (code, data.count) {
    case (1, 4): self = .subnetMask(address())
    case (3, _) where isList: self = .routers(addresses())
    case (6, _) where isList: self = .nameServers(addresses())
    case (12, 1...): self = .hostName(data)
    case (15, 1...): self = .domainName(data)
    case (26, 2): self = .mtu(UInt16(truncatingIfNeeded: word))
    case (50, 4): self = .requestedAddress(address())
    case (51, 4): self = .leaseSeconds(UInt32(truncatingIfNeeded: word))
    case (54, 4): self = .server(address())
    case (55, 1...): self = .wanted(data)
    case (57, 2): self = .largestMessage(UInt16(truncatingIfNeeded: word))
    case (58, 4): self = .renewalSeconds(UInt32(truncatingIfNeeded: word))
    case (59, 4): self = .rebindingSeconds(UInt32(truncatingIfNeeded: word))
    case (61, 2...): self = .client(data)
    case (119, 1...): self = .domainSearch(data)
    default: self = .other(code, data)
    }
  }

  private static func bytes<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
    (0..<Value.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> Value(Value.bitWidth - 8 - $0 * 8)) }
  }
}
