import Wire

/// Makes the bytes of an inbound packet from its description.
struct PacketBuilder {
  /// The connection that it belongs to.
  var flow: Flow
  /// Time stamps that the script echoes may be counted from the first: `--tcp_ts_ecr_scaled`.
  var scalesEchoes = false
  /// What segments are authenticated with.
  var keys = ScriptKeys()

  /// Routers' and hosts' packets start with the most; scripts that care say `ttl`.
  private static let timeToLive: UInt8 = 255

  /// The packet from its IP header on, checksums filled.
  func build(_ packet: PacketDescription) throws(PacketProblem) -> [UInt8] {
    guard packet.carriers.isEmpty else { throw .unsupported("packets inside of other headers") }
    switch packet.content {
    case .tcp(let segment):
      let bytes = try tcp(segment, ports: packet.ports)
      guard let ports = packet.encapsulation else { return try ip(packet, .tcp, bytes) }
      // The segment's own checksum stays 0: the datagram's covers it.
      return try ip(packet, .udp, udpHeader(bytes.count, ports) + bytes)
    case .udp(let size): return try ip(packet, .udp, udp(size, ports: packet.ports))
    case .icmp(let message):
      let number: IPProtocol = flow.remote.address.isIPv4 ? .icmpv4 : .icmpv6
      return try ip(packet, number, try icmp(message))
    }
  }

  // MARK: IP

  private func ip(_ packet: PacketDescription, _ number: IPProtocol, _ payload: [UInt8]) throws(PacketProblem)
    -> [UInt8]
  {
    let service: UInt8 =
      switch packet.typeOfService {
      case .any, .capable: 0
      case .ecn(let bits), .byte(let bits): bits
      }
    var sealed = payload
    if let place = Self.checksumPlace(number) {
      var span = sealed.mutableSpan
      var bytes = unsafe span.mutableBytes
      InternetChecksum.seal(
        &bytes, at: place, source: flow.remote.address, destination: flow.local.address, protocol: number)
    }
    return try Self.header(
      from: flow.remote.address, to: flow.local.address, number, byteCount: payload.count, service: service,
      timeToLive: packet.timeToLive ?? Self.timeToLive, label: packet.flowLabel ?? 0) + sealed
  }

  private static func checksumPlace(_ number: IPProtocol) -> Int? {
    switch number {
    case .tcp: TCPHeader.checksumOffset
    case .udp: 6
    case .icmpv6: 2
    default: nil
    }
  }

  private static func header(
    from source: IPAddress, to destination: IPAddress, _ number: IPProtocol, byteCount: Int, service: UInt8,
    timeToLive: UInt8, label: UInt32
  ) throws(PacketProblem) -> [UInt8] {
    let total = byteCount + (source.isIPv4 ? IPv4Header.fixedByteCount : 0)
    guard total <= 0xFFFF else { throw .unsupported("a packet of \(total) bytes") }
    if let source4 = source.ipv4, let destination4 = destination.ipv4 {
      var bytes = [UInt8](repeating: 0, count: IPv4Header.fixedByteCount)
      bytes[0] = 0x45
      bytes[1] = service
      bytes.replace(at: 2, with: UInt16(total))
      bytes[8] = timeToLive
      bytes[9] = number.rawValue
      bytes.replace(at: 12, with: source4.rawValue)
      bytes.replace(at: 16, with: destination4.rawValue)
      bytes.replace(at: 10, with: unsafe InternetChecksum.of(bytes.span.bytes))
      return bytes
    }
    guard let source6 = source.ipv6, let destination6 = destination.ipv6 else {
      throw .unsupported("addresses of two families")
    }
    var bytes = [UInt8](repeating: 0, count: IPv6Header.byteCount)
    bytes.replace(at: 0, with: 6 << 28 | UInt32(service) << 20 | label & 0xF_FFFF)
    bytes.replace(at: 4, with: UInt16(byteCount))
    bytes[6] = number.rawValue
    bytes[7] = timeToLive
    bytes.replace(at: 8, with: source6.high)
    bytes.replace(at: 16, with: source6.low)
    bytes.replace(at: 24, with: destination6.high)
    bytes.replace(at: 32, with: destination6.low)
    return bytes
  }

