extension JSON {
  /// Reads a document (RFC 8259); nil if it is none. Total: whatever stands there, it ends. Values nest 32 deep at
  /// most; numbers are read as ``JSON/real(_:)``, and lone surrogates in a string as U+FFFD.
  init?(parsing text: String) {
    var reader = Reader(bytes: Array(text.utf8))
    guard let value = reader.value(depth: 32), reader.isAtEnd else { return nil }
    self = value
  }

  /// The member of an object; nil if there is none of that name, or it is no object.
  func member(_ name: String) -> JSON? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.0 == name }?.1
  }

  private struct Reader {
    let bytes: [UInt8]
    var place = 0

    var isAtEnd: Bool {
      mutating get {
        skipBlanks()
        return place == bytes.count
      }
    }
    private mutating func skipBlanks() {
      while place < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[place]) { place += 1 }
    }
    /// The next byte that is no blank, taken if it is `byte`.
    private mutating func take(_ byte: Character) -> Bool {
      skipBlanks()
      guard place < bytes.count, bytes[place] == byte.asciiValue else { return false }
      place += 1
      return true
    }
    private mutating func take(word: String) -> Bool {
      guard bytes[place...].starts(with: word.utf8) else { return false }
      place += word.utf8.count
      return true
    }

    mutating func value(depth: Int) -> JSON? {
      guard depth > 0 else { return nil }
      skipBlanks()
      if take("{") { return object(depth) }
      if take("[") { return array(depth) }
      if take("\"") { return text().map { .text($0) } }
      if take(word: "null") { return .null }
      if take(word: "true") { return .bool(true) }
      if take(word: "false") { return .bool(false) }
      let start = place
      while place < bytes.count, "+-.0123456789eE".utf8.contains(bytes[place]) { place += 1 }
      return Double(String(decoding: bytes[start..<place], as: UTF8.self)).map { .real($0) }
    }

    private mutating func array(_ depth: Int) -> JSON? {
      if take("]") { return .array([]) }
      var elements: [JSON] = []
      repeat {
        guard let element = value(depth: depth - 1) else { return nil }
        elements.append(element)
      } while take(",")
      return take("]") ? .array(elements) : nil
    }

    private mutating func object(_ depth: Int) -> JSON? {
      if take("}") { return .object([]) }
      var members: [(String, JSON)] = []
      repeat {
        guard take("\""), let name = text(), take(":"), let member = value(depth: depth - 1) else {
          return nil
        }
        members.append((name, member))
      } while take(",")
      return take("}") ? .object(members) : nil
    }

    /// Behind the opening quote.
    private mutating func text() -> String? {
      var units: [UInt8] = []
      while place < bytes.count {
        let byte = bytes[place]
        place += 1
        switch byte {
        case UInt8(ascii: "\""): return String(decoding: units, as: UTF8.self)
        case UInt8(ascii: "\\"):
          guard let character = escaped() else { return nil }
          units += String(character).utf8
        case 0..<0x20: return nil
        default: units.append(byte)
        }
      }
      return nil
    }
    private mutating func escaped() -> Character? {
      guard place < bytes.count else { return nil }
      let byte = bytes[place]
      place += 1
      switch byte {
      case UInt8(ascii: "n"): return "\n"
      case UInt8(ascii: "t"): return "\t"
      case UInt8(ascii: "r"): return "\r"
      case UInt8(ascii: "b"): return "\u{8}"
      case UInt8(ascii: "f"): return "\u{c}"
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Character(Unicode.Scalar(byte))
      case UInt8(ascii: "u"):
        guard place + 4 <= bytes.count,
          let number = UInt32(String(decoding: bytes[place..<place + 4], as: UTF8.self), radix: 16)
        else { return nil }
        place += 4
        return Character(Unicode.Scalar(number) ?? "\u{FFFD}")
      default: return nil
      }
    }
  }
}
