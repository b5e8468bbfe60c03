import Buffers
import Wire

/// Where the headers lie of a packet that carries TCP or UDP, whole and without extension headers: what may be cut into
/// segments, or joined from them. In bytes from the packet's first one.
struct TransportLayout: Equatable {
  /// Where the IP header begins, the transport's, and its payload.
  let network: Int
  let transport: Int
  let payload: Int
  let isIPv4: Bool
  let isTCP: Bool

  /// Looks at any bytes whatever. Nil: they are no such packet, or its headers do not lie in the slot, or its length is
  /// not what the IP header says.
  ///
  /// - Parameter network: where the IP header would begin.
  init?(_ packet: borrowing Packet, network: Int) {
    let bytes = packet.bytes
    guard network >= 0, network + 20 <= bytes.byteCount else { return nil }
    let length: Int
    let number: UInt8
    switch bytes.uint8(at: network) >> 4 {
    case 4:
      isIPv4 = true
      let header = Int(bytes.uint8(at: network) & 15) * 4
      guard header >= 20, bytes.uint16(at: network + 6) & 0x3FFF == 0 else { return nil }
      length = Int(bytes.uint16(at: network + 2))
      number = bytes.uint8(at: network + 9)
      transport = network + header
    case 6:
      guard network + 40 <= bytes.byteCount else { return nil }
      isIPv4 = false
      length = 40 + Int(bytes.uint16(at: network + 4))
      number = bytes.uint8(at: network + 6)
      transport = network + 40
    default: return nil
    }
    guard length == packet.totalCount - network else { return nil }
    switch number {
    case IPProtocol.tcp.rawValue:
      guard transport + TCPHeader.fixedByteCount <= bytes.byteCount else { return nil }
      isTCP = true
      payload = transport + Int(bytes.uint8(at: transport + 12) >> 4) * 4
      guard payload >= transport + TCPHeader.fixedByteCount else { return nil }
    case IPProtocol.udp.rawValue:
      isTCP = false
      payload = transport + UDPHeader.byteCount
    default: return nil
    }
    guard payload <= bytes.byteCount else { return nil }
    self.network = network
  }

  /// The segmentation that fits it.
  var segmentation: PacketSegmentation { isTCP ? isIPv4 ? .tcp4 : .tcp6 : .udp }
  /// Where the transport's checksum lies.
  var checksum: Int { transport + (isTCP ? TCPHeader.checksumOffset : UDPHeader.checksumOffset) }
}