  // MARK: Transports

  private func tcp(_ segment: SegmentDescription, ports: PortPair?) throws(PacketProblem) -> [UInt8] {
    let isSYN = segment.flags.contains(.syn)
    let options = try optionBytes(segment, isSYN: isSYN)
    var bytes = [UInt8](repeating: 0, count: TCPHeader.fixedByteCount)
    bytes.replace(at: 0, with: ports?.source ?? flow.remote.port)
    bytes.replace(at: 2, with: ports?.destination ?? flow.local.port)
    let offset = segment.sequenceOrigin == .wire ? 0 : flow.remoteOffset(isSYN: isSYN)
    bytes.replace(at: 4, with: segment.sequence.start &+ offset)
    if segment.flags.contains(.ack) {
      bytes.replace(at: 8, with: (segment.acknowledgment ?? 0) &+ flow.localOffset(isSYN: isSYN))
    }
    var flags = segment.flags
    if let marks = segment.acknowledgedMarks { flags.formUnion(TCPFlags(marks: marks)) }
    let words = UInt16((TCPHeader.fixedByteCount + options.count) / 4)
    bytes.replace(at: 12, with: words << 12 | flags.rawValue)
    bytes.replace(at: 14, with: segment.window ?? 0)
    bytes.replace(at: 18, with: segment.urgentPointer)
    bytes += options + [UInt8](repeating: 0, count: segment.sequence.length)
    for option in segment.options ?? [] { try keys.seal(&bytes, option, flow) }
    return bytes
  }

  private func optionBytes(_ segment: SegmentDescription, isSYN: Bool) throws(PacketProblem) -> [UInt8] {
    var bytes: [UInt8] = []
    for option in segment.options ?? [] {
      switch option {
      case .endOfList: bytes.append(0)
      case .noOperation: bytes.append(1)
      case .maximumSegmentSize(let size): bytes += [2, 4] + size.wire
      case .windowScale(let shift): bytes += [3, 3, shift]
      case .sackPermitted: bytes += [4, 2]
      case .sack(let blocks):
        bytes += [5, UInt8(2 + 8 * blocks.count)]
        // The stack's own numbers, as an acknowledgment's.
        let offset = flow.localOffset(isSYN: isSYN)
        for block in blocks { bytes += (block.left &+ offset).wire + (block.right &+ offset).wire }
      case .timestamps(let value, let echo):
        var live = echo
        if segment.flags.contains(.ack) {
          guard let known = flow.stamp(script: echo, isScaled: scalesEchoes) else { throw .unknownEcho(echo) }
          live = known
        }
        bytes += [8, 10] + value.wire + live.wire
      case .md5(let digest): bytes += [19, UInt8(2 + digest.count)] + digest
      case .authentication(let key, let next, .bytes(let code)):
        bytes += [29, UInt8(4 + code.count), key, next] + code
      case .authentication(let key, let next, .valid), .authentication(let key, let next, .wrong):
        bytes += [29, 16, key, next] + [UInt8](repeating: 0, count: 12)
      case .md5Valid, .md5Wrong: bytes += [19, 18] + [UInt8](repeating: 0, count: 16)
      case .fastOpen(let cookie): bytes += [34, UInt8(2 + cookie.count)] + cookie
      case .fastOpenExperimental(let cookie): bytes += [254, UInt8(4 + cookie.count), 0xF9, 0x89] + cookie
      case .accurateECN(let first, let values):
        bytes += [first == .capableZero ? 172 : 174, UInt8(2 + 3 * values.count)]
        for value in values { bytes += value.wire.dropFirst() }
      case .other(let kind, let data): bytes += [kind, UInt8(2 + data.count)] + data
      }
    }
    while bytes.count % 4 != 0 { bytes.append(0) }
    return bytes
  }

