import Testing
import Wire

/// Sequence numbers and options.
struct TCPOptionsTests {
  private func parse(_ text: String) throws(WireError) -> TCPOptions {
    try reading(hex(text)) { bytes throws(WireError) in try TCPOptions.parse(bytes) }
  }

  private func bytes(_ options: TCPOptions) -> [UInt8] {
    emitting(options.byteCount) { options.emit(into: &$0, at: 0) }
  }

  @Test func unknownOptionsAreSkipped() throws {
    // Two experiments and a multipath option around a known one.
    let options = try parse("fe05000001 fd04abcd 020405b4 1e03ff 00")
    #expect(options.mss == 1460 && options.windowScale == nil && !options.sackPermitted)
    #expect(options.sack.isEmpty && options.timestamps == nil)
  }

  // Rules: RFC 5482 3.3-3; RFC 7413 4.1.1-1, 4.1.1-2
  @Test func knownOptionsOfAnotherLengthAreSkipped() throws {
    let options = try parse("0203ff 0302 0403ff 0502 0805000000 2203ff 1c03ff 1303ff")
    #expect(options.isEmpty)
    #expect(try parse("050f 00000001 00000002 00000003 ff").sack.isEmpty)
  }

  @Test func whatFollowsTheEndOfTheListDoesNotCount() throws {
    #expect(try parse("00 020405b4").isEmpty)
    #expect(try parse("01 01 00 02").isEmpty)
  }

  @Test func impossibleLengthsAreErrors() {
    #expect(throws: WireError.badOption(kind: 2, offset: 0)) { try parse("02") }
    #expect(throws: WireError.badOption(kind: 2, offset: 0)) { try parse("0200") }
    #expect(throws: WireError.badOption(kind: 2, offset: 1)) { try parse("01 0201") }
    #expect(throws: WireError.badOption(kind: 2, offset: 0)) { try parse("0204 05") }
    #expect(throws: WireError.badOption(kind: 200, offset: 4)) { try parse("020405b4 c8ff") }
  }

  // Rules: RFC 7323 2.3-7
  @Test func aWindowScaleAbove14Counts14() throws {
    #expect(try parse("0303ff").windowScale == 14)
    #expect(try parse("03030e").windowScale == 14)
    #expect(try parse("030300").windowScale == 0)
  }

  @Test func theTimestampsOfADataSegmentAreFound() throws {
    let expected = TCPTimestamps(value: 1, echo: 2)
    #expect(try parse("0101080a 00000001 00000002").timestamps == expected)
    #expect(try parse("080a 00000001 00000002 0101").timestamps == expected)
    var options = TCPOptions()
    options.timestamps = expected
    #expect(bytes(options) == hex("0101080a 00000001 00000002"))
  }

  /// What nearly every SYN has is read and written at once, and is the same as if each option had been looked for.
  @Test func theUsualSynIsAsAnyOther() throws {
    for scale in ["00", "07", "0e", "0f", "ff"] {
      let usual = "020405b4 0402080a 01020304 05060708 010303\(scale)"
      let options = try parse(usual)
      #expect(try options == parse("01010101" + usual))
      #expect(options.mss == 1460 && options.sackPermitted)
      #expect(options.timestamps == TCPTimestamps(value: 0x0102_0304, echo: 0x0506_0708))
      #expect(options.windowScale.map { $0 <= 14 } ?? false)
      #expect(options.byteCount == 20)
      // The same with another one behind it is written in the general way.
      var more = options
      more.userTimeout = TCPUserTimeout(rawValue: 7)
      #expect(bytes(more).prefix(20) == bytes(options)[...])
    }
    // Twenty bytes of other options.
    for other in [
      "020405b4 0402080a 01020304 05060708 01010303", "020405b4 0101080a 01020304 05060708 01030307",
      "030405b4 0402080a 01020304 05060708 01030307", "020405b4 0402080a 01020304 05060708 01030207",
    ] {
      let general = try? parse("01010101" + other)
      #expect((try? parse(other)) == general)
    }
  }

  // Rules: RFC 5482 3.3-2, 3.3-3; RFC 7413 9-1
  @Test func optionsAreWrittenInLinuxsOrder() {
    var options = VectorTests.synOptions
    #expect(bytes(options) == hex("020405b4 0402080a 2bc3d0f1 00000000 01030307"))
    options.timestamps = nil
    #expect(bytes(options) == hex("020405b4 01010402 01030307"))
    options = TCPOptions()
    options.timestamps = TCPTimestamps(value: 1, echo: 2)
    options.sack.append(SACKBlock(left: .init(16), right: .init(32)))
    #expect(bytes(options) == hex("0101080a 00000001 00000002 0101050a 00000010 00000020"))
    options = TCPOptions()
    options.fastOpenCookie = InlineBytes()
    #expect(bytes(options) == hex("22020101"))
    options.userTimeout = TCPUserTimeout(rawValue: 0x8002)
    #expect(bytes(options) == hex("22020101 1c048002"))
    #expect(options.userTimeout?.seconds == 120)
  }

