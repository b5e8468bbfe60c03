/// Reads an address from text, left to right. Not for the packet path.
struct TextCursor {
  private let text: [UInt8]
  private var position = 0

  init(_ text: String) { self.text = Array(text.utf8) }

  var isAtEnd: Bool { position == text.count }
  var next: Unicode.Scalar? { isAtEnd ? nil : Unicode.Scalar(text[position]) }
  var mark: Int { position }

  mutating func back(to mark: Int) { position = mark }

  /// Passes `wanted` if it comes next.
  mutating func skip(_ wanted: Unicode.Scalar) -> Bool {
    guard next == wanted else { return false }
    position += 1
    return true
  }

  /// A hexadecimal number with that many digits, at most four.
  mutating func hexadecimal(digits: ClosedRange<Int>) -> UInt16? {
    var value: UInt16 = 0
    var count = 0
    while count < digits.upperBound, position < text.count, let digit = Self.value(of: text[position]) {
      value = value << 4 | UInt16(digit)
      count += 1
      position += 1
    }
    return digits.contains(count) ? value : nil
  }

  /// A decimal number in 0...limit without superfluous zeros.
  mutating func decimal(upTo limit: Int) -> Int? {
    let start = position
    var value = 0
    while position < text.count, (0x30...0x39).contains(text[position]) {
      value = value * 10 + Int(text[position] - 0x30)
      position += 1
      guard value <= limit else { return nil }
    }
    let count = position - start
    guard count > 0, count == 1 || text[start] != 0x30 else { return nil }
    return value
  }

  private static func value(of digit: UInt8) -> UInt8? {
    switch digit {
    case 0x30...0x39: digit - 0x30
    case 0x41...0x46: digit - 0x41 + 10
    case 0x61...0x66: digit - 0x61 + 10
    default: nil
    }
  }

  /// Four decimal octets with dots between them.
  mutating func ipv4() -> IPv4Address? {
    var value: UInt32 = 0
    for index in 0..<4 {
      if index > 0 {
        guard skip(".") else { return nil }
      }
      guard let octet = decimal(upTo: 255) else { return nil }
      value = value << 8 | UInt32(octet)
    }
    return IPv4Address(value)
  }

  /// RFC 4291 section 2.2, all three forms.
  mutating func ipv6() -> IPv6Address? {
    var groups: [UInt16] = []
    var gap: Int?
    if skip(":") {
      guard skip(":") else { return nil }
      gap = 0
    }
    while groups.count < 8 {
      let start = mark
      guard let group = hexadecimal(digits: 1...4) else {
        // Nothing after "::" is the end; nothing after a single colon is an error, found below.
        guard gap == groups.count else { return nil }
        break
      }
      if next == "." {
        back(to: start)
        guard groups.count <= 6, let tail = ipv4() else { return nil }
        groups += [UInt16(tail.rawValue >> 16), UInt16(truncatingIfNeeded: tail.rawValue)]
        break
      }
      groups.append(group)
      guard groups.count < 8 else { break }
      guard skip(":") else { break }
      if skip(":") {
        guard gap == nil else { return nil }
        gap = groups.count
      }
    }
    if let gap {
      guard groups.count < 8 else { return nil }
      groups.insert(contentsOf: Array(repeating: 0, count: 8 - groups.count), at: gap)
    }
    guard groups.count == 8 else { return nil }
    let words = groups.map(UInt64.init)
    return IPv6Address(
      high: words[0] << 48 | words[1] << 32 | words[2] << 16 | words[3],
      low: words[4] << 48 | words[5] << 32 | words[6] << 16 | words[7])
  }

  /// An address of either family.
  mutating func address() -> IPAddress? {
    let start = mark
    if let address = ipv4() { return IPAddress(address) }
    back(to: start)
    return ipv6().map { IPAddress($0) }
  }
}
