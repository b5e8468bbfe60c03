import Testing
import Wire

/// Which bytes are refused, and with what error.
struct RefusalTests {
  private func error<Value>(
    _ bytes: [UInt8], _ parse: (RawSpan) throws(WireError) -> Value
  ) -> WireError? {
    do throws(WireError) {
      _ = try reading(bytes, parse)
      return nil
    } catch { return error }
  }

  private func ipv4(_ change: (inout [UInt8]) -> Void) -> WireError? {
    var bytes = VectorTests.syn
    change(&bytes)
    return error(bytes) { span throws(WireError) in try IPv4Header.parse(span, verifyingChecksum: false) }
  }

  @Test func R6_malformedIPv4LengthsAreErrors() {
    #expect(ipv4 { _ in } == nil)
    #expect(ipv4 { $0.removeLast(41) } == .truncated(needed: 20, available: 19))
    #expect(ipv4 { $0.removeAll() } == .truncated(needed: 20, available: 0))
    #expect(ipv4 { $0[0] = 0x65 } == .badVersion(6))
    #expect(ipv4 { $0[0] = 0x44 } == .badHeaderLength(16))
    #expect(
      ipv4 {
        $0.removeLast(36); $0[0] = 0x47
      } == .badHeaderLength(28))
    #expect(ipv4 { $0[3] = 61 } == .badLength(61))
    #expect(ipv4 { $0[3] = 19 } == .badLength(19))
    #expect(ipv4 { $0[2] = 0xFF } == .badLength(0xFF3C))
    #expect(ipv4 { $0[3] = 0 } == .badLength(0))
    // Total length inside the options.
    #expect(
      ipv4 {
        $0[0] = 0x46; $0[3] = 20
      } == .badLength(20))
  }

  @Test func aDamagedIPv4HeaderFailsItsChecksum() {
    for bit in 0..<160 {
      var bytes = VectorTests.syn
      bytes[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(error(bytes) { span throws(WireError) in try IPv4Header.parse(span) } != nil)
    }
  }

  @Test func linkLayerPaddingIsNotPayload() throws {
    try reading(VectorTests.syn + [0, 0, 0, 0, 0, 0]) { bytes throws(WireError) in
      let view = try IPv4View(bytes)
      #expect(view.payload.byteCount == 40)
    }
    try reading(hex("003514e9 000c2aea 61626364 0000")) { bytes throws(WireError) in
      let view = try UDPView(bytes)
      #expect(view.payload.byteCount == 4)
    }
  }

  @Test func ipv4OptionsThatCannotBeWalkedAreErrors() throws {
    func walk(_ text: String) throws(WireError) -> [IPv4Option.Kind] {
      try reading(hex(text)) { bytes throws(WireError) in
        var cursor = IPv4OptionCursor(bytes)
        var kinds: [IPv4Option.Kind] = []
        while let option = try cursor.next() { kinds.append(option.kind) }
        return kinds
      }
    }
    #expect(try walk("94040000") == [.routerAlert])
    #expect(try walk("01010703 00000000") == [.recordRoute])
    #expect(try walk("") == [])
    #expect(throws: WireError.badOption(kind: 7, offset: 0)) { try walk("07000000") }
    #expect(throws: WireError.badOption(kind: 7, offset: 0)) { try walk("07010000") }
    #expect(throws: WireError.badOption(kind: 7, offset: 1)) { try walk("01070400") }
    #expect(throws: WireError.badOption(kind: 68, offset: 3)) { try walk("01010144") }
    #expect(IPv4Options.routerAlert.byteCount == 4)
  }

  @Test func ipv6LengthsAreChecked() {
    func ipv6(_ bytes: [UInt8]) -> WireError? {
      error(bytes) { span throws(WireError) in try IPv6Header.parse(span) }
    }
    var bytes = [UInt8](repeating: 0, count: 48)
    bytes[0] = 0x60
    bytes[5] = 8
    #expect(ipv6(bytes) == nil)
    bytes[5] = 9
    #expect(ipv6(bytes) == .badLength(9))
    bytes[0] = 0x45
    #expect(ipv6(bytes) == .badVersion(4))
    #expect(ipv6(Array(bytes[0..<39])) == .truncated(needed: 40, available: 39))
  }

  @Test func ethernetTagsAreReadOnce() throws {
    let addresses = "ffffffffffff 020000000001"
    try reading(hex(addresses + "0800")) { bytes throws(WireError) in
      let header = try EthernetHeader.parse(bytes)
      #expect(header.vlan == nil && header.type == .ipv4 && header.byteCount == 14)
      #expect(header.destination.isBroadcast && header.source == MACAddress(0x0200_0000_0001))
    }
    try reading(hex(addresses + "8100 6064 86dd")) { bytes throws(WireError) in
      let header = try EthernetHeader.parse(bytes)
      #expect(header.vlan == VLANTag(identifier: 100, priority: 3) && header.type == .ipv6)
    }
    try reading(hex(addresses + "88a8 0001 8100 0002 0800")) { bytes throws(WireError) in
      let header = try EthernetHeader.parse(bytes)
      #expect(header.vlan?.isService == true && header.vlan?.identifier == 1 && header.type == .vlan)
    }
    func ethernet(_ text: String) -> WireError? {
      error(hex(text)) { span throws(WireError) in try EthernetHeader.parse(span) }
    }
    #expect(ethernet(addresses + "08") == .truncated(needed: 14, available: 13))
    #expect(ethernet(addresses + "8100 0001 08") == .truncated(needed: 18, available: 17))
  }

  @Test func arpForOtherNetworksIsNotForUs() {
    func arp(_ text: String) -> WireError? {
      error(hex(text)) { span throws(WireError) in try ARPMessage.parse(span) }
    }
    let rest = "0001 020000000001 0a000202 000000000000 0a000264"
    #expect(arp("0001 0800 06 04" + rest) == nil)
    #expect(arp("0006 0800 06 04" + rest) == .unsupported)
    #expect(arp("0001 86dd 06 04" + rest) == .unsupported)
    #expect(arp("0001 0800 08 04" + rest) == .unsupported)
    #expect(arp("0001 0800 06 10" + rest) == .unsupported)
    #expect(arp("0001 0800 06 04" + rest.dropLast(2)) == .truncated(needed: 28, available: 27))
  }

  @Test func udpLengthsAreChecked() {
    func udp(_ text: String) -> WireError? {
      error(hex(text)) { span throws(WireError) in try UDPHeader.parse(span) }
    }
    #expect(udp("0001 0002 0008 0000") == nil)
    #expect(udp("0001 0002 0007 0000") == .badLength(7))
    #expect(udp("0001 0002 0009 0000") == .badLength(9))
    #expect(udp("0001 0002 0000 0000") == .badLength(0))
    #expect(udp("0001 0002 0008 00") == .truncated(needed: 8, available: 7))
  }

  @Test func tcpDataOffsetIsChecked() {
    func tcp(_ offset: UInt8, _ count: Int) -> WireError? {
      var bytes = [UInt8](repeating: 0, count: count)
      if count > 12 { bytes[12] = offset << 4 }
      return error(bytes) { span throws(WireError) in try TCPHeader.parse(span) }
    }
    #expect(tcp(5, 20) == nil)
    #expect(tcp(5, 19) == .truncated(needed: 20, available: 19))
    #expect(tcp(4, 20) == .badHeaderLength(16))
    #expect(tcp(6, 20) == .badHeaderLength(24))
    #expect(tcp(15, 60) == nil)
  }

  @Test func icmpIsCheckedForLengthChecksumAndCode() {
    let source = exerciseSource
    let destination = exerciseDestination
    func icmpv4(_ text: String) -> WireError? {
      error(hex(text)) { span throws(WireError) in try ICMPv4Message.parse(span) }
    }
    #expect(icmpv4("0800f7ff 000000") == .truncated(needed: 8, available: 7))
    #expect(icmpv4("0800f7ff 00000000") == nil)
    #expect(icmpv4("0800f7fe 00000000") == .badChecksum)
    #expect(icmpv4("0d00f2ff 00000000") == .truncated(needed: 20, available: 8))
    func icmpv6(_ text: String, _ verifying: Bool = false) -> WireError? {
      error(hex(text)) { span throws(WireError) in
        try ICMPv6Message.parse(
          span, source: source, destination: destination, verifyingChecksum: verifying)
      }
    }
    #expect(icmpv6("8000 0000 00000000") == nil)
    #expect(icmpv6("8000 0000 00000000", true) == .badChecksum)
    #expect(icmpv6("8501 0000 00000000") == .badCode(type: 133, code: 1))
    #expect(icmpv6("8600 0000 00000000") == .truncated(needed: 16, available: 8))
    #expect(icmpv6("8700 0000 00000000") == .truncated(needed: 24, available: 8))
    #expect(icmpv6("8800 0000 00000000") == .truncated(needed: 24, available: 8))
    #expect(icmpv6("8900 0000 00000000") == .truncated(needed: 40, available: 8))
  }

  @Test func neighborDiscoveryOptionsWithoutLengthSpoilTheMessage() {
    func options(_ text: String) -> WireError? {
      error(hex(text)) { span throws(WireError) in try NeighborDiscoveryOptions.parse(span) }
    }
    #expect(options("") == nil)
    #expect(options("0101 020000000064") == nil)
    #expect(options("0100 020000000064") == .badOption(kind: 1, offset: 0))
    #expect(options("0101 020000000064 0502 000000000500") == .badOption(kind: 5, offset: 8))
    #expect(options("01") == .badOption(kind: 1, offset: 0))
    // Known, of another length: skipped like an unknown one.
    #expect(options("0102 0200000000640000 0000000000000000".filter { $0 != " " }.prefix(32) + "") == nil)
  }
}
