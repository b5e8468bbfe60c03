public import Sockets
public import Wire

extension Stack {
  /// The same calls for threads that may block.
  public var blocking: BlockingStack { BlockingStack(stack: self) }
}

/// A ``Stack`` for threads that may block. Not for tasks: a blocked thread of their pool is one that runs no
/// other task.
public struct BlockingStack: Sendable {
  /// The stack.
  public let stack: Stack

  /// Listens for TCP connections; see ``Stack/listen(on:backlog:limits:)``.
  public func listen(
    on address: SocketAddress, backlog: Int = 128, limits: BufferLimits? = nil
  ) throws(SocketError) -> TCPListener {
    try stack.enter()
    defer { stack.intake.leave() }
    var answer = TakeAnswer(
      answer: stack.layer.listen(on: address, backlog: backlog, limits: limits ?? stack.configuration.buffers)
    )
    return stack.made(try block(&answer))
  }

  /// Connects and blocks until the peer has answered; see ``Stack/connect(to:from:limits:)``.
  public func connect(
    to remote: SocketAddress, from local: SocketAddress? = nil, limits: BufferLimits? = nil
  ) throws(SocketError) -> TCPStream {
    let socket = try begin(to: remote, from: local, limits)
    do {
      var handshake = FinishConnecting(socket: socket)
      try block(&handshake)
    } catch {
      socket.abort()
      throw error
    }
    return TCPStream(socket, stack)
  }

  private func begin(
    to remote: SocketAddress, from local: SocketAddress?, _ limits: BufferLimits?
  ) throws(SocketError) -> StreamSocket {
    try stack.enter()
    defer { stack.intake.leave() }
    var answer = TakeAnswer(
      answer: stack.layer.connect(to: remote, from: local, limits: limits ?? stack.configuration.buffers))
    return try block(&answer)
  }

  /// Binds a UDP socket; see ``Stack/bind(to:peer:)``.
  public func bind(to address: SocketAddress, peer: SocketAddress? = nil) throws(SocketError) -> UDPSocket {
    try stack.enter()
    defer { stack.intake.leave() }
    var answer = TakeAnswer(answer: stack.layer.bindDatagram(to: address, peer: peer))
    return stack.made(try block(&answer))
  }
}
