public import Sockets
public import Wire

/// A TCP socket that is neither connected nor listening yet: for programs that bind first and decide later.
///
/// Any thread and any task may call it. It becomes one thing, once; of several calls at the same time one comes
/// first, and the others throw why they came late. The last reference closes it, unless it has become something.
public final class TCPSocket: Sendable {
  private let socket: UnconnectedStream
  private let stack: Stack

  init(_ socket: UnconnectedStream, _ stack: Stack) {
    self.socket = socket
    self.stack = stack
  }

  /// The name that it was bound to; nil before, and after it became something else.
  public var localAddress: SocketAddress? { socket.localAddress }

  /// Gives it a name, and returns that with the port that it got.
  ///
  /// - Parameters:
  ///   - address: one of this host's, or the unspecified one for all of a family. Port 0 takes a free port.
  ///   - options: beside whom it may be bound.
  /// - Throws: `.addressInUse`, `.addressNotAvailable`, `.invalidAddress` if the address does not fit or it has a
  ///   name, `.alreadyInProgress`, `.alreadyConnected`, `.closed`, `.networkDown` after a shutdown.
  @discardableResult
  public nonisolated(nonsending) func bind(
    to address: SocketAddress, options: BindOptions = []
  ) async throws(SocketError) -> SocketAddress {
    try stack.enter()
    defer { stack.intake.leave() }
    var answer = TakeAnswer(answer: socket.bind(to: address, options: options))
    return try await suspend(&answer)
  }

  /// Connects from its name, or from the usual one, and waits for the peer's answer; a cancelled task gives up
  /// with a reset. Whatever the answer, the socket is spent.
  ///
  /// - Throws: what ``Stack/connect(to:from:limits:encapsulationPort:)`` throws, `.alreadyInProgress`, `.alreadyConnected`,
  ///   `.closed`.
  public nonisolated(nonsending) func connect(to remote: SocketAddress) async throws(SocketError) -> TCPStream
  {
    let connecting = try begin(remote)
    do {
      var handshake = FinishConnecting(socket: connecting)
      try await suspend(&handshake)
    } catch {
      connecting.abort()
      throw error
    }
    return TCPStream(connecting, stack)
  }

  /// Becomes a listener, with its name or a free port of every address.
  ///
  /// - Parameters: as for ``Stack/listen(on:backlog:limits:options:)``.
  /// - Throws: `.addressInUse`, and it is what it was; `.invalidAddress` if it is connected or listens,
  ///   `.alreadyInProgress`, `.closed`, `.networkDown` after a shutdown.
  public nonisolated(nonsending) func listen(
    backlog: Int = 128, limits: BufferLimits? = nil
  ) async throws(SocketError) -> TCPListener {
    try stack.enter()
    defer { stack.intake.leave() }
    var answer = TakeAnswer(
      answer: socket.listen(backlog: backlog, limits: limits ?? stack.configuration.buffers))
    return stack.made(try await suspend(&answer))
  }

  /// Gives the name back. Cannot fail; again, or after it became something, it does nothing.
  public func close() { socket.close() }

  /// The same socket for threads that may block.
  public var blocking: BlockingTCPSocket { BlockingTCPSocket(socket: self) }

  private func begin(_ remote: SocketAddress) throws(SocketError) -> StreamSocket {
    try stack.enter()
    defer { stack.intake.leave() }
    return try socket.connect(to: remote).get()
  }

  fileprivate func bindBlocking(
    _ address: SocketAddress, _ options: BindOptions
  ) throws(SocketError) -> SocketAddress {
    try stack.enter()
    defer { stack.intake.leave() }
    var answer = TakeAnswer(answer: socket.bind(to: address, options: options))
    return try block(&answer)
  }
  fileprivate func connectBlocking(_ remote: SocketAddress) throws(SocketError) -> TCPStream {
    let connecting = try begin(remote)
    do {
      var handshake = FinishConnecting(socket: connecting)
      try block(&handshake)
    } catch {
      connecting.abort()
      throw error
    }
    return TCPStream(connecting, stack)
  }
  fileprivate func listenBlocking(
    _ backlog: Int, _ limits: BufferLimits?
  ) throws(SocketError) -> TCPListener {
    try stack.enter()
    defer { stack.intake.leave() }
    var answer = TakeAnswer(
      answer: socket.listen(backlog: backlog, limits: limits ?? stack.configuration.buffers))
    return stack.made(try block(&answer))
  }
}

/// A ``TCPSocket`` for threads that may block.
public struct BlockingTCPSocket: Sendable {
  /// The socket.
  public let socket: TCPSocket

  /// Gives it a name; see ``TCPSocket/bind(to:options:)``.
  @discardableResult
  public func bind(to address: SocketAddress, options: BindOptions = []) throws(SocketError) -> SocketAddress
  {
    try socket.bindBlocking(address, options)
  }
  /// Connects and blocks until the peer has answered; see ``TCPSocket/connect(to:)``.
  public func connect(to remote: SocketAddress) throws(SocketError) -> TCPStream {
    try socket.connectBlocking(remote)
  }
  /// Becomes a listener; see ``TCPSocket/listen(backlog:limits:)``.
  public func listen(backlog: Int = 128, limits: BufferLimits? = nil) throws(SocketError) -> TCPListener {
    try socket.listenBlocking(backlog, limits)
  }
  /// Gives the name back. Cannot fail.
  public func close() { socket.close() }
}
