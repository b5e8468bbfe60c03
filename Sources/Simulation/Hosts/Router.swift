import Buffers
import Wire

/// What passed a router.
struct RouterStatistics {
  var forwarded = 0
  var tooBig = 0, expired = 0, unroutable = 0, malformed = 0
  var errorsSent = 0
}

/// Forwards IPv4 and IPv6 between its ports: counts hops down, and tells senders what it cannot do, by ICMP. Its routes
/// and its neighbours are configured; it answers for its own addresses.
final class Router: Node {
  struct Port {
    var outgoing: Int
    var station: MACAddress
    var addresses: [IPAddress]
    /// Destinations of this port's link, or behind it.
    var prefixes: [IPPrefix]
    /// Stations on the link, by address; `gateway` is where all else goes.
    var neighbors: [(address: IPAddress, station: MACAddress)] = []
    var gateway: MACAddress?
  }

  unowned let network: Network
  var ports: [Port] = []
  /// Sends no ICMP: a firewall on the way that makes black holes.
  var isMute = false
  private(set) var statistics = RouterStatistics()

  init(_ network: Network) { self.network = network }

  func receive(_ packet: consuming Packet, port: Int) {
    guard packet.count >= FrameLayout.linkBytes else { return }
    let destination = MACAddress(packet.bytes, at: 0)
    if packet.bytes.uint16(at: 12) == EtherType.arp.rawValue { return answerARP(packet, port) }
    guard destination == ports[port].station || destination.isMulticast else { return }
    guard let layout = FrameLayout(packet.bytes), layout.family == .ipv6 || isHeaderIntact(packet) else {
      statistics.malformed += 1
      return
    }
    let target = layout.destination(packet.bytes)
    if target.isMulticast || ports[port].addresses.contains(target) {
      return answerSolicitation(packet, layout, port)
    }
    forward(packet, layout, to: target, from: port)
  }

  private func isHeaderIntact(_ packet: borrowing Packet) -> Bool {
    let start = FrameLayout.linkBytes
    let length = Int(packet.bytes.uint8(at: start) & 15) * 4
    return InternetChecksum.of(packet.bytes.extracting(start..<start + length)) == 0
  }

  // MARK: Forwarding

  private func forward(
    _ packet: consuming Packet, _ layout: FrameLayout, to target: IPAddress, from port: Int
  ) {
    guard let way = ports.firstIndex(where: { $0.prefixes.contains { $0.contains(target) } }) else {
      statistics.unroutable += 1
      return report(.unreachable, packet, layout, by: port)
    }
    let hops = packet.bytes.uint8(at: FrameLayout.linkBytes + (layout.family == .ipv4 ? 8 : 7))
    guard hops > 1 else {
      statistics.expired += 1
      return report(.expired, packet, layout, by: port)
    }
    let mtu = network.pipes[ports[way].outgoing].parameters.mtu
    guard layout.end - FrameLayout.linkBytes <= mtu else {
      statistics.tooBig += 1
      return report(.tooBig(mtu), packet, layout, by: port)
    }
    guard
      let station = ports[way].neighbors.first(where: { $0.address == target })?.station
        ?? ports[way].gateway
    else {
      statistics.unroutable += 1
      return report(.unreachable, packet, layout, by: port)
    }
    var packet = packet
    packet.countHop(layout)
    packet.address(from: ports[way].station, to: station)
    statistics.forwarded += 1
    network.pipes[ports[way].outgoing].offer(packet)
  }

  // MARK: ICMP errors

  fileprivate enum Complaint { case tooBig(Int), expired, unreachable }

  /// Tells the sender, unless the packet is itself an error or for many (RFC 1122 section 3.2.2, RFC 4443 section
  /// 2.4).
  private func report(
    _ complaint: Complaint, _ packet: borrowing Packet, _ layout: FrameLayout, by port: Int
  ) {
    let sender = layout.source(packet.bytes)
    guard !isMute, !sender.isUnspecified, !sender.isMulticast, !isError(packet, layout),
      let own = ports[port].addresses.first(where: { $0.isIPv4 == sender.isIPv4 }),
      var answer = network.makePacket()
    else { return }
    let isIPv4 = layout.family == .ipv4
    // The header and eight bytes, or as much as fits into the smallest packet of the family.
    let quoted = min(layout.end - FrameLayout.linkBytes, isIPv4 ? 548 : 1232)
    let header = isIPv4 ? 20 : 40
    answer.append(FrameLayout.linkBytes + header + 8 + quoted)
    answer.address(from: ports[port].station, to: MACAddress(packet.bytes, at: 6))
    let start = FrameLayout.linkBytes
    var bytes = answer.mutableBytes
    bytes.set(isIPv4 ? EtherType.ipv4.rawValue : EtherType.ipv6.rawValue, at: 12)
    bytes.copy(
      packet.bytes.extracting(start..<start + quoted), at: start + header + 8)
    var ip = bytes._mutatingExtracting(start..<start + header)
    if isIPv4, let own = own.ipv4, let sender = sender.ipv4 {
      IPv4Header(source: own, destination: sender, protocol: .icmpv4, payloadByteCount: 8 + quoted)
        .emit(into: &ip)
      var message = bytes._mutatingExtracting(start + header..<bytes.byteCount)
      complaint.message4.emit(into: &message)
    } else if let own = own.ipv6, let sender = sender.ipv6 {
      IPv6Header(source: own, destination: sender, nextHeader: .icmpv6, payloadByteCount: 8 + quoted)
        .emit(into: &ip)
      var message = bytes._mutatingExtracting(start + header..<bytes.byteCount)
      complaint.message6.emit(into: &message, source: own, destination: sender)
    }
    answer.markNetworkHeader()
    statistics.errorsSent += 1
    network.pipes[ports[port].outgoing].offer(answer)
  }

