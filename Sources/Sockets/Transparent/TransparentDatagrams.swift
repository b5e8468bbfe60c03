// Datagrams for addresses that nobody here has, and for ports of ours that nobody is bound to: one socket hears them all,
// and answers in the name of whom they were for.

import Buffers
import Exclusion
import Internet
public import Wire

/// What becomes of a datagram, or an echo request, that is not carried on, or did not get further on its way.
public enum DatagramRefusal: Sendable, Hashable {
  /// Nobody has the port.
  case portUnreachable
  /// The host does not speak the protocol.
  case protocolUnreachable
  /// The host is away.
  case hostUnreachable
  /// There is no way to the network.
  case networkUnreachable
  /// It is forbidden.
  case prohibited
  /// Its hop limit was used up on the way.
  case timeExceeded
  /// It is larger than a link on the way, which carries so many bytes.
  case tooBig(mtu: Int)

  var outgoing: DatagramSocket.Outgoing {
    switch self {
    case .portUnreachable: .portUnreachable
    case .protocolUnreachable: .protocolUnreachable
    case .hostUnreachable: .hostUnreachable
    case .networkUnreachable: .networkUnreachable
    case .prohibited: .prohibited
    case .timeExceeded: .timeExceeded
    case .tooBig: .tooBig
    }
  }
  var mtu: UInt32 { if case .tooBig(let mtu) = self { UInt32(clamping: mtu) } else { 0 } }
}

extension DatagramSocket.Outgoing {
  /// `mtu`: what is said with ``tooBig``.
  func reason(mtu: UInt32) -> RejectReason? {
    switch self {
    case .datagram, .echoReply: nil
    case .portUnreachable: .portUnreachable
    case .protocolUnreachable: .protocolUnreachable
    case .hostUnreachable: .hostUnreachable
    case .networkUnreachable: .networkUnreachable
    case .prohibited: .prohibited
    case .timeExceeded: .hopLimitExceeded
    case .tooBig: .packetTooBig(mtu: Int(mtu))
    }
  }
}

/// What a refusal says beside its kind. It travels as the bytes of the refused datagram's packet, which is not quoted.
struct RefusalDetail {
  var mtu: UInt32
  /// Who says so; unspecified: the stack.
  var reporter: IPAddress
  static var byteCount: Int { 20 }

  init(mtu: UInt32, reporter: IPAddress?) {
    self.mtu = mtu
    self.reporter = reporter ?? .anyIPv6
  }
  init(_ bytes: RawSpan) {
    mtu = bytes.uint32(at: 0)
    reporter = IPAddress(high: bytes.uint64(at: 4), low: bytes.uint64(at: 12))
  }
  func emit(into bytes: inout MutableRawSpan) {
    bytes.set(mtu, at: 0)
    bytes.set(reporter.high, at: 4)
    bytes.set(reporter.low, at: 12)
  }
}

extension SocketLayer {
  /// The socket that hears what is for others; nil: there is one already, or the layer is not transparent. It is read as
  /// any; ``ReceivedDatagram/destination`` and ``ReceivedDatagram/destinationPort`` say whom each was for. Application
  /// context.
  public func openTransparentDatagrams() -> DatagramSocket? {
    guard let state = unsafe transparent else { return nil }
    return openTransparent { unsafe state.pointee.datagrams.compareExchange(&$0, $1) }
  }

  /// `publish`: puts an address where there is none.
  func openTransparent(_ publish: (_ none: inout UInt64, _ address: UInt64) -> Bool) -> DatagramSocket? {
    guard closing.load() == 0 else { return nil }
    let name = SocketAddress(.anyIPv6, port: 0)
    let datagram = DatagramRef.make(BindingKey(name, port: 0, protocol: .udp, []), peer: nil, layer: self)
    let socket = DatagramSocket(datagram, localAddress: name, layer: self)
    var none: UInt64 = 0
    // Whole before it can be found (SO-PUBLISH).
    guard publish(&none, unsafe UInt64(UInt(bitPattern: datagram.raw))) else { return nil }
    return socket
  }

  /// From now on nobody finds the socket, if it is that one. Who found it before is done after a grace period.
  func closeTransparent(_ datagram: DatagramRef) {
    guard let state = unsafe transparent else { return }
    let address = unsafe UInt64(UInt(bitPattern: datagram.raw))
    var seen = address
    if unsafe state.pointee.datagrams.compareExchange(&seen, 0) { return }
    seen = address
    _ = unsafe state.pointee.echoes.compareExchange(&seen, 0)
  }
}

extension DatagramSocket {
  /// Sends a datagram to a neighbour in the name of `source`, of a socket that hears what is for others. Fails as
  /// ``trySend(_:to:from:segmentSize:)``.
  public func trySend(
    _ bytes: UnsafeRawBufferPointer, to destination: SocketAddress, as source: SocketAddress
  ) -> Result<Void, SocketError> {
    unsafe submit(bytes, to: destination, from: source.address, port: source.port, as: .datagram)
  }

  /// Tells `sender` by ICMP what became of its datagram to `destination`. Fails as ``trySend(_:to:from:segmentSize:)``.
  ///
  /// - Parameter reporter: whose word it is, a router's on the way or the destination's; nil: the stack's own.
  public func tryRefuse(
    _ refusal: DatagramRefusal, from sender: SocketAddress, to destination: SocketAddress,
    reporter: IPAddress? = nil
  ) -> Result<Void, SocketError> {
    submit(refusal, from: sender, to: destination, reporter: reporter, isEcho: false)
  }

  func submit(
    _ refusal: DatagramRefusal, from sender: SocketAddress, to destination: SocketAddress,
    reporter: IPAddress?, isEcho: Bool
  ) -> Result<Void, SocketError> {
    unsafe withUnsafeTemporaryAllocation(byteCount: RefusalDetail.byteCount, alignment: 8) { detail in
      var span = unsafe MutableRawSpan(_unsafeBytes: detail)
      RefusalDetail(mtu: refusal.mtu, reporter: reporter).emit(into: &span)
      return unsafe submit(
        UnsafeRawBufferPointer(detail), to: sender, from: destination.address, port: destination.port,
        as: refusal.outgoing, isEcho: isEcho)
    }
  }
}
