import Exclusion
import Wire

/// What a bound socket is found by. Bind is address and port (P6); the unspecified address of a family
/// stands for all of its addresses.
struct BindingKey: Hashable, Sendable {
  var address: IPAddress
  var port: UInt16
  var `protocol`: IPProtocol
  /// It is `::`, and takes IPv4 as well.
  var isDual = false

  init(address: IPAddress, port: UInt16, protocol: IPProtocol, isDual: Bool = false) {
    self.address = address
    self.port = port
    self.protocol = `protocol`
    self.isDual = isDual
  }
  /// The name that a socket with these options binds.
  init(_ name: SocketAddress, port: UInt16, protocol: IPProtocol, _ options: BindOptions) {
    let isDual = name.address == .anyIPv6 && !options.contains(.isIPv6Only)
    self.init(address: name.address, port: port, protocol: `protocol`, isDual: isDual)
  }

  func hash(_ key: HashKey) -> UInt64 {
    keyedHash(
      key, address.high, address.low,
      UInt64(port) << 16 | UInt64(self.protocol.rawValue) << 8 | (isDual ? 1 : 0))
  }
  /// The key of sockets bound to every address of the same family.
  var wildcard: BindingKey {
    BindingKey(address: address.isIPv4 ? .anyIPv4 : .anyIPv6, port: port, protocol: self.protocol)
  }
  /// The key of sockets bound to every address of both families.
  var dual: BindingKey {
    BindingKey(address: .anyIPv6, port: port, protocol: self.protocol, isDual: true)
  }

  /// Whether packets to `address` may be meant.
  func covers(_ address: IPAddress) -> Bool {
    if self.address == address || isDual { return true }
    return self.address.isUnspecified && self.address.isIPv4 == address.isIPv4
  }
}

/// One claim on a port.
struct PortUse: Sendable {
  /// Who has it: the address of its memory.
  let owner: UInt
  let key: BindingKey
  let options: BindOptions
  /// TCP: it takes connections.
  let isListening: Bool

  /// Whether it may not be made beside one that is there: the table of ``BindOptions``.
  func isExcluded(by other: PortUse) -> Bool {
    guard key.covers(other.key.address) || other.key.covers(key.address) else { return false }
    let both = options.intersection(other.options)
    if both.contains(.reusePort) { return false }
    if both.contains(.reuseAddress) { return other.isListening }
    return true
  }
}
