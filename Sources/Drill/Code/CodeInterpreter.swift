/// Runs the code between `%{` and `}%`: the part of Python that scripts use. Names keep their values from one piece of
/// code to the next.
///
/// Statements are `assert`, `print`, assignments, `if`, `pass`, and `import`, which does nothing. Expressions have
/// numbers, strings, the usual operators, chained comparisons, and `abs`, `int`, `len`, `max`, `min`, `round` and `str`.
struct CodeInterpreter {
  /// What was assigned.
  var variables: [String: CodeValue] = [:]
  /// What `print` showed, a line each.
  var output: [String] = []
  /// What a name means that nothing was assigned to: a field of the connection's state, a constant.
  private var lookUp: (String) -> Int64? = { _ in nil }
  private var lexer: CodeLexer?
  private var tokens: [CodeToken] = []
  private var at = 0
  /// Whether what is read is also done: the branch of an `if` that is not taken is only read.
  private var isActive = true
  private var depth = 0

  init() {}

  /// Runs a piece of code.
  mutating func run(_ code: String, lookingUp lookUp: @escaping (String) -> Int64?) throws(CodeProblem) {
    let lexer = try CodeLexer(code)
    self.lexer = lexer
    self.lookUp = lookUp
    tokens = lexer.tokens
    at = 0
    depth = 0
    isActive = true
    while tokens[at].kind != .end { try statement() }
  }

  // MARK: Tokens

  private var next: CodeToken.Kind { tokens[at].kind }

  private mutating func take() -> CodeToken.Kind {
    let kind = next
    if kind != .end { at += 1 }
    return kind
  }

  private mutating func take(ifNext kind: CodeToken.Kind) -> Bool {
    guard next == kind else { return false }
    at += 1
    return true
  }

  private mutating func require(_ sign: String) throws(CodeProblem) {
    guard take(ifNext: .sign(sign)) else { throw .unsupported("'\(sign)' was expected, not \(spelling)") }
  }

  /// The text of the next token.
  private var spelling: String {
    let text = lexer?.text(tokens[at].range) ?? ""
    return text.isEmpty || text == "\n" ? "the end" : "'\(text)'"
  }

  /// The text of the tokens from one to before another.
  private func source(_ first: Int, _ end: Int) -> String {
    guard first < end else { return "" }
    return lexer?.text(tokens[first].range.lowerBound..<tokens[end - 1].range.upperBound) ?? ""
  }

  // MARK: Statements

  private mutating func statement() throws(CodeProblem) {
    switch next {
    case .newline, .sign(";"), .indent, .dedent: _ = take()
    case .name("if"): try conditional()
    case .name("for"), .name("while"), .name("def"), .name("class"), .name("try"), .name("with"):
      throw .unsupported("the statement \(spelling)")
    default: try simple()
    }
  }

  /// A statement without a block, up to its end, which is taken.
  private mutating func simple() throws(CodeProblem) {
    switch next {
    case .name("assert"):
      _ = take()
      try assertion()
    case .name("print"):
      _ = take()
      try show()
    case .name("import"), .name("from"):
      while next != .newline, next != .sign(";"), next != .end { _ = take() }
    case .name("pass"): _ = take()
    case .name(let name) where isAssignment:
      _ = take()
      guard case .sign(let sign) = take() else { return }
      let value = try expressions()
      guard isActive else { break }
      if sign == "=" {
        variables[name] = value
      } else {
        let old = try self.value(name)
        variables[name] = try CodeValue.apply(String(sign.dropLast()), old, value)
      }
    default: _ = try expressions()
    }
    guard take(ifNext: .newline) || take(ifNext: .sign(";")) || next == .end || next == .dedent else {
      throw .unsupported("\(spelling) after a statement")
    }
  }

  private var isAssignment: Bool {
    guard at + 1 < tokens.count, case .sign(let sign) = tokens[at + 1].kind else { return false }
    return sign.hasSuffix("=") && !["==", "!=", "<=", ">="].contains(sign)
  }

