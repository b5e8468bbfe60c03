import CLinux
import Glibc
import Sockets
import Wire

/// What the network said to a host's socket of something that it sent for the guest.
struct NetworkError {
  let refusal: DatagramRefusal
  /// Whose word it is; nil: this host's.
  let reporter: IPAddress?
  /// Of an echo request: its number.
  let sequence: UInt16?

  /// The oldest that the socket kept. Nil: there is none.
  static func next(_ descriptor: Int32) -> NetworkErrorReport? {
    var found = sluice_network_error()
    guard unsafe sluice_network_error_next(descriptor, &found) == 0 else { return nil }
    return NetworkErrorReport(found)
  }
}

/// One report; what it says may be nothing that a guest is told.
struct NetworkErrorReport {
  let error: NetworkError?

  init(_ found: sluice_network_error) {
    guard let refusal = DatagramRefusal(found) else {
      error = nil
      return
    }
    var found = found
    let count = Int(found.reporter_length)
    let reporter = unsafe withUnsafeBytes(of: &found.reporter) { bytes -> IPAddress? in
      guard count == 4 || count == 16 else { return nil }
      var words: (high: UInt64, low: UInt64) = (0, 0)
      for index in 0..<count {
        words.high = words.high << 8 | words.low >> 56
        words.low = words.low << 8 | UInt64(unsafe bytes[index])
      }
      if count == 4 { return IPAddress(IPv4Address(UInt32(words.low))) }
      return IPAddress(IPv6Address(high: words.high, low: words.low))
    }
    let sequence = unsafe withUnsafeBytes(of: &found.quoted) { unsafe UInt16($0[6]) << 8 | UInt16($0[7]) }
    // A host's own loopback means nothing to a guest, who takes nothing from there: then the word is the gateway's.
    let isTold = found.is_icmp != 0 && reporter.map { !$0.isLoopback } ?? false
    error = NetworkError(
      refusal: refusal, reporter: isTold ? reporter : nil,
      sequence: found.quoted_length == 8 ? sequence : nil)
  }
}

extension DatagramRefusal {
  /// What an error of the host's socket is to who sent through it; nil: not the network's word about this datagram.
  init?(errno: Int32) {
    switch errno {
    case ECONNREFUSED: self = .portUnreachable
    case EHOSTUNREACH, EHOSTDOWN: self = .hostUnreachable
    case ENETUNREACH, ENETDOWN: self = .networkUnreachable
    case ENOPROTOOPT: self = .protocolUnreachable
    case EACCES, EPERM: self = .prohibited
    default: return nil
    }
  }

  init?(_ found: sluice_network_error) {
    guard found.is_icmp != 0 else {
      // This host's own word of a path that it knows.
      if found.error == EMSGSIZE, found.mtu > 0 {
        self = .tooBig(mtu: Int(found.mtu))
      } else {
        self.init(errno: found.error)
      }
      return
    }
    // Both families: time exceeded is told as an unreachable host, and a packet too big by its errno alone.
    let isIPv4 = found.reporter_length != 16
    let isExceeded = isIPv4 ? found.type == 11 : found.type == 3
    if isExceeded {
      self = .timeExceeded
    } else if found.error == EMSGSIZE {
      self = .tooBig(mtu: Int(found.mtu))
    } else {
      let isProhibited =
        isIPv4
        ? found.type == 3 && [9, 10, 13].contains(found.code)
        : found.type == 1 && [1, 5, 6].contains(found.code)
      if isProhibited {
        self = .prohibited
      } else {
        self.init(errno: found.error)
      }
    }
  }
}
