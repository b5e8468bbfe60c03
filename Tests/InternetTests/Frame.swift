import Wire

extension [UInt8] {
  /// The bytes as parsers take them.
  var raw: RawSpan {
    @_lifetime(borrow self) get { unsafe span.bytes }  // bytes have no padding
  }
}

/// Frames as the peer of a ``Host`` makes them.
enum Frame {
  /// `count` bytes that `emit` fills.
  static func bytes(_ count: Int, _ emit: (inout MutableRawSpan) -> Void) -> [UInt8] {
    var made = [UInt8](repeating: 0, count: count)
    var elements = made.mutableSpan
    var span = unsafe elements.mutableBytes  // bytes have no padding
    emit(&span)
    return made
  }

  static func ethernet(
    _ payload: [UInt8], type: EtherType, to destination: MACAddress = Host.station,
    from source: MACAddress = Host.peerStation, vlan: VLANTag? = nil
  ) -> [UInt8] {
    let header = EthernetHeader(destination: destination, source: source, vlan: vlan, type: type)
    return bytes(header.byteCount) { header.emit(into: &$0) } + payload
  }

  static func ipv4(
    _ payload: [UInt8], protocol number: IPProtocol = .udp, from source: IPAddress = Host.peer4,
    to destination: IPAddress = Host.ipv4, options: [UInt8] = [], station: MACAddress = Host.station,
    change: (inout IPv4Header) -> Void = { _ in }
  ) -> [UInt8] {
    ethernet(
      bareIPv4(payload, protocol: number, from: source, to: destination, options: options, change: change),
      type: .ipv4, to: station)
  }

  static func bareIPv4(
    _ payload: [UInt8], protocol number: IPProtocol = .udp, from source: IPAddress = Host.peer4,
    to destination: IPAddress = Host.ipv4, options: [UInt8] = [],
    change: (inout IPv4Header) -> Void = { _ in }
  ) -> [UInt8] {
    var header = IPv4Header(
      source: source.ipv4!, destination: destination.ipv4!, protocol: number, payloadByteCount: payload.count,
      options: IPv4Options(options.raw)!)
    change(&header)
    return bytes(header.byteCount) { header.emit(into: &$0) } + payload
  }

  static func ipv6(
    _ payload: [UInt8], next: IPProtocol = .udp, from source: IPAddress = Host.peer6,
    to destination: IPAddress = Host.ipv6, hopLimit: UInt8 = 64, station: MACAddress = Host.station
  ) -> [UInt8] {
    let header = IPv6Header(
      source: IPv6Address(high: source.high, low: source.low),
      destination: IPv6Address(high: destination.high, low: destination.low), nextHeader: next,
      payloadByteCount: payload.count, hopLimit: hopLimit)
    return ethernet(bytes(40) { header.emit(into: &$0) } + payload, type: .ipv6, to: station)
  }

  /// Eight bytes of UDP header, with `ports` and no checksum.
  static func udp(_ data: [UInt8] = [], from source: UInt16 = 5000, to destination: UInt16 = 7) -> [UInt8] {
    let header = UDPHeader(sourcePort: source, destinationPort: destination, payloadByteCount: data.count)
    return bytes(8) { header.emit(into: &$0) } + data
  }

  static func icmpv4(_ message: ICMPv4Message, _ data: [UInt8] = []) -> [UInt8] {
    bytes(message.byteCount + data.count) { span in
      span.copy(data.raw, at: message.byteCount)
      message.emit(into: &span)
    }
  }

  static func icmpv6(
    _ message: ICMPv6Message, _ data: [UInt8] = [], from source: IPAddress = Host.peer6,
    to destination: IPAddress = Host.ipv6
  ) -> [UInt8] {
    bytes(message.byteCount + data.count) { span in
      span.copy(data.raw, at: message.byteCount)
      message.emit(into: &span, source: source.ipv6!, destination: destination.ipv6!)
    }
  }