  private func isError(_ packet: borrowing Packet, _ layout: FrameLayout) -> Bool {
    guard layout.transport < layout.end else { return false }
    let type = packet.bytes.uint8(at: layout.transport)
    switch layout.protocolNumber {
    case .icmpv4: return type != 8 && type != 0
    case .icmpv6: return type < 128
    default: return false
    }
  }

  // MARK: Neighbours

  private func answerARP(_ packet: consuming Packet, _ port: Int) {
    let start = FrameLayout.linkBytes
    guard let request = try? ARPMessage.parse(packet.bytes.extracting(start..<packet.count)),
      request.operation == .request, ports[port].addresses.contains(IPAddress(request.target)),
      var answer = network.makePacket()
    else { return }
    answer.append(start + ARPMessage.byteCount)
    answer.address(from: ports[port].station, to: request.senderHardware)
    var bytes = answer.mutableBytes
    bytes.set(EtherType.arp.rawValue, at: 12)
    var message = bytes._mutatingExtracting(start..<bytes.byteCount)
    ARPMessage(
      operation: .reply, senderHardware: ports[port].station, sender: request.target,
      targetHardware: request.senderHardware, target: request.sender
    ).emit(into: &message)
    network.pipes[ports[port].outgoing].offer(answer)
  }

  /// A neighbour solicitation for one of our addresses; all else that is for us is not served.
  private func answerSolicitation(_ packet: borrowing Packet, _ layout: FrameLayout, _ port: Int) {
    guard layout.family == .ipv6, layout.protocolNumber == .icmpv6, layout.end - layout.transport >= 24
    else { return }
    let asked = IPAddress(
      high: packet.bytes.uint64(at: layout.transport + 8),
      low: packet.bytes.uint64(at: layout.transport + 16))
    let asking = layout.source(packet.bytes)
    guard packet.bytes.uint8(at: layout.transport) == 135, ports[port].addresses.contains(asked),
      let own = asked.ipv6, let sender = asking.ipv6, !asking.isUnspecified,
      var answer = network.makePacket()
    else { return }
    let start = FrameLayout.linkBytes
    answer.append(start + 40 + 32)
    answer.address(from: ports[port].station, to: MACAddress(packet.bytes, at: 6))
    var bytes = answer.mutableBytes
    bytes.set(EtherType.ipv6.rawValue, at: 12)
    var ip = bytes._mutatingExtracting(start..<start + 40)
    IPv6Header(
      source: own, destination: sender, nextHeader: .icmpv6, payloadByteCount: 32, hopLimit: 255
    ).emit(into: &ip)
    var option = bytes._mutatingExtracting(start + 40 + 24..<bytes.byteCount)
    NeighborDiscoveryOption.targetLinkLayer(ports[port].station).emit(into: &option, at: 0)
    var message = bytes._mutatingExtracting(start + 40..<bytes.byteCount)
    ICMPv6Message.neighborAdvertisement(flags: [.router, .solicited, .override], target: own)
      .emit(into: &message, source: own, destination: sender)
    answer.markNetworkHeader()
    network.pipes[ports[port].outgoing].offer(answer)
  }
}

extension Router.Complaint {
  fileprivate var message4: ICMPv4Message {
    typealias Unreachable = ICMPv4Message.Unreachable
    return switch self {
    case .tooBig(let mtu):
      .destinationUnreachable(code: Unreachable.fragmentationNeeded, nextHopMTU: UInt16(clamping: mtu))
    case .expired: .timeExceeded(code: 0)
    case .unreachable: .destinationUnreachable(code: Unreachable.host, nextHopMTU: 0)
    }
  }
  fileprivate var message6: ICMPv6Message {
    switch self {
    case .tooBig(let mtu): .packetTooBig(mtu: UInt32(clamping: mtu))
    case .expired: .timeExceeded(code: 0)
    case .unreachable: .destinationUnreachable(code: ICMPv6Message.Unreachable.noRoute)
    }
  }
}

extension Packet {
  /// One hop less, with the header's checksum.
  fileprivate mutating func countHop(_ layout: FrameLayout) {
    let start = FrameLayout.linkBytes
    var bytes = mutableBytes
    switch layout.family {
    case .ipv4:
      let before = bytes.bytes.uint16(at: start + 8)
      let after = before - 0x100
      bytes.set(after, at: start + 8)
      let checksum = bytes.bytes.uint16(at: start + 10)
      bytes.set(InternetChecksum.update(checksum, replacing: before, with: after), at: start + 10)
    case .ipv6:
      bytes.set(bytes.bytes.uint8(at: start + 7) - 1, at: start + 7)
    }
  }
  /// The Ethernet addresses.
  fileprivate mutating func address(from source: MACAddress, to destination: MACAddress) {
    var bytes = mutableBytes
    destination.emit(into: &bytes, at: 0)
    source.emit(into: &bytes, at: 6)
  }
}
