import Timing

extension Script {
  /// The script that `bytes` are, whatever bytes they are.
  ///
  /// - Parameter definitions: what stands in for words, by name, as `--define` does; the script's own go before.
  /// - Throws: where the text is no script, and why.
  public init(parsing bytes: [UInt8], definitions: [String: String] = [:]) throws(ScriptError) {
    var parser = Parser(bytes)
    parser.lexer.definitions = definitions
    self = try parser.script()
  }

  /// The script that a text is.
  public init(_ text: String) throws(ScriptError) { try self.init(parsing: Array(text.utf8)) }
}

/// Reads a script by recursive descent, one token ahead.
struct Parser {
  var lexer: Lexer
  /// The token that was looked at and not taken.
  private var ahead: Token?
  /// How deep the structure or list is that is being read.
  var depth = 0
  /// Deeper than any script goes, and far from the end of the stack.
  static let depthLimit = 32

  init(_ bytes: [UInt8]) { lexer = Lexer(bytes) }

  // MARK: Tokens

  mutating func peek() throws(ScriptError) -> Token {
    if let ahead { return ahead }
    let token = try lexer.next()
    ahead = token
    return token
  }

  mutating func take() throws(ScriptError) -> Token {
    let token = try peek()
    ahead = nil
    return token
  }

  /// What stands at the next token, up to a blank.
  mutating func takeRaw(stoppingAt stops: [UInt8] = []) throws(ScriptError) -> String {
    let token = try take()
    return try lexer.raw(from: token, stoppingAt: stops)
  }

  /// Goes back to a token that was taken.
  mutating func rewind(to token: Token) {
    lexer.rewind(to: token)
    ahead = nil
  }

  func unexpected(_ token: Token, wanted: String) -> ScriptError {
    ScriptError(
      .expected(wanted: wanted, found: String(lexer.text(token.range).prefix(40))), at: token.position)
  }

  mutating func takeSign(_ sign: Character) throws(ScriptError) {
    let token = try take()
    guard token.kind == .sign(sign.asciiValue!) else { throw unexpected(token, wanted: "'\(sign)'") }
  }

  /// Whether the sign came next, and was taken.
  mutating func takeSign(ifNext sign: Character) throws(ScriptError) -> Bool {
    guard try peek().kind == .sign(sign.asciiValue!) else { return false }
    ahead = nil
    return true
  }

  /// Whether the word came next, and was taken.
  mutating func takeWord(ifNext word: String) throws(ScriptError) -> Bool {
    guard try peek().kind == .word(word) else { return false }
    ahead = nil
    return true
  }

  mutating func takeWord(_ wanted: String) throws(ScriptError) -> String {
    let token = try take()
    guard case .word(let word) = token.kind else { throw unexpected(token, wanted: wanted) }
    return word
  }

  /// A decimal or hexadecimal number that fits `Number`.
  mutating func number<Number: FixedWidthInteger>(_ field: String, as type: Number.Type, limit: Number = .max)
    throws(ScriptError) -> Number
  {
    let token = try take()
    let value: Int64
    switch token.kind {
    case .integer(let decimal): value = decimal
    case .hexadecimal(let hexadecimal): value = hexadecimal
    case .word(let name) where name.utf8.allSatisfy(\.isCapital):
      throw ScriptError(.undefined(name), at: token.position)
    default: throw unexpected(token, wanted: field)
    }
    guard let number = Number(exactly: value), number >= 0, number <= limit else {
      throw ScriptError(.outOfRange(field: field, limit: Int64(clamping: limit)), at: token.position)
    }
    return number
  }

  // MARK: Script