  @Test func sackBlocksGiveWayToTimestamps() throws {
    var options = TCPOptions()
    for index in 0..<4 as Range<UInt32> {
      options.sack.append(SACKBlock(left: .init(index * 10), right: .init(index * 10 + 5)))
    }
    let fifth = options.sack.append(SACKBlock(left: .init(0), right: .init(0)))
    #expect(!fifth)
    #expect(options.byteCount == 36)
    options.timestamps = TCPTimestamps(value: 1, echo: 2)
    #expect(options.byteCount == 40)
    let written = bytes(options)
    let again = try reading(written) { bytes throws(WireError) in try TCPOptions.parse(bytes) }
    #expect(again.sack.count == 3 && again.sack[2] == options.sack[2] && again.timestamps != nil)
    options.md5Digest = InlineBytes()
    #expect(options.byteCount == 32, "a digest and timestamps leave no room for a block")
  }

  // Rules: RFC 2385 3-1; RFC 5925 2.2-2, 2.2-3, 2.2-4, 2.2-5, 2.2-6
  @Test func aSegmentIsSignedInOneWay() throws {
    let digest = String(repeating: "ab", count: 16)
    #expect(try parse("1312" + digest).md5Digest?.count == 16)
    let authentication = try #require(try parse("1d10 0102 000102030405060708090a0b").authentication)
    #expect(authentication.keyIdentifier == 1 && authentication.nextKeyIdentifier == 2)
    #expect(authentication.code.count == 12 && authentication.code[11] == 11)
    #expect(throws: WireError.badOption(kind: 29, offset: 18)) { try parse("1312" + digest + "1d040000") }
    #expect(throws: WireError.badOption(kind: 19, offset: 4)) { try parse("1d040000 1312" + digest) }
    #expect(throws: WireError.badOption(kind: 29, offset: 4)) { try parse("1d040102 1d040102") }
    #expect(throws: WireError.badOption(kind: 29, offset: 0)) { try parse("1d02 0101") }
    #expect(throws: WireError.badOption(kind: 29, offset: 1)) { try parse("01 1d0301") }
    #expect(throws: WireError.badOption(kind: 29, offset: 0)) { try parse("1d080102") }
    #expect(try parse("1d040102").authentication?.code.count == 0)
    var options = TCPOptions()
    options.md5Digest = InlineBytes()
    options.authentication = authentication
    #expect(options.md5Digest == nil && options.authentication == authentication)
    options.md5Digest = nil
    #expect(options.authentication == authentication)
    options.authentication = nil
    #expect(options.isEmpty)
  }

  @Test func theAuthenticationOptionIsFound() throws {
    func place(_ options: String) -> Int? {
      let header = [UInt8](repeating: 0, count: 20) + hex(options)
      return unsafe TCPOptions.authenticationOffset(header: header.span.bytes)
    }
    #expect(place("1d040102") == 20 && place("0101 1d040102") == 22 && place("020405b4 01 1d040102") == 25)
    #expect(place("") == nil && place("020405b4") == nil && place("0000 1d040102") == nil)
    // Inside of another option it is none.
    #expect(place("03061d040102") == nil)
  }

  @Test func whatIsRemovedLeavesNothingBehind() {
    var options = VectorTests.synOptions
    options.mss = nil
    options.windowScale = nil
    options.sackPermitted = false
    options.timestamps = nil
    #expect(options == TCPOptions() && options.byteCount == 0)
  }

  // MARK: Sequence numbers

  @Test func sequenceNumbersAreComparedAcrossTheWrap() {
    let last = SequenceNumber(0xFFFF_FFFF)
    let zero = SequenceNumber(0)
    #expect(last < zero && zero > last && last <= zero && zero >= last && last <= last)
    #expect(last + 1 == zero && zero - 1 == last && zero - last == 1 && last - zero == -1)
    #expect(last.distance(to: SequenceNumber(9)) == 10)
    #expect(SequenceNumber(5).isWithin(7, from: last) && !SequenceNumber(6).isWithin(7, from: last))
    #expect(!last.isWithin(0, from: last) && last.isWithin(1, from: last))
    #expect(SequenceNumber.later(last, zero) == zero && SequenceNumber.earlier(last, zero) == last)
    // Half the space apart, each comes before the other: no order is total here.
    let half = SequenceNumber(0x8000_0000)
    #expect(zero < half && half < zero)
    #expect(zero - half == -0x8000_0000)
    var moving = last
    moving += 3
    #expect(moving == SequenceNumber(2))
  }

