/// A source file, each line split into code and comment; what stands in string literals is neither.
struct SourceFile {
  struct Line {
    let code: String
    let comment: String
    /// Identifiers, keywords and numbers of the code, in order.
    let words: [String]
  }

  let target: String
  let path: String
  /// As it is, strings included.
  let text: String
  let lines: [Line]

  var isSwift: Bool { path.hasSuffix(".swift") }

  init(target: String, path: String, text: String) {
    self.target = target
    self.path = path
    self.text = text
    var scanner = SourceScanner(text)
    lines = scanner.scan()
  }

  /// The modules that the file imports, with the number of the line that does.
  var imports: [(module: String, line: Int)] {
    lines.enumerated().compactMap { index, line in
      guard isSwift, line.words.contains("import"), let match = line.code.prefixMatch(of: Self.importLine)
      else { return nil }
      return (String(match.module), index + 1)
    }
  }

  /// Attributes and modifiers, `import`, perhaps the kind of one declaration, the module.
  private static var importLine: Regex<(Substring, module: Substring)> {
    #/\s*(?:(?:@\w+(?:\([^)]*\))?|[a-z]+)\s+)*import\s+(?:[a-z]+\s+)?(?<module>\w+)/#
  }

  /// Whether the line itself, or the block of comments and attributes right above it, says something.
  func isExplained(line index: Int) -> Bool {
    if !lines[index].comment.isEmpty { return true }
    var above = index - 1
    while above >= 0 {
      if !lines[above].comment.isEmpty { return true }
      guard lines[above].code.drop(while: { $0 == " " }).first == "@" else { return false }
      above -= 1
    }
    return false
  }
}

/// Enough of Swift's (and C's) lexical grammar to tell code from comments and from string literals.
struct SourceScanner {
  private let text: [UInt8]
  private var position = 0
  private var lines: [SourceFile.Line] = []
  private var code: [UInt8] = []
  private var comment: [UInt8] = []

  init(_ text: String) {
    self.text = Array(text.utf8)
  }

  mutating func scan() -> [SourceFile.Line] {
    while position < text.count { step() }
    endLine()
    return lines
  }

  private mutating func step() {
    // Most bytes begin nothing.
    switch text[position] {
    case UInt8(ascii: "/") where starts("//"):
      while position < text.count, text[position] != newline { keepComment() }
    case UInt8(ascii: "/") where starts("/*"):
      skipBlockComment()
    case UInt8(ascii: "#"), quote:
      if let hashes = rawQuote() { skipString(hashes: hashes) } else { keepCode() }
    default:
      keepCode()
    }
  }

  private mutating func skipBlockComment() {
    var depth = 0
    repeat {
      if starts("/*") {
        depth += 1
        keepComment()
      } else if starts("*/") {
        depth -= 1
        keepComment()
      }
      if position < text.count { keepComment() }
    } while depth > 0 && position < text.count
  }

  /// The number of `#` before a quotation mark that stands here, or nil when none does.
  private func rawQuote() -> Int? {
    var end = position
    while end < text.count, text[end] == UInt8(ascii: "#") { end += 1 }
    return end < text.count && text[end] == quote ? end - position : nil
  }

  private mutating func skipString(hashes: Int) {
    position += hashes
    let marks = starts("\"\"\"") ? 3 : 1
    position += marks
    let end = [UInt8](repeating: quote, count: marks) + [UInt8](repeating: UInt8(ascii: "#"), count: hashes)
    let escape = [UInt8(ascii: "\\")] + [UInt8](repeating: UInt8(ascii: "#"), count: hashes)
    while position < text.count, !starts(end) {
      if starts(escape) {
        position += escape.count
        if position < text.count, text[position] == UInt8(ascii: "(") {
          skipInterpolation()
          continue
        }
      }
      if position < text.count, text[position] == newline {
        if marks == 1 { return }  // a lone quotation mark, as in C's '"': not a string
        endLine()
      }
      position += 1
    }
    position += end.count
  }

  /// An interpolation is code: keeps it, with the strings in it skipped in turn.
  private mutating func skipInterpolation() {
    var depth = 0
    repeat {
      if text[position] == UInt8(ascii: "(") { depth += 1 }
      if text[position] == UInt8(ascii: ")") { depth -= 1 }
      step()
    } while depth > 0 && position < text.count
  }

  private mutating func keepCode() {
    if text[position] == newline { endLine() } else { code.append(text[position]) }
    position += 1
  }

  private mutating func keepComment() {
    if text[position] == newline { endLine() } else { comment.append(text[position]) }
    position += 1
  }

  private mutating func endLine() {
    let words = code.split { !Self.isWord($0) }.map { String(decoding: $0, as: UTF8.self) }
    lines.append(
      .init(
        code: String(decoding: code, as: UTF8.self), comment: String(decoding: comment, as: UTF8.self),
        words: words))
    code.removeAll(keepingCapacity: true)
    comment.removeAll(keepingCapacity: true)
  }

  private static func isWord(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), 0x80...:
      true
    default: false
    }
  }

  private func starts(_ word: StaticString) -> Bool {
    starts(word.withUTF8Buffer { unsafe Array($0) })
  }

  private func starts(_ word: [UInt8]) -> Bool {
    guard position + word.count <= text.count else { return false }
    for place in word.indices where text[position + place] != word[place] { return false }
    return true
  }

  private var newline: UInt8 { UInt8(ascii: "\n") }
  private var quote: UInt8 { UInt8(ascii: "\"") }
}
