import TCP
import Testing
import Timing
import Wire

/// The MD5 signature option, RFC 2385.
@Suite struct SignatureTests {
  private func secret(_ bytes: [UInt8]) -> TCPSecret? { TCPSecret(bytes) }
  private func raw<R>(_ bytes: [UInt8], _ body: (RawSpan) -> R) -> R {
    unsafe bytes.withUnsafeBytes { unsafe body(RawSpan(_unsafeBytes: $0)) }
  }
  private func text(_ digest: InlineBytes<16>) -> String {
    (0..<digest.count).map { index in
      let byte = digest[index]
      return String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
    }.joined()
  }
  private let header: [UInt8] = [
    0x0F, 0xA0, 0x00, 0xB3, 1, 2, 3, 4, 5, 6, 7, 8, 0xA0, 0x18, 0xFF, 0xFF, 0xAB, 0xCD, 0, 0,
  ]
  private func digest(_ source: String, _ destination: String, _ data: [UInt8], _ key: [UInt8], cut: Int = 0)
    -> String
  {
    var signature = raw(header) {
      TCPSignature(
        header: $0, byteCount: 40 + data.count, source: IPAddress(source)!,
        destination: IPAddress(destination)!)
    }
    raw(Array(data[..<cut])) { signature.add($0) }
    raw(Array(data[cut...])) { signature.add($0) }
    return text(signature.digest(secret(key)!))
  }

  /// Computed by another implementation: pseudo header, header without options and checksum, text, secret.
  // Rules: RFC 2385 2-1
  @Test func digestsAreThoseOfTheRFC() {
    let data = (0..<100).map { UInt8($0) }
    let long = (0..<1460).map { UInt8(truncatingIfNeeded: $0 * 7) }
    let (from, to) = ("10.11.12.13", "172.27.28.29")
    for cut in [0, 1, 3, 50, 99] {
      #expect(
        digest(from, to, data, Array("testvector".utf8), cut: cut) == "d84e6ffe8144ce6428f685c9c1e1a6b2")
    }
    #expect(digest(from, to, long, Array("k".utf8), cut: 61) == "d715f826a260683c5505fb622164044a")
    #expect(
      digest("fd00::1", "fd00::2", [], Array(repeating: 0x78, count: 80))
        == "ddb4b3fb8e61d00dcb48e06625bd27a3")
  }

  // Rules: RFC 2385 4.5-1
  @Test func secretsHaveOneToEightyBytes() {
    #expect(secret([]) == nil && secret(Array(repeating: 1, count: 81)) == nil)
    #expect(secret([1]) != nil && secret(Array(repeating: 1, count: 80)) != nil)
  }

  @Test func digestsAreEqualInEveryByte() {
    var left = InlineBytes<16>()
    for byte in 0..<16 { left.append(UInt8(byte)) }
    #expect(TCPSignature.isEqual(left, left) && !TCPSignature.isEqual(left, InlineBytes()))
    for changed in 0..<16 {
      var right = InlineBytes<16>()
      for byte in 0..<16 { right.append(UInt8(byte == changed ? 99 : byte)) }
      #expect(!TCPSignature.isEqual(left, right))
    }
  }

  /// The longest prefix decides.
  @Test func keysAreForNetworks() throws {
    let (wide, narrow, six) = try (#require(secret([1])), #require(secret([2])), #require(secret([3])))
    let keys = [
      TCPSignatureKey(network: IPAddress("10.1.0.0")!, prefixLength: 16, secret: wide),
      TCPSignatureKey(network: IPAddress("10.1.2.128")!, prefixLength: 25, secret: narrow),
      TCPSignatureKey(network: IPAddress("fd00::")!, prefixLength: 65, secret: six),
    ]
    #expect(keys.secret(for: IPAddress("10.1.2.127")!) == wide)
    #expect(keys.secret(for: IPAddress("10.1.2.129")!) == narrow)
    #expect(Array(keys.reversed()).secret(for: IPAddress("10.1.2.129")!) == narrow)
    #expect(keys.secret(for: IPAddress("10.2.2.129")!) == nil)
    #expect(keys.secret(for: IPAddress("fd00::7fff:0:0:1")!) == six)
    #expect(keys.secret(for: IPAddress("fd00::8000:0:0:1")!) == nil)
    let any = [TCPSignatureKey(network: IPAddress("0.0.0.0")!, prefixLength: 0, secret: wide)]
    #expect(any.secret(for: IPAddress("192.0.2.1")!) == wide && any.secret(for: IPAddress("fd00::1")!) == nil)
  }

  /// Segments are shorter by the option; beside timestamps nothing is left for blocks, and Linux gives these up.
  // Rules: RFC 2385 4.3-1
  @Test func theOptionTakesItsRoom() {
    var configuration = Script.plain
    configuration.timestamps = true
    configuration.signatureBytes = TCPSignature.optionBytes
    var options = TCPOptions()
    options.mss = 1000
    options.sackPermitted = true
    options.timestamps = TCPTimestamps(value: 1, echo: 0)
    for (personality, segment, blocks) in [(TCPPersonality.linux, 980, 2), (.bsd, 968, 0)] {
      configuration.personality = personality
      let script = Script(passive: configuration, syn: options)
      script.stamps = personality == .bsd
      script.inject(.ack, 1, ack: 1)
      #expect(script.info.sendSegment == segment && script.info.timestamps == (personality == .bsd))
      _ = script.take()
      for index in 1...4 { script.inject(.ack, 2000 * index, stream(10), ack: 1) }
      #expect(script.take().last?.options.sack.count == blocks)
    }
  }
}
