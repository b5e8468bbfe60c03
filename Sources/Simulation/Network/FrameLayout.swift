import Buffers
import Wire

/// Where the headers of an Ethernet frame are: as much as nodes, traces and mutations need to know.
struct FrameLayout {
  enum Family: UInt8 { case ipv4, ipv6 }
  static let linkBytes = 14

  var family: Family
  /// One past the IP packet's last byte, from the frame's first.
  var end: Int
  /// Where the transport header begins; of a segment in UDP its own.
  var transport: Int
  var protocolNumber: IPProtocol
  /// Where the UDP header begins that a segment is behind; nil: it is in IP.
  var datagram: Int?
  /// Where hosts take segments in UDP, if they do.
  static let encapsulationPort: UInt16 = 9899

  /// Nil for what is no whole IP packet; extension headers count as payload of their own protocol.
  init?(_ frame: RawSpan) {
    guard frame.byteCount >= Self.linkBytes + 20 else { return nil }
    let start = Self.linkBytes
    switch frame.uint16(at: 12) {
    case EtherType.ipv4.rawValue:
      let length = Int(frame.uint8(at: start) & 15) * 4
      end = start + Int(frame.uint16(at: start + 2))
      transport = start + length
      family = .ipv4
      protocolNumber = IPProtocol(rawValue: frame.uint8(at: start + 9))
      guard length >= 20, transport <= end, end <= frame.byteCount else { return nil }
    case EtherType.ipv6.rawValue:
      guard frame.byteCount >= start + 40 else { return nil }
      end = start + 40 + Int(frame.uint16(at: start + 4))
      transport = start + 40
      family = .ipv6
      protocolNumber = IPProtocol(rawValue: frame.uint8(at: start + 6))
      guard end <= frame.byteCount else { return nil }
    default: return nil
    }
    let isFirst = family == .ipv6 || frame.uint16(at: start + 6) & 0x1FFF == 0
    guard protocolNumber == .udp, isFirst, transport + UDPHeader.byteCount <= end,
      frame.uint16(at: transport) == Self.encapsulationPort
        || frame.uint16(at: transport + 2) == Self.encapsulationPort
    else { return }
    datagram = transport
    transport += UDPHeader.byteCount
    protocolNumber = .tcp
  }

  /// Whether there is a whole TCP header.
  func isTCP(_ frame: RawSpan) -> Bool {
    guard protocolNumber == .tcp, transport + 20 <= end else { return false }
    let length = Int(frame.uint8(at: transport + 12) >> 4) * 4
    return length >= 20 && transport + length <= end
  }

  func source(_ frame: RawSpan) -> IPAddress { address(frame, ipv4: 12, ipv6: 8) }
  func destination(_ frame: RawSpan) -> IPAddress { address(frame, ipv4: 16, ipv6: 24) }
  private func address(_ frame: RawSpan, ipv4: Int, ipv6: Int) -> IPAddress {
    switch family {
    case .ipv4: IPAddress(IPv4Address(frame.uint32(at: Self.linkBytes + ipv4)))
    case .ipv6:
      IPAddress(
        high: frame.uint64(at: Self.linkBytes + ipv6), low: frame.uint64(at: Self.linkBytes + ipv6 + 8))
    }
  }
}
