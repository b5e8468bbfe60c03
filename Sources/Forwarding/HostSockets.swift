import CLinux
import Glibc
import Wire

/// One socket of this host that takes connections, or datagrams, for a guest, and where they go.
struct HostSocket: Sendable {
  let descriptor: Int32
  let target: SocketAddress
  let transport: PortForward.Transport

  func close() { sluice_tcp_close(descriptor) }
}

extension HostSocket {
  /// Connections that may wait in the kernel; it allows what net.core.somaxconn does.
  private static let backlog: Int32 = 4096
  /// Connections that may bring data with their SYNs before their handshakes are complete.
  private static let fastOpenLimit: Int32 = 256

  /// Opens what one forward asks for: one socket, or one for each family that the host has.
  static func open(
    _ forward: PortForward, _ guest: ForwardGuest
  ) throws(PortForwardError) -> [HostSocket] {
    if let address = forward.address { return [try open(forward, at: address, guest)].compactMap { $0 } }
    let first = try open(forward, at: .anyIPv4, guest)
    do throws(PortForwardError) {
      let second = try open(forward, at: .anyIPv6, guest, isOptional: true)
      return [first, second].compactMap { $0 }
    } catch {
      first?.close()
      throw error
    }
  }

  /// Opens what `forwards` ask for, all or nothing.
  static func open(
    _ forwards: [PortForward], _ guest: ForwardGuest
  ) throws(PortForwardError) -> [[HostSocket]] {
    var all: [[HostSocket]] = []
    do throws(PortForwardError) {
      for forward in forwards { all.append(try open(forward, guest)) }
      return all
    } catch {
      for socket in all.joined() { socket.close() }
      throw error
    }
  }

  /// `isOptional`: a host without IPv6 does without, which nil says.
  private static func open(
    _ forward: PortForward, at address: IPAddress, _ guest: ForwardGuest, isOptional: Bool = false
  ) throws(PortForwardError) -> HostSocket? {
    let made = unsafe address.withNetworkOrder { bytes in
      switch forward.transport {
      case .tcp:
        unsafe sluice_tcp_listen(
          bytes.baseAddress, Int32(bytes.count), forward.hostPort, backlog, fastOpenLimit)
      case .udp: unsafe sluice_udp_listen(bytes.baseAddress, Int32(bytes.count), forward.hostPort)
      }
    }
    guard made >= 0 else {
      if isOptional, [EAFNOSUPPORT, EADDRNOTAVAIL].contains(-made) { return nil }
      throw .listenRefused(forward, errno: -made)
    }
    // Who listens everywhere wants `localhost` to do, whatever it resolves to: the guest's service may know IPv4 alone.
    let target =
      forward.guest.map { SocketAddress($0, port: forward.port) }
      ?? guest.address(for: forward.address ?? .anyIPv4, port: forward.port)
    return HostSocket(descriptor: made, target: target, transport: forward.transport)
  }

  /// Tells `epoll` of it. 0 or a negative errno. Connections are told as long as they wait, so that those that nobody
  /// takes for now are taken later; datagrams once, for they are read until there are none.
  func watch(_ epoll: Int32, slot: Int) -> Int32 {
    sluice_epoll_add(epoll, descriptor, UInt32(slot) + 1, transport == .udp ? 1 : 0)
  }

  /// The port that it got. For tests, which let the system choose.
  var port: UInt16 { UInt16(clamping: sluice_tcp_port(descriptor)) }
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

extension IPAddress? {
  /// The same; nil where there is no address.
  func withNetworkOrder<R>(_ body: (UnsafePointer<UInt8>?) -> R) -> R {
    guard let address = self else { return body(nil) }
    return unsafe address.withNetworkOrder { unsafe body($0.baseAddress) }
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
