import Chance
import Testing
import Wire

/// The Internet checksum against its definition.
struct ChecksumTests {
  @Test func theExampleOfRFC1071() throws {
    reading(hex("0001 f203 f4f5 f6f7")) { bytes in
      #expect(InternetChecksum.of(bytes) == ~0xDDF2)
    }
  }

  @Test func itAgreesWithTheDefinitionAtEveryLengthAndAlignment() throws {
    var random = SeededGenerator(seed: 7)
    let data = random.bytes(700)
    reading(data) { bytes in
      for start in 0..<33 {
        for count in 0..<(700 - 33) where count < 130 || count % 7 == start % 7 {
          let part = bytes.extracting(start..<start + count)
          let expected = naiveChecksum(part)
          guard InternetChecksum.of(part) == expected, ~onesComplementSum(part, widely: false) == expected
          else {
            Issue.record("\(count) bytes from \(start)")
            return
          }
        }
      }
    }
  }

  /// Copied and summed at once, at any place, of any length, and nothing beside it is touched.
  @Test func whatIsCopiedIsSummed() throws {
    var random = SeededGenerator(seed: 10)
    let data = random.bytes(2000)
    reading(data) { bytes in
      for count in [0, 1, 2, 3, 4, 31, 64, 255, 256, 257, 300, 383, 384, 385, 511, 1023, 1448, 1500, 1951] {
        for (from, to) in [(0, 0), (1, 0), (0, 3), (7, 32), (48, 17)] {
          var target = [UInt8](repeating: 0xA5, count: 2100)
          var sum = InternetChecksum()
          // Behind an odd piece, too.
          sum.add(bytes.extracting(0..<from))
          unsafe target.withUnsafeMutableBytes { target in
            unsafe bytes.withUnsafeBytes { source in
              guard let start = source.baseAddress, let place = target.baseAddress else { return }
              unsafe sum.add(copying: start + from, to: place + to, count: count)
            }
          }
          #expect(sum.finish() == naiveChecksum(bytes.extracting(0..<from + count)))
          #expect(target[to..<to + count].elementsEqual(data[from..<from + count]))
          let beside = target[..<to] + target[(to + count)...]
          #expect(beside.allSatisfy { $0 == 0xA5 })
        }
      }
    }
  }

  @Test(arguments: [0, 0xFF, 0x80] as [UInt8])
  func carriesAreNeverLost(byte: UInt8) throws {
    for count in [1, 2, 3, 255, 256, 257, 1_500, 65_535, 1_000_001] {
      reading([UInt8](repeating: byte, count: count)) { bytes in
        #expect(InternetChecksum.of(bytes) == naiveChecksum(bytes))
        #expect(~onesComplementSum(bytes, widely: false) == naiveChecksum(bytes))
      }
    }
  }

  @Test func piecesOfAnyLengthAddUpToTheWhole() throws {
    var random = SeededGenerator(seed: 8)
    let data = random.bytes(997)
    reading(data) { bytes in
      for _ in 0..<500 {
        var sum = InternetChecksum()
        var at = 0
        while at < bytes.byteCount {
          let count = min(1 + random.below(200), bytes.byteCount - at)
          sum.add(bytes.extracting(at..<at + count))
          at += count
        }
        #expect(sum.finish() == naiveChecksum(bytes))
      }
    }
  }

