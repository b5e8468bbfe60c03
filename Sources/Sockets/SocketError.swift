/// Why a socket call failed. Each case is one errno; no error has the number 0 (C4).
public enum SocketError: Int32, Error, Sendable, CaseIterable {
  /// The call was interrupted because the task was cancelled.
  case cancelled = 125  // ECANCELED
  /// The call would have to wait.
  case wouldBlock = 11  // EAGAIN
  /// The address and port are bound already.
  case addressInUse = 98  // EADDRINUSE
  /// No such local address, or no local port is free.
  case addressNotAvailable = 99  // EADDRNOTAVAIL
  /// The address does not fit: no port, wrong family, multicast. Or another argument.
  case invalidAddress = 22  // EINVAL
  /// The connection was refused by the peer.
  case connectionRefused = 111  // ECONNREFUSED
  /// The peer reset the connection.
  case connectionReset = 104  // ECONNRESET
  /// The connection was aborted on this side.
  case connectionAborted = 103  // ECONNABORTED
  /// The peer did not answer in time.
  case timedOut = 110  // ETIMEDOUT
  /// No route to the host, or its link address does not resolve.
  case hostUnreachable = 113  // EHOSTUNREACH
  /// No route to the network.
  case networkUnreachable = 101  // ENETUNREACH
  /// The sending side has been shut down.
  case brokenPipe = 32  // EPIPE
  /// The socket is not connected.
  case notConnected = 107  // ENOTCONN
  /// The datagram is larger than the path carries.
  case messageTooLarge = 90  // EMSGSIZE
  /// A buffer limit of the stack is reached.
  case noBufferSpace = 105  // ENOBUFS
  /// The socket has been closed on this side.
  case closed = 9  // EBADF
  /// The stack is shutting down.
  case networkDown = 100  // ENETDOWN
  /// The event queue watches the socket already.
  case alreadyRegistered = 17  // EEXIST
  /// The event queue does not watch the socket.
  case notRegistered = 2  // ENOENT
  /// A limit on registrations is reached.
  case limitReached = 28  // ENOSPC
  /// The socket belongs to another stack.
  case otherStack = 18  // EXDEV
  /// Another call is changing what the socket is.
  case alreadyInProgress = 114  // EALREADY
  /// The socket has become a connection.
  case alreadyConnected = 106  // EISCONN
  /// Nobody makes sockets of this family.
  case familyNotSupported = 97  // EAFNOSUPPORT
  /// The family has no sockets of this type.
  case typeNotSupported = 94  // ESOCKTNOSUPPORT
  /// The family does not know the protocol.
  case protocolNotSupported = 93  // EPROTONOSUPPORT
  /// The family knows the protocol for sockets of another type.
  case protocolWrongType = 91  // EPROTOTYPE

  /// The socket speaks under keys only, and has none for the peer (RFC 5925).
  case keyRejected = 129  // EKEYREJECTED

  /// The configuration does not have it.
  case operationNotSupported = 95  // EOPNOTSUPP

  /// The number that the C API reports.
  public var errno: Int32 { rawValue }

  var code: UInt64 { UInt64(rawValue) }
  init?(code: UInt64) {
    guard code != 0 else { return nil }
    self.init(rawValue: Int32(truncatingIfNeeded: code))
  }
}

extension SocketError: CustomStringConvertible {
  /// What users read.
  public var description: String {
    switch self {
    case .cancelled: "Operation cancelled"
    case .wouldBlock: "Operation would block"
    case .addressInUse: "Address already in use"
    case .addressNotAvailable: "Cannot assign requested address"
    case .invalidAddress: "Invalid address"
    case .connectionRefused: "Connection refused"
    case .connectionReset: "Connection reset by peer"
    case .connectionAborted: "Connection aborted"
    case .timedOut: "Connection timed out"
    case .hostUnreachable: "No route to host"
    case .networkUnreachable: "Network is unreachable"
    case .brokenPipe: "Broken pipe"
    case .notConnected: "Socket is not connected"
    case .messageTooLarge: "Message too long"
    case .noBufferSpace: "No buffer space available"
    case .closed: "Socket is closed"
    case .networkDown: "Network is down"
    case .alreadyRegistered: "Socket is watched already"
    case .notRegistered: "Socket is not watched"
    case .otherStack: "Socket of another stack"
    case .limitReached: "Limit on registrations reached"
    case .alreadyInProgress: "Operation already in progress"
    case .alreadyConnected: "Socket is already connected"
    case .familyNotSupported: "Address family not supported"
    case .typeNotSupported: "Socket type not supported"
    case .protocolNotSupported: "Protocol not supported"
    case .operationNotSupported: "Operation not supported"
    case .keyRejected: "Key was rejected by service"
    case .protocolWrongType: "Protocol wrong type for socket"
    }
  }
}
