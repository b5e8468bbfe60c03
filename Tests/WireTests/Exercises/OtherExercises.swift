import Chance
import Wire

/// The checksum as RFC 1071 writes it, one word after the other.
func naiveChecksum(_ bytes: RawSpan) -> UInt16 {
  var sum: UInt32 = 0
  for offset in 0..<bytes.byteCount {
    sum += UInt32(bytes.uint8(at: offset)) << (offset & 1 == 0 ? 8 : 0)
    sum = (sum & 0xFFFF) + sum >> 16
  }
  return ~UInt16(sum)
}

extension Exercise {
  static let text = Exercise(name: "text") { random in
    let address =
      random.bool() ? IPAddress(random.ipv4()) : IPAddress(high: random.next() & 0xFFFF, low: random.next())
    switch random.below(4) {
    case 0: return Array(address.description.utf8)
    case 1:
      let prefix = IPPrefix(address, length: random.below(address.bitCount + 1))!
      return Array(prefix.description.utf8)
    case 2:
      let zone: UInt16 = address.isIPv4 ? 0 : random.any()
      return Array(SocketAddress(address, port: random.any(), zone: zone).description.utf8)
    default: return Array(random.mac().description.utf8)
    }
  } read: { bytes in
    var characters: [UInt8] = []
    for offset in 0..<bytes.byteCount { characters.append(bytes.uint8(at: offset)) }
    let text = String(decoding: characters, as: UTF8.self)
    func check<Value: LosslessStringConvertible & Equatable>(_ type: Value.Type) -> Outcome {
      guard let value = Value(text) else { return .refused }
      return compare(value, Value(value.description))
    }
    // Some texts are read by more than one type.
    let outcomes = [
      check(IPAddress.self), check(IPv4Address.self), check(IPv6Address.self), check(IPPrefix.self),
      check(SocketAddress.self), check(MACAddress.self),
    ]
    let understood = outcomes.filter { $0 != .refused }
    return understood.first { $0 != .understood } ?? understood.first ?? .refused
  }

  static let checksum = Exercise(name: "checksum") { random in
    random.bytes(3 + random.below(600))
  } read: { bytes in
    guard bytes.byteCount > 2 else { return .refused }
    let skip = Int(bytes.uint8(at: 0)) % (bytes.byteCount - 1)
    let data = bytes.extracting(skip..<bytes.byteCount)
    let expected = naiveChecksum(data)
    guard InternetChecksum.of(data) == expected else { return .wrong("whole") }
    guard ~onesComplementSum(data, widely: false) == expected else { return .wrong("portable") }
    let cut = Int(bytes.uint8(at: 1)) % (data.byteCount + 1)
    var pieces = InternetChecksum()
    pieces.add(data.extracting(0..<cut))
    pieces.add(data.extracting(cut..<data.byteCount))
    return pieces.finish() == expected ? .understood : .wrong("cut at \(cut)")
  }
}
