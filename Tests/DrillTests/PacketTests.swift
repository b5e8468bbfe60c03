import Chance
import Testing
import Timing
import Wire

@testable import Drill

@Suite struct PacketTests {
  private static func flow(isIPv6: Bool = false) -> Flow {
    let local = IPAddress(isIPv6 ? "fd00::1" : "10.0.0.1")!
    let remote = IPAddress(isIPv6 ? "fd00::2" : "10.0.0.2")!
    var flow = Flow(
      stage: .answered, transport: .tcp, local: SocketAddress(local, port: 80),
      remote: SocketAddress(remote, port: 4000))
    flow.localInitial = 1_000_000
    flow.scriptLocalInitial = 0
    flow.remoteInitial = 500
    return flow
  }

  private func description(_ text: String) throws -> PacketDescription {
    guard case .packet(let packet) = try Script("0 \(text)").events[0].action else { throw Broken() }
    return packet
  }
  struct Broken: Error {}

  /// A packet of the script as the stack would see it, read as one that the stack had sent.
  private func built(_ text: String, _ flow: Flow) throws -> SentPacket {
    try SentPacket(PacketBuilder(flow: flow).build(description(text)), at: .zero)
  }

  @Test(arguments: [false, true])
  func segmentsCarryWhatTheScriptSays(isIPv6: Bool) throws {
    let flow = Self.flow(isIPv6: isIPv6)
    let packet = try built("< [ce] P. 1:11(10) ack 101 win 300 urg 2 <nop,nop,sack 201:301>", flow)
    #expect(packet.source == flow.remote && packet.destination == flow.local)
    #expect(packet.description.typeOfService == .byte(3))
    #expect(packet.description.timeToLive == 255)
    let segment = try #require(packet.description.segment)
    #expect(segment.flags == [.psh, .ack])
    #expect(segment.sequence == SequenceRange(start: 501, length: 10))
    #expect(segment.acknowledgment == 1_000_101 && segment.window == 300 && segment.urgentPointer == 2)
    #expect(segment.options == [.noOperation, .noOperation, .sack([SequencePair(1_000_201, 1_000_301)])])
    #expect(packet.isPayloadZero)
  }

  @Test func synchronizingNumbersAreTheScriptsOwn() throws {
    var flow = Self.flow()
    flow.scriptLocalInitial = 7
    let segment = try #require(try built("< S. 900:900(0) ack 8 win 1", flow).description.segment)
    #expect(segment.sequence.start == 900)
    #expect(segment.acknowledgment == 1_000_001)
    #expect(try built("< . 900:900(0)! ack 1 win 1", flow).description.segment?.sequence.start == 900)
  }

  @Test func marksAndPortsAndTimeToLiveAreBuilt() throws {
    let packet = try built("< (ttl 9) 7 > 8 P.5 1:1(0) ack 1 win 1", Self.flow())
    #expect(packet.source.port == 7 && packet.destination.port == 8)
    #expect(packet.description.timeToLive == 9)
    #expect(packet.description.segment?.flags == [.psh, .ack, .ae, .ece])
    let labelled = try built("< [flowlabel 0xabcde] . 1:1(0) ack 1 win 1", Self.flow(isIPv6: true))
    #expect(labelled.description.flowLabel == 0xABCDE)
  }

