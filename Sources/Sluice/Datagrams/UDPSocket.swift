public import Sockets
public import Wire

/// A datagram that was received.
public struct Datagram: Hashable, Sendable {
  /// What it carried; may be empty.
  public var bytes: [UInt8]
  /// Who sent it.
  public var source: SocketAddress
  /// The address of this host that it was sent to: what an answer should come from.
  public var destination: IPAddress
}

/// A UDP socket. Several threads and tasks may use it at once. The last reference closes it.
public final class UDPSocket: Sendable {
  let socket: DatagramSocket
  private let stack: Stack

  init(_ socket: DatagramSocket, _ stack: Stack) {
    self.socket = socket
    self.stack = stack
  }

  /// Where it is bound, with the port that it got.
  public var localAddress: SocketAddress { socket.localAddress }
  /// The only peer that it hears and sends to, if it has one.
  public var peer: SocketAddress? { socket.peer }
  /// The same socket for threads that may block.
  public var blocking: BlockingUDPSocket { BlockingUDPSocket(socket: self) }

  /// Waits for a datagram. Throws `.closed` after ``close()``, `.cancelled` if the task is, and, with a peer,
  /// what the network reported about it (`.connectionRefused`, …).
  public nonisolated(nonsending) func receive() async throws(SocketError) -> Datagram {
    var operation = ReceiveDatagram(socket: socket)
    return try await suspend(&operation)
  }

  /// Sends one datagram, waiting while too many are on their way. It may be lost afterwards, as datagrams are.
  ///
  /// - Parameters:
  ///   - bytes: at most 65,507 over IPv4 and 65,527 over IPv6, else `.messageTooLarge`; what the link does not carry in
  ///     one packet leaves in fragments.
  ///   - destination: nil for the peer.
  ///   - source: the address of this host to send from; nil for the bound one, or the usual choice.
  ///   - segmentSize: nil, or at least 1 (else `.invalidAddress`): `bytes` are as many datagrams as they have pieces of that
  ///     size, the last of which may be shorter. At most 128, each of which the route carries in one packet, else
  ///     `.messageTooLarge`. They pass the stack as one, and a device that cuts (UDP_SEGMENT, USO).
  public nonisolated(nonsending) func send(
    _ bytes: [UInt8], to destination: SocketAddress? = nil, from source: IPAddress? = nil,
    segmentSize: Int? = nil
  ) async throws(SocketError) {
    var operation = SendDatagram(
      socket: socket, bytes: bytes, destination: destination, source: source, segmentSize: segmentSize)
    try await suspend(&operation)
  }

  /// Whether each error that the network reports about a datagram is kept, with its destination, for
  /// ``takeErrors()``: IP_RECVERR. A socket without a peer then reports errors from ``receive()`` and
  /// ``send(_:to:from:segmentSize:)`` as well. The newest 16 are kept. Off at first.
  public func setReceivesErrors(_ isOn: Bool) { socket.setReceivesErrors(isOn) }
  /// The errors that were kept, oldest first; each is told once.
  public func takeErrors() -> [DatagramError] {
    var errors: [DatagramError] = []
    while let error = socket.takeDatagramError() { errors.append(error) }
    return errors
  }
  /// How many bytes of memory the datagrams that wait to be received may occupy (SO_RCVBUF), 4 KiB...16 MiB; each
  /// takes 2 KiB at least.
  public func setReceiveLimit(_ bytes: Int) { socket.setReceiveLimit(bytes) }
  /// What the socket occupies.
  public var memory: SocketMemory { socket.memory }

  /// Frees the port; those who wait get `.closed`. Cannot fail; again it does nothing.
  public func close() { socket.close() }

  fileprivate func receiveBlocking() throws(SocketError) -> Datagram {
    var operation = ReceiveDatagram(socket: socket)
    return try block(&operation)
  }
  fileprivate func sendBlocking(
    _ bytes: [UInt8], to destination: SocketAddress?, from source: IPAddress?, segmentSize: Int?
  ) throws(SocketError) {
    var operation = SendDatagram(
      socket: socket, bytes: bytes, destination: destination, source: source, segmentSize: segmentSize)
    try block(&operation)
  }
}

extension UDPSocket {
  /// Every datagram, as it comes. Ends when the socket is closed.
  public var datagrams: Datagrams { Datagrams(socket: self) }

  /// The datagrams of a socket, one after the other.
  public struct Datagrams: AsyncSequence, Sendable {
    let socket: UDPSocket

    /// Begins to receive.
    public func makeAsyncIterator() -> Iterator { Iterator(socket: socket) }

    /// Receives one after the other.
    public struct Iterator: AsyncIteratorProtocol {
      let socket: UDPSocket

      /// The next datagram, nil once the socket is closed.
      public mutating func next() async throws(SocketError) -> Datagram? { try await next(isolation: nil) }
      /// The next datagram, nil once the socket is closed.
      public mutating func next(
        isolation actor: isolated (any Actor)?
      ) async throws(SocketError) -> Datagram? {
        do {
          return try await socket.receive()
        } catch .closed {
          return nil
        }
      }
    }
  }
}

/// A ``UDPSocket`` for threads that may block.
public struct BlockingUDPSocket: Sendable {
  /// The socket.
  public let socket: UDPSocket

  /// Blocks until a datagram comes.
  public func receive() throws(SocketError) -> Datagram { try socket.receiveBlocking() }
  /// Sends one datagram, or a row of them, blocking while too many are on their way.
  public func send(
    _ bytes: [UInt8], to destination: SocketAddress? = nil, from source: IPAddress? = nil,
    segmentSize: Int? = nil
  ) throws(SocketError) {
    try socket.sendBlocking(bytes, to: destination, from: source, segmentSize: segmentSize)
  }
  /// Frees the port. Cannot fail.
  public func close() { socket.close() }
}
