public import Wire

/// What a call returned, and what it wrote into the memory of its caller.
public struct CallResult: Sendable, Hashable {
  /// What the call returned: −1 if it failed.
  public var value: Int64
  /// Why it failed.
  public var errno: Errno?
  /// accept, getsockname, getpeername, recvfrom, recvmsg: an address. An IPv4 address of an AF_INET6 socket is mapped.
  public var address: SocketAddress?
  /// What was read.
  public var bytes: [UInt8] = []
  /// getsockopt: the value.
  public var option: OptionValue?
  /// getsockopt with TCP_INFO: the fields of `struct tcp_info`.
  public var info: ConnectionInfo?
  /// ioctl: the integer that was pointed to. sendfile: the offset afterwards.
  public var integer: Int64?
  /// recvmsg: the control messages.
  public var control: [ControlMessage] = []
  /// recvmsg: MSG_TRUNC, MSG_CTRUNC, MSG_ERRQUEUE.
  public var messageFlags: Int32 = 0
  /// poll: `revents` of each request.
  public var pollEvents: [Int16] = []
  /// epoll_wait: what happened.
  public var epollEvents: [EpollEvent] = []
  /// pipe: the two descriptors.
  public var descriptors: [Int32] = []

  /// Success.
  public init(_ value: Int64) { self.value = value }
  /// Failure.
  public init(_ errno: Errno) {
    value = -1
    self.errno = errno
  }
}

/// How far a call got when it was made.
public enum CallStart: Sendable, Hashable {
  /// To its end.
  case done(CallResult)
  /// It waits: look at ``DrillHost/poll(_:)`` after each step of time.
  case blocked(CallHandle)
  /// The host does not know this call, flag or option, and says what is missing. Nothing was changed.
  case unsupported(String)
}

/// A call that waits.
public struct CallHandle: Sendable, Hashable {
  let number: Int
}

/// The fields of Linux's `struct tcp_info` by their names (`tcpi_state`, `tcpi_snd_cwnd`, …), in its units:
/// microseconds, segments, bytes; and those of `struct tcp_bbr_info` (`bbr_min_rtt`, …).
public struct ConnectionInfo: Sendable, Hashable {
  /// What is known.
  public var values: [String: Int64] = [:]

  /// None.
  public init() {}
  /// A field; nil if the stack does not know it.
  public subscript(_ name: String) -> Int64? { values[name] }
}
