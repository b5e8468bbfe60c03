/// A word, number or sign of a script, and where it starts.
struct Token: Equatable {
  enum Kind: Equatable {
    /// Letters, digits and `_`, not only digits.
    case word(String)
    /// Decimal digits, with the sign before them.
    case integer(Int64)
    /// `0x` and hexadecimal digits.
    case hexadecimal(Int64)
    /// A decimal fraction, in billionths.
    case fraction(billionths: Int64)
    /// Between double quotes.
    case string(String)
    /// Between backticks.
    case command(String)
    /// Between `%{` and `}%`, without blanks around it.
    case code(String)
    /// `--name`.
    case option(String)
    /// `...`.
    case ellipsis
    /// Any other character.
    case sign(UInt8)
    /// Nothing is left.
    case end
  }

  var kind: Kind
  var position: ScriptPosition
  /// The bytes of the script that it is made of.
  var range: Range<Int>
  /// What a definition put in its place.
  var substitute: String?
}

/// Cuts a script into tokens. Comments are `//` and `#` to the end of the line, and `/*` to `*/`.
struct Lexer {
  let bytes: [UInt8]
  /// Values by name that stand in for words: `--define=NAME=value`.
  var definitions: [String: String] = [:]
  /// What a definition put in place of the token that was read last.
  private var substitute: String?
  /// How many `#ifdef` are open around what is read.
  private var conditions: [ScriptPosition] = []
  private(set) var offset = 0
  private var line = 1
  private var lineStart = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var position: ScriptPosition { ScriptPosition(line: line, column: offset - lineStart + 1) }

  func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

  private func byte(_ ahead: Int = 0) -> UInt8? {
    offset + ahead < bytes.count ? bytes[offset + ahead] : nil
  }

  private mutating func advance() {
    if bytes[offset] == UInt8(ascii: "\n") {
      line += 1
      lineStart = offset + 1
    }
    offset += 1
  }

  private mutating func skipBlanksAndComments() throws(ScriptError) {
    while let first = byte() {
      switch (first, byte(1)) {
      case (UInt8(ascii: " "), _), (UInt8(ascii: "\t"), _), (UInt8(ascii: "\r"), _), (UInt8(ascii: "\n"), _):
        advance()
      case (UInt8(ascii: "#"), _):
        if isLineStart { try directive() } else { skipLine() }
      case (UInt8(ascii: "/"), UInt8(ascii: "/")): skipLine()
      case (UInt8(ascii: "/"), UInt8(ascii: "*")):
        let start = position
        offset += 2
        while !(byte() == UInt8(ascii: "*") && byte(1) == UInt8(ascii: "/")) {
          guard byte() != nil else { throw ScriptError(.unclosed("/*"), at: start) }
          advance()
        }
        offset += 2
      default: return
      }
    }
    if let opening = conditions.last { throw ScriptError(.unclosed("#ifdef"), at: opening) }
  }

  private mutating func skipLine() {
    while let next = byte(), next != UInt8(ascii: "\n") { advance() }
  }

  private var isLineStart: Bool { bytes[lineStart..<offset].allSatisfy(\.isBlank) }

  // MARK: Conditions

  /// The words of a line that starts with `#`, which is taken.
  private mutating func directiveWords() -> [String] {
    let start = offset + 1
    skipLine()
    return bytes[start..<offset].split(whereSeparator: \.isBlank).map { String(decoding: $0, as: UTF8.self) }
  }

  /// `#ifdef NAME`, `#ifndef NAME`, `#else`, `#endif`; any other line that starts with `#` is a comment.
  private mutating func directive() throws(ScriptError) {
    let place = position
    let words = directiveWords()
    switch words.first {
    case "ifdef" where words.count == 2: try condition(definitions[words[1]] != nil, at: place)
    case "ifndef" where words.count == 2: try condition(definitions[words[1]] == nil, at: place)
    case "else" where !conditions.isEmpty: try skipBranch(orElse: false)
    case "endif" where !conditions.isEmpty: conditions.removeLast()
    default: break
    }
  }

