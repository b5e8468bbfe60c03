package import Buffers
import Exclusion
import Wire

/// What a queue discipline reads in a packet that leaves: which flow it is of, and whether it may be marked.
package enum PacketFlow {
  /// Where the IP header begins, from the packet's first byte; nil if there is none, as in ARP.
  private static func header(_ packet: borrowing Packet) -> Int? {
    let offset = Int(packet.metadata.networkOffset) - packet.startOffset
    let isThere = packet.metadata.networkOffset > 0 && offset >= 0 && offset + 20 <= packet.count
    return isThere ? offset : nil
  }

  /// The keyed hash of addresses, protocol and ports. What is no IP packet is one flow; fragments have no ports.
  static func hash(_ packet: borrowing Packet, _ key: HashKey) -> UInt64 {
    guard let start = header(packet) else { return keyedHash(key, 0) }
    let bytes = packet.bytes
    switch bytes.uint8(at: start) >> 4 {
    case 4:
      let number = bytes.uint8(at: start + 9)
      let isFragment = bytes.uint16(at: start + 6) & 0x3FFF != 0
      let length = Int(bytes.uint8(at: start) & 15) * 4
      let ports = isFragment ? 0 : ports(bytes, start + length, number)
      return keyedHash(key, bytes.uint64(at: start + 12), ports, UInt64(number))
    case 6 where start + 40 <= bytes.byteCount:
      let number = bytes.uint8(at: start + 6)
      let ports = ports(bytes, start + 40, number)
      return keyedHash(
        key, bytes.uint64(at: start + 8), bytes.uint64(at: start + 16), bytes.uint64(at: start + 24),
        bytes.uint64(at: start + 32), ports << 8 | UInt64(number))
    default:
      return keyedHash(key, 0)
    }
  }

  /// Both ports of TCP, UDP, DCCP and SCTP, which begin with them.
  private static func ports(_ bytes: RawSpan, _ offset: Int, _ number: UInt8) -> UInt64 {
    guard offset + 4 <= bytes.byteCount else { return 0 }
    switch number {
    case 6, 17, 33, 132: return UInt64(bytes.uint32(at: offset))
    default: return 0
    }
  }

  /// Marks "congestion experienced" if the transport understands it (RFC 3168 section 5). False: it does not.
  package static func markCongestion(_ packet: inout Packet) -> Bool {
    guard let start = header(packet) else { return false }
    var bytes = packet.mutableBytes
    switch bytes.bytes.uint8(at: start) >> 4 {
    case 4:
      let before = bytes.bytes.uint16(at: start)
      guard before & 3 != 0 else { return false }
      let after = before | 3
      bytes.set(after, at: start)
      let checksum = bytes.bytes.uint16(at: start + 10)
      bytes.set(InternetChecksum.update(checksum, replacing: before, with: after), at: start + 10)
    case 6:
      let before = bytes.bytes.uint8(at: start + 1)
      guard before & 0x30 != 0 else { return false }
      bytes.set(before | 0x30, at: start + 1)
    default:
      return false
    }
    packet.metadata.trafficClass |= 3
    return true
  }
}