  @Test func echoesAreTheStacksTimeStamps() throws {
    var flow = Self.flow()
    let text = "< . 1:1(0) ack 1 win 1 <TS val 5 ecr 100,eol,eol>"
    #expect(throws: PacketProblem.unknownEcho(100)) { try built(text, flow) }
    let names = [flow.learn(stamp: 7000, script: 100), flow.learn(stamp: 7050, script: 140)]
    #expect(names == [100, 150], "what the script would call them by the first")
    #expect(try built(text, flow).description.segment?.options?.first == .timestamps(value: 5, echo: 7000))
    #expect(
      try built("< . 1:1(0) ack 1 win 1 <TS val 5 ecr 140,eol,eol>", flow).description.segment?.options?.first
        == .timestamps(value: 5, echo: 7050))
    let between = try description("< . 1:1(0) ack 1 win 1 <TS val 5 ecr 120,eol,eol>")
    #expect(throws: PacketProblem.unknownEcho(120)) { try PacketBuilder(flow: flow).build(between) }
    let scaled = try SentPacket(PacketBuilder(flow: flow, scalesEchoes: true).build(between), at: .zero)
    #expect(scaled.description.segment?.options?.first == .timestamps(value: 5, echo: 7020))
    // Without the ACK flag the echo means nothing, and stays as written.
    #expect(
      try built("< S 0:0(0) win 1 <TS val 5 ecr 9,eol,eol>", flow).description.segment?.options?.first
        == .timestamps(value: 5, echo: 9))
  }

  @Test(arguments: [
    "mss 1460,sackOK,eol,eol", "nop,wscale 7", "FO 01020304,nop,nop", "FOEXP,nop,nop,nop,nop",
    "FOEXP 01020304",
    "md5 000102030405060708090a0b0c0d0e0f,nop,nop", "ECN e1b 1 ceb 2 e0b 3,nop", "ECN e0b 70000,nop,nop,nop",
  ])
  func everyOptionIsReadAsItWasBuilt(options: String) throws {
    let text = "< S 0:0(0) win 1 <\(options)>"
    #expect(try built(text, Self.flow()).description.segment?.options == description(text).segment?.options)
  }

  @Test func datagramsAndMessagesAreBuilt() throws {
    var flow = Self.flow()
    flow.transport = .udp
    #expect(try built("< udp (33)", flow).description.content == .udp(33))
    let bytes = try PacketBuilder(flow: flow).build(
      description("< icmp unreachable frag_needed mtu 1300 [101:601(500)]"))
    #expect(InternetChecksum.of(unsafe bytes.span.bytes.extracting(0..<20)) == 0)
    #expect(InternetChecksum.of(unsafe bytes.span.bytes.extracting(20..<bytes.count)) == 0)
    #expect(Array(bytes[20..<22]) == [3, 4] && Array(bytes[26..<28]) == UInt16(1300).wire)
    #expect(Array(bytes[28...]).count == 28)
    #expect(bytes[28] == 0x45 && bytes[37] == 6 && Array(bytes[40..<48]) == [10, 0, 0, 1, 10, 0, 0, 2])
    #expect(Array(bytes[48..<52]) == UInt16(80).wire + UInt16(4000).wire)
    #expect(Array(bytes[52..<56]) == UInt32(1_000_101).wire)
    let six = try PacketBuilder(flow: Self.flow(isIPv6: true)).build(
      description("< icmp packet_too_big mtu 1300 [1:1(0)]"))
    #expect(Array(six[40..<42]) == [2, 0] && Array(six[44..<48]) == UInt32(1300).wire)
    #expect(throws: PacketProblem.unsupported("ICMP type nonsense")) { try built("< icmp nonsense", flow) }
    #expect(throws: PacketProblem.unsupported("ICMP code no_route")) {
      try built("< icmp unreachable no_route", flow)
    }
    #expect(
      try built("< icmp type_255 code_7", flow).description.content
        == .icmp(
          {
            MessageDescription(type: "type_255", code: "code_7")
          }()))
  }

  @Test func whatIsNotBuiltIsNamed() throws {
    #expect(throws: PacketProblem.unsupported("packets inside of other headers")) {
      try built("< gre: udp (1)", Self.flow())
    }
  }

  /// A segment in UDP is one where the port says so, and a datagram where not. Its own checksum is 0, and UDP's counts.
  @Test func segmentsInUDPAreKnownByThePort() throws {
    let text = "< P. 1:11(10) ack 1 win 1/udp(7 > 9811)"
    #expect(try built(text, Self.flow()).description.content == .udp(30))
    var bytes = try PacketBuilder(flow: Self.flow()).build(description(text))
    let read = try SentPacket(bytes, at: Instant.zero, encapsulation: 7)
    #expect(read.transport == .tcp && read.description.segment?.sequence.length == 10)
    #expect(read.description.encapsulation == PortPair(source: 7, destination: 9811))
    bytes[bytes.count - 1] ^= 1
    #expect(throws: PacketProblem.self) { try SentPacket(bytes, at: Instant.zero, encapsulation: 7) }
  }

  @Test func segmentsAreSignedWithTheSecretThatWasNamedLast() throws {
    let missing = "no secret is known: a call or --tcp_md5_secret has to name it"
    #expect(throws: PacketProblem.malformed(missing)) {
      try built("< . 1:1(0) ack 1 win 1 <nop,nop,md5 valid>", Self.flow())
    }
    func digest(_ option: String, _ secrets: [String]) throws -> OptionDescription? {
      var options = DrillOptions()
      for secret in secrets { #expect(options.apply("tcp_md5_secret", secret) == .applied) }
      let text = "< P. 1:11(10) ack 1 win 1 <nop,nop,\(option)>"
      let bytes = try PacketBuilder(flow: Self.flow(), keys: options.keys).build(description(text))
      return try SentPacket(bytes, at: .zero).description.segment?.options?.last
    }
    let valid = try #require(try digest("md5 valid", ["a", "b"]))
    #expect(try digest("md5 valid", ["b"]) == valid)
    #expect(try digest("md5 valid", ["b", "a"]) != valid)
    #expect(try digest("md5 wrong", ["b"]) != valid)
  }

  @Test func aDamagedPacketIsNoPacket() throws {
    let bytes = try PacketBuilder(flow: Self.flow()).build(
      description("< P. 1:11(10) ack 1 win 1 <nop,nop,sack 1:2>"))
    #expect(throws: Never.self) { try SentPacket(bytes, at: .zero) }
    for place in bytes.indices {
      var damaged = bytes
      damaged[place] ^= 0x40
      #expect(throws: PacketProblem.self, "byte \(place)") { try SentPacket(damaged, at: .zero) }
    }
    for count in 0..<bytes.count {
      #expect(throws: PacketProblem.self) { try SentPacket(Array(bytes[..<count]), at: .zero) }
    }
  }

  // MARK: Comparing

  /// What differs between a packet that the script expects and one, written in the script's numbers, that was sent.
  private func differences(_ script: String, sent: String, match: PacketMatch = PacketMatch()) throws
    -> [String]
  {
    var flow = Self.flow()
    flow.scriptLocalInitial = flow.localInitial
    // Built as if it came the other way: turn the connection around.
    var mirror = flow
    (mirror.local, mirror.remote) = (flow.remote, flow.local)
    mirror.localInitial = flow.remoteInitial
    mirror.scriptLocalInitial = flow.remoteInitial
    mirror.remoteInitial = flow.localInitial
    let inbound = sent.replacing(">", with: "<", maxReplacements: 1)
    let bytes = try PacketBuilder(flow: mirror, scalesEchoes: true).build(description(inbound))
    let packet = try SentPacket(bytes, at: .zero)
    let expected = try description(script)
    let actual = match.inScript(packet, expecting: expected, flow: &flow)
    return match.differences(expected, actual, flow: &flow)
  }

  @Test func aPacketIsLikeItself() throws {
    for text in [
      "> P. 1:11(10) ack 101 win 300 urg 2 <nop,nop,sack 201:301>", "> . 1:1(0)",
      "> [ect0] F. 1:1(0) ack 1 win 5",
      "> .5 1:1(0) ack 1", "> R 7:7(0)", "> [tos 0x28] . 1:1(0) ack 1",
    ] {
      #expect(try differences(text, sent: text + (text.contains("win") ? "" : " win 9")) == [])
    }
  }

  @Test(arguments: [
    (
      "> P. 1:11(10) ack 101 win 300 urg 2 <nop,nop,sack 201:301>",
      [
        "> . 1:11(10) ack 101 win 300 urg 2 <nop,nop,sack 201:301>",
        "> P 1:11(10) win 300 urg 2 <nop,nop,sack 201:301>",
        "> PF. 1:11(10) ack 101 win 300 urg 2 <nop,nop,sack 201:301>",
        "> PE. 1:11(10) ack 101 win 300 urg 2 <nop,nop,sack 201:301>",
        "> P. 2:12(10) ack 101 win 300 urg 2 <nop,nop,sack 201:301>",
        "> P. 1:10(9) ack 101 win 300 urg 2 <nop,nop,sack 201:301>",
        "> P. 1:11(10) ack 102 win 300 urg 2 <nop,nop,sack 201:301>",
        "> P. 1:11(10) ack 101 win 301 urg 2 <nop,nop,sack 201:301>",
        "> P. 1:11(10) ack 101 win 300 urg 3 <nop,nop,sack 201:301>",
        "> P. 1:11(10) ack 101 win 300 urg 2 <nop,nop,sack 201:302>",
        "> P. 1:11(10) ack 101 win 300 urg 2 <nop,nop,sack 202:301>", "> P. 1:11(10) ack 101 win 300 urg 2",
        "> P. 1:11(10) ack 101 win 300 urg 2 <sack 201:301,nop,nop>",
        "> P. 1:11(10) ack 101 win 300 urg 2 <nop,nop,sack 201:301 401:501>",
      ]
    ),
    ("> [ect0] .5 1:1(0) ack 1 win 1", ["> [ce] .5 1:1(0) ack 1 win 1", "> [ect0] .4 1:1(0) ack 1 win 1"]),
    ("> [ect01] . 1:1(0) ack 1 win 1", ["> [noecn] . 1:1(0) ack 1 win 1"]),
    ("> [tos 0x28] . 1:1(0) ack 1 win 1", ["> [tos 0x20] . 1:1(0) ack 1 win 1"]),
    ("> [ttl 255] . 1:1(0) ack 1 win 1", ["> [ttl 64] . 1:1(0) ack 1 win 1"]),
    (
      "> S 0:0(0) win 1 <mss 1460,sackOK,TS val 5 ecr 0,nop,wscale 7>",
      [
        "> S 0:0(0) win 1 <mss 1461,sackOK,TS val 5 ecr 0,nop,wscale 7>",
        "> S 0:0(0) win 1 <mss 1460,sackOK,TS val 5 ecr 1,nop,wscale 7>",
        "> S 0:0(0) win 1 <mss 1460,sackOK,TS val 5 ecr 0,nop,wscale 8>",
        "> S 0:0(0) win 1 <mss 1460,nop,nop,TS val 5 ecr 0,nop,wscale 7>",
        "> S 0:0(0) win 1 <sackOK,mss 1460,TS val 5 ecr 0,nop,wscale 7>",
      ]
    ),
    ("> udp (5)", ["> udp (6)"]),
    ("> R. 0:0(0)! ack 1 win 1", ["> R. 1:1(0)! ack 1 win 1"]),
  ])
  func everyFieldThatTheScriptNamesIsCompared(script: String, others: [String]) throws {
    let itself = script.replacing("ect01", with: "ect0")
    #expect(try differences(script, sent: itself) == [])
    for other in others { #expect(try differences(script, sent: other).count > 0, "\(other)") }
  }

  @Test(
    arguments: [
      ("< . 1:11(10) ack 5 win 1", "< P. 11:21(10) ack 5 win 1", nil),
      ("< P. 1:11(10) ack 5 win 1", "< F. 11:21(10) ack 5 win 1", nil),
      ("< . 1:11(10) ack 5 win 1", "< . 12:22(10) ack 5 win 1", "the next segment is not adjacent"),
      ("< . 1:11(10) ack 5 win 1", "< . 11:21(10) ack 6 win 1", "the parts acknowledge different data"),
      (
        "< . 1:11(10) ack 5 win 1", "< E. 11:21(10) ack 5 win 1",
        "the parts of the segment have different flags"
      ),
      (
        "< F. 1:11(10) ack 5 win 1", "< . 11:21(10) ack 5 win 1",
        "the parts of the segment have different flags"
      ),
      ("< . 1:11(10) ack 5 win 1", "< udp (10)", "another packet stands between the parts of a segment"),
    ] as [(String, String, String?)])
  func partsOfASegmentFitTogether(first: String, second: String, difference: String?) throws {
    let flow = Self.flow()
    #expect(PacketMatch().continues(try built(first, flow), try built(second, flow)) == difference)
  }

  @Test func whatTheScriptDoesNotSayIsNotCompared() throws {
    #expect(try differences("> . 1:1(0) ack 1", sent: "> [ce] . 1:1(0) ack 1 win 77") == [])
    #expect(
      try differences("> . 1:1(0) ack 1 <...>", sent: "> . 1:1(0) ack 1 win 7 <mss 3,nop,wscale 3,eol>") == []
    )
    #expect(try differences("> S. ...(0) ack 1", sent: "> S. 77:77(0) ack 1 win 7") == [])
    #expect(try differences("> S. ...(0) ack 1", sent: "> S. 77:78(1) ack 1 win 7").count > 0)
  }

  @Test func optionsInAnyOrderAreTheSameWhereThatIsAskedFor() throws {
    let any = PacketMatch(ignoresOptionOrder: true)
    let script = "> S 0:0(0) <mss 1460,nop,wscale 6,sackOK,eol,eol>"
    #expect(
      try differences(script, sent: "> S 0:0(0) win 1 <mss 1460,nop,nop,sackOK,nop,wscale 6>", match: any)
        == [])
    #expect(
      try differences(script, sent: "> S 0:0(0) win 1 <mss 1460,nop,nop,sackOK,nop,wscale 6>").count == 1)
    #expect(
      try differences(script, sent: "> S 0:0(0) win 1 <mss 1460,nop,nop,sackOK,nop,wscale 5>", match: any)
        .count == 1)
    #expect(try differences(script, sent: "> S 0:0(0) win 1 <mss 1460,nop,wscale 6>", match: any).count == 1)
  }

  @Test func timeStampsAreComparedWhereATickIsKnown() throws {
    var flow = Self.flow()
    func sent(_ value: UInt32) throws -> SentPacket {
      let bytes = try PacketBuilder(flow: Self.flow()).build(
        description("< S 0:0(0) win 1 <TS val \(value) ecr 0,eol,eol>"))
      return try SentPacket(bytes, at: .zero)
    }
    func difference(_ script: UInt32, _ wire: UInt32, tick: Int) throws -> Int {
      let match = PacketMatch(stampTick: tick, stampTolerance: 4000)
      let expected = try description("> S 0:0(0) <TS val \(script) ecr 0,eol,eol>")
      var segment = try #require(match.inScript(try sent(wire), expecting: expected, flow: &flow).segment)
      segment.sequence.start = 0
      var actual = expected
      actual.content = .tcp(segment)
      return match.differences(expected, actual, flow: &flow).count
    }
    #expect(try difference(100, 5100, tick: 1000) == 0, "the first gives the rest their names")
    #expect(try difference(200, 5204, tick: 1000) == 0, "4 ms off")
    #expect(try difference(300, 5305, tick: 1000) == 1, "5 ms off")
    #expect(try difference(300, 5305, tick: 0) == 0, "nobody looks")
    #expect(try difference(400, 5395, tick: 1000) == 1, "5 ms early")
  }

  @Test func flowLabelsHaveNames() {
    var flow = Self.flow(isIPv6: true)
    let steps: [(label: UInt32, name: UInt32, isAccepted: Bool)] = [
      (0, 1, false), (50, 1, true), (50, 1, true), (51, 1, false), (50, 2, false), (51, 2, true),
    ]
    for step in steps {
      let isAccepted = flow.accepts(label: step.label, script: step.name)
      #expect(isAccepted == step.isAccepted, "\(step)")
    }
  }
}
