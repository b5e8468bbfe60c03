import Wire

/// Makes the host's call from a script's.
struct CallTranslation {
  var values = ExpressionValues()
  /// AF_INET or AF_INET6, for `...`.
  var domain: Int32
  /// What `bind` gets for `...`.
  var bindAddress: SocketAddress
  /// What `connect` gets for `...`.
  var connectAddress: SocketAddress
  /// What `sendto` gets, where that is another: who sent the datagram that came first.
  var replyAddress: SocketAddress?
  /// The host's descriptors by the script's.
  var descriptors: [Int64: Int32] = [:]

  /// The host's call.
  func call(_ call: ScriptCall) throws(CallProblem) -> SystemCall {
    let arguments = Arguments(call: call, translation: self)
    switch call.name {
    case "socket":
      return .socket(
        domain: call.arguments.first == .ellipsis ? domain : try arguments.int32(0),
        type: try arguments.int32(1),
        protocol: try arguments.int32(2))
    case "bind":
      return .bind(try arguments.descriptor(0), try values.address(arguments[1], default: bindAddress))
    case "listen": return .listen(try arguments.descriptor(0), backlog: try arguments.int32(1))
    case "accept": return .accept(try arguments.descriptor(0), flags: 0)
    case "accept4": return .accept(try arguments.descriptor(0), flags: try arguments.int32(3))
    case "connect":
      return .connect(try arguments.descriptor(0), try values.address(arguments[1], default: connectAddress))
    case "close": return .close(try arguments.descriptor(0))
    case "shutdown": return .shutdown(try arguments.descriptor(0), how: try arguments.int32(1))
    case "getsockname": return .getsockname(try arguments.descriptor(0))
    case "getpeername": return .getpeername(try arguments.descriptor(0))
    case "fcntl":
      let argument = arguments.count > 2 ? try arguments.flags(2) : 0
      return .fcntl(try arguments.descriptor(0), command: try arguments.int32(1), argument: argument)
    case "ioctl":
      return .ioctl(
        try arguments.descriptor(0), request: UInt32(bitPattern: try arguments.int32(1)),
        argument: try arguments[2].isList ? values.int32(values.item(arguments[2])) : nil)
    case "getsockopt":
      return .getsockopt(
        try arguments.descriptor(0), level: try arguments.int32(1), name: try arguments.int32(2),
        size: try arguments[4].isList ? values.count(values.item(arguments[4])) : 256)
    case "setsockopt":
      let length = try arguments[4]
      let size = length == .ellipsis ? nil : try values.count(length)
      return .setsockopt(
        try arguments.descriptor(0), level: try arguments.int32(1), name: try arguments.int32(2),
        try values.option(arguments[3], size: size), size: size)
    default:
      if let transfer = try transfer(call.name, arguments) { return transfer }
      return try waiting(call.name, arguments)
    }
  }

  private func transfer(_ name: String, _ arguments: Arguments) throws(CallProblem) -> SystemCall? {
    switch name {
    case "read": return .read(try arguments.descriptor(0), try arguments.incoming(1, count: 2))
    case "readv": return .readv(try arguments.descriptor(0), try arguments.incomingVectors(1))
    case "recv":
      return .recv(
        try arguments.descriptor(0), try arguments.incoming(1, count: 2), flags: try arguments.int32(3))
    case "recvfrom":
      return .recvfrom(
        try arguments.descriptor(0), try arguments.incoming(1, count: 2), flags: try arguments.int32(3))
    case "recvmsg":
      let message = try arguments[1]
      let hasControl = try values.optionalField("msg_control", of: message) != nil
      return .recvmsg(
        try arguments.descriptor(0),
        try values.vectors(values.field("msg_iov", of: message))
          .map { (entry) throws(CallProblem) in try values.incoming(entry.base, count: entry.count) },
        controlSpace: hasControl ? 4096 : 0, flags: try arguments.int32(2))
    case "write": return .write(try arguments.descriptor(0), try arguments.outgoing(1, count: 2))
    case "writev": return .writev(try arguments.descriptor(0), try arguments.outgoingVectors(1))
    case "send":
      return .send(
        try arguments.descriptor(0), try arguments.outgoing(1, count: 2), flags: try arguments.int32(3))
    case "sendto":
      return .sendto(
        try arguments.descriptor(0), try arguments.outgoing(1, count: 2), flags: try arguments.int32(3),
        try values.address(arguments[4], default: replyAddress ?? connectAddress))
    case "sendmsg":
      let message = try arguments[1]
      let flags = try arguments.int32(2)
      // Only data in a SYN needs the address that every script leaves to `...`.
      let isOpening = flags & 0x2000_0000 != 0
      return .sendmsg(
        try arguments.descriptor(0),
        try values.vectors(values.field("msg_iov", of: message))
          .map { (entry) throws(CallProblem) in try values.outgoing(entry.base, count: entry.count) },
        to: isOpening ? .inet(connectAddress) : .null,
        control: try values.control(values.optionalField("msg_control", of: message) ?? .list([])),
        flags: flags)
    case "pipe": return .pipe
    case "splice":
      return .splice(
        from: try arguments.descriptor(0), to: try arguments.descriptor(2),
        count: try values.count(arguments[4]),
        flags: UInt32(bitPattern: try arguments.int32(5)))
    case "sendfile":
      return .sendfile(
        to: try arguments.descriptor(0), from: try arguments.descriptor(1),
        offset: try arguments[2].isList ? values.count(values.item(arguments[2])) : nil,
        count: try values.count(arguments[3]))
    case "open":
      guard case .string(let path, _) = try arguments[0] else { throw .invalid("open wants a path") }
      return .open(path: path, flags: try arguments.flags(1))
    default: return nil
    }
  }