  private mutating func condition(_ holds: Bool, at place: ScriptPosition) throws(ScriptError) {
    conditions.append(place)
    if !holds { try skipBranch(orElse: true) }
  }

  /// Skips lines to the `#endif` of the innermost condition, or to its `#else`.
  private mutating func skipBranch(orElse: Bool) throws(ScriptError) {
    var depth = 0
    while byte() != nil {
      while let next = byte(), next.isBlank { advance() }
      guard byte() == UInt8(ascii: "#") else {
        skipLine()
        if byte() != nil { advance() }
        continue
      }
      switch directiveWords().first {
      case "ifdef", "ifndef": depth += 1
      case "else" where depth == 0 && orElse: return
      case "endif" where depth == 0:
        conditions.removeLast()
        return
      case "endif": depth -= 1
      default: break
      }
    }
  }

  // MARK: Tokens

  /// The next token; `.end` for ever once nothing is left.
  mutating func next() throws(ScriptError) -> Token {
    try skipBlanksAndComments()
    let start = offset
    let place = position
    substitute = nil
    let kind = try kind()
    return Token(kind: kind, position: place, range: start..<offset, substitute: substitute)
  }

  private mutating func kind() throws(ScriptError) -> Token.Kind {
    guard let first = byte() else { return .end }
    switch first {
    case UInt8(ascii: "\""): return .string(try delimited(first, named: "\""))
    case UInt8(ascii: "`"): return .command(try delimited(first, named: "`"))
    case UInt8(ascii: "%") where byte(1) == UInt8(ascii: "{"): return .code(try code())
    case UInt8(ascii: ".") where byte(1) == UInt8(ascii: ".") && byte(2) == UInt8(ascii: "."):
      offset += 3
      return .ellipsis
    case UInt8(ascii: "-") where byte(1) == UInt8(ascii: "-") && byte(2).map(\.isWord) == true:
      offset += 2
      return .option(word())
    case UInt8(ascii: "-") where byte(1).map(\.isDigit) == true: return try number()
    case UInt8(ascii: "-") where byte(1) == UInt8(ascii: ".") && byte(2).map(\.isDigit) == true:
      return try number()
    case UInt8(ascii: ".") where byte(1).map(\.isDigit) == true: return try number()
    case _ where first.isWord: return try wordOrNumber()
    default:
      offset += 1
      return .sign(first)
    }
  }

  private mutating func word() -> String {
    let start = offset
    while let next = byte(), next.isWord { offset += 1 }
    return text(start..<offset)
  }

  private mutating func wordOrNumber() throws(ScriptError) -> Token.Kind {
    var digits = 0
    while let next = byte(digits), next.isDigit { digits += 1 }
    let after = byte(digits)
    if digits > 0, after.map(\.isWord) != true { return try number() }
    let place = position
    let word = word()
    if word.hasPrefix("0x"), word.utf8.count > 2, word.utf8.dropFirst(2).allSatisfy(\.isHexDigit) {
      // Written for 32-bit options and 20-bit flow labels; what is longer than 63 bits may be a cookie.
      if let value = Int64(word.dropFirst(2), radix: 16) { return .hexadecimal(value) }
      throw ScriptError(.outOfRange(field: "number", limit: .max), at: place)
    }
    guard let value = definitions[word] else { return .word(word) }
    substitute = value
    if value.hasPrefix("\""), value.hasSuffix("\""), value.utf8.count > 1 {
      return .string(String(value.dropFirst().dropLast()))
    }
    if value.hasPrefix("`"), value.hasSuffix("`"), value.utf8.count > 1 {
      return .command(String(value.dropFirst().dropLast()))
    }
    if let number = Int64(value) { return .integer(number) }
    if value.hasPrefix("0x"), let number = Int64(value.dropFirst(2), radix: 16) {
      return .hexadecimal(number)
    }
    guard !value.isEmpty, value.utf8.allSatisfy(\.isWord) else {
      throw ScriptError(.badDefinition(name: word, value: value), at: place)
    }
    return .word(value)
  }