  private mutating func assertion() throws(CodeProblem) {
    let start = at
    let holds = try expression().isTrue
    let text = source(start, at)
    var message: String?
    if take(ifNext: .sign(",")) {
      // Python makes the message only where the assertion fails.
      let wasActive = isActive
      isActive = wasActive && !holds
      defer { isActive = wasActive }
      let said = try expression()
      if isActive { message = said.description }
    }
    if isActive, !holds { throw .assertion(text, message: message) }
  }

  private mutating func show() throws(CodeProblem) {
    let value: CodeValue =
      next == .newline || next == .sign(";") || next == .end ? .text("") : try expressions()
    guard isActive else { return }
    if case .tuple(let items) = value {
      output.append(items.map(\.description).joined(separator: " "))
    } else {
      output.append(value.description)
    }
  }

  private mutating func conditional() throws(CodeProblem) {
    let wasActive = isActive
    defer { isActive = wasActive }
    var isDecided = false
    while true {
      // `if` and `elif`; `else` leaves the loop.
      let isElse = take() == .name("else")
      isActive = wasActive && !isDecided
      var holds = isElse
      if !isElse { holds = try expression().isTrue }
      try require(":")
      isActive = wasActive && !isDecided && holds
      try block()
      if holds { isDecided = true }
      guard !isElse, next == .name("elif") || next == .name("else") else { return }
    }
  }

  private mutating func block() throws(CodeProblem) {
    guard take(ifNext: .newline) else { return try simple() }
    guard take(ifNext: .indent) else { throw .unsupported("a block without a statement") }
    try enter()
    defer { depth -= 1 }
    while next != .dedent, next != .end { try statement() }
    _ = take(ifNext: .dedent)
  }

  // MARK: Expressions

  private mutating func enter() throws(CodeProblem) {
    depth += 1
    if depth > 64 { throw .unsupported("code that is nested so deep") }
  }

  private func value(_ name: String) throws(CodeProblem) -> CodeValue {
    if let known = variables[name] { return known }
    if let field = lookUp(name) { return .integer(field) }
    throw .unknownName(name)
  }

  /// One expression, or several with commas: a tuple.
  private mutating func expressions() throws(CodeProblem) -> CodeValue {
    let first = try expression()
    guard next == .sign(",") else { return first }
    var items = [first]
    while take(ifNext: .sign(",")) {
      if next == .sign(")") || next == .newline || next == .end { break }
      items.append(try expression())
    }
    return .tuple(items)
  }

  private mutating func expression() throws(CodeProblem) -> CodeValue {
    try enter()
    defer { depth -= 1 }
    var left = try conjunction()
    while take(ifNext: .name("or")) { left = try shortened(left, stopsAt: true) }
    return left
  }

  private mutating func conjunction() throws(CodeProblem) -> CodeValue {
    var left = try negation()
    while take(ifNext: .name("and")) { left = try shortened(left, stopsAt: false) }
    return left
  }

  /// The right side of `and` or `or`, which is only read where the left decides.
  private mutating func shortened(_ left: CodeValue, stopsAt stop: Bool) throws(CodeProblem) -> CodeValue {
    let wasActive = isActive
    defer { isActive = wasActive }
    isActive = wasActive && left.isTrue != stop
    let right = stop ? try conjunction() : try negation()
    return isActive ? right : left
  }

  private mutating func negation() throws(CodeProblem) -> CodeValue {
    guard take(ifNext: .name("not")) else { return try comparison() }
    try enter()
    defer { depth -= 1 }
    return .truth(try !negation().isTrue)
  }

  private mutating func comparison() throws(CodeProblem) -> CodeValue {
    var left = try operation(0)
    var holds: Bool?
    while case .sign(let sign) = next, ["==", "!=", "<", "<=", ">", ">="].contains(sign) {
      _ = take()
      let right = try operation(0)
      var isRight = true
      if isActive, holds ?? true { isRight = try CodeValue.compare(sign, left, right) }
      holds = (holds ?? true) && isRight
      left = right
    }
    return holds.map { .truth($0) } ?? left
  }

