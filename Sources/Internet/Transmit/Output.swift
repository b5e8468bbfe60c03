// From a transport to the wire: header, route, neighbour, queue. Output never runs input (TX-NOREC): what
// is for ourselves goes through the loopback device, which hands it over in a later pass (R2).

public import Buffers
import Devices
public import Exclusion
import SoftInterrupts
public import Wire

/// What became of a packet that was to be sent.
public enum SendOutcome: Hashable, Sendable {
  /// It is with a transmit queue, or waits for its neighbour.
  case sent
  /// No way there (ENETUNREACH).
  case noRoute
  /// The source is not ours (EADDRNOTAVAIL).
  case badSource
  /// Larger than the route carries in one piece, with its IP header (EMSGSIZE).
  case tooBig(mtu: Int)
  /// There is no room in front of it for the headers, a mistake of the caller's.
  case noHeadroom
}

extension InternetLayer {
  /// Sends a packet whose bytes are a transport header and its payload, checksum in place (or left to the
  /// device in its offload fields), with ``Packet/headroomDefault`` in front.
  ///
  /// - Parameters:
  ///   - source: one of ours; unspecified: with a `route` it goes out so (a protocol that has no address
  ///     yet), without one the route's choice is taken.
  ///   - hopLimit: nil for the configured one.
  ///   - mayFragment: routers may cut it, over IPv4; else they must say what they take (RFC 1191).
  ///   - inFragments: it leaves in several where the route does not carry it in one; its transport's checksum is in place.
  ///   - route: what a look-up said earlier. Out of date, it is looked up again (keeps RT-GEN).
  ///   - zone: index of the interface to leave by if there is no `route`, or 0.
  @discardableResult
  public func send(
    _ packet: consuming Packet, from source: IPAddress, to destination: IPAddress,
    protocol number: IPProtocol, hopLimit: UInt8? = nil, trafficClass: TrafficClass = .bestEffort,
    mayFragment: Bool = false, inFragments: Bool = false, route: RouteDecision? = nil, zone: UInt16 = 0,
    _ cx: inout SoftInterrupt
  ) -> SendOutcome {
    let way: RouteDecision
    if let route, isCurrent(route) {
      way = route
    } else {
      if route != nil { count(.routesRefreshed, cx) }
      do {
        let link = destination.isLinkLocal || destination.isMulticast ? route?.interface ?? zone : zone
        way = try findRoute(to: destination, sourceHint: source, zone: link)
      } catch {
        switch error {
        case .noRoute:
          count(.sendNoRoute, cx)
          return .noRoute
        case .badSource:
          count(.sendBadSource, cx)
          return .badSource
        }
      }
    }
    guard let interface = interface(way.interface) else { return .noRoute }
    let headers = destination.isIPv4 ? IPv4Header.fixedByteCount : IPv6Header.byteCount
    guard packet.headroom >= headers + EthernetHeader.taggedByteCount else {
      count(.sendNoHeadroom, cx)
      return .noHeadroom
    }
    let total = packet.totalCount + headers
    let isWhole =
      total <= way.mtu || (packet.metadata.offload.segmentation != .none && total <= 65535)
    guard isWhole || inFragments else {
      count(.sendTooBig, cx)
      return .tooBig(mtu: way.mtu)
    }
    let source = source.isUnspecified && route == nil ? way.source : source
    guard source.isIPv4 == destination.isIPv4 else {
      count(.sendBadSource, cx)
      return .badSource
    }
    guard isWhole else {
      return sendFragments(
        packet, interface, by: way, from: source, to: destination, protocol: number,
        hopLimit: hopLimit ?? configuration.hopLimit, trafficClass, &cx)
    }
    packet.metadata.source = source
    packet.metadata.hopLimit = hopLimit ?? configuration.hopLimit
    packet.metadata.trafficClass = trafficClass.rawValue
    let segments = packet.metadata.offload.segmentCount
    buildHeader(
      &packet, source, destination, number,
      identification: mayFragment ? nextIdentification(cx, count: segments) : nil)
    count(destination.isIPv4 ? .ipv4Sent : .ipv6Sent, cx)
    transmit(packet, interface, to: way.nextHop, way.delivery, &cx)
    return .sent
  }

  /// Puts the IP header of `destination`'s family in front; hop limit and traffic class are in the metadata.
  /// `identification`: of a packet that may be fragmented, which IPv6 has no word for.
  func buildHeader(
    _ packet: inout Packet, _ source: IPAddress, _ destination: IPAddress, _ number: IPProtocol,
    identification: UInt16? = nil
  ) {
    let payload = packet.totalCount
    packet.metadata.transportOffset = UInt16(packet.startOffset)
    if let from = source.ipv4, let to = destination.ipv4 {
      prependIPv4(&packet, from, to, number, identification)
    } else {
      let metadata = packet.metadata
      let header = IPv6Header(
        source: IPv6Address(high: source.high, low: source.low),
        destination: IPv6Address(high: destination.high, low: destination.low), nextHeader: number,
        payloadByteCount: payload, hopLimit: metadata.hopLimit,
        trafficClass: TrafficClass(rawValue: metadata.trafficClass))
      prependHeader(&packet, header.byteCount)
      var span = packet.mutableBytes
      header.emit(into: &span)
    }
    packet.metadata.networkOffset = UInt16(packet.startOffset)
  }

