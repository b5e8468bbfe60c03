import Buffers
import Exclusion
import SoftInterrupts
import Wire

extension IPAddress {
  /// ff02::2.
  fileprivate static var allRouters: IPAddress { IPAddress(high: 0xFF02_0000_0000_0000, low: 2) }
}

extension InternetLayer {
  /// An IPv6 packet, with whatever padding the link left behind it. RFC 8200.
  func receiveIPv6(_ packet: consuming Packet, _ interface: InterfaceRef, _ cx: inout SoftInterrupt) {
    count(.ipv6Received, cx)
    guard let header = try? IPv6Header(IPv6View(quoted: packet.bytes)) else {
      return drop(packet, .ipv6Malformed, &cx)
    }
    let total = IPv6Header.byteCount + Int(header.payloadLength)
    guard total <= packet.totalCount else { return drop(packet, .ipv6Malformed, &cx) }
    packet.truncate(to: total)
    // Before they become `IPAddress`, which takes mapped ones for IPv4.
    if header.source.isIPv4Mapped { return drop(packet, .ipv6MartianSource, &cx) }
    if header.destination.isIPv4Mapped { return drop(packet, .ipv6MartianDestination, &cx) }
    let (source, destination) = (IPAddress(header.source), IPAddress(header.destination))
    packet.metadata.source = source
    packet.metadata.destination = destination
    packet.metadata.hopLimit = header.hopLimit
    packet.metadata.trafficClass = header.trafficClass.rawValue
    packet.metadata.networkOffset = UInt16(packet.startOffset)
    packet.metadata.transportOffset = UInt16(packet.startOffset + IPv6Header.byteCount)

    if !isOurs(source, destination, packet.metadata.flags, interface, cx) {
      if let problem = martian(source, destination, interface) { return drop(packet, problem, &cx) }
      if isForged(source, interface) { return drop(packet, .ingressForgedSource, &cx) }
      switch meaning(of: destination, interface) {
      case .ours: noteOurs(source, destination, packet.metadata.flags, interface, cx)
      case .broadcast: break
      case .group: packet.metadata.flags.insert(.linkMulticast)
      case .foreign where unsafe destination == .allRouters && interface.advertisement != nil:
        packet.metadata.flags.insert(.linkMulticast)
      case .foreign:
        return destination.isMulticast
          ? drop(packet, .groupNotJoined, &cx) : receiveForeign(packet, .ipv6NotForUs, &cx)
      }
    }
    deliverIPv6(packet, interface, &cx)
  }

  /// A packet for us, from its IPv6 header on.
  func deliverIPv6(_ packet: consuming Packet, _ interface: InterfaceRef, _ cx: inout SoftInterrupt) {
    let chain: IPv6Extensions
    switch walkExtensions(packet) {
    case .success(let walked): chain = walked
    case .failure(.discard): return drop(packet, .ipv6BadExtension, &cx)
    case .failure(.parameterProblem(let code, let pointer, let evenIfMulticast)):
      count(.ipv6BadExtension, cx)
      return reject(
        packet, .parameterProblem(code: code, pointer: pointer, evenIfMulticast: evenIfMulticast), &cx)
    }
    if let fragment = chain.fragment, !fragment.isAtomic {  // RFC 6946: atomic ones are whole packets
      return receiveFragment(packet, fragment, at: chain.fragmentOffset, &cx)
    }
    packet.metadata.transportOffset = UInt16(packet.startOffset + chain.upperOffset)
    packet.trimFront(chain.upperOffset)
    if chain.upperProtocol == .none { return drop(packet, .ipv6NoNextHeader, &cx) }
    count(.ipv6Delivered, cx)
    if chain.upperProtocol == .icmpv6 { return receiveICMPv6(packet, interface, &cx) }
    guard hasTransport(chain.upperProtocol) else {
      count(.ipv6UnknownProtocol, cx)
      return reject(
        packet,
        .parameterProblem(code: ICMPv6Message.Problem.nextHeader, pointer: chain.protocolOffset), &cx)
    }
    deliver(packet, to: chain.upperProtocol, &cx)
  }

  private func walkExtensions(_ packet: borrowing Packet) -> Result<IPv6Extensions, IPv6ExtensionError> {
    guard let view = try? IPv6View(quoted: packet.bytes) else { return .failure(.discard) }
    do {
      return .success(try IPv6Extensions.walk(view))
    } catch {
      return .failure(error)
    }
  }

  /// Addresses that no honest packet carries here (RFC 4291, RFC 6890).
  private func martian(
    _ source: IPAddress, _ destination: IPAddress, _ interface: InterfaceRef
  ) -> InternetEvent? {
    if source.isMulticast { return .ipv6MartianSource }
    if destination.isUnspecified { return .ipv6MartianDestination }
    // Multicast of scope 0 is reserved, of scope 1 never leaves an interface (RFC 4291 section 2.7).
    if let scope = destination.ipv6?.multicastScope, scope == 0 || (scope == 1 && !interface.isLoopback) {
      return .ipv6MartianDestination
    }
    guard !interface.isLoopback else { return nil }
    if destination.isLoopback { return .ipv6MartianDestination }
    if source.isLoopback { return .ipv6MartianSource }
    // A link-local address of ours on another link may be somebody's here.
    let isOurs = snapshot.with {
      source.isLinkLocal ? $0.hasAddress(source, on: interface.index) : $0.own(source) != nil
    }
    return isOurs ? .ipv6MartianSource : nil
  }
}
