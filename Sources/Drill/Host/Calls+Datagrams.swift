// What calls mean for datagram sockets.

import Sockets
import Timing
import Wire

extension DrillHost {
  /// Nil: the call is not about a datagram socket.
  func datagramCall(_ call: SystemCall) -> Step? {
    func with(_ descriptor: Int32, _ body: (DatagramEndpoint) -> Step) -> Step? {
      guard case .datagram(let endpoint) = descriptors[descriptor] else { return nil }
      return body(endpoint)
    }
    switch call {
    case .bind(let descriptor, let address): return with(descriptor) { bind($0, address) }
    case .connect(let descriptor, let address): return with(descriptor) { connect($0, address) }
    case .getsockname(let descriptor): return with(descriptor) { localName($0) }
    case .getpeername(let descriptor): return with(descriptor) { peerName($0) }
    case .read(let descriptor, let space): return with(descriptor) { receive($0, [space], 0, .none) }
    case .readv(let descriptor, let spaces): return with(descriptor) { receive($0, spaces, 0, .none) }
    case .recv(let descriptor, let space, let flags):
      return with(descriptor) { receive($0, [space], flags, .none) }
    case .recvfrom(let descriptor, let space, let flags):
      return with(descriptor) { receive($0, [space], flags, .address) }
    case .recvmsg(let descriptor, let spaces, let room, let flags):
      return with(descriptor) { receive($0, spaces, flags, .message(controlSpace: room)) }
    case .write(let descriptor, let bytes): return with(descriptor) { send($0, [bytes], 0, to: .null) }
    case .writev(let descriptor, let pieces): return with(descriptor) { send($0, pieces, 0, to: .null) }
    case .send(let descriptor, let bytes, let flags):
      return with(descriptor) { send($0, [bytes], flags, to: .null) }
    case .sendto(let descriptor, let bytes, let flags, let address):
      return with(descriptor) { send($0, [bytes], flags, to: address) }
    case .sendmsg(let descriptor, let pieces, let address, let control, let flags):
      return with(descriptor) {
        control.isEmpty
          ? send($0, pieces, flags, to: address) : .unsupported("control messages of sendmsg")
      }
    case .fcntl(let descriptor, let command, let argument):
      return with(descriptor) { fileControl($0, command, argument) }
    case .ioctl(let descriptor, let request, let argument):
      return with(descriptor) { deviceControl($0, request, argument) }
    case .getsockopt(let descriptor, let level, let name, _):
      return with(descriptor) { option($0, level, name) }
    case .setsockopt(let descriptor, let level, let name, let value, _):
      return with(descriptor) { setOption($0, level, name, value) }
    case .shutdown(let descriptor, _): return with(descriptor) { _ in .unsupported("shutdown of datagrams") }
    case .socket, .listen, .accept, .close, .poll, .epollCreate, .epollControl, .epollWait, .pipe, .splice,
      .sendfile, .open, .usleep:
      return nil
    }
  }

  // MARK: Names

  /// Gives the socket a name and a peer, or others. Nil: it is done.
  private func name(
    _ endpoint: DatagramEndpoint, _ address: SocketAddress, peer: SocketAddress?
  ) -> Errno? {
    switch wait(sockets.bindDatagram(to: address, peer: peer, options: endpoint.bindOptions)) {
    case .success(let socket):
      endpoint.become(socket)
      return nil
    case .failure(let error): return Errno(error)
    case nil: return .EIO
    }
  }

  private func bind(_ endpoint: DatagramEndpoint, _ argument: AddressArgument) -> Step {
    var address = endpoint.anyName
    switch argument {
    case .null: return .fail(.EFAULT)
    case .unspecified: guard isLinux, endpoint.isIPv4 else { return .fail(.EAFNOSUPPORT) }
    case .inet(let given): address = given
    }
    if endpoint.isIPv4, !address.address.isIPv4 { return .fail(.EAFNOSUPPORT) }
    guard endpoint.socket == nil else { return .fail(.EINVAL) }
    return name(endpoint, address, peer: nil).map { .fail($0) } ?? .success()
  }

  /// AF_UNSPEC takes the peer away again. What waits to be read is lost with the socket that had it.
  private func connect(_ endpoint: DatagramEndpoint, _ argument: AddressArgument) -> Step {
    let peer: SocketAddress?
    switch argument {
    case .null: return .fail(.EFAULT)
    case .unspecified: peer = nil
    case .inet(let address): peer = address
    }
    if let peer, endpoint.isIPv4, !peer.address.isIPv4 { return .fail(.EAFNOSUPPORT) }
    let before = endpoint.socket
    if before == nil, peer == nil { return .success() }
    let local = before?.localAddress ?? endpoint.anyName
    before?.close()
    settle()
    guard let errno = name(endpoint, local, peer: peer) else { return .success() }
    endpoint.become(nil)
    if let before { _ = name(endpoint, local, peer: before.peer) }
    return .fail(errno)
  }