  /// The header of nearly every packet, which has no options, and its checksum out of the words that it is made of.
  @inline(__always) private func prependIPv4(
    _ packet: inout Packet, _ source: IPv4Address, _ destination: IPv4Address, _ number: IPProtocol,
    _ identification: UInt16?
  ) {
    let (hopLimit, trafficClass) = (packet.metadata.hopLimit, packet.metadata.trafficClass)
    prependHeader(&packet, IPv4Header.fixedByteCount)
    let first = 0x4500_0000 | UInt32(trafficClass) &<< 16 | UInt32(UInt16(packet.totalCount))
    // Of what is never fragmented the identification says nothing (RFC 6864 section 4.1).
    let second: UInt32 = identification.map { UInt32($0) &<< 16 } ?? 0x4000
    let third = UInt32(hopLimit) &<< 24 | UInt32(number.rawValue) &<< 16
    var span = packet.mutableBytes
    span.set(first, at: 0)
    span.set(second, at: 4)
    span.set(third, at: 8)
    span.set(source.rawValue, at: 12)
    span.set(destination.rawValue, at: 16)
    span.set(InternetChecksum.ofFixedHeader(span.bytes), at: 10)
  }

  /// Makes room for a header in front; what is left to the device counts from the packet's first byte.
  @inline(__always) func prependHeader(_ packet: inout Packet, _ byteCount: Int) {
    packet.prepend(byteCount)
    if packet.metadata.offload.needsChecksum {
      packet.metadata.offload.checksumStart += UInt16(byteCount)
    }
    if packet.metadata.offload.segmentation != .none {
      packet.metadata.offload.headerLength += UInt16(byteCount)
    }
  }

  /// Gives a whole IP packet to the link.
  func transmit(
    _ packet: consuming Packet, _ interface: InterfaceRef, to nextHop: IPAddress,
    _ delivery: RouteDecision.Delivery, _ cx: inout SoftInterrupt
  ) {
    packet.metadata.interface = interface.index
    packet.metadata.destination = nextHop
    // Whoever sends it in the end uses the queue of the context that sends it now, so that it is not passed.
    packet.metadata.queue = UInt16(cx.index)
    guard let cache = interface.neighbors else {
      count(.packetsSent, interface.index, cx)
      count(.bytesSent, interface.index, by: packet.totalCount, cx)
      interface.queue(of: cx.index).send(packet, &cx)
      return
    }
    switch delivery {
    case .unicast, .local: resolve(packet, cache, &cx)
    case .broadcast: sendToStation(packet, .broadcast, interface.index, &cx)
    case .multicast: sendToStation(packet, Self.station(multicast: nextHop), interface.index, &cx)
    }
  }

  static func station(multicast group: IPAddress) -> MACAddress {
    if let group = group.ipv4 { return MACAddress(multicast: group) }
    return MACAddress(multicast: IPv6Address(high: group.high, low: group.low))
  }

  /// Resolve or wait, in one step (keeps NB-PEND; see ``NeighborWord``).
  private func resolve(_ packet: consuming Packet, _ cache: NeighborCacheRef, _ cx: inout SoftInterrupt) {
    if let neighbor = cache.find(packet.metadata.destination) {
      var word = neighbor.loadWord()
      while !word.isDead {
        if word.isUsable, isNothingUnderWay(word, cache) {
          guard word.asksToTell else {
            return sendToStation(packet, word.station, cache.interface, &cx)
          }
          let told = word.rawValue & ~NeighborWord.tell | NeighborWord.used
          guard neighbor.replaceWord(&word, with: told) else { continue }
          sendToStation(packet, word.station, cache.interface, &cx)
          cache.submit(neighbor.item, &cx)
          return
        }
        guard word.pending < NeighborWord.pendingLimit else {
          return drop(packet, .neighborWaitOverflow, &cx)
        }
        if neighbor.replaceWord(&word, with: word.rawValue + NeighborWord.onePending) {
          return cache.submit(packet, as: InternetKind.neighborWaiter, &cx)
        }
      }
    }
    guard cache.addStranger() else { return drop(packet, .neighborWaitOverflow, &cx) }
    cache.submit(packet, as: InternetKind.neighborStranger, &cx)
  }

  /// Whether no earlier packet is on its way to the owner of the cache.
  private func isNothingUnderWay(_ word: NeighborWord, _ cache: NeighborCacheRef) -> Bool {
    #if Explore
      if Mutation.neighborPendingNotLookedAt.isOn { return !cache.hasStrangers }
      if Mutation.neighborStrangersNotLookedAt.isOn { return word.pending == 0 }
    #endif
    return word.pending == 0 && !cache.hasStrangers
  }

  /// Puts the link header in front and gives the frame to the queue of the context that sent it.
  func sendToStation(
    _ packet: consuming Packet, _ station: MACAddress, _ index: UInt16, _ cx: inout SoftInterrupt
  ) {
    guard let interface = interface(index), let own = interface.station else { return }
    let type: EtherType = packet.metadata.destination.isIPv4 ? .ipv4 : .ipv6
    sendFrame(packet, EthernetHeader(destination: station, source: own, type: type), interface, &cx)
  }

  func sendFrame(
    _ packet: consuming Packet, _ header: EthernetHeader, _ interface: InterfaceRef, _ cx: inout SoftInterrupt
  ) {
    prependHeader(&packet, header.byteCount)
    var span = packet.mutableBytes
    header.emit(into: &span)
    count(.packetsSent, interface.index, cx)
    count(.bytesSent, interface.index, by: packet.totalCount, cx)
    interface.queue(of: Int(packet.metadata.queue)).send(packet, &cx)
  }
}
