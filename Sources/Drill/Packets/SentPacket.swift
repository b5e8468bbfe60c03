import Timing
import Wire

/// A packet that the stack sent, read from its bytes: its numbers are those on the wire.
struct SentPacket: Equatable {
  /// When it left.
  var time: Instant
  var source: SocketAddress
  var destination: SocketAddress
  var transport: IPProtocol
  /// Outbound; sequence numbers and time stamps as they are on the wire.
  var description: PacketDescription
  /// Whether the payload is nothing but zeros, as what scripts write is.
  var isPayloadZero: Bool

  /// Reads a packet from its IP header on. Checksums must be right. `encapsulation`: the port of UDP from which segments
  /// leave; 0: there is none.
  init(_ bytes: [UInt8], at time: Instant, encapsulation: UInt16 = 0) throws(PacketProblem) {
    self.time = time
    do throws(WireError) {
      self = unsafe try Self.read(bytes.span.bytes, at: time, encapsulation)
    } catch {
      throw .malformed("\(error)")
    }
  }

  private init(
    _ time: Instant, _ source: SocketAddress, _ destination: SocketAddress, _ transport: IPProtocol,
    _ description: PacketDescription, isPayloadZero: Bool = true
  ) {
    self.time = time
    self.source = source
    self.destination = destination
    self.transport = transport
    self.description = description
    self.isPayloadZero = isPayloadZero
  }

  private static func read(
    _ packet: RawSpan, at time: Instant, _ encapsulation: UInt16
  ) throws(WireError) -> SentPacket {
    guard packet.byteCount > 0 else { throw .truncated(needed: 1, available: 0) }
    let read: SentPacket
    if packet.uint8(at: 0) >> 4 == 4 {
      let view = try IPv4View(packet)
      guard view.isChecksumValid else { throw .badChecksum }
      read = try content(
        view.payload, view.protocol, from: IPAddress(view.source), to: IPAddress(view.destination), at: time,
        encapsulation)
      return read.with(service: view.trafficClass.rawValue, timeToLive: view.timeToLive, label: nil)
    }
    let view = try IPv6View(packet)
    read = try content(
      view.payload, view.nextHeader, from: IPAddress(view.source), to: IPAddress(view.destination), at: time,
      encapsulation)
    return read.with(service: view.trafficClass.rawValue, timeToLive: view.hopLimit, label: view.flowLabel)
  }

  private func with(service: UInt8, timeToLive: UInt8, label: UInt32?) -> SentPacket {
    var packet = self
    packet.description.typeOfService = .byte(service)
    packet.description.timeToLive = timeToLive
    packet.description.flowLabel = label
    return packet
  }

  private static func content(
    _ payload: RawSpan, _ transport: IPProtocol, from source: IPAddress, to destination: IPAddress,
    at time: Instant, _ encapsulation: UInt16
  ) throws(WireError) -> SentPacket {
    switch transport {
    case .tcp:
      let view = try TCPView(payload)
      guard view.isChecksumValid(source: source, destination: destination) else { throw .badChecksum }
      return SentPacket(
        time, SocketAddress(source, port: view.sourcePort),
        SocketAddress(destination, port: view.destinationPort),
        .tcp, PacketDescription(.outbound, .tcp(try segment(view))), isPayloadZero: isZero(view.payload))
    case .udp where payload.byteCount >= 8:
      let checksum = payload.uint16(at: 6)
      let sum = InternetChecksum.of(payload, source: source, destination: destination, protocol: .udp)
      guard sum == 0 || checksum == 0 && source.isIPv4 else { throw .badChecksum }
      if encapsulation != 0, payload.uint16(at: 0) == encapsulation {
        // The segment has no checksum but that.
        guard checksum != 0 else { throw .badChecksum }
        return try encapsulated(payload, from: source, to: destination, at: time)
      }
      return SentPacket(
        time, SocketAddress(source, port: payload.uint16(at: 0)),
        SocketAddress(destination, port: payload.uint16(at: 2)), .udp,
        PacketDescription(.outbound, .udp(payload.byteCount - 8)),
        isPayloadZero: isZero(payload.extracting(8..<payload.byteCount)))
    case .icmpv4 where payload.byteCount >= 8, .icmpv6 where payload.byteCount >= 8:
      let names: MessageNames = transport == .icmpv4 ? .ipv4 : .ipv6
      let type = payload.uint8(at: 0)
      var message = MessageDescription(type: names.name(ofType: type))
      message.code = names.name(ofCode: payload.uint8(at: 1), of: type)
      return SentPacket(
        time, SocketAddress(source, port: 0), SocketAddress(destination, port: 0), transport,
        PacketDescription(.outbound, .icmp(message)))
    default:
      return SentPacket(
        time, SocketAddress(source, port: 0), SocketAddress(destination, port: 0), transport,
        PacketDescription(.outbound, .icmp(MessageDescription(type: "protocol_\(transport.rawValue)"))))
    }
  }

