import Buffers
import Exclusion
import SoftInterrupts
import Wire

extension InternetLayer {
  private struct PlainHeader {
    let source: IPAddress
    let destination: IPAddress
    let total: Int
    let trafficClass: UInt8
    let timeToLive: UInt8
    let protocolNumber: IPProtocol
  }

  /// Nearly every packet: whole, without options, between addresses that were found to be theirs and ours, for a transport
  /// that we have. What is left to ask of it is asked of its bytes as they lie; it then begins with its transport's
  /// header. Nil: it is another one, or has a fault, and is as it was.
  @inline(__always) func openPlainIPv4(
    _ packet: inout Packet, _ interface: InterfaceRef, _ cx: borrowing SoftInterrupt
  ) -> IPProtocol? {
    guard let header = plainHeader(packet, interface, cx) else { return nil }
    packet.metadata.source = header.source
    packet.metadata.destination = header.destination
    packet.metadata.hopLimit = header.timeToLive
    packet.metadata.trafficClass = header.trafficClass
    packet.metadata.networkOffset = UInt16(packet.startOffset)
    packet.metadata.transportOffset = UInt16(packet.startOffset + IPv4Header.fixedByteCount)
    packet.truncate(to: header.total)
    packet.trimHeader(IPv4Header.fixedByteCount)
    return header.protocolNumber
  }

  @inline(__always) private func plainHeader(
    _ packet: borrowing Packet, _ interface: InterfaceRef, _ cx: borrowing SoftInterrupt
  ) -> PlainHeader? {
    guard packet.count >= IPv4Header.fixedByteCount else { return nil }
    let bytes = packet.bytes
    let first = bytes.uint32(at: 0)
    let total = Int(first & 0xFFFF)
    let protocolNumber = IPProtocol(rawValue: bytes.uint8(at: 9))
    guard first &>> 24 == 0x45, total >= IPv4Header.fixedByteCount, total <= packet.totalCount,
      bytes.uint16(at: 6) & 0x3FFF == 0, InternetChecksum.ofFixedHeader(bytes) == 0,
      protocolNumber != .icmpv4, hasTransport(protocolNumber)
    else { return nil }
    let source = IPAddress(IPv4Address(bytes.uint32(at: 12)))
    let destination = IPAddress(IPv4Address(bytes.uint32(at: 16)))
    guard isOurs(source, destination, packet.metadata.flags, interface, cx) else { return nil }
    return PlainHeader(
      source: source, destination: destination, total: total,
      trafficClass: UInt8(truncatingIfNeeded: first &>> 16), timeToLive: bytes.uint8(at: 8),
      protocolNumber: protocolNumber)
  }
}
