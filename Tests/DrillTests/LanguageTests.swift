import Chance
import Testing
import Timing
import Wire

@testable import Drill

@Suite struct LanguageTests {
  /// The only event of a script.
  private func event(_ text: String) throws -> ScriptEvent {
    let script = try Script(text)
    #expect(script.events.count == 1)
    return script.events[0]
  }

  private func packet(_ text: String) throws -> PacketDescription {
    guard case .packet(let packet) = try event("0 \(text)").action else { throw NotThat() }
    return packet
  }

  private func call(_ text: String) throws -> ScriptCall {
    guard case .call(let call) = try event("0 \(text)").action else { throw NotThat() }
    return call
  }

  struct NotThat: Error {}

  @Test func timesAreReadToTheNanosecond() throws {
    let rest = "> . 1:1(0)"
    #expect(try event("0.1 \(rest)").time == .absolute(.milliseconds(100)))
    #expect(try event("+.000001 \(rest)").time == .relative(.microseconds(1)))
    #expect(try event("+3 \(rest)").time == .relative(.seconds(3)))
    #expect(try event("+ 2.5 \(rest)").time == .relative(.milliseconds(2500)))
    #expect(
      try event("1~2.000000001 \(rest)").time == .absoluteRange(.seconds(1), Nanoseconds(2_000_000_001)))
    #expect(try event("+.1~+.2 \(rest)").time == .relativeRange(.milliseconds(100), .milliseconds(200)))
    #expect(try event("* \(rest)").time == .any)
    guard case .call(let call) = try event("+0...0.3 read(4, ..., 10) = 10").action else { throw NotThat() }
    #expect(call.end == .milliseconds(300))
    #expect(try self.call("read(4, ..., 10) = 10").end == nil)
  }

  @Test func segmentsSayWhatTheyMay() throws {
    let data = try packet("< P. 1:1001(1000) ack 5 win 257 urg 3 <nop,nop,TS val 7 ecr 8>")
    let segment = try #require(data.segment)
    #expect(data.direction == .inbound)
    #expect(segment.flags == [.psh, .ack])
    #expect(segment.sequence == SequenceRange(start: 1, length: 1000))
    #expect(segment.acknowledgment == 5 && segment.window == 257 && segment.urgentPointer == 3)
    #expect(segment.options == [.noOperation, .noOperation, .timestamps(value: 7, echo: 8)])
    #expect(try packet("> - 0:0(0)").segment?.flags == [])
    #expect(try packet("> SEWA 0:0(0)").segment?.flags == [.syn, .ece, .cwr, .ae])
    #expect(try packet("> SEC. 0:0(0)").segment?.flags == [.syn, .ece, .cwr, .ack])
    #expect(try packet("> FPRU 0:0(0)").segment?.flags == [.fin, .psh, .rst, .urg])
    let marks = try #require(try packet("> P.5 1:2(1)").segment)
    #expect(marks.acknowledgedMarks == 5 && marks.flags == [.psh, .ack])
    #expect(try packet("> .0 1:1(0)").segment?.acknowledgedMarks == 0)
    let before = try #require(try packet("> P7. 1:2(1)").segment)
    #expect(before.acknowledgedMarks == 7 && before.flags == [.psh, .ack])
    for flags in ["P8.", "P55.", "P5.5", ".8", "P5"] {
      #expect(throws: ScriptError.self) { try packet("> \(flags) 1:2(1)") }
    }
    #expect(try packet("> . 1:1(0) <...>").segment?.options == .some(nil))
    #expect(try packet("> . 1:1(0) <nocheck>").segment?.options == .some(nil))
    #expect(try packet("> R. 0:0(0)! ack 2").segment?.sequenceOrigin == .wire)
    #expect(try packet("> S. ...(0) ack 2").segment?.sequenceOrigin == .unknown)
    #expect(try packet("> . 4294967295:0(1)").segment?.sequence.end == 0)
  }

  @Test func everyOptionOfTCPIsRead() throws {
    func options(_ text: String) throws -> [OptionDescription]? {
      try packet("> . 1:1(0) <\(text)>").segment?.options
    }
    #expect(
      try options("mss 1460,sackOK,eol,eol") == [
        .maximumSegmentSize(1460), .sackPermitted, .endOfList, .endOfList,
      ])
    #expect(try options("wscale 14") == [.windowScale(14)])
    #expect(
      try options("sack 1:2 5:9,nop") == [.sack([SequencePair(1, 2), SequencePair(5, 9)]), .noOperation])
    #expect(try options("FO,nop") == [.fastOpen(cookie: []), .noOperation])
    #expect(try options("FO 0012") == [.fastOpen(cookie: [0, 0x12])])
    #expect(try options("FOEXP a1b2") == [.fastOpenExperimental(cookie: [0xA1, 0xB2])])
    #expect(try options("md5 000102030405060708090a0b0c0d0e0f") == [.md5(digest: Array(0...15))])
    #expect(
      try options("ao keyid 0 rnext 255,ao keyid 1 rnext 2 wrong")
        == [.authentication(key: 0, next: 255, .valid), .authentication(key: 1, next: 2, .wrong)])
    #expect(try options("ao keyid 1 rnext 2 mac 0a") == [.authentication(key: 1, next: 2, .bytes([10]))])
    #expect(try options("ao keyid 1 rnext 2 mac") == [.authentication(key: 1, next: 2, .bytes([]))])
    #expect(try options("md5 valid") == [.md5Valid])
    #expect(try options("ECN e1b 1 ceb 2 e0b 3") == [.accurateECN(first: .capableOne, values: [1, 2, 3])])
    #expect(try options("ECN e0b 16777215") == [.accurateECN(first: .capableZero, values: [0xFF_FFFF])])
  }

  @Test func whatIsAroundASegmentIsRead() throws {
    #expect(try packet("> [ect0] . 1:1(0)").typeOfService == .ecn(2))
    #expect(try packet("> [ect01] . 1:1(0)").typeOfService == .capable)
    #expect(try packet("< (tos 0x28) . 1:1(0)").typeOfService == .byte(0x28))
    #expect(try packet("< (class 0x28) . 1:1(0)").typeOfService == .byte(0x28))
    #expect(try packet("< (hlim 3) . 1:1(0)").timeToLive == 3)
    let labelled = try packet("> [ce,flowlabel 0xabcde] . 1:1(0)")
    #expect(labelled.typeOfService == .ecn(3) && labelled.flowLabel == 0xABCDE)
    #expect(try packet("> 80 > 90 . 1:1(0)").ports == PortPair(source: 80, destination: 90))
    #expect(try packet("> . 1:1(0) ack 1/udp(9 > 10)").encapsulation == PortPair(source: 9, destination: 10))
    #expect(
      try packet("< ipv4 192.0.2.1 > 192.0.2.2: ipv6 2001:db8::1 > ::2: udp (5)").carriers == [
        .internet(isIPv6: false, source: "192.0.2.1", destination: "192.0.2.2"),
        .internet(isIPv6: true, source: "2001:db8::1", destination: "::2"),
      ])
    #expect(try packet("> gre flags [none]: . 1:1(0)").carriers == [.gre])
    #expect(try packet("> mpls (label 1, tc 2, [S], ttl 3): . 1:1(0)").carriers == [.mpls])
    #expect(try packet("> encap psp spi 7 . 1:1(0)").carriers == [.psp])
  }

  @Test func datagramsAndMessagesAreRead() throws {
    #expect(try packet("< udp 5 > 6 (100)").content == .udp(100))
    var message = MessageDescription(type: "unreachable", code: "frag_needed")
    message.mtu = 1300
    message.quote = .tcp(SequenceRange(start: 1, length: 9))
    #expect(try packet("< icmp unreachable frag_needed mtu 1300 [1:10(9)]").content == .icmp(message))
    #expect(try packet("< [1:10(9)] icmp unreachable frag_needed mtu 1300").content == .icmp(message))
    var echo = MessageDescription(type: "echo_request")
    echo.identifier = 7
    #expect(try packet("< icmp echo_request id 7").content == .icmp(echo))
    guard case .icmp(let quoting) = try packet("< icmp time_exceeded [udp (8)]").content else {
      throw NotThat()
    }
    #expect(quoting.quote == .udp(8))
  }

  @Test func callsHaveStructuresAndListsAndNotes() throws {
    let bind = try call(
      "bind(3, {sa_family = AF_INET, sin_port = htons(80), sin_addr = inet_addr(\"10.0.0.1\")}, ...) = 0")
    #expect(bind.arguments.count == 3 && bind.arguments[2] == .ellipsis)
    guard case .structure(let fields) = bind.arguments[1] else { throw NotThat() }
    #expect(fields.map(\.name) == ["sa_family", "sin_port", "sin_addr"])
    #expect(fields[1].value == .call("htons", [.integer(80)]))
    let message = try call(
      "recvmsg(3, {msg_name(...)=..., msg_iov(2)=[{..., 10}, {...,20}], msg_flags=MSG_OOB|MSG_PEEK, msg_control=[]}, 0) "
        + "= -1 EAGAIN (not now, flags 0x2)")
    #expect(
      message.result == .integer(-1) && message.errorName == "EAGAIN" && message.note == "not now , flags 0x2"
    )
    guard case .structure(let parts) = message.arguments[1] else { throw NotThat() }
    #expect(parts[1].argument == .integer(2))
    #expect(parts[2].value == .union([.word("MSG_OOB"), .word("MSG_PEEK")]))
    #expect(try call("write(4, \"ab\" \"c\"..., 9) = 9").arguments[1] == .string("abc", partial: true))
    #expect(try call("fcntl(4, F_SETFL, 0x800) = 0").arguments[2] == .number(0x800, hexadecimal: true))
  }

  @Test func whatStandsAroundEventsIsRead() throws {
    let script = try Script(
      """
      // about this
      --ip_version=ipv6
      --define=CC="reno"   /* a
      remark */
      --strict_segments
      `first`
      0 `second; \\` still second`   # a remark
      +1 %{   print(1)
      assert CC  }%
      +0 setsockopt(3, SOL_TCP, TCP_CONGESTION, CC, 4) = 0
      `last`
      """)
    #expect(
      script.options == [
        ScriptOption(name: "ip_version", value: "ipv6"), ScriptOption(name: "define", value: "CC=\"reno\""),
        ScriptOption(name: "strict_segments"),
      ])
    #expect(script.setUp?.text == "first" && script.setUp?.line == 6)
    #expect(script.cleanUp?.text == "last")
    #expect(script.events.map(\.line) == [7, 8, 10])
    #expect(script.events[0].action == .shell(ShellCommand("second; \\` still second", line: 7)))
    #expect(script.events[1].action == .code("print(1)\nassert CC"))
    guard case .call(let call) = script.events[2].action else { throw NotThat() }
    #expect(call.arguments[3] == .string("reno", partial: false))
  }

  @Test func definitionsStandInForWords() throws {
    let bytes = Array("--define=SIZE=12\n0 > . 1:13(SIZE) <FO COOKIE>\n".utf8)
    let script = try Script(parsing: bytes, definitions: ["COOKIE": "12345678", "SIZE": "12"])
    guard case .packet(let packet) = script.events[0].action else { throw NotThat() }
    #expect(packet.segment?.sequence.length == 12)
    #expect(packet.segment?.options == [.fastOpen(cookie: [0x12, 0x34, 0x56, 0x78])])
    // Whoever runs the script has the last word.
    #expect(throws: ScriptError.self) {
      try Script(parsing: bytes, definitions: ["COOKIE": "12", "SIZE": "11"])
    }
  }

  @Test func conditionsChooseLines() throws {
    let text =
      "0 a() = 0\n#ifdef X\n+1 b() = 0\n#ifdef Y\n+2 c() = 0\n#endif\n#else\n+3 d() = 0\n#endif\n+4 e() = 0\n"
    func names(_ definitions: [String: String]) throws -> [String] {
      try Script(parsing: Array(text.utf8), definitions: definitions).events.compactMap {
        if case .call(let call) = $0.action { call.name } else { nil }
      }
    }
    #expect(try names([:]) == ["a", "d", "e"])
    #expect(try names(["X": ""]) == ["a", "b", "e"])
    #expect(try names(["X": "", "Y": ""]) == ["a", "b", "c", "e"])
    #expect(try names(["Y": ""]) == ["a", "d", "e"])
  }

  @Test(arguments: [
    ("", 1, 1, ScriptError.Problem.empty),
    ("--x=1\n", 2, 1, .empty),
    ("0 > . 1:2(3)", 1, 7, .inconsistentSequence),
    ("0 > Q. 1:1(0)", 1, 5, .unknownFlag("Q")),
    ("0 > .8 1:1(0)", 1, 5, .outOfRange(field: "ACE", limit: 7)),
    ("* < . 1:1(0) win 1", 1, 1, .timeOfOutboundOnly),
    ("0~1 read(3, ..., 1) = 1", 1, 1, .timeOfOutboundOnly),
    ("0 < . 1:1(0) win 1 <...>", 1, 3, .anyOptionsInbound),
    ("\n  2~1 > . 1:1(0)", 2, 5, .backwardTime),
    ("0 > . 1:1(0) ack 4294967296", 1, 18, .outOfRange(field: "ack", limit: 4_294_967_295)),
    ("0 > . 1:1(0) win 65536", 1, 18, .outOfRange(field: "win", limit: 65535)),
    ("0 > . 1:1(0) <mss 70000>", 1, 19, .outOfRange(field: "mss", limit: 65535)),
    ("0 > . 1:1(0) <FO abc>", 1, 18, .notHexadecimal("abc")),
    ("0 > . 1:1(0) <FO COOKIE>", 1, 18, .undefined("COOKIE")),
    ("0 > . 1:1(0) <mss MSS>", 1, 19, .undefined("MSS")),
    ("0 > . 1:1(0) <sack 1:2 1:2 1:2 1:2 1:2>", 1, 14, .optionsTooLong),
    ("--define=A=B=C\n0 f(A) = 0", 2, 5, .badDefinition(name: "A", value: "B=C")),
    ("0 /* never", 1, 3, .unclosed("/*")),
    ("0 `never", 1, 3, .unclosed("`")),
    ("0 %{ never", 1, 3, .unclosed("%{")),
    ("0 a() = 0\n#ifdef X\n+1 b() = 0", 2, 1, .unclosed("#ifdef")),
    ("0 f(\"never) = 0", 1, 5, .unclosed("\"")),
    ("0 f(1) 0", 1, 8, .expected(wanted: "'='", found: "0")),
    ("0 f(1", 1, 6, .expected(wanted: "')'", found: "")),
    ("0 f(" + String(repeating: "[", count: 40), 1, 37, .nestedTooDeep),
    ("99999999999999999999 f() = 0", 1, 1, .expected(wanted: "a time", found: "99999999999999999999")),
    ("9999999 f() = 0", 1, 1, .outOfRange(field: "time in seconds", limit: 2_678_400)),
    ("-1 f() = 0", 1, 1, .outOfRange(field: "time in seconds", limit: 2_678_400)),
    ("0 > [tos 0x100] . 1:1(0)", 1, 10, .outOfRange(field: "tos", limit: 255)),
    ("--ip_version=\n0 f() = 0", 2, 1, .expected(wanted: "a value of --ip_version", found: "0")),
  ])
  func whatIsNoScriptIsRefusedWhereItGoesWrong(
    text: String, line: Int, column: Int, problem: ScriptError.Problem
  ) {
    #expect {
      try Script(text)
    } throws: { error in
      guard let error = error as? ScriptError else { return false }
      #expect(error.problem == problem)
      #expect(error.position == ScriptPosition(line: line, column: column))
      return true
    }
  }

  @Test(arguments: ScriptFolder.files)
  func scriptsSurviveBeingWrittenDown(file: ScriptFolder.File) {
    #expect(ScriptReading.read(file.bytes) == .understood)
  }

  /// RX-TOTAL: any bytes are a script or none, and say where they go wrong.
  @Test func damagedScriptsAreRefusedOrUnderstood() {
    var random = SeededGenerator(seed: 0xD811)
    let samples = ScriptFolder.files.map(\.bytes)
    var (refused, understood) = (0, 0)
    for round in 0..<6000 {
      var bytes = samples[random.below(samples.count)]
      for _ in 0...random.below(3) {
        let place = random.below(bytes.count)
        switch random.below(4) {
        case 0: bytes[place] = UInt8(random.below(256))
        case 1: bytes.remove(at: place)
        case 2: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + random.below(20))], at: place)
        default: bytes[place] = bytes[random.below(bytes.count)]
        }
        if bytes.isEmpty { break }
      }
      if round % 8 == 0 { bytes.removeLast(random.below(bytes.count)) }
      switch ScriptReading.read(bytes) {
      case .refused: refused += 1
      case .understood: understood += 1
      case .wrong(let what):
        Issue.record("\(what); \(String(decoding: bytes, as: UTF8.self))")
        return
      }
    }
    #expect(refused > 500 && understood > 500, "\(refused) refused, \(understood) understood")
  }
}
