// Datagrams for addresses that nobody here has, and for ports of ours that nobody is bound to: one socket hears them all,
// and answers in the name of whom they were for.

import Exclusion
import Internet
public import Wire

/// What becomes of a datagram that is not carried on.
public enum DatagramRefusal: Sendable, Hashable, CaseIterable {
  /// Nobody has the port.
  case portUnreachable
  /// The host is away.
  case hostUnreachable
  /// It is forbidden.
  case prohibited

  var outgoing: DatagramSocket.Outgoing {
    switch self {
    case .portUnreachable: .portUnreachable
    case .hostUnreachable: .hostUnreachable
    case .prohibited: .prohibited
    }
  }
}

extension DatagramSocket.Outgoing {
  var reason: RejectReason? {
    switch self {
    case .datagram: nil
    case .portUnreachable: .portUnreachable
    case .hostUnreachable: .hostUnreachable
    case .prohibited: .prohibited
    }
  }
}

extension SocketLayer {
  /// The socket that hears what is for others; nil: there is one already, or the layer is not transparent. It is read as
  /// any; ``ReceivedDatagram/destination`` and ``ReceivedDatagram/destinationPort`` say whom each was for. Application
  /// context.
  public func openTransparentDatagrams() -> DatagramSocket? {
    guard let state = unsafe transparent, closing.load() == 0 else { return nil }
    let name = SocketAddress(.anyIPv6, port: 0)
    let datagram = DatagramRef.make(BindingKey(name, port: 0, protocol: .udp, []), peer: nil, layer: self)
    let socket = DatagramSocket(datagram, localAddress: name, layer: self)
    var none: UInt64 = 0
    // Whole before it can be found (SO-PUBLISH).
    let address = unsafe UInt64(UInt(bitPattern: datagram.raw))
    guard unsafe state.pointee.datagrams.compareExchange(&none, address) else { return nil }
    return socket
  }

  /// From now on nobody finds the socket, if it is that one. Who found it before is done after a grace period.
  func closeTransparent(_ datagram: DatagramRef) {
    guard let state = unsafe transparent else { return }
    var address = unsafe UInt64(UInt(bitPattern: datagram.raw))
    _ = unsafe state.pointee.datagrams.compareExchange(&address, 0)
  }
}

extension DatagramSocket {
  /// Sends a datagram to a neighbour in the name of `source`, of a socket that hears what is for others. Fails as
  /// ``trySend(_:to:from:)``.
  public func trySend(
    _ bytes: UnsafeRawBufferPointer, to destination: SocketAddress, as source: SocketAddress
  ) -> Result<Void, SocketError> {
    unsafe submit(bytes, to: destination, from: source.address, port: source.port, as: .datagram)
  }

  /// Tells `sender` by ICMP what became of its datagram to `destination`. Fails as ``trySend(_:to:from:)``.
  public func tryRefuse(
    _ refusal: DatagramRefusal, from sender: SocketAddress, to destination: SocketAddress
  ) -> Result<Void, SocketError> {
    unsafe submit(
      UnsafeRawBufferPointer(start: nil, count: 0), to: sender, from: destination.address,
      port: destination.port, as: refusal.outgoing)
  }
}