  /// A segment in a datagram.
  private static func encapsulated(
    _ datagram: RawSpan, from source: IPAddress, to destination: IPAddress, at time: Instant
  ) throws(WireError) -> SentPacket {
    let view = try TCPView(datagram.extracting(UDPHeader.byteCount..<datagram.byteCount))
    guard datagram.uint16(at: UDPHeader.byteCount + TCPHeader.checksumOffset) == 0 else { throw .badChecksum }
    var description = PacketDescription(.outbound, .tcp(try segment(view)))
    description.encapsulation = PortPair(source: datagram.uint16(at: 0), destination: datagram.uint16(at: 2))
    return SentPacket(
      time, SocketAddress(source, port: view.sourcePort),
      SocketAddress(destination, port: view.destinationPort), .tcp, description,
      isPayloadZero: isZero(view.payload))
  }

  private static func segment(_ view: borrowing TCPView) throws(WireError) -> SegmentDescription {
    var segment = SegmentDescription(
      flags: view.flags,
      sequence: SequenceRange(start: view.sequence.rawValue, length: view.payload.byteCount),
      acknowledgment: view.flags.contains(.ack) ? view.acknowledgment.rawValue : nil, window: view.window)
    segment.urgentPointer = view.urgentPointer
    segment.options = try options(view.options)
    return segment
  }

  /// The options in order, padding with them.
  private static func options(_ bytes: RawSpan) throws(WireError) -> [OptionDescription] {
    var options: [OptionDescription] = []
    var at = 0
    while at < bytes.byteCount {
      let kind = bytes.uint8(at: at)
      if kind < 2 {
        options.append(kind == 0 ? .endOfList : .noOperation)
        at += 1
        continue
      }
      guard at + 1 < bytes.byteCount else { throw .badOption(kind: kind, offset: at) }
      let length = Int(bytes.uint8(at: at + 1))
      guard length >= 2, at + length <= bytes.byteCount else { throw .badOption(kind: kind, offset: at) }
      options.append(option(kind, bytes.extracting(at + 2..<at + length)))
      at += length
    }
    return options
  }

  private static func option(_ kind: UInt8, _ data: RawSpan) -> OptionDescription {
    func bytes(from start: Int = 0) -> [UInt8] { (start..<data.byteCount).map { data.uint8(at: $0) } }
    switch (kind, data.byteCount) {
    case (2, 2): return .maximumSegmentSize(data.uint16(at: 0))
    case (3, 1): return .windowScale(data.uint8(at: 0))
    case (4, 0): return .sackPermitted
    case (5, 8), (5, 16), (5, 24), (5, 32):
      return .sack(
        stride(from: 0, to: data.byteCount, by: 8).map {
          SequencePair(data.uint32(at: $0), data.uint32(at: $0 + 4))
        })
    case (8, 8): return .timestamps(value: data.uint32(at: 0), echo: data.uint32(at: 4))
    case (19, _): return .md5(digest: bytes())
    case (29, 2...):
      return .authentication(key: data.uint8(at: 0), next: data.uint8(at: 1), .bytes(bytes(from: 2)))
    case (34, _): return .fastOpen(cookie: bytes())
    case (254, 2...) where data.uint16(at: 0) == 0xF989: return .fastOpenExperimental(cookie: bytes(from: 2))
    case (172, 3), (172, 6), (172, 9), (174, 3), (174, 6), (174, 9):
      return .accurateECN(
        first: kind == 172 ? .capableZero : .capableOne,
        values: stride(from: 0, to: data.byteCount, by: 3).map {
          UInt32(data.uint8(at: $0)) << 16 | UInt32(data.uint16(at: $0 + 1))
        })
    default: return .other(kind: kind, bytes: bytes())
    }
  }

  private static func isZero(_ bytes: RawSpan) -> Bool {
    for offset in 0..<bytes.byteCount where bytes.uint8(at: offset) != 0 { return false }
    return true
  }
}

extension SentPacket {
  /// Says `valid` of authentication codes that are right, given the packet's bytes from the IP header on.
  mutating func judge(_ bytes: [UInt8], _ keys: ScriptKeys, _ flow: Flow) {
    guard var segment = description.segment, !keys.isEmpty, let options = segment.options else { return }
    let internet = source.address.isIPv4 ? Int(bytes[0] & 15) * 4 : IPv6Header.byteCount
    let start = internet + (description.encapsulation == nil ? 0 : UDPHeader.byteCount)
    segment.options = options.map { keys.judged($0, segment: Array(bytes[start...]), flow) }
    description.content = .tcp(segment)
  }
}
