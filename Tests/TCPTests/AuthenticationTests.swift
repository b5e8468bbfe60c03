import Testing
import Wire

@testable import TCP

/// The authentication option without a network: RFC 5925, 5926, and the vectors of RFC 9235.
@Suite struct AuthenticationTests {
  private func raw<R>(_ bytes: [UInt8], _ body: (RawSpan) -> R) -> R {
    unsafe bytes.withUnsafeBytes { unsafe body(RawSpan(_unsafeBytes: $0)) }
  }
  private func bytes(_ text: String) -> [UInt8] {
    let digits = text.utf8.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
  }
  private func text<let count: Int>(_ code: InlineBytes<count>) -> String {
    (0..<code.count).map { (code[$0] < 16 ? "0" : "") + String(code[$0], radix: 16) }.joined()
  }
  private func master(_ text: String) throws -> TCPMasterKey { try #require(TCPMasterKey(Array(text.utf8))) }
  private let peer = SocketAddress(IPAddress("192.0.2.1")!, port: 80)

  private func key(
    _ send: UInt8, _ receive: UInt8, network: String = "192.0.2.0", prefix: UInt8 = 24,
    remotePort: UInt16? = nil,
    localPort: UInt16? = nil, _ secret: String = "secret", _ algorithm: TCPAuthenticationAlgorithm = .sha1
  ) throws -> TCPAuthenticationKey {
    TCPAuthenticationKey(
      network: IPAddress(network)!, prefixLength: prefix, remotePort: remotePort, localPort: localPort,
      sendID: send, receiveID: receive, algorithm: algorithm, master: try master(secret))
  }

  // MARK: Algorithms

  /// Rules: RFC 5926 2.2-1, 2.2-2, 3-1; RFC 5925 5.2-1
  @Test func keysAndCodesAreThoseOfRFC9235() throws {
    #expect(AuthenticationVector.all.count == 32)
    for vector in AuthenticationVector.all {
      let packet = bytes(vector.packet.joined())
      let isIPv4 = packet[0] >> 4 == 4
      let client = IPAddress(isIPv4 ? "10.11.12.13" : "fd00::1")!
      let server = IPAddress(isIPv4 ? "172.27.28.29" : "fd00::2")!
      let segment = Array(packet[(isIPv4 ? 20 : 40)...])
      let headerCount = Int(segment[12] >> 4) * 4
      let header = try #require(raw(segment) { try? TCPHeader.parse($0).0 })
      let (source, destination) = vector.isSent ? (client, server) : (server, client)
      let isSyn = header.flags.contains(.syn) && !header.flags.contains(.ack)
      let initials =
        vector.isSent
        ? (vector.clientInitial, isSyn ? 0 : vector.serverInitial)
        : (vector.serverInitial, vector.clientInitial)
      let context = TCPKeyContext(
        from: SocketAddress(source, port: header.sourcePort), SequenceNumber(initials.0),
        to: SocketAddress(destination, port: header.destinationPort), SequenceNumber(initials.1))
      let key = TCPAuthenticationKey(
        network: destination, prefixLength: 0, sendID: 61, receiveID: 84,
        algorithm: vector.isAES ? .aes128 : .sha1, coversOptions: vector.coversOptions,
        master: try master("testvector"))
      #expect(text(key.trafficKey(context)) == vector.trafficKey, "\(vector.section)")
      let code = TCPSegmentCode(key, context, keyID: 61, nextKeyID: 84, sequenceExtension: 0)
      let option = try #require(header.options.authentication)
      for cut in [headerCount, min(headerCount + 7, segment.count)] {
        var message = raw(Array(segment[..<headerCount])) { head in
          code.begin(
            header: head, option: TCPOptions.authenticationOffset(header: head) ?? 0,
            byteCount: segment.count,
            source: source, destination: destination)
        }
        raw(Array(segment[headerCount..<cut])) { message.add($0) }
        raw(Array(segment[cut...])) { message.add($0) }
        #expect(text(message.finish()) == text(option.code), "\(vector.section)")
        #expect(message.matches(option.code))
      }
    }
  }

  /// RFC 3174, 2202, 4493 and 4615: keys shorter and longer than a block, messages that end in each place.
  @Test func theFunctionsAreThoseOfTheirRFCs() {
    func hmac(_ key: [UInt8], _ data: [UInt8]) -> String {
      var code = raw(key) { HMACSHA1(key: $0) }
      raw(data) { code.update($0) }
      return text(code.finish())
    }
    #expect(
      hmac(Array(repeating: 0x0B, count: 20), Array("Hi There".utf8))
        == "b617318655057264e28bc0b6fb378c8ef146be00")
    #expect(
      hmac(Array("Jefe".utf8), Array("what do ya want for nothing?".utf8))
        == "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79")
    #expect(
      hmac(
        Array(repeating: 0xAA, count: 80),
        Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8))
        == "aa4ae5e15272d00e95705637ce8a3b55ed402112")
    func cmac(_ count: Int) -> String {
      let key = bytes("2b7e151628aed2a6abf7158809cf4f3c")
      let data = bytes(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
          + "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
      var block = InlineArray<16, UInt8>(repeating: 0)
      for index in 0..<16 { block[index] = key[index] }
      var code = AESCMAC(key: block)
      raw(Array(data[..<count])) { code.update($0) }
      return text(code.finish())
    }
    #expect(cmac(0) == "bb1d6929e95937287fa37d129b756746")
    #expect(cmac(16) == "070a16b46b4d4144f79bdd9dd04a287c")
    #expect(cmac(40) == "dfa66747de9ae63030ca32611497c827")
    #expect(cmac(64) == "51f0bebf7e3b9d92fc49741779363cfe")
    func derived(_ count: Int) -> String {
      // RFC 4615 section 4: keys of 18, 16 and 10 bytes of the same beginning, the message 00…13.
      let key = bytes("000102030405060708090a0b0c0d0e0fedcb")
      guard let master = TCPMasterKey(Array(key[..<count])) else { return "" }
      var code = KeyedCode(.aes128, master: master)
      for byte in UInt8(0)..<20 { code.update(byte) }
      return text(code.finish())
    }
    #expect(derived(18) == "84a348a4a45d235babfffc0d2b4da09a")
    #expect(derived(16) == "980ae87b5f4c9c5214f5b6a8455e4c2d")
    #expect(derived(10) == "290d9e112edb09ee141fcf64c0b72f3d")
  }

  // MARK: Keys

  /// Rules: RFC 5926 3.1-2, 3.1-3, 3.1.1-2, 3.1.1-3; RFC 5925 3.1-1
  @Test func keysHaveAnyLengthAndAnyID() throws {
    #expect(TCPMasterKey([]) == nil && TCPMasterKey(Array(repeating: 1, count: 4097)) == nil)
    #expect(TCPMasterKey([0]) != nil && TCPMasterKey(Array(repeating: 1, count: 4096)) != nil)
    let (one, same, other) = try (master("abc"), master("abc"), master("abd"))
    let short = try master("ab")
    #expect(one.isSame(as: same) && !one.isSame(as: other) && !one.isSame(as: short))
    #expect(one.withBytes { $0.byteCount } == 3 && one.withBytes { $0.uint8(at: 2) } == 0x63)
    #expect(try key(0, 255).optionByteCount == 16)
    #expect(TCPAuthenticationAlgorithm.allCases.map(\.name) == ["SHA1", "AES128"])
  }

  /// Rules: RFC 5925 3.1-5, 3.3-4
  @Test func noConnectionHasTwoKeysWithOneID() throws {
    var keys = TCPAuthenticationKeys()
    try keys.add(key(1, 2))
    for (send, receive) in [(1, 9), (9, 2)] as [(UInt8, UInt8)] {
      #expect(throws: TCPAuthenticationError.duplicate) { try keys.add(key(send, receive, prefix: 0)) }
      #expect(throws: TCPAuthenticationError.duplicate) {
        try keys.add(key(send, receive, network: "192.0.2.7", prefix: 32))
      }
      #expect(throws: TCPAuthenticationError.duplicate) { try keys.add(key(send, receive, remotePort: 80)) }
    }
    try keys.add(key(2, 1))
    try keys.add(key(1, 2, network: "192.0.3.0"))
    try keys.add(key(1, 2, network: "fd00::", prefix: 8))
    #expect(throws: TCPAuthenticationError.mismatch) { try keys.add(key(7, 7, prefix: 33)) }
    #expect(keys.matching(remote: peer, localPort: 5).map(\.sendID) == [1, 2])
    #expect(keys.key(remote: peer, localPort: 5, receiveID: 1)?.sendID == 2)
    #expect(keys.key(remote: peer, localPort: 5, sendID: 1)?.receiveID == 2)
    #expect(keys.key(remote: peer, localPort: 5, receiveID: 3) == nil)
    #expect(throws: TCPAuthenticationError.notFound) { try keys.remove(sendID: 2, receiveID: 2) }
    try keys.remove(sendID: 1, receiveID: 2, for: (IPAddress("192.0.2.0")!, 24))
    #expect(keys.all.count == 3)
    try keys.remove(sendID: 1, receiveID: 2)
    #expect(keys.all.count == 1)
    var many = TCPAuthenticationKeys()
    for id in 0...255 { try many.add(key(UInt8(id), UInt8(255 - id))) }
    #expect(throws: TCPAuthenticationError.tooMany) { try many.add(key(0, 0, network: "198.51.100.0")) }
  }

  @Test func portsAreMatched() throws {
    let one = try key(1, 1, remotePort: 80, localPort: 5)
    #expect(one.covers(remote: peer, localPort: 5) && one.covers(remote: peer, localPort: 0))
    #expect(!one.covers(remote: peer, localPort: 6))
    #expect(!one.covers(remote: SocketAddress(peer.address, port: 81), localPort: 5))
    #expect(!one.covers(remote: SocketAddress(IPAddress("192.0.3.1")!, port: 80), localPort: 5))
    var keys = TCPAuthenticationKeys()
    try keys.add(one)
    try keys.add(key(1, 1, remotePort: 81))
    try keys.add(key(1, 1, remotePort: 80, localPort: 6))
    #expect(keys.cover(remote: peer, localPort: 6) && !keys.cover(remote: peer, localPort: 7))
  }

  // MARK: Numbers

  /// Rules: RFC 5925 6.2-1
  @Test func numbersAreExtended() {
    var numbers = SequenceExtension(initial: SequenceNumber(0xFFFF_FFF0))
    func high(_ number: UInt32) -> UInt32 { numbers.value(of: SequenceNumber(number)) }
    #expect(high(0xFFFF_FFF0) == 0 && high(0x10) == 1)
    numbers.take(SequenceNumber(0x10))
    // What comes late belongs to the round before.
    #expect(high(0xFFFF_FFFF) == 0 && high(0x20) == 1 && high(0x7FFF_FFFF) == 1)
    numbers.take(SequenceNumber(0xFFFF_FFFF))
    #expect(high(0x10) == 1)
    for number in stride(from: UInt32(0x10), through: 0xF000_0010, by: 0x1000_0000) {
      numbers.take(SequenceNumber(number))
      #expect(high(number) == 1)
    }
    // The same number again, after all others.
    #expect(high(0x10) == 2)
    numbers.take(SequenceNumber(0x10))
    #expect(high(0xF000_0010) == 1 && high(0x10) == 2)
  }

  // MARK: A connection

  private func pair(
    _ keys: [TCPAuthenticationKey], _ change: (inout TCPAuthenticationSettings) -> Void = { _ in }
  ) throws -> TCPAuthenticatedConnection {
    var settings = TCPAuthenticationSettings()
    for key in keys { try settings.keys.add(key) }
    change(&settings)
    return try #require(
      TCPAuthenticatedConnection(
        settings, local: SocketAddress(IPAddress("192.0.2.9")!, port: 5), remote: peer))
  }
  private func header(_ flags: TCPFlags, _ sequence: UInt32) -> TCPSegment {
    TCPSegment(sequence: SequenceNumber(sequence), flags: flags)
  }
  private func option(_ key: UInt8, _ next: UInt8, count: Int = 12) -> TCPAuthentication {
    var code = InlineBytes<16>()
    for _ in 0..<count { code.append(0) }
    return TCPAuthentication(keyIdentifier: key, nextKeyIdentifier: next, code: code)
  }

  /// Rules: RFC 5925 4-1, 4-2, 6.1-1, 7.1-2, 7.1-3, 7.1-4, 7.1-5
  @Test func keysAreChangedWhileAConnectionLives() throws {
    let connection = try pair([key(1, 11), key(2, 12), key(3, 13)]) { ($0.current, $0.next) = (2, 13) }
    #expect(connection.info.current == 2 && connection.info.next == 13 && connection.info.received == nil)
    #expect(throws: TCPAuthenticationError.notFound) { try connection.change(.choose(current: 9, next: nil)) }
    #expect(throws: TCPAuthenticationError.notFound) { try connection.change(.choose(current: 1, next: 9)) }
    #expect(connection.info.current == 2)  // what throws has changed nothing
    #expect(throws: TCPAuthenticationError.inUse) {
      try connection.change(.remove(sendID: 2, receiveID: 12, current: nil, next: nil))
    }
    #expect(throws: TCPAuthenticationError.inUse) {
      try connection.change(.remove(sendID: 3, receiveID: 13, current: nil, next: nil))
    }
    #expect(throws: TCPAuthenticationError.notFound) {
      try connection.change(.remove(sendID: 2, receiveID: 11, current: nil, next: nil))
    }
    try connection.change(.remove(sendID: 1, receiveID: 11, current: nil, next: nil))
    #expect(connection.info.current == 2 && connection.info.next == 13)
    try connection.change(.remove(sendID: 2, receiveID: 12, current: 3, next: nil))
    #expect(connection.info.current == 3 && connection.info.keys.map(\.sendID) == [3])
    #expect(throws: TCPAuthenticationError.duplicate) { try connection.change(.add(key(3, 20))) }
    #expect(throws: TCPAuthenticationError.duplicate) { try connection.change(.add(key(20, 13))) }
    #expect(throws: TCPAuthenticationError.mismatch) {
      try connection.change(.add(key(20, 20, network: "198.51.100.0")))
    }
    try connection.change(.add(key(4, 14, network: "0.0.0.0", prefix: 0)))
    // The peer asks for the new one, then for one that is not there, then for the old one again.
    for (asked, sent) in [(4, 4), (77, 4), (3, 3)] as [(UInt8, UInt8)] {
      connection.accept(header(.ack, 1), option(13, asked), isOpening: false)
      #expect(connection.info.current == sent)
      let received = try #require(connection.info.received)
      #expect(received == (13, asked))
    }
    #expect(connection.info.next == 13 && connection.info.counters.good == 3)
  }

  /// Rules: RFC 5925 3.3-4, 7.5-3
  @Test func segmentsFindTheirKey() throws {
    let connection = try pair([key(1, 11), key(2, 12, "other", .aes128)])
    func found(_ key: UInt8, count: Int = 12) -> String {
      switch connection.incoming(header(.ack, 1), option(key, 1, count: count), isOpening: false) {
      case .code(let code): "\(code.keyID)"
      case .keyNotFound: "none"
      case .wrongLength: "length"
      }
    }
    #expect(found(11) == "11" && found(12) == "12" && found(1) == "none")
    #expect(found(11, count: 11) == "length" && found(11, count: 0) == "length")
  }
}
