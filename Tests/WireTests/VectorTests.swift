import Testing
import Wire

/// Packets whose bytes were made by another program.
struct VectorTests {
  /// A SYN as Linux sends it to 10.0.2.2:80.
  static let syn = hex(
    """
    454a003c 12344000 40060fd9 0a000264 0a000202
    a8ca0050 11223344 00000000 a0c2faf0 49b40000
    020405b4 0402080a 2bc3d0f1 00000000 01030307
    """)

  static let synOptions = {
    var options = TCPOptions()
    options.mss = 1460
    options.sackPermitted = true
    options.timestamps = TCPTimestamps(value: 0x2BC3_D0F1, echo: 0)
    options.windowScale = 7
    return options
  }()

  /// RFC 1055: an END on either side, and two bytes for each that would mean something.
  @Test func slipLinesAreDelimitedAndEscaped() {
    var line: [UInt8] = []
    reading([0x45, 0xC0, 0xDB, 0xDC]) { SLIP.encode($0, into: &line) }
    reading([]) { SLIP.encode($0, into: &line) }
    #expect(line == [0xC0, 0x45, 0xDB, 0xDC, 0xDB, 0xDD, 0xDC, 0xC0, 0xC0, 0xC0])
  }

  @Test func aLinuxSYNIsReadFieldByField() throws {
    try reading(Self.syn) { packet throws(WireError) in
      let ip = try IPv4Header.parse(packet)
      #expect(ip.source == IPv4Address("10.0.2.100") && ip.destination == IPv4Address("10.0.2.2"))
      #expect(ip.protocol == .tcp && ip.timeToLive == 64 && ip.identification == 0x1234)
      #expect(ip.dontFragment && !ip.moreFragments && ip.fragmentOffset == 0 && ip.totalLength == 60)
      #expect(ip.trafficClass.dscp == 18 && ip.trafficClass.notification == .capable0)

      let view = try IPv4View(packet)
      let segment = try TCPView(view.payload)
      let isValid = segment.isChecksumValid(
        source: IPAddress(ip.source), destination: IPAddress(ip.destination))
      #expect(isValid)
      let (tcp, count) = try TCPHeader.parse(view.payload)
      #expect(count == 40)
      #expect(tcp.sourcePort == 43210 && tcp.destinationPort == 80)
      #expect(tcp.sequence == SequenceNumber(0x1122_3344) && tcp.acknowledgment == SequenceNumber(0))
      #expect(tcp.flags == [.syn, .ece, .cwr] && tcp.window == 64240 && tcp.urgentPointer == 0)
      #expect(tcp.options == Self.synOptions)
    }
  }

  // Rules: RFC 9293 MUST-2
  @Test func theSameSYNIsBuiltByteByByte() throws {
    let source = IPv4Address(10, 0, 2, 100)
    let destination = IPv4Address(10, 0, 2, 2)
    let tcp = TCPHeader(
      sourcePort: 43210, destinationPort: 80, sequence: SequenceNumber(0x1122_3344),
      acknowledgment: SequenceNumber(0), flags: [.syn, .ece, .cwr], window: 64240, options: Self.synOptions)
    let ip = IPv4Header(
      source: source, destination: destination, protocol: .tcp, payloadByteCount: tcp.byteCount,
      trafficClass: TrafficClass(dscp: 18, notification: .capable0), identification: 0x1234)
    let packet = emitting(ip.byteCount + tcp.byteCount) { span in
      ip.emit(into: &span)
      var segment = span._mutatingExtracting(ip.byteCount..<span.byteCount)
      tcp.emit(into: &segment)
      InternetChecksum.seal(
        &segment, at: TCPHeader.checksumOffset, source: IPAddress(source),
        destination: IPAddress(destination), protocol: .tcp)
    }
    #expect(packet == Self.syn)
  }

  @Test func aNeighborSolicitationIsReadAndBuilt() throws {
    let packet = hex(
      """
      60000000 00203aff fd000002000000000000000000000100 ff0200000000000000000001ff000002
      87007c31 00000000 fd000002000000000000000000000002 0101020000000064
      """)
    let target = IPv6Address("fd00:2::2")!
    let mac = MACAddress("02:00:00:00:00:64")!
    try reading(packet) { bytes throws(WireError) in
      let view = try IPv6View(bytes)
      #expect(view.hopLimit == 255 && view.nextHeader == .icmpv6)
      #expect(view.destination == target.solicitedNodeMulticast)
      let message = try ICMPv6Message.parse(view.payload, source: view.source, destination: view.destination)
      #expect(message == .neighborSolicitation(target: target))
      let options = view.payload.extracting(message.byteCount..<view.payload.byteCount)
      #expect(try NeighborDiscoveryOptions.parse(options).sourceLinkLayer == mac)
    }
    let message = ICMPv6Message.neighborSolicitation(target: target)
    let option = NeighborDiscoveryOption.sourceLinkLayer(mac)
    let header = IPv6Header(
      source: IPv6Address("fd00:2::100")!, destination: target.solicitedNodeMulticast, nextHeader: .icmpv6,
      payloadByteCount: message.byteCount + option.byteCount, hopLimit: 255)
    let built = emitting(packet.count) { span in
      header.emit(into: &span)
      var payload = span._mutatingExtracting(header.byteCount..<span.byteCount)
      option.emit(into: &payload, at: message.byteCount)
      message.emit(into: &payload, source: header.source, destination: header.destination)
    }
    #expect(built == packet)
  }

