import Timing

extension Parser {
  /// `name(arguments) = result errno (note)`.
  mutating func systemCall(end: Nanoseconds?) throws(ScriptError) -> ScriptCall {
    let name = try takeWord("the name of a system call")
    try takeSign("(")
    let arguments = try expressions(until: ")")
    try takeSign("=")
    var call = ScriptCall(end: end, name: name, arguments: arguments, result: try expression())
    if case .word(let error) = try peek().kind {
      _ = try take()
      call.errorName = error
    }
    if try takeSign(ifNext: "(") { call.note = try note() }
    return call
  }

  /// Words up to the closing parenthesis, which is taken.
  private mutating func note() throws(ScriptError) -> String {
    var words: [String] = []
    while true {
      let token = try take()
      switch token.kind {
      case .word(let word): words.append(word)
      case .integer(let number): words.append(String(number))
      case .hexadecimal: words.append(lexer.text(token.range))
      case .sign(UInt8(ascii: ")")): return words.joined(separator: " ")
      case .sign(UInt8(ascii: "-")), .sign(UInt8(ascii: "|")), .sign(UInt8(ascii: ",")),
        .sign(UInt8(ascii: "'")):
        words.append(lexer.text(token.range))
      default: throw unexpected(token, wanted: "a word of a note, or ')'")
      }
    }
  }

  /// Expressions between commas, up to the closing sign, which is taken.
  private mutating func expressions(until end: Character) throws(ScriptError) -> [ScriptExpression] {
    var list: [ScriptExpression] = []
    if try takeSign(ifNext: end) { return list }
    repeat { list.append(try expression()) } while try takeSign(ifNext: ",")
    try takeSign(end)
    return list
  }

  mutating func expression() throws(ScriptError) -> ScriptExpression {
    let place = try peek().position
    guard depth < Self.depthLimit else { throw ScriptError(.nestedTooDeep, at: place) }
    depth += 1
    defer { depth -= 1 }
    let first = try operand()
    guard try takeSign(ifNext: "|") else { return first }
    var parts = [first]
    repeat { parts.append(try operand()) } while try takeSign(ifNext: "|")
    return .union(parts)
  }

  private mutating func operand() throws(ScriptError) -> ScriptExpression {
    let token = try take()
    switch token.kind {
    case .ellipsis: return .ellipsis
    case .integer(let value): return .number(value, hexadecimal: false)
    case .hexadecimal(let value): return .number(value, hexadecimal: true)
    case .string(let text): return try string(startingWith: text)
    case .word(let name):
      if try takeSign(ifNext: "(") { return .call(name, try expressions(until: ")")) }
      return .word(name)
    case .sign(UInt8(ascii: "[")): return .list(try expressions(until: "]"))
    case .sign(UInt8(ascii: "{")): return .structure(try fields())
    case .sign, .fraction, .command, .code, .option, .end: throw unexpected(token, wanted: "an expression")
    }
  }

  /// Strings that follow each other are one; `...` behind the last makes it the start of what is meant.
  private mutating func string(startingWith first: String) throws(ScriptError) -> ScriptExpression {
    var text = first
    while case .string(let more) = try peek().kind {
      _ = try take()
      text += more
    }
    let isPartial = try peek().kind == .ellipsis
    if isPartial { _ = try take() }
    return .string(text, partial: isPartial)
  }

  /// The fields of a structure, up to the closing brace, which is taken.
  private mutating func fields() throws(ScriptError) -> [ScriptField] {
    var fields: [ScriptField] = []
    if try takeSign(ifNext: "}") { return fields }
    repeat { fields.append(try field()) } while try takeSign(ifNext: ",")
    try takeSign("}")
    return fields
  }

  private mutating func field() throws(ScriptError) -> ScriptField {
    let token = try peek()
    guard case .word(let name) = token.kind else { return ScriptField(value: try expression()) }
    _ = try take()
    if try takeSign(ifNext: "=") { return ScriptField(name: name, value: try expression()) }
    if try takeSign(ifNext: "(") {
      let arguments = try expressions(until: ")")
      if arguments.count == 1, try takeSign(ifNext: "=") {
        return ScriptField(name: name, argument: arguments[0], value: try expression())
      }
    }
    rewind(to: token)
    return ScriptField(value: try expression())
  }
}
