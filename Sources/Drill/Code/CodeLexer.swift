/// A token of the code in a script, and its place in the text.
struct CodeToken: Equatable {
  enum Kind: Equatable {
    case name(String)
    case integer(Int64)
    case real(Double)
    case text(String)
    /// An operator or another sign.
    case sign(String)
    /// The end of a line that is one.
    case newline
    /// More or fewer blanks at the start of a line than before.
    case indent
    case dedent
    case end
  }
  var kind: Kind
  var range: Range<Int>
}

/// Cuts code into tokens, as Python does: lines end statements unless a parenthesis is open, blanks at their start
/// make blocks.
struct CodeLexer {
  private let bytes: [UInt8]
  private var at = 0
  private var open = 0
  private var indents = [0]
  private(set) var tokens: [CodeToken] = []

  init(_ text: String) throws(CodeProblem) {
    bytes = Array(text.utf8)
    // What stands in the script's own indentation is flat: the first line has none.
    while at < bytes.count {
      if open == 0 { try indentation() }
      try line()
    }
    if tokens.last?.kind != .newline, !tokens.isEmpty { add(.newline, from: at) }
    for _ in indents.dropFirst() { add(.dedent, from: at) }
    add(.end, from: at)
  }

  func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

  private mutating func add(_ kind: CodeToken.Kind, from start: Int) {
    tokens.append(CodeToken(kind: kind, range: start..<at))
  }

  private mutating func indentation() throws(CodeProblem) {
    let start = at
    var width = 0
    while at < bytes.count, bytes[at].isBlank {
      width = bytes[at] == UInt8(ascii: "\t") ? (width / 8 + 1) * 8 : width + 1
      at += 1
    }
    // An empty line or a comment says nothing about blocks.
    guard at < bytes.count, bytes[at] != UInt8(ascii: "\n"), bytes[at] != UInt8(ascii: "#") else { return }
    if start == 0 { indents = [width] }
    // Lines of a script's code are often indented at will: only after a colon does a deeper line open a block.
    let last = tokens.last { $0.kind != .newline }?.kind
    if width > indents[indents.count - 1], last == .sign(":") {
      indents.append(width)
      add(.indent, from: at)
    }
    while indents.count > 1, width < indents[indents.count - 1] {
      indents.removeLast()
      add(.dedent, from: at)
    }
  }

  private mutating func line() throws(CodeProblem) {
    while at < bytes.count {
      let byte = bytes[at]
      let start = at
      switch byte {
      case UInt8(ascii: "\n"):
        at += 1
        guard open == 0 else { continue }
        if let last = tokens.last?.kind, last != .newline, last != .indent, last != .dedent {
          add(.newline, from: start)
        }
        return
      case UInt8(ascii: "#"): while at < bytes.count, bytes[at] != UInt8(ascii: "\n") { at += 1 }
      case UInt8(ascii: "\\"):
        at += 1
        while at < bytes.count, bytes[at].isBlank { at += 1 }
        guard at >= bytes.count || bytes[at] == UInt8(ascii: "\n") else {
          throw .unsupported("a backslash inside of a line")
        }
        at = min(at + 1, bytes.count)
      case _ where byte.isBlank: at += 1
      case UInt8(ascii: "'"), UInt8(ascii: "\""): try string(byte)
      case _ where byte.isDigit: try number()
      case UInt8(ascii: ".") where at + 1 < bytes.count && bytes[at + 1].isDigit: try number()
      case _ where byte.isWord:
        while at < bytes.count, bytes[at].isWord { at += 1 }
        add(.name(text(start..<at)), from: start)
      default: try sign()
      }
    }
  }

  private mutating func string(_ quote: UInt8) throws(CodeProblem) {
    let start = at
    at += 1
    var content: [UInt8] = []
    while at < bytes.count, bytes[at] != quote {
      if bytes[at] == UInt8(ascii: "\\"), at + 1 < bytes.count { at += 1 }
      content.append(bytes[at])
      at += 1
    }
    guard at < bytes.count else { throw .unsupported("a string that is never closed") }
    at += 1
    add(.text(String(decoding: content, as: UTF8.self)), from: start)
  }

  private mutating func number() throws(CodeProblem) {
    let start = at
    while at < bytes.count, bytes[at].isWord || bytes[at] == UInt8(ascii: ".") {
      // 1e-3: the sign belongs to the number.
      let isExponent = bytes[at] == UInt8(ascii: "e") && !text(start..<at).hasPrefix("0x")
      at += 1
      if isExponent, at < bytes.count, [UInt8(ascii: "-"), UInt8(ascii: "+")].contains(bytes[at]) { at += 1 }
    }
    var digits = text(start..<at).filter { $0 != "_" }
    if digits.hasPrefix("0x") || digits.hasPrefix("0X") {
      guard let value = Int64(digits.dropFirst(2), radix: 16) else {
        throw .unsupported("the number \(digits)")
      }
      return add(.integer(value), from: start)
    }
    if digits.hasSuffix("L") { digits.removeLast() }
    if let value = Int64(digits) { return add(.integer(value), from: start) }
    guard let value = Double(digits) else { throw .unsupported("the number \(digits)") }
    add(.real(value), from: start)
  }

  private static let signs = [
    "**=", "//=", "<<=", ">>=", "**", "//", "<<", ">>", "<=", ">=", "==", "!=", "+=", "-=", "*=", "/=", "%=",
    "&=",
    "|=", "^=", "+", "-", "*", "/", "%", "&", "|", "^", "~", "<", ">", "=", "(", ")", ",", ";", ":",
  ]

  private mutating func sign() throws(CodeProblem) {
    let start = at
    for sign in Self.signs where bytes[at...].starts(with: sign.utf8) {
      at += sign.utf8.count
      if sign == "(" { open += 1 }
      if sign == ")" { open = max(0, open - 1) }
      return add(.sign(sign), from: start)
    }
    throw .unsupported("'\(String(decoding: bytes[at..<min(at + 1, bytes.count)], as: UTF8.self))'")
  }
}
