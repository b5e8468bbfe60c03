/// What a system call failed with, by its name and Linux's number.
public enum Errno: Int32, Error, Sendable, Hashable, CaseIterable {
  case EPERM = 1
  case ENOENT = 2
  case EIO = 5
  case EBADF = 9
  case EAGAIN = 11
  case ENOMEM = 12
  case EACCES = 13
  case EFAULT = 14
  case EBUSY = 16
  case EEXIST = 17
  case EINVAL = 22
  case EMFILE = 24
  case ESPIPE = 29
  case EPIPE = 32
  case EDOM = 33
  case ELOOP = 40
  case ENOMSG = 42
  case ENODATA = 61
  case EPROTO = 71
  case ENOTSOCK = 88
  case EDESTADDRREQ = 89
  case EMSGSIZE = 90
  case EPROTOTYPE = 91
  case ENOPROTOOPT = 92
  case EPROTONOSUPPORT = 93
  case ESOCKTNOSUPPORT = 94
  case EOPNOTSUPP = 95
  case EAFNOSUPPORT = 97
  case EADDRINUSE = 98
  case EADDRNOTAVAIL = 99
  case ENETDOWN = 100
  case ENETUNREACH = 101
  case ECONNABORTED = 103
  case ECONNRESET = 104
  case ENOBUFS = 105
  case EISCONN = 106
  case ENOTCONN = 107
  case ETIMEDOUT = 110
  case ECONNREFUSED = 111
  case EHOSTUNREACH = 113
  case EALREADY = 114
  case EINPROGRESS = 115
  case EKEYREJECTED = 129

  /// As C's header spells it.
  public var name: String { String(describing: self) }

  /// The error with this spelling; EWOULDBLOCK and ENOTSUP are other words for EAGAIN and EOPNOTSUPP.
  public init?(name: some StringProtocol) {
    switch name {
    case "EWOULDBLOCK": self = .EAGAIN
    case "ENOTSUP": self = .EOPNOTSUPP
    default:
      guard let found = Self.allCases.first(where: { $0.name == name }) else { return nil }
      self = found
    }
  }
}