  /// The order of a SYN's options as BSD has it; as many bytes as in Linux's order.
  @Test func theOrderOfASyn() throws {
    var options = TCPOptions()
    options.mss = 1460
    options.windowScale = 6
    options.sackPermitted = true
    options.timestamps = TCPTimestamps(value: 1, echo: 0)
    func bytes(_ order: TCPOptionOrder) throws -> [UInt8] {
      let storage = emitting(options.byteCount) { options.emit(into: &$0, at: 0, order: order) }
      #expect(try reading(storage) { bytes throws(WireError) in try TCPOptions.parse(bytes) } == options)
      return storage
    }
    let mss: [UInt8] = [2, 4, 0x05, 0xB4]
    let scale: [UInt8] = [1, 3, 3, 6]
    let stamps: [UInt8] = [8, 10, 0, 0, 0, 1, 0, 0, 0, 0]
    #expect(try bytes(.linux) == mss + [4, 2] + stamps + scale)
    #expect(try bytes(.bsd) == mss + scale + [4, 2] + stamps)
    options.timestamps = nil
    #expect(try bytes(.linux) == mss + [1, 1, 4, 2] + scale)
    #expect(try bytes(.bsd) == mss + scale + [4, 2, 0, 0])
    options.fastOpenCookie = InlineBytes()
    #expect(try bytes(.bsd) == mss + scale + [4, 2, 1, 1, 34, 2, 1, 1])
    options.fastOpenCookie = nil
    options.sackPermitted = false
    options.timestamps = TCPTimestamps(value: 1, echo: 0)
    #expect(try bytes(.bsd) == mss + scale + [1, 1] + stamps)
  }

  // Rules: RFC 9768 3.2.3-1, 3.2.3-3, 3.2.3-4
  @Test func countersOfAccurateECNAreReadInBothOrdersAndAllLengths() throws {
    let zero = try parse("ac0b 000001 000002 000003")
    #expect(zero.accurateECN?.order == .capable0First && zero.accurateECN?.count == 3)
    #expect(zero.accurateECN?.capable0 == 1)
    #expect(zero.accurateECN?.experienced == 2)
    #expect(zero.accurateECN?.capable1 == 3)
    let one = try parse("ae08 ffffff 010203").accurateECN
    #expect(one?.order == .capable1First && one?.count == 2)
    #expect(one?.capable1 == 0xFF_FFFF && one?.experienced == 0x01_0203 && one?.capable0 == nil)
    #expect(try parse("ae05 000007").accurateECN?.capable1 == 7)
    #expect(
      try parse("ac02").accurateECN
        == TCPAccurateECN(
          order: .capable0First, count: 0, capable0: 0, experienced: 0, capable1: 0))
    // Fields that are whole count, what is left over is padding.
    #expect(try parse("ac07 000001 0000").accurateECN == parse("ac05 000001").accurateECN)
    #expect(try parse("ac0e 000001 000002 000003 000004").accurateECN == zero.accurateECN)
  }

  @Test func countersOfAccurateECNAreWrittenBeforeWhatMayTakeTheirPadding() {
    func counters(_ count: Int, _ order: TCPAccurateECN.Order = .capable1First) -> TCPAccurateECN {
      TCPAccurateECN(order: order, count: count, capable0: 1, experienced: 0x100_0002, capable1: 3)
    }
    var options = TCPOptions()
    options.mss = 1460
    options.sackPermitted = true
    options.windowScale = 8
    options.accurateECN = counters(3)
    #expect(bytes(options) == hex("020405b4 ae0b0000 03000002 00000101 01010402 01030308"))
    options.timestamps = TCPTimestamps(value: 1, echo: 2)
    #expect(
      bytes(options)
        == hex("020405b4 0402080a 00000001 00000002 ae0b0000 03000002 00000101 01030308"))
    #expect(
      emitting(options.byteCount) { options.emit(into: &$0, at: 0, order: .bsd) }
        == hex("020405b4 01030308 0402080a 00000001 00000002 ae0b0000 03000002 00000101"))
    options = TCPOptions()
    options.accurateECN = counters(1, .capable0First)
    #expect(bytes(options) == hex("ac050000 01010101"))
    options.sack.append(SACKBlock(left: .init(16), right: .init(32)))
    #expect(bytes(options) == hex("ac050000 0101050a 00000010 00000020"))
    options.accurateECN = counters(2)
    #expect(bytes(options) == hex("ae080000 03000002 0101050a 00000010 00000020"))
    options.accurateECN = counters(0)
    #expect(bytes(options) == hex("ae02050a 00000010 00000020"))
    options.accurateECN = counters(3)
    #expect(bytes(options) == hex("ae0b0000 03000002 00000101 0101050a 00000010 00000020"))
    // Blocks have precedence: with timestamps and three of them there is room for an empty one only.
    options.timestamps = TCPTimestamps(value: 1, echo: 2)
    for _ in 0..<2 { options.sack.append(SACKBlock(left: .init(16), right: .init(32))) }
    #expect(options.byteCount == 40 && (try? parse(options).accurateECN) == .some(nil))
    options.accurateECN = counters(0)
    #expect(options.byteCount == 40 && (try? parse(options).accurateECN) == counters(0))
  }

  private func parse(_ options: TCPOptions) throws(WireError) -> TCPOptions {
    try reading(bytes(options)) { bytes throws(WireError) in try TCPOptions.parse(bytes) }
  }
}
