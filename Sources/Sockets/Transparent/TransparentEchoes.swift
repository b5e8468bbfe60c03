// Echo requests (ping) for addresses that nobody here has: one socket hears them all, and answers in the name of whom they
// were for. ICMP of both families (RFC 792, RFC 4443).

import Buffers
import Exclusion
import Internet
import SoftInterrupts
public import Wire

/// An echo request that was read.
public struct ReceivedEcho: Sendable, Equatable {
  /// Bytes of data copied into the buffer.
  public var count: Int
  /// Who asks.
  public var source: IPAddress
  /// Whom.
  public var destination: IPAddress
  /// Which of the sender's sequences it belongs to.
  public var identifier: UInt16
  /// Its number in that.
  public var sequence: UInt16
  /// Hops that it may still go, 2...255.
  public var hopLimit: UInt8
  /// Whether its sender lets it be cut into fragments on its way.
  public var mayBeFragmented: Bool
}

/// Hears echo requests for addresses that the stack does not have. Any thread; reading is the holder's of the read turn of
/// ``socket``.
public final class TransparentEchoes: Sendable {
  /// What is waited for, and watched at event queues. Nobody reads it but through here.
  public let socket: DatagramSocket

  init(_ socket: DatagramSocket) { self.socket = socket }

  /// Reads the oldest request. Fails as ``DatagramSocket/tryReceive(into:truncation:)``.
  public func tryReceive(into buffer: UnsafeMutableRawBufferPointer) -> Result<ReceivedEcho, SocketError> {
    unsafe socket.tryReceive(into: buffer).map { datagram in
      ReceivedEcho(
        count: datagram.count, source: datagram.source.address, destination: datagram.destination,
        identifier: datagram.destinationPort, sequence: datagram.source.port, hopLimit: datagram.hopLimit,
        mayBeFragmented: datagram.mayBeFragmented)
    }
  }

  /// Answers `asker` with `bytes` of data, in the name of `destination`. Fails as
  /// ``DatagramSocket/trySend(_:to:from:segmentSize:)``.
  public func tryReply(
    _ bytes: UnsafeRawBufferPointer, identifier: UInt16, sequence: UInt16, to asker: IPAddress,
    from destination: IPAddress
  ) -> Result<Void, SocketError> {
    unsafe socket.submit(
      bytes, to: SocketAddress(asker, port: sequence), from: destination, port: identifier, as: .echoReply,
      isEcho: true)
  }

  /// Tells `asker` by ICMP what became of its request to `destination`. `reporter`: whose word it is; nil: the stack's
  /// own. Fails as ``DatagramSocket/trySend(_:to:from:segmentSize:)``.
  public func tryRefuse(
    _ refusal: DatagramRefusal, identifier: UInt16, sequence: UInt16, from asker: IPAddress,
    to destination: IPAddress, reporter: IPAddress? = nil
  ) -> Result<Void, SocketError> {
    socket.submit(
      refusal, from: SocketAddress(asker, port: sequence), to: SocketAddress(destination, port: identifier),
      reporter: reporter, isEcho: true)
  }

  /// Nothing is heard any more. Again it does nothing.
  public func close() { socket.close() }
}

extension SocketLayer {
  /// Who hears echo requests for others; nil: there is somebody already, or the layer is not transparent. Application
  /// context.
  public func openTransparentEchoes() -> TransparentEchoes? {
    guard let state = unsafe transparent else { return nil }
    let socket = openTransparent { unsafe state.pointee.echoes.compareExchange(&$0, $1) }
    return socket.map { TransparentEchoes($0) }
  }
}

extension TransparentInput {
  /// An ICMP message for an address that is not ours, or of a kind that the layer below has no use for. The packet begins
  /// with its header, and the checksum was right.
  static func icmp(_ packet: consuming Packet, _ cx: inout SoftInterrupt) {
    let sockets = SocketContextRef(cx)
    let request: UInt8 = packet.metadata.destination.isIPv4 ? 8 : 128
    guard packet.count >= Self.echoHeaderBytes, packet.bytes.uint16(at: 0) == UInt16(request) << 8,
      let state = unsafe sockets.transparent, !packet.metadata.destination.isMulticast,
      packet.metadata.flags.isDisjoint(with: [.linkBroadcast, .linkMulticast]),
      let raw = unsafe UnsafeMutableRawPointer(bitPattern: UInt(state.pointee.echoes.load()))
    else { return sockets.counters.transparentEchoesIgnored.increment() }
    guard mayHear(packet, sockets) else { return }
    if isAtItsEnd(packet) { return rejectAtEnd(packet, sockets, &cx) }
    sockets.counters.transparentEchoes.increment()
    let (identifier, sequence) = (packet.bytes.uint16(at: 4), packet.bytes.uint16(at: 6))
    unsafe DatagramRef(raw).arrive(packet, from: sequence, to: identifier, &cx)
  }
  /// Type, code, checksum, identifier, sequence number: as long as a UDP header.
  static var echoHeaderBytes: Int { 8 }

  /// Whether a packet for others may go no further than here: a router takes one off its hop limit. (0: it is not known.)
  static func isAtItsEnd(_ packet: borrowing Packet) -> Bool { packet.metadata.hopLimit == 1 }
  /// Tells its sender so (RFC 1812 section 5.3.1).
  static func rejectAtEnd(
    _ packet: consuming Packet, _ sockets: SocketContextRef, _ cx: inout SoftInterrupt
  ) {
    sockets.counters.transparentHopsExceeded.increment()
    var refused: Packet? = packet
    sockets.withInternet { internet in
      if let packet = refused.take() { internet.reject(packet, .hopLimitExceeded, &cx) }
    }
  }

  /// Puts the header of an echo message in front of its data, with its checksum.
  static func finishEcho(
    _ packet: inout Packet, isRequest: Bool, identifier: UInt16, sequence: UInt16, from source: IPAddress,
    to destination: IPAddress
  ) {
    packet.prepend(echoHeaderBytes)
    let isIPv4 = destination.isIPv4
    let type: UInt8 = isIPv4 ? isRequest ? 8 : 0 : isRequest ? 128 : 129
    var bytes = packet.mutableBytes
    bytes.set(UInt32(type) << 24, at: 0)
    bytes.set(identifier, at: 4)
    bytes.set(sequence, at: 6)
    let checksum: UInt16
    if isIPv4 {
      var sum = InternetChecksum()
      packet.add(from: 0, count: packet.totalCount, to: &sum)
      checksum = sum.finish()
    } else {
      checksum = packet.checksum(source: source, destination: destination, protocol: .icmpv6)
    }
    var header = packet.mutableBytes
    header.set(checksum, at: 2)
  }
}