  @Test func thePseudoHeaderIsSummedAsItIsWritten() throws {
    var random = SeededGenerator(seed: 9)
    for _ in 0..<1_000 {
      let payload = random.bytes(random.below(50))
      let isIPv4 = random.bool()
      let ipv4 = (random.ipv4(), random.ipv4())
      let ipv6 = (random.ipv6(), random.ipv6())
      let number = random.number()
      let written = emitting(isIPv4 ? 12 : 40) { span in
        if isIPv4 {
          span.set(ipv4.0.rawValue, at: 0)
          span.set(ipv4.1.rawValue, at: 4)
          span.set(UInt16(number.rawValue), at: 8)
          span.set(UInt16(payload.count), at: 10)
        } else {
          ipv6.0.emit(into: &span, at: 0)
          ipv6.1.emit(into: &span, at: 16)
          span.set(UInt32(payload.count), at: 32)
          span.set(UInt32(number.rawValue), at: 36)
        }
      }
      let source = isIPv4 ? IPAddress(ipv4.0) : IPAddress(ipv6.0)
      let destination = isIPv4 ? IPAddress(ipv4.1) : IPAddress(ipv6.1)
      let whole = reading(written + payload) { bytes in naiveChecksum(bytes) }
      reading(payload) { bytes in
        #expect(
          InternetChecksum.of(bytes, source: source, destination: destination, protocol: number) == whole)
      }
    }
  }

  @Test func aPartialSealIsCompletedByTheDevice() throws {
    let source = IPAddress("10.0.2.100")!
    let destination = IPAddress("10.0.2.2")!
    let header = TCPHeader(
      sourcePort: 1, destinationPort: 2, sequence: .init(3), acknowledgment: .init(4), flags: .ack, window: 5)
    let segment = emitting(25) { span in
      for at in 20..<25 { span.set(UInt8(at), at: at) }
      header.emit(into: &span)
      InternetChecksum.sealPartially(
        &span, at: TCPHeader.checksumOffset, source: source, destination: destination, protocol: .tcp,
        byteCount: 25)
      // What a device does with checksumStart 0 and checksumOffset 16.
      span.set(InternetChecksum.of(span.bytes), at: TCPHeader.checksumOffset)
    }
    try reading(segment) { bytes throws(WireError) in
      let view = try TCPView(bytes)
      let isValid = view.isChecksumValid(source: source, destination: destination)
      #expect(isValid)
    }
  }

  // MARK: RFC 1624

  @Test func theExampleOfRFC1624() {
    // Section 4: the update of RFC 1141 gives 0xFFFF here.
    #expect(InternetChecksum.update(0xDD2F, replacing: 0x5555 as UInt16, with: 0x3285) == 0x0000)
    // And back: a checksum of zero is one like any other.
    #expect(InternetChecksum.update(0x0000, replacing: 0x3285 as UInt16, with: 0x5555) == 0xDD2F)
  }

  @Test func anUpdateEqualsARecomputation() throws {
    var random = SeededGenerator(seed: 10)
    for round in 0..<20_000 {
      // Few distinct bytes, so that the corners 0x0000 and 0xFFFF come up often.
      var bytes = (0..<20).map { _ in round & 1 == 0 ? random.any(UInt8.self) : [0, 0xFF][random.below(2)] }
      bytes[0] = 0x45
      let before = reading(bytes) { bytes in naiveChecksum(bytes) }
      let at = 2 + 2 * random.below(8)
      func value(_ count: Int) -> UInt32 { bytes[at..<at + count].reduce(0) { $0 << 8 | UInt32($1) } }
      func change(_ count: Int) {
        for index in at..<at + count { bytes[index] = [0, 0xFF, random.any()][random.below(3)] }
      }
      let after: UInt16
      if random.bool() {
        let old = UInt16(value(2))
        change(2)
        after = InternetChecksum.update(before, replacing: old, with: UInt16(value(2)))
      } else {
        let old = value(4)
        change(4)
        after = InternetChecksum.update(before, replacing: old, with: value(4))
      }
      let expected = reading(bytes) { bytes in naiveChecksum(bytes) }
      guard after == expected else {
        Issue.record("\(before) became \(after), not \(expected), for \(bytes)")
        return
      }
    }
  }

  @Test func changingAnAddressUpdatesATransportChecksum() throws {
    var random = SeededGenerator(seed: 11)
    let payload = random.bytes(33)
    for _ in 0..<1_000 {
      let isIPv4 = random.bool()
      func address() -> IPAddress { isIPv4 ? IPAddress(random.ipv4()) : IPAddress(random.ipv6()) }
      let (old, new, peer) = (address(), address(), address())
      reading(payload) { bytes in
        let before = InternetChecksum.of(bytes, source: old, destination: peer, protocol: .tcp)
        let after = InternetChecksum.of(bytes, source: new, destination: peer, protocol: .tcp)
        #expect(InternetChecksum.update(before, replacing: old, with: new) == after)
      }
    }
  }
}
