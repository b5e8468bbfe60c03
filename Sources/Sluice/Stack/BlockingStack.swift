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

  /// Listens for TCP connections; see ``Stack/listen(on:backlog:limits:options:)``.
  public func listen(
    on address: SocketAddress, backlog: Int = 128, limits: BufferLimits? = nil,
    options: BindOptions = .reuseAddress
  ) throws(SocketError) -> TCPListener {
    try stack.enter(address, .stream)
    defer { stack.intake.leave() }
    var answer = TakeAnswer(
      answer: stack.layer.listen(
        on: address, backlog: backlog, limits: limits ?? stack.configuration.buffers, options: options))
    return stack.made(try block(&answer))
  }

  /// Connects and blocks until the peer has answered; see ``Stack/connect(to:from:limits:encapsulationPort:)``.
  public func connect(
    to remote: SocketAddress, from local: SocketAddress? = nil, limits: BufferLimits? = nil,
    encapsulationPort: UInt16 = 0
  ) throws(SocketError) -> TCPStream {
    let socket = try begin(to: remote, from: local, limits, encapsulationPort)
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
    to remote: SocketAddress, from local: SocketAddress?, _ limits: BufferLimits?, _ encapsulation: UInt16
  ) throws(SocketError) -> StreamSocket {
    try stack.enter(remote, .stream)
    defer { stack.intake.leave() }
    var answer = TakeAnswer(
      answer: stack.layer.connect(
        to: remote, from: local, limits: limits ?? stack.configuration.buffers,
        encapsulationPort: encapsulation))
    return try block(&answer)
  }

  /// Another port of UDP for segments in UDP; see ``Stack/setEncapsulation(_:)``.
  public func setEncapsulation(_ encapsulation: TCPEncapsulation?) throws(SocketError) {
    try stack.enter()
    defer { stack.intake.leave() }
    var answer = TakeAnswer(answer: stack.layer.setEncapsulation(encapsulation))
    try block(&answer)
  }

  /// Binds a UDP socket; see ``Stack/bind(to:peer:options:)``.
  public func bind(
    to address: SocketAddress, peer: SocketAddress? = nil, options: BindOptions = []
  ) throws(SocketError) -> UDPSocket {
    try stack.enter(address, .datagram)
    defer { stack.intake.leave() }
    var answer = TakeAnswer(answer: stack.layer.bindDatagram(to: address, peer: peer, options: options))
    return stack.made(try block(&answer))
  }

  /// Makes a TCP socket that is neither connected nor listening yet; see ``Stack/makeTCPSocket(_:)``.
  public func makeTCPSocket(_ family: AddressFamily = .inet6) throws(SocketError) -> TCPSocket {
    try stack.enter()
    defer { stack.intake.leave() }
    let kind = IPProtocol.tcp.rawValue
    var answer = TakeAnswer(answer: try stack.layer.protocols.makeSocket(family, .stream, protocol: kind))
    let socket = try block(&answer)
    stack.endpoints.add(socket)
    guard let unconnected = socket as? UnconnectedStream else { throw .protocolNotSupported }
    return TCPSocket(unconnected, stack)
  }
}
