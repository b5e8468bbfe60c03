// System calls by what they are about, and what all of them share.

import Sockets
import Timing
import Wire

extension DrillHost {
  func perform(_ call: SystemCall) -> Step { datagramCall(call) ?? otherCall(call) }

  private func otherCall(_ call: SystemCall) -> Step {
    switch call {
    case .socket(let domain, let type, let number): socket(domain, type, number)
    case .bind(let descriptor, let address): withEndpoint(descriptor) { bind($0, address) }
    case .listen(let descriptor, let backlog): withEndpoint(descriptor) { listen($0, backlog) }
    case .accept(let descriptor, let flags): withEndpoint(descriptor) { accept($0, flags) }
    case .connect(let descriptor, let address): withEndpoint(descriptor) { connect($0, address) }
    case .close(let descriptor): closeCall(descriptor)
    case .shutdown(let descriptor, let how): withEndpoint(descriptor) { shutdown($0, how) }
    case .getsockname(let descriptor): withEndpoint(descriptor) { localName($0) }
    case .getpeername(let descriptor): withEndpoint(descriptor) { peerName($0) }
    case .read(let descriptor, let space): read(descriptor, [space])
    case .readv(let descriptor, let spaces): read(descriptor, spaces)
    case .recv(let descriptor, let space, let flags):
      withEndpoint(descriptor) { receive($0, [space], flags, .none) }
    case .recvfrom(let descriptor, let space, let flags):
      withEndpoint(descriptor) { receive($0, [space], flags, .address) }
    case .recvmsg(let descriptor, let spaces, let room, let flags):
      withEndpoint(descriptor) { receive($0, spaces, flags, .message(controlSpace: room)) }
    case .write(let descriptor, let bytes): write(descriptor, [bytes])
    case .writev(let descriptor, let pieces): write(descriptor, pieces)
    case .send(let descriptor, let bytes, let flags):
      withEndpoint(descriptor) { send($0, [bytes], flags, to: .null) }
    case .sendto(let descriptor, let bytes, let flags, let address):
      withEndpoint(descriptor) { send($0, [bytes], flags, to: address) }
    case .sendmsg(let descriptor, let pieces, let address, let control, let flags):
      control.isEmpty
        ? withEndpoint(descriptor) { send($0, pieces, flags, to: address) }
        : .unsupported("control messages of sendmsg")
    case .fcntl(let descriptor, let command, let argument): fileControl(descriptor, command, argument)
    case .ioctl(let descriptor, let request, let argument): deviceControl(descriptor, request, argument)
    case .getsockopt(let descriptor, let level, let name, let size):
      withEndpoint(descriptor) { getOption($0, level, name, size) }
    case .setsockopt(let descriptor, let level, let name, let value, let size):
      withEndpoint(descriptor) { setOption($0, level, name, value, size) }
    case .poll(let requests, let timeout): poll(requests, timeout)
    case .epollCreate(let size): epollCreate(size)
    case .epollControl(let descriptor, let operation, let subject, let event):
      epollControl(descriptor, operation, subject, event)
    case .epollWait(let descriptor, let limit, let timeout): epollWait(descriptor, limit, timeout)
    case .pipe: pipe()
    case .splice(let source, let target, let count, let flags): splice(source, target, count, flags)
    case .sendfile(let target, let source, let offset, let count): sendfile(target, source, offset, count)
    case .open(let path, let flags): open(path, flags)
    case .usleep(let microseconds):
      .wait(
        WaitingCall(until: now.adding(microseconds: max(0, microseconds)), expired: { CallResult(0) }) { nil }
      )
    }
  }

  // MARK: What they share

  var isLinux: Bool { settings.personality == .linux }

  /// The socket of a descriptor: EBADF, ENOTSOCK.
  func withEndpoint(_ descriptor: Int32, _ body: (Endpoint) -> Step) -> Step {
    switch descriptors[descriptor] {
    case nil: .fail(.EBADF)
    case .stream(let endpoint): body(endpoint)
    case .datagram: .fail(.EOPNOTSUPP)
    case .epoll, .pipe, .file: .fail(.ENOTSOCK)
    }
  }

  /// Opens a descriptor, and returns its number: EMFILE.
  func opened(_ file: OpenFile) -> Step {
    guard let number = descriptors.open(file) else { return .fail(.EMFILE) }
    return .success(Int64(number))
  }

  /// A deadline of `timeout` from now on; nil for zero, which is none.
  func deadline(_ timeout: Nanoseconds) -> Instant? { timeout > .zero ? now + timeout : nil }

  /// Tries now, and goes on trying unless the call may not wait.
  func attempt(
    isNonblocking: Bool, until deadline: Instant?, failing errno: Errno = .EAGAIN,
    _ body: @escaping () -> CallResult?
  ) -> Step {
    if let result = body() { return .done(result) }
    if isNonblocking { return .fail(errno) }
    return .wait(WaitingCall(until: deadline, expired: { CallResult(errno) }, body))
  }
}

extension Errno {
  init(_ error: SocketError) { self = Errno(rawValue: error.errno) ?? .EIO }
}

/// Flags of calls, Linux's.
struct MessageFlags: OptionSet {
  let rawValue: Int32
  static let outOfBand = MessageFlags(rawValue: 0x1)
  static let peek = MessageFlags(rawValue: 0x2)
  static let dontRoute = MessageFlags(rawValue: 0x4)
  static let controlTruncated = MessageFlags(rawValue: 0x8)
  static let truncate = MessageFlags(rawValue: 0x20)
  static let dontWait = MessageFlags(rawValue: 0x40)
  static let endOfRecord = MessageFlags(rawValue: 0x80)
  static let waitAll = MessageFlags(rawValue: 0x100)
  static let errorQueue = MessageFlags(rawValue: 0x2000)
  static let noSignal = MessageFlags(rawValue: 0x4000)
  static let more = MessageFlags(rawValue: 0x8000)
  static let zeroCopy = MessageFlags(rawValue: 0x400_0000)
  static let fastOpen = MessageFlags(rawValue: 0x2000_0000)
}
