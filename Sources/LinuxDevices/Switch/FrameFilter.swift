import Wire

/// What a guest may not send to another: what only the gateway has to say (RFC 6105, RFC 7610), and claims of its addresses.
struct FrameFilter: Sendable {
  /// The gateway's addresses.
  let reserved: [IPAddress]

  /// Whether a frame is such.
  func refuses(_ frame: RawSpan) -> Bool {
    guard let view = try? EthernetView(frame) else { return true }
    let payload = view.payload
    return switch view.type {
    case .arp: claims(payload)
    case .ipv4: isGatewaysIPv4(payload)
    case .ipv6: isGatewaysIPv6(payload)
    default: false
    }
  }

  private func claims(_ payload: RawSpan) -> Bool {
    guard let message = try? ARPMessage.parse(payload) else { return true }
    return reserved.contains(IPAddress(message.sender))
  }

  /// In the gateway's name, or from a DHCP server's port. A fragment that hides the port cannot be a whole answer; its
  /// first one shows it.
  private func isGatewaysIPv4(_ packet: RawSpan) -> Bool {
    guard packet.byteCount >= 20 else { return true }
    if reserved.contains(IPAddress(IPv4Address(packet.uint32(at: 12)))) { return true }
    let headerCount = Int(packet.uint8(at: 0) & 15) * 4
    let isFirst = packet.uint16(at: 6) & 0x1FFF == 0
    guard packet.uint8(at: 9) == 17, isFirst, packet.byteCount >= headerCount + 4 else { return false }
    return packet.uint16(at: headerCount) == 67
  }

  /// In the gateway's name, which is also how a solicitation would change who the gateway is (RFC 4861 section 7.2.3); a
  /// router advertisement or a redirect, or an advertisement of a neighbour that the gateway is; a DHCPv6 server's answer.
  /// Extension headers are looked past, and a fragment of what they hide is refused (RFC 7113 section 3).
  private func isGatewaysIPv6(_ packet: RawSpan) -> Bool {
    guard packet.byteCount >= 40 else { return true }
    if reserved.contains(IPAddress(high: packet.uint64(at: 8), low: packet.uint64(at: 16))) { return true }
    var (next, offset) = (packet.uint8(at: 6), 40)
    // Hop-by-hop, routing and destination options: at most as many as anybody has a use for.
    for _ in 0..<8 where [0, 43, 60].contains(next) {
      guard packet.byteCount >= offset + 8 else { return true }
      next = packet.uint8(at: offset)
      offset += 8 + Int(packet.uint8(at: offset + 1)) * 8
    }
    if next == 44 {
      guard packet.byteCount >= offset + 8 else { return true }
      return packet.uint8(at: offset) == 58
    }
    if next == 17 { return packet.byteCount >= offset + 4 && packet.uint16(at: offset) == 547 }
    guard next == 58, packet.byteCount > offset else { return [0, 43, 60].contains(next) }
    switch packet.uint8(at: offset) {
    case 134, 137: return true
    case 136 where packet.byteCount >= offset + 24:
      return reserved.contains(
        IPAddress(high: packet.uint64(at: offset + 8), low: packet.uint64(at: offset + 16)))
    default: return false
    }
  }
}
