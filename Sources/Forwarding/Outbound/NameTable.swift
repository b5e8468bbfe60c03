public import Wire

/// Names that are answered without a resolver: A, AAAA and PTR of what was given, and nothing else (RFC 1035, RFC 3596).
/// Their other types are answered as empty, since whoever else knows the name means another host.
public struct NameTable: Sendable {
  private var addresses: [[UInt8]: [IPAddress]] = [:]
  private var names: [[UInt8]: [[UInt8]]] = [:]

  /// Without names.
  public init() {}
  /// Whether there are none.
  public var isEmpty: Bool { addresses.isEmpty }

  /// How long an answer may be kept, in seconds.
  private static let lifetime: UInt32 = 60
  private enum Kind {
    static let a: UInt16 = 1, pointer: UInt16 = 12, aaaa: UInt16 = 28, any: UInt16 = 255
    static let internet: UInt16 = 1
  }

  /// Adds an address of a name. False: it is no host name (RFC 1123 section 2.1), or too long.
  public mutating func add(_ name: String, _ address: IPAddress) -> Bool {
    guard let wire = Self.wire(name) else { return false }
    addresses[wire, default: []].append(address)
    names[Self.reverse(address), default: []].append(wire)
    return true
  }

  /// A name as labels with their lengths, in small letters.
  static func wire(_ name: String) -> [UInt8]? {
    var wire: [UInt8] = []
    let trimmed = name.hasSuffix(".") ? name.dropLast() : Substring(name)
    for label in trimmed.split(separator: ".", omittingEmptySubsequences: false) {
      let bytes = Array(label.lowercased().utf8)
      let isFine = bytes.allSatisfy {
        (48...57).contains($0) || (97...122).contains($0) || $0 == 45 || $0 == 95
      }
      guard (1...63).contains(bytes.count), isFine, bytes.first != 45, bytes.last != 45 else { return nil }
      wire.append(UInt8(bytes.count))
      wire += bytes
    }
    return wire.count <= 253 ? wire + [0] : nil
  }

  /// The name under which an address is asked for (RFC 1035 section 3.5, RFC 3596 section 2.5).
  private static func reverse(_ address: IPAddress) -> [UInt8] {
    var labels: [String] = []
    let count = address.isIPv4 ? 4 : 16
    for index in (16 - count..<16).reversed() {
      let word = index < 8 ? address.high : address.low
      let byte = UInt8(truncatingIfNeeded: word >> UInt64(56 - index % 8 * 8))
      if count == 4 {
        labels.append("\(byte)")
      } else {
        labels += [String(byte & 15, radix: 16), String(byte >> 4, radix: 16)]
      }
    }
    labels += count == 4 ? ["in-addr", "arpa"] : ["ip6", "arpa"]
    return labels.reduce(into: []) { $0 += [UInt8($1.utf8.count)] + Array($1.utf8) } + [0]
  }

  /// The answer to a message, if it asks one question, about a name that is here; nil: it is somebody else's to answer.
  public func answer(_ message: UnsafeRawBufferPointer) -> [UInt8]? {
    guard !isEmpty, message.count >= 12 else { return nil }
    func word(_ offset: Int) -> UInt16 { unsafe UInt16(message[offset]) << 8 | UInt16(message[offset + 1]) }
    // A standard query with one question (RFC 1035 section 4.1.1); what is added to it (EDNS) is not asked for.
    guard word(2) & 0xF800 == 0, word(4) == 1, word(6) == 0, word(8) == 0 else { return nil }
    var (offset, name) = (12, [UInt8]())
    while true {
      guard offset < message.count else { return nil }
      let length = Int(unsafe message[offset])
      guard length <= 63, offset + 1 + length <= message.count, name.count + length < 255 else { return nil }
      name.append(UInt8(length))
      for index in 0..<length {
        let byte = unsafe message[offset + 1 + index]
        name.append((65...90).contains(byte) ? byte | 32 : byte)
      }
      offset += 1 + length
      if length == 0 { break }
    }
    guard offset + 4 <= message.count, word(offset + 2) == Kind.internet else { return nil }
    let (kind, end) = (word(offset), offset + 4)
    let known = addresses[name]
    let pointers = names[name]
    guard known != nil || pointers != nil else { return nil }
    var records: [[UInt8]] = []
    for address in known ?? [] where kind == Kind.any || kind == (address.isIPv4 ? Kind.a : Kind.aaaa) {
      let bytes = unsafe address.withNetworkOrder { unsafe Array($0) }
      records.append(Self.record(address.isIPv4 ? Kind.a : Kind.aaaa, bytes))
    }
    for pointer in pointers ?? [] where kind == Kind.any || kind == Kind.pointer {
      records.append(Self.record(Kind.pointer, pointer))
    }
    // Within what every asker takes (RFC 1035 section 4.2.1).
    var reply = unsafe Array(message[..<end])
    var count = 0
    for record in records where reply.count + record.count <= 512 {
      reply += record
      count += 1
    }
    // An authoritative answer, with recursion as it was asked for.
    reply[2] = 0x84 | reply[2] & 0x01
    reply[3] = 0x80
    (reply[6], reply[7]) = (UInt8(count >> 8), UInt8(truncatingIfNeeded: count))
    for index in 8..<12 { reply[index] = 0 }
    return reply
  }

  /// A record of the name that was asked for, which stands at offset 12.
  private static func record(_ kind: UInt16, _ data: [UInt8]) -> [UInt8] {
    [0xC0, 0x0C, UInt8(kind >> 8), UInt8(truncatingIfNeeded: kind), 0, UInt8(Kind.internet)]
      + (0..<4).map { UInt8(truncatingIfNeeded: lifetime >> (24 - $0 * 8)) }
      + [UInt8(data.count >> 8), UInt8(truncatingIfNeeded: data.count)] + data
  }
}
