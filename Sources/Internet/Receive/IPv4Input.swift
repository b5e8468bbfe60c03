import Buffers
import Exclusion
import SoftInterrupts
import Wire

extension InternetLayer {
  /// An IPv4 packet, with whatever padding the link left behind it. RFC 1122 section 3.2.1.
  func receiveIPv4(_ packet: consuming Packet, _ interface: InterfaceRef, _ cx: inout SoftInterrupt) {
    count(.ipv4Received, cx)
    if let protocolNumber = openPlainIPv4(&packet, interface, cx) {
      count(.ipv4Delivered, cx)
      return deliver(packet, to: protocolNumber, &cx)
    }
    // "Quoted", because the end of a super-segment lies in attached pieces.
    guard let header = try? IPv4Header(IPv4View(quoted: packet.bytes)) else {
      return drop(packet, .ipv4Malformed, &cx)
    }
    guard Int(header.totalLength) <= packet.totalCount else { return drop(packet, .ipv4Malformed, &cx) }
    let checksum =
      header.options.byteCount == 0
      ? InternetChecksum.ofFixedHeader(packet.bytes)
      : InternetChecksum.of(packet.bytes.extracting(0..<header.byteCount))
    guard checksum == 0 else {
      return drop(packet, .ipv4BadChecksum, &cx)
    }
    packet.truncate(to: Int(header.totalLength))
    let (source, destination) = (IPAddress(header.source), IPAddress(header.destination))
    packet.metadata.source = source
    packet.metadata.destination = destination
    packet.metadata.hopLimit = header.timeToLive
    packet.metadata.trafficClass = header.trafficClass.rawValue
    packet.metadata.networkOffset = UInt16(packet.startOffset)
    packet.metadata.transportOffset = UInt16(packet.startOffset + header.byteCount)

    if !isOurs(source, destination, packet.metadata.flags, interface, cx) {
      if let problem = martian(header, packet.metadata.flags, interface) { return drop(packet, problem, &cx) }
      if isForged(source, interface) { return drop(packet, .ingressForgedSource, &cx) }
      switch meaning(of: destination, interface) {
      case .ours: noteOurs(source, destination, packet.metadata.flags, interface, cx)
      case .broadcast: packet.metadata.flags.insert(.linkBroadcast)
      case .group: packet.metadata.flags.insert(.linkMulticast)
      case .foreign:
        return destination.isMulticast
          ? drop(packet, .groupNotJoined, &cx) : receiveForeign(packet, .ipv4NotForUs, &cx)
      }
    }
    if header.options.byteCount > 0 {
      switch refusedOption(header.options) {
      case .fine: break
      case .sourceRoute: return drop(packet, .ipv4SourceRoute, &cx)
      case .malformed(let offset):
        count(.ipv4Malformed, cx)
        return reject(
          packet, .parameterProblem(code: 0, pointer: IPv4Header.fixedByteCount + offset), &cx)
      }
    }
    if header.moreFragments || header.fragmentOffset != 0 {
      return receiveFragment(packet, header, &cx)
    }
    packet.trimFront(header.byteCount)
    deliverIPv4(packet, header.protocol, &cx)
  }

  /// The payload of a whole packet for us.
  func deliverIPv4(_ packet: consuming Packet, _ number: IPProtocol, _ cx: inout SoftInterrupt) {
    count(.ipv4Delivered, cx)
    if number == .icmpv4 { return receiveICMPv4(packet, &cx) }
    guard hasTransport(number) else {
      count(.ipv4UnknownProtocol, cx)
      return reject(packet, .protocolUnreachable, &cx)
    }
    deliver(packet, to: number, &cx)
  }

  /// Addresses that no honest packet carries here (RFC 1122 section 3.2.1.3, RFC 6890).
  private func martian(_ header: IPv4Header, _ flags: PacketFlags, _ interface: InterfaceRef)
    -> InternetEvent?
  {
    let (source, destination) = (header.source, header.destination)
    if source.isMulticast || source.isReserved { return .ipv4MartianSource }
    if destination.isThisNetwork { return .ipv4MartianDestination }
    if destination.isReserved, !destination.isLimitedBroadcast { return .ipv4MartianDestination }
    guard !interface.isLoopback else { return nil }
    if destination.isLoopback { return .ipv4MartianDestination }
    if source.isLoopback { return .ipv4MartianSource }
    if source.isThisNetwork {
      // A host without an address may broadcast as 0.0.0.0 (DHCP), nothing else.
      guard source.isUnspecified, destination.isLimitedBroadcast, header.protocol == .udp else {
        return .ipv4MartianSource
      }
      return nil
    }
    let address = IPAddress(source)
    let isOurs = snapshot.with {
      $0.own(address) != nil || $0.isBroadcast(address, interface: interface.index)
    }
    if isOurs { return .ipv4MartianSource }
    // RFC 1122 section 3.3.6: a unicast packet in a broadcast frame is not for anybody.
    if !flags.isEmpty, flags != .checksumVerified, !destination.isMulticast {
      let meaning = meaning(of: IPAddress(destination), interface)
      if meaning == .ours { return .ipv4MartianDestination }
    }
    return nil
  }

  /// What `address` means in a packet that came in by `interface`.
  func meaning(of address: IPAddress, _ interface: InterfaceRef) -> AddressMeaning {
    let meaning = snapshot.with { $0.meaning(of: address, interface: interface.index) }
    guard meaning == .foreign else { return meaning }
    // All of 127/8 is ours on loopback (RFC 1122 section 3.2.1.3 g).
    if interface.isLoopback, address.isLoopback { return .ours }
    if interface.acceptsForeignDestinations, !address.isMulticast, !address.isLinkLocal { return .ours }
    return .foreign
  }

  private enum OptionVerdict { case fine, sourceRoute, malformed(Int) }

  /// Source routes are refused (RFC 7126 sections 4.3, 4.4); whatever else is well-formed is ignored.
  private func refusedOption(_ options: IPv4Options) -> OptionVerdict {
    var cursor = IPv4OptionCursor(options.bytes)
    do {
      while let option = try cursor.next() {
        if option.kind == .looseSourceRoute || option.kind == .strictSourceRoute { return .sourceRoute }
      }
      return .fine
    } catch {
      if case .badOption(_, let offset) = error { return .malformed(offset) }
      return .malformed(0)
    }
  }

  /// Where forwarding begins: a packet for somebody else. This host does not forward.
  func receiveForeign(_ packet: consuming Packet, _ event: InternetEvent, _ cx: inout SoftInterrupt) {
    drop(packet, event, &cx)
  }
}