  private func localName(_ endpoint: DatagramEndpoint) -> Step {
    var result = CallResult(0)
    result.address = endpoint.socket?.localAddress ?? endpoint.anyName
    return .done(result)
  }

  private func peerName(_ endpoint: DatagramEndpoint) -> Step {
    guard let peer = endpoint.socket?.peer else { return .fail(.ENOTCONN) }
    var result = CallResult(0)
    result.address = peer
    return .done(result)
  }

  // MARK: Reading and writing

  private func receive(
    _ endpoint: DatagramEndpoint, _ spaces: [IncomingSpace], _ rawFlags: Int32, _ extras: ReceiveExtras
  ) -> Step {
    let flags = MessageFlags(rawValue: rawFlags)
    if flags.contains(.outOfBand) { return .fail(.EOPNOTSUPP) }
    if flags.contains(.peek) { return .unsupported("MSG_PEEK of datagrams") }
    guard spaces.allSatisfy({ $0.count >= 0 }) else { return .fail(.EINVAL) }
    if flags.contains(.errorQueue) { return receiveError(endpoint, extras) }
    let room = spaces.reduce(0) { $0 + $1.count }
    let isBad = spaces.contains { if case .null(let count) = $0 { count > 0 } else { false } }
    return attempt(
      isNonblocking: endpoint.isNonblocking || flags.contains(.dontWait),
      until: deadline(endpoint.receiveTimeout)
    ) {
      guard let socket = endpoint.socket else { return nil }
      var buffer = [UInt8](repeating: 0, count: room)
      switch unsafe buffer.withUnsafeMutableBytes({ unsafe socket.tryReceive(into: $0) }) {
      case .failure(.wouldBlock): return nil
      case .failure(let error): return CallResult(Errno(error))
      case .success(let datagram):
        if isBad { return CallResult(.EFAULT) }
        // MSG_TRUNC tells what there was, not what there was room for.
        var result = CallResult(Int64(flags.contains(.truncate) ? datagram.size : datagram.count))
        result.bytes = Array(buffer.prefix(datagram.count))
        switch extras {
        case .none: break
        case .address: result.address = datagram.source
        case .message:
          result.address = datagram.source
          if datagram.size > datagram.count { result.messageFlags |= MessageFlags.truncate.rawValue }
        }
        return result
      }
    }
  }

  /// MSG_ERRQUEUE: the oldest report, or EAGAIN. The stack keeps what became of a datagram, not the ICMP message; so
  /// that is told of which there is but one.
  private func receiveError(_ endpoint: DatagramEndpoint, _ extras: ReceiveExtras) -> Step {
    guard let report = endpoint.socket?.takeDatagramError() else { return .fail(.EAGAIN) }
    let isIPv4 = report.destination.address.isIPv4
    let kind: (type: UInt8, code: UInt8)
    switch report.error {
    case .messageTooLarge: kind = isIPv4 ? (3, 4) : (2, 0)
    case .connectionRefused: kind = isIPv4 ? (3, 3) : (1, 4)
    case .networkUnreachable: kind = isIPv4 ? (3, 0) : (1, 0)
    default: return .unsupported("the ICMP message behind an error of \(report.error)")
    }
    var result = CallResult(0)
    result.messageFlags = MessageFlags.errorQueue.rawValue
    guard case .message(let space) = extras else { return .done(result) }
    result.address = report.destination
    // A header of 16 bytes, the error in 16, and who reported it.
    guard space >= 32 + (isIPv4 ? 16 : 28) else {
      result.messageFlags |= MessageFlags.controlTruncated.rawValue
      return .done(result)
    }
    let error = ExtendedError(
      errno: Errno(report.error).rawValue, origin: report.reporter == nil ? 1 : isIPv4 ? 2 : 3,
      type: kind.type,
      code: kind.code, info: UInt32(clamping: report.mtu))
    result.control.append(
      endpoint.isIPv4
        ? ControlMessage(level: 0, type: 11, value: .error(error))
        : ControlMessage(level: 41, type: 25, value: .error(error)))
    return .done(result)
  }

