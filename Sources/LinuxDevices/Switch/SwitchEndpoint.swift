import CLinux
import Glibc
public import Wire

/// Where guests plug into a ``VirtualSwitch``.
public enum SwitchEndpoint: Sendable, Hashable {
  /// A Unix stream socket that we listen at, frames with their lengths in front: QEMU's
  /// `-netdev stream,server=off,addr.type=unix,addr.path=PATH`.
  case stream(path: String)
  /// The same over TCP: `-netdev stream,server=off,addr.type=inet,addr.host=ADDR,addr.port=PORT`.
  case tcp(SocketAddress)
  /// A Unix datagram socket of ours, a frame each: QEMU's `-netdev dgram,remote.type=unix,remote.path=PATH` with a
  /// `local.path` of its own, which tells guests apart.
  case datagrams(path: String)
  /// The same over UDP; guests are told apart by address and port.
  case udp(SocketAddress)

  /// Reads `PATH`, `unix:PATH`, `dgram:PATH`, `tcp:ADDR:PORT` or `udp:ADDR:PORT`; an IPv6 address stands in brackets. Nil: it
  /// is none of these.
  public static func parse(_ text: String) -> SwitchEndpoint? {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 2, !parts[0].contains("/") else { return text.isEmpty ? nil : .stream(path: text) }
    switch parts[0] {
    case "unix": return parts[1].isEmpty ? nil : .stream(path: parts[1])
    case "dgram": return parts[1].isEmpty ? nil : .datagrams(path: parts[1])
    case "tcp", "udp":
      guard let address = SocketAddress(parts[1]), address.port > 0 else { return nil }
      return parts[0] == "tcp" ? .tcp(address) : .udp(address)
    default: return nil
    }
  }

  /// The path that goes when the switch does.
  var path: String? {
    switch self {
    case .stream(let path), .datagrams(let path): path
    case .tcp, .udp: nil
    }
  }

  /// A descriptor, or a negative errno.
  func open() -> Int32 {
    switch self {
    case .stream(let path): unsafe sluice_control_listen(path)
    case .datagrams(let path): unsafe sluice_datagrams_bind(path)
    case .tcp(let address):
      unsafe Self.bytes(address) { unsafe sluice_tcp_listen($0, $1, address.port, 64, 0) }
    case .udp(let address): unsafe Self.bytes(address) { unsafe sluice_udp_listen($0, $1, address.port) }
    }
  }
  private static func bytes(_ address: SocketAddress, _ body: (UnsafePointer<UInt8>, Int32) -> Int32) -> Int32
  {
    let words = [address.address.high, address.address.low]
    let all = words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * UInt64($0))) }
    }
    let used = address.address.isIPv4 ? Array(all[12...]) : all
    return unsafe used.withUnsafeBufferPointer { unsafe body($0.baseAddress!, Int32($0.count)) }
  }
}

extension SwitchEndpoint: CustomStringConvertible {
  /// As ``parse(_:)`` takes it.
  public var description: String {
    switch self {
    case .stream(let path): "unix:\(path)"
    case .datagrams(let path): "dgram:\(path)"
    case .tcp(let address): "tcp:\(address)"
    case .udp(let address): "udp:\(address)"
    }
  }
}