  static func arp(
    _ operation: ARPMessage.Operation, sender: IPAddress = Host.peer4, station: MACAddress = Host.peerStation,
    target: IPAddress = Host.ipv4, targetStation: MACAddress = Host.station, to: MACAddress = Host.station
  ) -> [UInt8] {
    let message = ARPMessage(
      operation: operation, senderHardware: station, sender: sender.ipv4!, targetHardware: targetStation,
      target: target.ipv4!)
    return ethernet(bytes(28) { message.emit(into: &$0) }, type: .arp, to: to, from: station)
  }
  static func arpReply(_ sender: IPAddress = Host.peer4, station: MACAddress = Host.peerStation) -> [UInt8] {
    arp(.reply, sender: sender, station: station)
  }
  static func arpRequest(for target: IPAddress = Host.ipv4, sender: IPAddress = Host.peer4) -> [UInt8] {
    arp(.request, sender: sender, target: target, targetStation: .zero, to: .broadcast)
  }

  static func neighborAdvertisement(
    _ target: IPAddress = Host.peer6, station: MACAddress? = Host.peerStation,
    flags: NeighborFlags = [.solicited, .override], to destination: IPAddress = Host.ipv6,
    hopLimit: UInt8 = 255
  ) -> [UInt8] {
    let option = station.map { address in
      bytes(8) { NeighborDiscoveryOption.targetLinkLayer(address).emit(into: &$0, at: 0) }
    }
    let message = icmpv6(
      .neighborAdvertisement(flags: flags, target: target.ipv6!), option ?? [], from: target, to: destination)
    return ipv6(message, next: .icmpv6, from: target, to: destination, hopLimit: hopLimit)
  }

  static func neighborSolicitation(
    for target: IPAddress = Host.ipv6, from source: IPAddress = Host.peer6,
    station: MACAddress? = Host.peerStation, hopLimit: UInt8 = 255
  ) -> [UInt8] {
    let option = station.map { address in
      bytes(8) { NeighborDiscoveryOption.sourceLinkLayer(address).emit(into: &$0, at: 0) }
    }
    let group = IPAddress(target.ipv6!.solicitedNodeMulticast)
    let message = icmpv6(.neighborSolicitation(target: target.ipv6!), option ?? [], from: source, to: group)
    return ipv6(
      message, next: .icmpv6, from: source, to: group, hopLimit: hopLimit,
      station: MACAddress(multicast: group.ipv6!))
  }

  // MARK: Reading what the stack sent

  static func header(_ frame: [UInt8]) -> EthernetHeader? { try? EthernetHeader.parse(frame.raw) }
  static func payload(_ frame: [UInt8]) -> [UInt8] { Array(frame.dropFirst(14)) }
  static func arp(_ frame: [UInt8]) -> ARPMessage? {
    guard header(frame)?.type == .arp else { return nil }
    let bytes = payload(frame)
    return try? ARPMessage.parse(bytes.raw)
  }
  /// The IPv4 header, with its checksum verified, and what follows it.
  static func ipv4(_ frame: [UInt8]) -> (header: IPv4Header, payload: [UInt8])? {
    guard header(frame)?.type == .ipv4 else { return nil }
    let bytes = payload(frame)
    guard let header = try? IPv4Header.parse(bytes.raw) else { return nil }
    return (header, Array(bytes[header.byteCount..<Int(header.totalLength)]))
  }
  static func ipv6(_ frame: [UInt8]) -> (header: IPv6Header, payload: [UInt8])? {
    guard header(frame)?.type == .ipv6 else { return nil }
    let bytes = payload(frame)
    guard let header = try? IPv6Header.parse(bytes.raw) else { return nil }
    return (header, Array(bytes[40...].prefix(Int(header.payloadLength))))
  }
  static func icmpv4(_ frame: [UInt8]) -> ICMPv4Message? {
    guard let (header, payload) = ipv4(frame), header.protocol == .icmpv4 else { return nil }
    return try? ICMPv4Message.parse(payload.raw)
  }
  static func icmpv6(_ frame: [UInt8]) -> ICMPv6Message? {
    guard let (header, payload) = ipv6(frame), header.nextHeader == .icmpv6 else { return nil }
    return try? ICMPv6Message.parse(payload.raw, source: header.source, destination: header.destination)
  }
}