  private func send(
    _ endpoint: DatagramEndpoint, _ pieces: [OutgoingBytes], _ rawFlags: Int32, to target: AddressArgument
  ) -> Step {
    let flags = MessageFlags(rawValue: rawFlags)
    if flags.contains(.outOfBand) { return .fail(.EOPNOTSUPP) }
    guard flags.isDisjoint(with: [.more, .zeroCopy]) else {
      return .unsupported("MSG_MORE and MSG_ZEROCOPY of datagrams")
    }
    let remote: SocketAddress?
    switch target {
    case .null: remote = nil
    case .unspecified: return .fail(isLinux ? .EINVAL : .EAFNOSUPPORT)
    case .inet(let address): remote = address
    }
    let peer = endpoint.socket?.peer
    if !isLinux, remote != nil, peer != nil { return .fail(.EISCONN) }
    guard remote != nil || peer != nil else { return .fail(.EDESTADDRREQ) }
    if let remote, endpoint.isIPv4, !remote.address.isIPv4 { return .fail(.EAFNOSUPPORT) }
    guard let bytes = flatten(pieces) else { return .fail(.EFAULT) }
    if endpoint.socket == nil, let errno = name(endpoint, endpoint.anyName, peer: nil) { return .fail(errno) }
    return attempt(isNonblocking: endpoint.isNonblocking || flags.contains(.dontWait), until: nil) {
      guard let socket = endpoint.socket else { return CallResult(.EBADF) }
      switch unsafe bytes.withUnsafeBytes({ unsafe socket.trySend($0, to: remote) }) {
      case .success: return CallResult(Int64(bytes.count))
      case .failure(.wouldBlock): return nil
      case .failure(let error): return CallResult(Errno(error))
      }
    }
  }

  // MARK: Options

  private func fileControl(_ endpoint: DatagramEndpoint, _ command: Int32, _ argument: Int32) -> Step {
    let nonblocking: Int32 = 0o4000
    switch command {
    case 1, 2: return .success()
    case 3: return .success(Int64(2 | (endpoint.isNonblocking ? nonblocking : 0)))
    case 4:
      endpoint.isNonblocking = argument & nonblocking != 0
      return .success()
    default: return .unsupported("fcntl command \(command)")
    }
  }

  private func deviceControl(_ endpoint: DatagramEndpoint, _ request: UInt32, _ argument: Int32?) -> Step {
    guard let argument else { return .fail(.EFAULT) }
    var result = CallResult(0)
    switch request {
    case 0x5421:
      endpoint.isNonblocking = argument != 0
      result.integer = Int64(argument)
    case 0x541B: result.integer = Int64(endpoint.socket?.nextSize() ?? 0)
    default: return .unsupported("ioctl \(request) of datagrams")
    }
    return .done(result)
  }

  private func option(_ endpoint: DatagramEndpoint, _ level: Int32, _ name: Int32) -> Step {
    var result = CallResult(0)
    func number(_ value: Int32) { result.option = .integer(value) }
    switch (level, name) {
    case (1, 2): number(endpoint.bindOptions.contains(.reuseAddress) ? 1 : 0)
    case (1, 3): number(2)
    case (1, 4): number(endpoint.socket?.takeError().map { Errno($0).rawValue } ?? 0)
    case (1, 15): number(endpoint.bindOptions.contains(.reusePort) ? 1 : 0)
    case (1, 38): number(17)
    case (1, 39): number(endpoint.isIPv4 ? 2 : 10)
    case (0, 11), (41, 25): number(endpoint.receivesErrors ? 1 : 0)
    default: return .unsupported("option \(name) of level \(level) of datagrams")
    }
    return .done(result)
  }

  private func setOption(
    _ endpoint: DatagramEndpoint, _ level: Int32, _ name: Int32, _ value: OptionValue
  ) -> Step {
    func set(_ option: BindOptions, _ isOn: Bool) {
      if isOn { endpoint.bindOptions.insert(option) } else { endpoint.bindOptions.remove(option) }
    }
    if case .null = value { return .fail(.EFAULT) }
    switch (level, name, value) {
    case (1, 2, .integer(let number)): set(.reuseAddress, number != 0)
    case (1, 15, .integer(let number)): set(.reusePort, number != 0)
    case (1, 20, .time(let seconds, let microseconds)):
      guard (0..<1_000_000).contains(microseconds) else { return .fail(.EDOM) }
      endpoint.receiveTimeout = Nanoseconds.seconds(max(0, seconds)) + .microseconds(microseconds)
    case (0, 11, .integer(let number)), (41, 25, .integer(let number)): endpoint.receivesErrors = number != 0
    default: return .unsupported("option \(name) of level \(level) of datagrams")
    }
    return .success()
  }
}