  private func waiting(_ name: String, _ arguments: Arguments) throws(CallProblem) -> SystemCall {
    switch name {
    case "poll":
      var requests: [PollRequest] = []
      for entry in try values.list(arguments[0]) {
        let events = try values.integer(values.field("events", of: entry))
        requests.append(
          PollRequest(
            descriptor: try descriptor(values.field("fd", of: entry)),
            events: Int16(truncatingIfNeeded: events)))
      }
      return .poll(requests, timeout: try arguments.int32(2))
    case "epoll_create", "epoll_create1": return .epollCreate(size: max(1, try arguments.int32(0)))
    case "epoll_ctl":
      let written = arguments.count > 3 ? try arguments[3] : .integer(0)
      let event = written.isStructure ? try values.epollEvent(written) : nil
      return .epollControl(
        try arguments.descriptor(0), operation: try arguments.int32(1),
        descriptor: try arguments.descriptor(2), event)
    case "epoll_wait":
      return .epollWait(
        try arguments.descriptor(0), limit: try arguments.int32(2), timeout: try arguments.int32(3))
    case "usleep": return .usleep(microseconds: try values.integer(arguments[0]))
    default: throw .unsupported("the system call \(name)")
    }
  }

  /// The host's descriptor for the script's. One that the script never got is passed as it is: calls fail with EBADF.
  func descriptor(_ expression: ScriptExpression) throws(CallProblem) -> Int32 {
    let number = try values.integer(expression)
    if let known = descriptors[number] { return known }
    guard let plain = Int32(exactly: number) else { throw .invalid("\(expression) is no descriptor") }
    return descriptors.values.contains(plain) ? -1 : plain
  }

  /// The arguments of a call.
  private struct Arguments {
    var call: ScriptCall
    var translation: CallTranslation

    var count: Int { call.arguments.count }

    subscript(index: Int) -> ScriptExpression {
      get throws(CallProblem) {
        guard call.arguments.indices.contains(index) else {
          throw .invalid("\(call.name) wants more than \(count) arguments")
        }
        return call.arguments[index]
      }
    }

    func descriptor(_ index: Int) throws(CallProblem) -> Int32 { try translation.descriptor(self[index]) }

    func int32(_ index: Int) throws(CallProblem) -> Int32 { try translation.values.int32(self[index]) }

    /// Flags of files, whose numbers BSD's scripts may have written as BSD's.
    func flags(_ index: Int) throws(CallProblem) -> Int32 { try int32(index) }

    func incoming(_ index: Int, count: Int) throws(CallProblem) -> IncomingSpace {
      try translation.values.incoming(self[index], count: translation.values.count(self[count]))
    }

    func outgoing(_ index: Int, count: Int) throws(CallProblem) -> OutgoingBytes {
      try translation.values.outgoing(self[index], count: translation.values.count(self[count]))
    }

    func incomingVectors(_ index: Int) throws(CallProblem) -> [IncomingSpace] {
      var spaces: [IncomingSpace] = []
      for entry in try translation.values.vectors(self[index]) {
        spaces.append(try translation.values.incoming(entry.base, count: entry.count))
      }
      return spaces
    }

    func outgoingVectors(_ index: Int) throws(CallProblem) -> [OutgoingBytes] {
      var pieces: [OutgoingBytes] = []
      for entry in try translation.values.vectors(self[index]) {
        pieces.append(try translation.values.outgoing(entry.base, count: entry.count))
      }
      return pieces
    }
  }
}

extension ScriptExpression {
  var isList: Bool { if case .list = self { true } else { false } }
  var isStructure: Bool { if case .structure = self { true } else { false } }
}
