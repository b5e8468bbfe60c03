/// A JSON document (RFC 8259).
indirect enum JSON {
  case null
  case bool(Bool)
  case number(Int64)
  /// A finite one.
  case real(Double)
  case text(String)
  case array([JSON])
  /// In this order.
  case object([(String, JSON)])

  /// The members of an object, in the order in which they are set.
  struct Members {
    fileprivate var list: [(String, JSON)] = []
    /// Adds a member; each name once.
    subscript(name: String) -> JSON {
      get { list.first { $0.0 == name }?.1 ?? .null }
      set { list.append((name, newValue)) }
    }
  }
  static func object(_ fill: (inout Members) -> Void) -> JSON {
    var members = Members()
    fill(&members)
    return .object(members.list)
  }
  static func number(_ value: some BinaryInteger) -> JSON { .number(Int64(clamping: value)) }

  /// The document, two blanks to a level; short arrays and objects of plain values on one line.
  var text: String {
    var out = ""
    write(into: &out, indent: 0)
    return out + "\n"
  }

  private var isPlain: Bool {
    switch self {
    case .null, .bool, .number, .real, .text: true
    case .array, .object: false
    }
  }

  private func write(into out: inout String, indent: Int) {
    switch self {
    case .null: out += "null"
    case .bool(let value): out += value ? "true" : "false"
    case .number(let value): out += String(value)
    case .real(let value): out += String(value)
    case .text(let value): Self.quote(value, into: &out)
    case .array(let elements):
      Self.list(elements.map { (nil, $0) }, "[", "]", into: &out, indent)
    case .object(let members):
      Self.list(members.map { ($0.0, $0.1) }, "{", "}", into: &out, indent)
    }
  }

  private static func list(
    _ members: [(String?, JSON)], _ open: String, _ close: String, into out: inout String, _ indent: Int
  ) {
    let isFlat = members.count <= 12 && members.allSatisfy { $0.1.isPlain }
    let line = "\n" + String(repeating: "  ", count: indent + 1)
    out += open
    for (number, member) in members.enumerated() {
      if number > 0 { out += isFlat ? ", " : "," }
      if !isFlat { out += line }
      if let name = member.0 {
        quote(name, into: &out)
        out += ": "
      }
      member.1.write(into: &out, indent: indent + 1)
    }
    if !isFlat { out += "\n" + String(repeating: "  ", count: indent) }
    out += close
  }

  private static func quote(_ text: String, into out: inout String) {
    out += "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\r": out += "\\r"
      case "\t": out += "\\t"
      case _ where scalar.value < 32:
        let digits = String(scalar.value, radix: 16)
        out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: out.unicodeScalars.append(scalar)
      }
    }
    out += "\""
  }
}
