// What a link's hosts must not send, where they are not trusted: dropped and counted before anybody looks at it.

import Buffers
import Exclusion
import SoftInterrupts
import Wire

extension InternetLayer {
  /// What is wrong with a frame on a guarded link, from its Ethernet header on; nil: nothing, or what others look at. A
  /// source address is looked at by ``isForged(_:_:)``, once for each pair of addresses.
  func guardFrame(
    _ packet: borrowing Packet, _ header: EthernetHeader, _ interface: InterfaceRef
  ) -> InternetEvent? {
    let at = header.byteCount
    let bytes = packet.bytes
    switch header.type {
    case .arp:
      guard let message = try? ARPMessage.parse(bytes.extracting(at..<bytes.byteCount)) else { return nil }
      return isClaimFalse(
        IPAddress(message.sender), station: message.senderHardware, header.source, interface)
    case .ipv4:
      guard bytes.byteCount >= at + IPv4Header.fixedByteCount,
        bytes.uint8(at: at + 9) == IPProtocol.udp.rawValue, bytes.uint16(at: at + 6) & 0x1FFF == 0
      else { return nil }
      return guardDatagram(
        bytes, at + Int(bytes.uint8(at: at) & 15) * 4, header.source,
        isPiece: bytes.uint16(at: at + 6) & 0x2000 != 0)
    case .ipv6:
      guard bytes.byteCount >= at + IPv6Header.byteCount else { return nil }
      let next = bytes.uint8(at: at + 6)
      if next == IPProtocol.udp.rawValue {
        return guardDatagram(bytes, at + IPv6Header.byteCount, header.source, isPiece: false)
      }
      guard next == IPProtocol.icmpv6.rawValue else { return nil }
      return guardDiscovery(bytes, at, header.source, interface)
    default: return nil
    }
  }

  /// DHCP: guests are no servers, and ask in their own name. `isPiece`: it is the first fragment of a datagram.
  private func guardDatagram(
    _ bytes: RawSpan, _ at: Int, _ station: MACAddress, isPiece: Bool
  ) -> InternetEvent? {
    guard bytes.byteCount >= at + UDPHeader.byteCount else { return nil }
    switch (bytes.uint16(at: at), bytes.uint16(at: at + 2)) {
    case (67, 68), (67, 67), (547, 546), (547, 547): return .ingressRogueServer
    case (_, 67):
      // chaddr, of Ethernet (RFC 2131 section 2).
      let hardware = at + UDPHeader.byteCount + 28
      // A fragment may hide it, and no client needs any.
      if isPiece { return .ingressForgedNeighbor }
      guard bytes.byteCount >= hardware + 6 else { return nil }
      return MACAddress(bytes, at: hardware) == station ? nil : .ingressForgedNeighbor
    default: return nil
    }
  }

  /// Neighbour discovery right behind the IPv6 header, which is at `at`: guests are no routers, and speak of themselves.
  private func guardDiscovery(
    _ bytes: RawSpan, _ at: Int, _ station: MACAddress, _ interface: InterfaceRef
  ) -> InternetEvent? {
    let message = at + IPv6Header.byteCount
    guard bytes.byteCount >= message + 8 else { return nil }
    switch bytes.uint8(at: message) {
    case 134, 137: return .ingressRogueRouter
    case 133:
      return isNamedFalsely(bytes, from: message + 8, station) ? .ingressForgedNeighbor : nil
    case 135, 136:
      guard bytes.byteCount >= message + 24 else { return nil }
      if isNamedFalsely(bytes, from: message + 24, station) { return .ingressForgedNeighbor }
      guard bytes.uint8(at: message) == 136 else { return nil }
      let target = IPAddress(IPv6Address(bytes, at: message + 8))
      return isClaimFalse(target, station: station, station, interface)
    default: return nil
    }
  }

  /// Whether an option names another station than the frame's.
  private func isNamedFalsely(_ bytes: RawSpan, from start: Int, _ station: MACAddress) -> Bool {
    guard let options = try? NeighborDiscoveryOptions.parse(bytes.extracting(start..<bytes.byteCount)) else {
      return false
    }
    return (options.sourceLinkLayer ?? station) != station || (options.targetLinkLayer ?? station) != station
  }

  /// Whether `station`, in a frame of `sender`, may say that it has `address`.
  private func isClaimFalse(
    _ address: IPAddress, station: MACAddress, _ sender: MACAddress, _ interface: InterfaceRef
  ) -> InternetEvent? {
    if station != sender { return .ingressForgedNeighbor }
    if address.isUnspecified { return nil }
    let (isOurs, isThere) = snapshot.with {
      ($0.own(address) != nil, $0.isOnLink(address, interface: interface.index))
    }
    return isOurs || !isThere && !address.isLinkLocal ? .ingressForgedNeighbor : nil
  }

  /// Whether no host of a guarded link has such an address.
  func isForged(_ source: IPAddress, _ interface: InterfaceRef) -> Bool {
    guard interface.isGuarded, !source.isUnspecified else { return false }
    if source.isLinkLocal, !source.isIPv4 { return false }
    return !snapshot.with { $0.isOnLink(source, interface: interface.index) }
  }
}
