import CLinux
import Glibc
import Wire

/// The sockets of this host that take connections for a guest.
struct HostListeners: Sendable {
  /// One socket, and where its connections go.
  struct Listener: Sendable {
    let descriptor: Int32
    let target: SocketAddress
  }
  private(set) var all: [Listener] = []

  /// Connections that may wait in the kernel; it allows what net.core.somaxconn does.
  private static let backlog: Int32 = 4096
  /// Connections that may bring data with their SYNs before their handshakes are complete.
  private static let fastOpenLimit: Int32 = 256

  /// Opens what `forwards` ask for, all or nothing.
  init(_ forwards: [PortForward], _ guest: ForwardGuest) throws(PortForwardError) {
    do throws(PortForwardError) {
      for forward in forwards {
        if let address = forward.address {
          try open(forward, at: address, guest)
        } else {
          try open(forward, at: .anyIPv4, guest)
          try open(forward, at: .anyIPv6, guest, isOptional: true)
        }
      }
    } catch {
      close()
      throw error
    }
  }

  /// `isOptional`: a host without IPv6 does without.
  private mutating func open(
    _ forward: PortForward, at address: IPAddress, _ guest: ForwardGuest, isOptional: Bool = false
  ) throws(PortForwardError) {
    let made = unsafe address.withNetworkOrder { bytes in
      unsafe sluice_tcp_listen(
        bytes.baseAddress, Int32(bytes.count), forward.hostPort, Self.backlog, Self.fastOpenLimit)
    }
    guard made >= 0 else {
      if isOptional, [EAFNOSUPPORT, EADDRNOTAVAIL].contains(-made) { return }
      throw .listenRefused(forward, errno: -made)
    }
    // Who listens everywhere wants `localhost` to do, whatever it resolves to: the guest's service may know IPv4 alone.
    let target = guest.address(for: forward.address ?? .anyIPv4, port: forward.port)
    all.append(Listener(descriptor: made, target: target))
  }

  /// The port that a socket got. For tests, which let the system choose.
  func port(_ index: Int) -> UInt16 { UInt16(clamping: sluice_tcp_port(all[index].descriptor)) }

  func close() {
    for listener in all { sluice_tcp_close(listener.descriptor) }
  }
}

extension IPAddress {
  /// Calls `body` with the 4 or 16 bytes of the address, as the system's calls take it.
  func withNetworkOrder<R>(_ body: (UnsafeBufferPointer<UInt8>) -> R) -> R {
    let count = isIPv4 ? 4 : 16
    return unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: count) { bytes in
      for index in 0..<count {
        let place = index + 16 - count
        let word = place < 8 ? high : low
        unsafe bytes.initializeElement(
          at: index, to: UInt8(truncatingIfNeeded: word >> UInt64(56 - place % 8 * 8)))
      }
      return unsafe body(UnsafeBufferPointer(bytes))
    }
  }
}

/// Whom forwarded connections go to.
public struct ForwardGuest: Sendable, Hashable {
  /// For forwards from IPv4 addresses, and from all addresses.
  public var ipv4: IPAddress
  /// For forwards from IPv6 addresses; nil: they go to ``ipv4`` as well.
  public var ipv6: IPAddress?

  /// A guest by its addresses.
  public init(ipv4: IPAddress, ipv6: IPAddress? = nil) {
    self.ipv4 = ipv4
    self.ipv6 = ipv6
  }

  func address(for host: IPAddress, port: UInt16) -> SocketAddress {
    SocketAddress(host.isIPv4 ? ipv4 : ipv6 ?? ipv4, port: port)
  }
}
