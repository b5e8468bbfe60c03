public import Wire

/// The bytes that a call is given to send.
public enum OutgoingBytes: Sendable, Hashable {
  /// These.
  case bytes([UInt8])
  /// So many of no meaning.
  case zeros(Int)
  /// A null pointer, said to point to so many.
  case null(Int)

  /// How many.
  var count: Int {
    switch self {
    case .bytes(let bytes): bytes.count
    case .zeros(let count), .null(let count): max(0, count)
    }
  }
}

/// The memory that a call may fill.
public enum IncomingSpace: Sendable, Hashable {
  /// So many bytes.
  case space(Int)
  /// A null pointer, said to point to so many.
  case null(Int)

  /// How many bytes it is said to have.
  public var count: Int {
    switch self {
    case .space(let count), .null(let count): count
    }
  }
}

/// A socket address as an argument.
public enum AddressArgument: Sendable, Hashable {
  /// AF_INET, or AF_INET6 as whole, which may be an IPv4 address mapped into IPv6.
  case inet(SocketAddress)
  /// AF_UNSPEC.
  case unspecified
  /// A null pointer.
  case null
}

/// The value of a socket option, as a call sets it or is given it back.
public enum OptionValue: Sendable, Hashable {
  /// Four bytes.
  case integer(Int32)
  /// One byte, which the options of IP take as well.
  case byte(UInt8)
  /// `struct linger`, seconds.
  case linger(isOn: Bool, seconds: Int32)
  /// `struct timeval`.
  case time(seconds: Int64, microseconds: Int64)
  /// A name.
  case string(String)
  /// Bytes that only the option can tell the meaning of.
  case bytes([UInt8])
  /// Structures by the names of their fields.
  case records([OptionRecord])
  /// A null pointer.
  case null
}

/// One control message of `sendmsg` and `recvmsg`.
public struct ControlMessage: Sendable, Hashable {
  /// SOL_IP and the like, by Linux's number.
  public var level: Int32
  /// IP_RECVERR and the like.
  public var type: Int32
  /// What it says.
  public var value: Value

  /// The contents of a control message.
  public enum Value: Sendable, Hashable {
    /// Four bytes.
    case integer(Int32)
    /// `struct sock_extended_err`, and who reported it, if somebody did.
    case error(ExtendedError)
    /// Three `struct timespec`: by the host, unused, by the device; in nanoseconds.
    case times([Int64])
    /// Anything else.
    case bytes([UInt8])
  }

  /// One message.
  public init(level: Int32, type: Int32, value: Value) {
    self.level = level
    self.type = type
    self.value = value
  }
}

/// `struct sock_extended_err`: an entry of a socket's queue of errors.
public struct ExtendedError: Sendable, Hashable {
  /// Linux's number; 0 for what is no error, as the end of a zero-copy send.
  public var errno: Int32
  /// SO_EE_ORIGIN_…: 1 this host, 2 ICMP, 3 ICMPv6, 4 time stamps, 5 zero-copy.
  public var origin: UInt8
  /// The ICMP type.
  public var type: UInt8
  /// The ICMP code.
  public var code: UInt8
  /// The path's MTU, the first send of a range, or a kind of time stamp.
  public var info: UInt32
  /// The last send of a range, or the key of a time stamp.
  public var data: UInt32

  /// An entry.
  public init(
    errno: Int32, origin: UInt8, type: UInt8 = 0, code: UInt8 = 0, info: UInt32 = 0, data: UInt32 = 0
  ) {
    self.errno = errno
    self.origin = origin
    self.type = type
    self.code = code
    self.info = info
    self.data = data
  }
}

/// `struct pollfd`: what is asked; the answer is in ``CallResult/pollEvents``.
public struct PollRequest: Sendable, Hashable {
  /// The descriptor; a negative one is passed over.
  public var descriptor: Int32
  /// POLLIN and the like.
  public var events: Int16

  /// A request.
  public init(descriptor: Int32, events: Int16) {
    self.descriptor = descriptor
    self.events = events
  }
}

/// `struct epoll_event`.
public struct EpollEvent: Sendable, Hashable {
  /// EPOLLIN and the like, EPOLLET and EPOLLONESHOT among them.
  public var events: UInt32
  /// The user's word, which comes back as it is.
  public var data: UInt64

  /// An event.
  public init(events: UInt32, data: UInt64) {
    self.events = events
    self.data = data
  }
}

/// A system call with its arguments evaluated. Numbers are Linux's (``Numbers`` knows them by name).
public enum SystemCall: Sendable, Hashable {
  case socket(domain: Int32, type: Int32, protocol: Int32)
  case bind(Int32, AddressArgument)
  case listen(Int32, backlog: Int32)
  /// `flags` of accept4: SOCK_NONBLOCK; 0 for accept.
  case accept(Int32, flags: Int32)
  case connect(Int32, AddressArgument)
  case close(Int32)
  case shutdown(Int32, how: Int32)
  case getsockname(Int32)
  case getpeername(Int32)

  case read(Int32, IncomingSpace)
  case readv(Int32, [IncomingSpace])
  case recv(Int32, IncomingSpace, flags: Int32)
  case recvfrom(Int32, IncomingSpace, flags: Int32)
  case recvmsg(Int32, [IncomingSpace], controlSpace: Int, flags: Int32)

  case write(Int32, OutgoingBytes)
  case writev(Int32, [OutgoingBytes])
  case send(Int32, OutgoingBytes, flags: Int32)
  case sendto(Int32, OutgoingBytes, flags: Int32, AddressArgument)
  case sendmsg(Int32, [OutgoingBytes], to: AddressArgument, control: [ControlMessage], flags: Int32)

  case fcntl(Int32, command: Int32, argument: Int32)
  /// `argument`: what the pointed-to integer says; nil: a null pointer. The answer is in ``CallResult/integer``.
  case ioctl(Int32, request: UInt32, argument: Int32?)
  /// `size`: what `*optlen` says, in bytes.
  case getsockopt(Int32, level: Int32, name: Int32, size: Int)
  /// `size`: what `optlen` says, in bytes; nil: what the value has.
  case setsockopt(Int32, level: Int32, name: Int32, OptionValue, size: Int?)

  /// `timeout` in milliseconds; negative: none.
  case poll([PollRequest], timeout: Int32)
  /// epoll_create, or epoll_create1 with 1.
  case epollCreate(size: Int32)
  case epollControl(Int32, operation: Int32, descriptor: Int32, EpollEvent?)
  /// `timeout` in milliseconds; negative: none.
  case epollWait(Int32, limit: Int32, timeout: Int32)

  case pipe
  /// At most `count` bytes from one to the other, one of which is a pipe.
  case splice(from: Int32, to: Int32, count: Int, flags: UInt32)
  /// `offset`: nil takes and moves the file's own.
  case sendfile(to: Int32, from: Int32, offset: Int?, count: Int)
  /// A file that ``DrillHost/addFile(_:_:)`` made.
  case open(path: String, flags: Int32)
  case usleep(microseconds: Int64)
}
