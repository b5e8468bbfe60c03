public import Exclusion
public import Wire

/// The 4-tuple of a connection, seen from this host, and what its segments travel in. IPv4 addresses are IPv4-mapped, so
/// that one table knows both families.
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
  /// The peer's port of UDP, where segments go in UDP (``TCPEncapsulation``); 0: they go in IP. It is no part of what makes
  /// a connection unique, nor of ``hash(_:)``: of two segments that differ in nothing else one is astray. It lies where
  /// the structure had room.
  public var encapsulation: UInt16

  /// A 4-tuple; of segments that go in UDP with the peer's port there.
  public init(
    localAddress: IPAddress, localPort: UInt16, remoteAddress: IPAddress, remotePort: UInt16,
    encapsulation: UInt16 = 0
  ) {
    self.localAddress = localAddress
    self.remoteAddress = remoteAddress
    self.localPort = localPort
    self.remotePort = remotePort
    self.encapsulation = encapsulation
  }

  /// The 4-tuples are the same.
  @inlinable
  public func hasEnds(of other: FlowKey) -> Bool {
    localAddress == other.localAddress && remoteAddress == other.remoteAddress
      && localPort == other.localPort && remotePort == other.remotePort
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
