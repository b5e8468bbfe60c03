public import Sockets
public import Wire

/// Takes TCP connections on one address and port. The last reference closes it.
///
/// Several threads and tasks may accept at once; they get their turns in the order of their calls.
public final class TCPListener: Sendable {
  package let socket: ListeningSocket
  private let stack: Stack

  init(_ socket: ListeningSocket, _ stack: Stack) {
    self.socket = socket
    self.stack = stack
  }

  /// Where it listens, with the port that it got.
  public var address: SocketAddress { socket.address }

  /// Waits for the next connection. Throws `.closed` once the listener is closed, `.cancelled` if the task is.
  public nonisolated(nonsending) func accept() async throws(SocketError) -> TCPStream {
    var operation = Accept(socket: socket)
    return TCPStream(try await suspend(&operation), stack)
  }

  /// Blocks the thread until the next connection. Throws `.closed` once the listener is closed.
  public func acceptBlocking() throws(SocketError) -> TCPStream {
    var operation = Accept(socket: socket)
    return TCPStream(try block(&operation), stack)
  }

  /// Every connection, as it comes. Ends when the listener is closed.
  public var connections: Connections { Connections(listener: self) }

  /// So many connections at a time may be accepted with the text of their SYNs before their handshakes are complete
  /// (TCP_FASTOPEN; RFC 7413); 0, as at first: none. Without `TCPFastOpen.server` in the configuration it has no effect.
  /// What a SYN brings may come twice: for services that this does no harm.
  public func setFastOpen(limit: Int) { socket.setFastOpen(limit: limit) }

  /// Stops listening. The port is free and every connection that nobody accepted is reset; those who wait get
  /// `.closed`. Cannot fail; again it does nothing.
  public func close() { socket.close() }
}

extension TCPListener {
  /// The connections of a listener, one after the other.
  public struct Connections: AsyncSequence, Sendable {
    let listener: TCPListener

    /// Begins to accept.
    public func makeAsyncIterator() -> Iterator { Iterator(listener: listener) }

    /// Accepts one after the other.
    public struct Iterator: AsyncIteratorProtocol {
      let listener: TCPListener

      /// The next connection, nil once the listener is closed.
      public mutating func next() async throws(SocketError) -> TCPStream? { try await next(isolation: nil) }
      /// The next connection, nil once the listener is closed.
      public mutating func next(
        isolation actor: isolated (any Actor)?
      ) async throws(SocketError) -> TCPStream? {
        do {
          return try await listener.accept()
        } catch .closed {
          return nil
        }
      }
    }
  }
}
