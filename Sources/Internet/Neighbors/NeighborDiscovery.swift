// Neighbour solicitation and advertisement (RFC 4861 section 7). Routers, prefixes and duplicate detection
// are a matter of autoconfiguration, which is not here.

import Buffers
import Exclusion
import SoftInterrupts
import Wire

extension InternetLayer {
  /// A neighbour discovery message whose ICMPv6 checksum and code are right. The checks of RFC 4861
  /// sections 7.1.1 and 7.1.2 are made here, so that garbage is no work for the cache's home.
  func receiveNeighborDiscovery(
    _ packet: consuming Packet, _ message: ICMPv6Message, _ interface: InterfaceRef,
    _ cx: inout SoftInterrupt
  ) {
    count(.ndReceived, cx)
    guard let cache = interface.neighbors else { return drop(packet, .ndIgnored, &cx) }
    let metadata = packet.metadata
    guard metadata.hopLimit == 255, let options = parseOptions(packet, message) else {
      return drop(packet, .ndInvalid, &cx)
    }
    let (isValid, isRelevant) = snapshot.with { tables -> (Bool, Bool) in
      switch message {
      case .neighborSolicitation(let target):
        let address = IPAddress(target)
        var isValid = !target.isMulticast && !target.isIPv4Mapped
        if metadata.source.isUnspecified {
          isValid =
            isValid && metadata.destination == .solicitedNode(of: address) && options.sourceLinkLayer == nil
        }
        // A group of 24 bits may be shared with others.
        return (isValid, tables.hasAddress(address, on: interface.index))
      case .neighborAdvertisement(let flags, let target):
        return (
          !target.isMulticast && !target.isIPv4Mapped
            && !(metadata.destination.isMulticast && flags.contains(.solicited)),
          true
        )
      default:
        return (false, false)
      }
    }
    guard isValid, options.sourceLinkLayer?.isUnicast ?? true, options.targetLinkLayer?.isUnicast ?? true
    else {
      return drop(packet, .ndInvalid, &cx)
    }
    guard isRelevant else { return drop(packet, .ndIgnored, &cx) }
    cache.submit(packet, as: InternetKind.neighborDiscovery, &cx)
  }

  private func parseOptions(
    _ packet: borrowing Packet, _ message: ICMPv6Message
  ) -> NeighborDiscoveryOptions? {
    try? NeighborDiscoveryOptions.parse(packet.bytes.extracting(message.byteCount..<packet.count))
  }

  /// Owner of the cache; the message was checked.
  func runNeighborDiscovery(
    _ packet: consuming Packet, _ cache: NeighborCacheRef, _ cx: inout SoftInterrupt
  ) {
    guard let source = packet.metadata.source.ipv6, let destination = packet.metadata.destination.ipv6,
      let message = try? ICMPv6Message.parse(
        packet.bytes, source: source, destination: destination, verifyingChecksum: false),
      let options = parseOptions(packet, message)
    else { return }
    switch message {
    case .neighborSolicitation(let target):
      if !source.isUnspecified {
        neighborLearned(
          NeighborNews(
            address: IPAddress(source), station: options.sourceLinkLayer, isSolicited: false, overrides: true,
            isRouter: nil, createsEntry: options.sourceLinkLayer != nil),
          cache, &cx)
      }
      advertise(packet, target, to: source, cache, &cx)
    case .neighborAdvertisement(let flags, let target):
      let address = IPAddress(target)
      if snapshot.with({ $0.hasAddress(address, on: cache.interface) }) {
        return drop(packet, .addressConflict, &cx)
      }
      neighborLearned(
        NeighborNews(
          address: address, station: options.targetLinkLayer, isSolicited: flags.contains(.solicited),
          overrides: flags.contains(.override), isRouter: flags.contains(.router), createsEntry: false),
        cache, &cx)
    default:
      break
    }
  }

  /// Answers a solicitation, in the packet that brought it. One from an unspecified source asks whether the
  /// address is taken; all nodes hear the answer (RFC 4861 section 7.2.4).
  private func advertise(
    _ packet: consuming Packet, _ target: IPv6Address, to solicitor: IPv6Address, _ cache: NeighborCacheRef,
    _ cx: inout SoftInterrupt
  ) {
    guard let interface = interface(cache.interface), let own = interface.station else { return }
    let isProbe = solicitor.isUnspecified
    let destination = isProbe ? IPv6Address.allNodes : solicitor
    let message = ICMPv6Message.neighborAdvertisement(
      flags: isProbe ? .override : [.override, .solicited], target: target)
    buildDiscovery(&packet, message, .targetLinkLayer(own), from: target, to: destination)
    count(.advertisementsSent, cx)
    count(.ipv6Sent, cx)
    transmit(packet, interface, to: IPAddress(destination), isProbe ? .multicast : .unicast, &cx)
  }

  /// Asks for a neighbour: the link, or the station that had the address.
  func sendSolicitation(
    for target: IPAddress, from requester: IPAddress, to station: MACAddress?, _ index: UInt16,
    _ cx: inout SoftInterrupt
  ) {
    guard let interface = interface(index), let own = interface.station,
      let asker = snapshot.with({ $0.asker(for: target, preferred: requester, interface: index) })
    else { return }
    if let target = target.ipv4, let asker = asker.ipv4 {
      return sendARPRequest(for: target, from: asker, to: station, interface, &cx)
    }
    guard let target = target.ipv6, let asker = asker.ipv6 else { return }
    guard var packet = cx.pool.allocate() else { return count(.poolExhausted, cx) }
    let destination = station == nil ? target.solicitedNodeMulticast : target
    buildDiscovery(
      &packet, .neighborSolicitation(target: target), .sourceLinkLayer(own), from: asker, to: destination)
    count(.solicitationsSent, cx)
    count(.ipv6Sent, cx)
    packet.metadata.destination = IPAddress(destination)
    packet.metadata.queue = UInt16(cx.index)
    sendToStation(packet, station ?? MACAddress(multicast: destination), index, &cx)
  }

  /// Makes `packet` a neighbour discovery message with one option, and its IPv6 header.
  func buildDiscovery(
    _ packet: inout Packet, _ message: ICMPv6Message, _ option: NeighborDiscoveryOption,
    from source: IPv6Address, to destination: IPv6Address
  ) {
    packet.reset()
    packet.append(message.byteCount + option.byteCount)
    var span = packet.mutableBytes
    option.emit(into: &span, at: message.byteCount)
    message.emit(into: &span, source: source, destination: destination)
    packet.metadata.offload = PacketOffload()
    packet.metadata.source = IPAddress(source)
    packet.metadata.hopLimit = 255
    packet.metadata.trafficClass = 0
    buildHeader(&packet, IPAddress(source), IPAddress(destination), .icmpv6)
  }
}