  @Test func aUDPDatagramOverIPv6() throws {
    let datagram = hex("003514e9 000c2aea 61626364")
    let source = IPAddress("fd00:2::100")!
    let destination = IPAddress("fd00:2::2")!
    try reading(datagram) { bytes throws(WireError) in
      let view = try UDPView(bytes)
      let isValid = view.isChecksumValid(source: source, destination: destination)
      #expect(isValid)
      let isValidElsewhere = view.isChecksumValid(source: source, destination: IPAddress("fd00:2::3")!)
      #expect(!isValidElsewhere)
      let header = try UDPHeader.parse(bytes)
      #expect(header == UDPHeader(sourcePort: 53, destinationPort: 5353, payloadByteCount: 4))
    }
  }

  @Test func noUDPChecksumIsRightForIPv4Only() throws {
    try reading(hex("003514e9 000c0000 61626364")) { bytes throws(WireError) in
      let view = try UDPView(bytes)
      let isValid = view.isChecksumValid(source: IPAddress("10.0.0.1")!, destination: IPAddress("10.0.0.2")!)
      #expect(isValid)
      let isValidElsewhere = view.isChecksumValid(
        source: IPAddress("fd00::1")!, destination: IPAddress("fd00::2")!)
      #expect(!isValidElsewhere)
    }
  }

  @Test func aUDPChecksumOfZeroIsSentAsAllOnes() throws {
    let source = IPAddress("10.0.0.1")!
    let destination = IPAddress("10.0.0.2")!
    let header = UDPHeader(sourcePort: 1, destinationPort: 2, payloadByteCount: 2)
    func datagram(_ payload: UInt16) -> [UInt8] {
      emitting(10) { span in
        header.emit(into: &span)
        span.set(payload, at: 8)
        InternetChecksum.seal(
          &span, at: UDPHeader.checksumOffset, source: source, destination: destination, protocol: .udp)
      }
    }
    // The payload that makes up what the checksum of a zero payload lacks.
    let first = datagram(0)
    let last = datagram(UInt16(first[6]) << 8 | UInt16(first[7]))
    #expect(last[6...7] == [0xFF, 0xFF])
    try reading(last) { bytes throws(WireError) in
      let view = try UDPView(bytes)
      let isValid = view.isChecksumValid(source: source, destination: destination)
      #expect(isValid)
    }
  }

  @Test func anEchoIsAnswered() throws {
    let request = hex("0800775f beef0007 70696e672064617461")
    try reading(request) { bytes throws(WireError) in
      #expect(try ICMPv4Message.parse(bytes) == .echoRequest(identifier: 0xBEEF, sequence: 7))
      let reply = emitting(bytes.byteCount) { span in
        span.copy(bytes, at: 0)
        ICMPv4Message.echoReply(identifier: 0xBEEF, sequence: 7).emit(into: &span)
      }
      // Only the type differs, by 0x0800.
      #expect(reply == hex("00007f5f beef0007 70696e672064617461"))
    }
  }

  @Test func fragmentationNeededTellsTheMTUAndWhoSent() throws {
    let message = hex("03048b60 00000578 45000034 12344000 40111020 0a000202 0a000264 0035c000 0020abcd")
    try reading(message) { bytes throws(WireError) in
      let icmp = try ICMPv4Message.parse(bytes)
      #expect(
        icmp == .destinationUnreachable(code: ICMPv4Message.Unreachable.fragmentationNeeded, nextHopMTU: 1400)
      )
      #expect(icmp.isError)
      let data = bytes.extracting(icmp.byteCount..<bytes.byteCount)
      let quoted = try IPv4View(quoted: data)
      #expect(quoted.destination == IPv4Address("10.0.2.100") && quoted.protocol == .udp)
      let transport = try QuotedTransport.parse(quoted.payload)
      #expect(transport.sourcePort == 53 && transport.destinationPort == 49152)
      // Taken for a whole packet it is refused: most of it is missing.
      #expect(throws: WireError.badLength(52)) { try checkIPv4(data) }
    }
  }

  private func checkIPv4(_ bytes: RawSpan) throws(WireError) { _ = try IPv4View(bytes) }
}
