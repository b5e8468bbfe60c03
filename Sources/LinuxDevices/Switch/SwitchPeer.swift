import CLinux
import Glibc

/// Who sends datagrams to a socket of a switch: by its path, or its address and port.
enum SwitchPeer: Hashable {
  case unix([UInt8])
  case udp(high: UInt64, low: UInt64, port: UInt16, interface: UInt32)

  /// The next datagram, its length or a negative errno, and whom it came from; nil: from somebody without a name.
  static func receive(
    _ descriptor: Int32, isUnix: Bool, _ scratch: UnsafeMutableRawBufferPointer
  ) -> (count: Int, peer: SwitchPeer?) {
    if isUnix {
      var name = [UInt8](repeating: 0, count: Int(sluice_path_limit))
      var length: Int32 = 0
      let count = unsafe sluice_datagrams_receive(
        descriptor, scratch.baseAddress, scratch.count, &name, &length)
      return (count, length > 0 ? .unix(Array(name[..<Int(length)])) : nil)
    }
    var peer = sluice_udp_peer()
    let count = unsafe sluice_udp_receive(descriptor, scratch.baseAddress, scratch.count, &peer)
    return (count, .udp(high: peer.high, low: peer.low, port: peer.port, interface: peer.interface))
  }

  /// Bytes or a negative errno.
  func send(_ bytes: UnsafeRawBufferPointer, by descriptor: Int32) -> Int {
    switch self {
    case .unix(let name):
      return unsafe sluice_datagrams_send(
        descriptor, bytes.baseAddress, bytes.count, name, Int32(name.count))
    case .udp(let high, let low, let port, let interface):
      // From what the socket is bound to: an unspecified source leaves that to the system.
      var peer = sluice_udp_peer(
        high: high, low: low, local_high: 0, local_low: 0, interface: interface, port: port)
      return unsafe sluice_udp_reply(descriptor, bytes.baseAddress, bytes.count, &peer)
    }
  }
}