  /// Binary operators, loosest first.
  private static let levels = [["|"], ["^"], ["&"], ["<<", ">>"], ["+", "-"], ["*", "/", "//", "%"]]

  private mutating func operation(_ level: Int) throws(CodeProblem) -> CodeValue {
    guard level < Self.levels.count else { return try unary() }
    var left = try operation(level + 1)
    while case .sign(let sign) = next, Self.levels[level].contains(sign) {
      _ = take()
      let right = try operation(level + 1)
      if isActive { left = try .apply(sign, left, right) }
    }
    return left
  }

  private mutating func unary() throws(CodeProblem) -> CodeValue {
    try enter()
    defer { depth -= 1 }
    for sign in ["-", "+", "~"] where take(ifNext: .sign(sign)) {
      let operand = try unary()
      guard isActive, sign != "+" else { return operand }
      if sign == "~" { return try .apply("^", operand, .integer(-1)) }
      return try .apply("-", .integer(0), operand)
    }
    let base = try primary()
    guard take(ifNext: .sign("**")) else { return base }
    let exponent = try unary()
    return isActive ? try .apply("**", base, exponent) : base
  }

  private mutating func primary() throws(CodeProblem) -> CodeValue {
    switch next {
    case .integer(let value):
      _ = take()
      return .integer(value)
    case .real(let value):
      _ = take()
      return .real(value)
    case .text(let text):
      _ = take()
      var whole = text
      while case .text(let more) = next {
        _ = take()
        whole += more
      }
      return .text(whole)
    case .sign("("):
      _ = take()
      if take(ifNext: .sign(")")) { return .tuple([]) }
      let value = try expressions()
      try require(")")
      return value
    case .name("True"), .name("False"): return .truth(take() == .name("True"))
    case .name("None"):
      _ = take()
      return .nothing
    case .name(let name):
      _ = take()
      if take(ifNext: .sign("(")) { return try call(name) }
      return isActive ? try value(name) : .nothing
    case .sign, .newline, .indent, .dedent, .end: throw .unsupported("\(spelling) as a value")
    }
  }

  private mutating func call(_ name: String) throws(CodeProblem) -> CodeValue {
    var arguments: [CodeValue] = []
    if next != .sign(")") {
      let value = try expressions()
      arguments = if case .tuple(let items) = value { items } else { [value] }
    }
    try require(")")
    guard isActive else { return .nothing }
    return try Self.call(name, arguments)
  }

  private static func call(_ name: String, _ arguments: [CodeValue]) throws(CodeProblem) -> CodeValue {
    switch (name, arguments.count) {
    case ("str", 1): return .text(arguments[0].description)
    case ("abs", 1):
      return try CodeValue.compare("<", arguments[0], .integer(0))
        ? try .apply("-", .integer(0), arguments[0]) : arguments[0]
    case ("int", 1), ("round", 1):
      if let whole = arguments[0].integer { return .integer(whole) }
      guard let real = arguments[0].real,
        let whole = Int64(exactly: name == "int" ? real.rounded(.towardZero) : real.rounded(.toNearestOrEven))
      else { throw .type("\(name)(\(arguments[0]))") }
      return .integer(whole)
    case ("len", 1):
      if case .tuple(let items) = arguments[0] { return .integer(Int64(items.count)) }
      if case .text(let text) = arguments[0] { return .integer(Int64(text.count)) }
      throw .type("len(\(arguments[0]))")
    case ("max", 1...), ("min", 1...):
      var chosen = arguments[0]
      for other in arguments.dropFirst() where try CodeValue.compare(name == "max" ? ">" : "<", other, chosen)
      {
        chosen = other
      }
      return chosen
    default: throw .unsupported("the function \(name) with \(arguments.count) arguments")
    }
  }
}