  private mutating func number() throws(ScriptError) -> Token.Kind {
    let place = position
    let negative = byte() == UInt8(ascii: "-")
    if negative { offset += 1 }
    let start = offset
    while let next = byte(), next.isDigit { offset += 1 }
    let whole = start == offset ? 0 : Int64(text(start..<offset))
    let tooLarge = ScriptError(.outOfRange(field: "number", limit: .max), at: place)
    guard byte() == UInt8(ascii: "."), byte(1).map(\.isDigit) == true else {
      // A cookie or a digest of decimal digits only: its digits are read from the token's range.
      if let whole { return .integer(negative ? -whole : whole) }
      if negative { throw tooLarge }
      return .word(text(start..<offset))
    }
    guard let whole else { throw tooLarge }
    offset += 1
    var billionths: Int64 = 0
    var unit: Int64 = 100_000_000
    while let next = byte(), next.isDigit {
      billionths += Int64(next - UInt8(ascii: "0")) * unit
      unit /= 10
      offset += 1
    }
    let (scaled, scaleOverflow) = whole.multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, sumOverflow) = scaled.addingReportingOverflow(billionths)
    if scaleOverflow || sumOverflow { throw tooLarge }
    return .fraction(billionths: negative ? -sum : sum)
  }

  private mutating func delimited(_ delimiter: UInt8, named name: String) throws(ScriptError) -> String {
    let place = position
    offset += 1
    let start = offset
    while let next = byte(), next != delimiter {
      if next == UInt8(ascii: "\\"), byte(1) != nil { advance() }
      advance()
    }
    guard byte() == delimiter else { throw ScriptError(.unclosed(name), at: place) }
    offset += 1
    return text(start..<offset - 1)
  }

  private mutating func code() throws(ScriptError) -> String {
    let place = position
    offset += 2
    let start = offset
    while !(byte() == UInt8(ascii: "}") && byte(1) == UInt8(ascii: "%")) {
      guard byte() != nil else { throw ScriptError(.unclosed("%{"), at: place) }
      advance()
    }
    var body = bytes[start..<offset]
    offset += 2
    // Leading blanks of the first line would be an indentation to the code's reader.
    while let last = body.last, last.isBlank { body.removeLast() }
    while let first = body.first, first.isBlank { body.removeFirst() }
    return String(decoding: body, as: UTF8.self)
  }

  /// Goes back to where `token` starts, and takes what stands there up to a blank, or quoted, as it is: the value
  /// of an option, an address.
  mutating func raw(from token: Token, stoppingAt stops: [UInt8] = []) throws(ScriptError) -> String {
    rewind(to: token)
    var quote: UInt8?
    let start = offset
    while let next = byte() {
      if let open = quote {
        if next == open { quote = nil }
      } else if next == UInt8(ascii: "\"") || next == UInt8(ascii: "`") {
        quote = next
      } else if next.isBlank || next == UInt8(ascii: "\n") || stops.contains(next) {
        break
      }
      advance()
    }
    if let quote { throw ScriptError(.unclosed(String(UnicodeScalar(quote))), at: token.position) }
    return text(start..<offset)
  }

  /// Goes back to where `token` starts.
  mutating func rewind(to token: Token) {
    offset = token.range.lowerBound
    line = token.position.line
    lineStart = offset - (token.position.column - 1)
  }
}

extension UInt8 {
  var isDigit: Bool { UInt8(ascii: "0") <= self && self <= UInt8(ascii: "9") }

  var isHexDigit: Bool { hexValue != nil }

  /// The value of a hexadecimal digit.
  var hexValue: UInt8? {
    switch self {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
    default: nil
    }
  }

  var isWord: Bool {
    isDigit || self == UInt8(ascii: "_")
      || UInt8(ascii: "a") <= self && self <= UInt8(ascii: "z")
      || UInt8(ascii: "A") <= self && self <= UInt8(ascii: "Z")
  }

  /// Of a name in capitals.
  var isCapital: Bool { isWord && !(UInt8(ascii: "a") <= self && self <= UInt8(ascii: "z")) }

  var isBlank: Bool { self == UInt8(ascii: " ") || self == UInt8(ascii: "\t") || self == UInt8(ascii: "\r") }
}
