public import Exclusion
public import Wire

/// The 4-tuple of a connection, seen from this host. IPv4 addresses are IPv4-mapped, so that one table
/// knows both families.
@frozen
public struct FlowKey: Hashable, Sendable {
  /// The address and port of this host.
  public var localAddress: IPAddress
  /// The peer's address.
  public var remoteAddress: IPAddress
  /// The port of this host.
  public var localPort: UInt16
  /// The peer's port.
  public var remotePort: UInt16

  /// A 4-tuple.
  public init(localAddress: IPAddress, localPort: UInt16, remoteAddress: IPAddress, remotePort: UInt16) {
    self.localAddress = localAddress
    self.remoteAddress = remoteAddress
    self.localPort = localPort
    self.remotePort = remotePort
  }

  /// This host's end.
  public var local: SocketAddress { SocketAddress(localAddress, port: localPort) }
  /// The peer's end.
  public var remote: SocketAddress { SocketAddress(remoteAddress, port: remotePort) }

  /// A keyed hash: an outsider cannot make many flows meet in one place.
  @inlinable
  public func hash(_ key: HashKey) -> UInt64 {
    keyedHash(
      key, localAddress.high, localAddress.low, remoteAddress.high, remoteAddress.low,
      UInt64(localPort) << 16 | UInt64(remotePort))
  }
}