  mutating func script() throws(ScriptError) -> Script {
    var script = Script(events: [])
    let given = lexer.definitions
    while case .option(let name) = try peek().kind {
      ahead = nil
      script.options.append(try option(name))
      if let last = script.options.last, last.name == "define", let value = last.value,
        let equals = value.firstIndex(of: "=")
      {
        let defined = String(value[..<equals])
        // What the command line defines goes before what the script does.
        if given[defined] == nil { lexer.definitions[defined] = String(value[value.index(after: equals)...]) }
      }
    }
    script.setUp = try shellCommand()
    while try peek().kind != .end {
      if let command = try shellCommand() {
        script.cleanUp = command
        break
      }
      script.events.append(try event())
    }
    let last = try take()
    guard last.kind == .end else { throw unexpected(last, wanted: "the end of the script") }
    guard !script.events.isEmpty else { throw ScriptError(.empty, at: last.position) }
    return script
  }

  private mutating func shellCommand() throws(ScriptError) -> ShellCommand? {
    let token = try peek()
    guard case .command(let text) = token.kind else { return nil }
    ahead = nil
    return ShellCommand(text, line: token.position.line)
  }

  private mutating func option(_ name: String) throws(ScriptError) -> ScriptOption {
    let line = try peek().position.line
    guard try takeSign(ifNext: "=") else { return ScriptOption(name: name) }
    let token = try peek()
    guard token.position.line == line, token.kind != .end else {
      throw unexpected(token, wanted: "a value of --\(name)")
    }
    let value = try takeRaw()
    if value.hasPrefix("\"") {
      let inner = value.dropFirst().dropLast()
      guard value.hasSuffix("\""), !inner.contains("\"") else {
        throw unexpected(token, wanted: "a value of --\(name)")
      }
      return ScriptOption(name: name, value: String(inner))
    }
    return ScriptOption(name: name, value: value)
  }

  // MARK: Events

  private mutating func event() throws(ScriptError) -> ScriptEvent {
    let start = try peek()
    let time = try eventTime()
    let action = try action()
    if case .packet(let packet) = action, packet.direction == .outbound {
    } else {
      switch time {
      case .absolute, .relative: break
      case .any, .absoluteRange, .relativeRange: throw ScriptError(.timeOfOutboundOnly, at: start.position)
      }
    }
    return ScriptEvent(line: start.position.line, time: time, action: action)
  }

  private mutating func eventTime() throws(ScriptError) -> EventTime {
    if try takeSign(ifNext: "*") { return .any }
    let isRelative = try takeSign(ifNext: "+")
    let start = try time()
    guard try takeSign(ifNext: "~") else { return isRelative ? .relative(start) : .absolute(start) }
    if isRelative { try takeSign("+") }
    let place = try peek().position
    let end = try time()
    guard start <= end else { throw ScriptError(.backwardTime, at: place) }
    return isRelative ? .relativeRange(start, end) : .absoluteRange(start, end)
  }

  /// Seconds, whole or with a fraction.
  private mutating func time() throws(ScriptError) -> Nanoseconds {
    let token = try take()
    switch token.kind {
    case .fraction(let billionths) where billionths >= 0 && billionths <= Self.timeLimit * 1_000_000_000:
      return Nanoseconds(billionths)
    case .integer(let seconds) where seconds >= 0 && seconds <= Self.timeLimit: return .seconds(seconds)
    case .fraction, .integer:
      throw ScriptError(.outOfRange(field: "time in seconds", limit: Self.timeLimit), at: token.position)
    default: throw unexpected(token, wanted: "a time")
    }
  }

  /// A month in seconds: sums of a script's times never overflow.
  private static let timeLimit: Int64 = 2_678_400

  private mutating func action() throws(ScriptError) -> EventAction {
    let token = try peek()
    switch token.kind {
    case .sign(UInt8(ascii: "<")), .sign(UInt8(ascii: ">")): return .packet(try packet())
    case .command(let text):
      ahead = nil
      return .shell(ShellCommand(text, line: token.position.line))
    case .code(let text):
      ahead = nil
      return .code(text)
    case .ellipsis:
      ahead = nil
      let end = try time()
      return .call(try systemCall(end: end))
    case .word: return .call(try systemCall(end: nil))
    default: throw unexpected(token, wanted: "a packet, a system call, a command or code")
    }
  }
}