  private func udp(_ size: Int, ports: PortPair?) -> [UInt8] {
    let usual = PortPair(source: flow.remote.port, destination: flow.local.port)
    return udpHeader(size, ports ?? usual) + [UInt8](repeating: 0, count: size)
  }

  private func udpHeader(_ size: Int, _ ports: PortPair) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: UDPHeader.byteCount)
    bytes.replace(at: 0, with: ports.source)
    bytes.replace(at: 2, with: ports.destination)
    bytes.replace(at: 4, with: UInt16(truncatingIfNeeded: UDPHeader.byteCount + size))
    return bytes
  }

  // MARK: ICMP

  private func icmp(_ message: MessageDescription) throws(PacketProblem) -> [UInt8] {
    let names: MessageNames = flow.remote.address.isIPv4 ? .ipv4 : .ipv6
    guard let type = names.type(message.type) else { throw .unsupported("ICMP type \(message.type)") }
    guard let code = names.code(message.code, of: type) else {
      throw .unsupported("ICMP code \(message.code ?? "")")
    }
    var bytes: [UInt8] = [type, code, 0, 0, 0, 0, 0, 0]
    if let mtu = message.mtu {
      // RFC 1191: the last two bytes; RFC 4443: all four.
      if names == .ipv6 {
        bytes.replace(at: 4, with: mtu)
      } else {
        bytes.replace(at: 6, with: UInt16(truncatingIfNeeded: mtu))
      }
    }
    if let identifier = message.identifier { bytes.replace(at: 4, with: identifier) }
    if let quote = message.quote ?? names.defaultQuote(ofType: type, flow.transport) {
      bytes += try quoted(quote, in: message.quotedEncapsulation)
    }
    if names == .ipv4 { bytes.replace(at: 2, with: unsafe InternetChecksum.of(bytes.span.bytes)) }
    return bytes
  }

  /// The start of a packet of the stack, as routers quote it: its IP header and eight bytes; of a segment in UDP as many of
  /// the segment too.
  private func quoted(
    _ quote: MessageDescription.Quote, in encapsulation: PortPair?
  ) throws(PacketProblem) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 8)
    bytes.replace(at: 0, with: flow.local.port)
    bytes.replace(at: 2, with: flow.remote.port)
    var number: IPProtocol
    var size: Int
    switch quote {
    case .tcp(let range):
      number = .tcp
      size = TCPHeader.fixedByteCount + range.length
      bytes.replace(at: 4, with: range.start &+ flow.localOffset(isSYN: false))
    case .udp(let length):
      number = .udp
      size = 8 + length
      bytes.replace(at: 4, with: UInt16(truncatingIfNeeded: size))
    case .raw(let length):
      number = IPProtocol(rawValue: 255)
      size = length
    }
    if let encapsulation {
      bytes = udpHeader(size, encapsulation) + bytes
      number = .udp
      size += UDPHeader.byteCount
    }
    return try Self.header(
      from: flow.local.address, to: flow.remote.address, number, byteCount: size, service: 0,
      timeToLive: Self.timeToLive, label: 0) + bytes
  }
}

extension TCPFlags {
  /// AE, CWR and ECE as the three bits of the counter ACE (RFC 9768 section 3.2.2).
  init(marks: UInt8) {
    self = []
    if marks & 4 != 0 { insert(.ae) }
    if marks & 2 != 0 { insert(.cwr) }
    if marks & 1 != 0 { insert(.ece) }
  }

  /// The counter ACE.
  var marks: UInt8 { (contains(.ae) ? 4 : 0) | (contains(.cwr) ? 2 : 0) | (contains(.ece) ? 1 : 0) }
}

extension FixedWidthInteger {
  /// Its bytes in network order.
  var wire: [UInt8] {
    stride(from: Self.bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: self >> Self($0)) }
  }
}

extension [UInt8] {
  /// Stores a number in network order.
  mutating func replace(at offset: Int, with value: some FixedWidthInteger) {
    let bytes = value.wire
    replaceSubrange(offset..<offset + bytes.count, with: bytes)
  }
}
