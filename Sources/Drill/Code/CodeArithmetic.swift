extension CodeValue {
  /// The value of a binary operator.
  static func apply(_ sign: String, _ left: CodeValue, _ right: CodeValue) throws(CodeProblem) -> CodeValue {
    if case .text(let format) = left {
      if sign == "%" { return .text(try formatted(format, right)) }
      if sign == "+", case .text(let more) = right { return .text(format + more) }
    }
    if sign == "/" {
      guard let a = left.real, let b = right.real else { throw mismatch(sign, left, right) }
      guard b != 0 else { throw .type("division by zero") }
      return .real(a / b)
    }
    if let a = left.integer, let b = right.integer { return try integers(sign, a, b) }
    guard let a = left.real, let b = right.real else { throw mismatch(sign, left, right) }
    switch sign {
    case "+": return .real(a + b)
    case "-": return .real(a - b)
    case "*": return .real(a * b)
    case "//" where b != 0: return .real((a / b).rounded(.down))
    case "%" where b != 0: return .real(a - (a / b).rounded(.down) * b)
    default: throw mismatch(sign, left, right)
    }
  }

  private static func mismatch(_ sign: String, _ left: CodeValue, _ right: CodeValue) -> CodeProblem {
    .type("\(left) \(sign) \(right) makes no sense")
  }

  private static func integers(_ sign: String, _ a: Int64, _ b: Int64) throws(CodeProblem) -> CodeValue {
    func checked(_ result: (partialValue: Int64, overflow: Bool)) throws(CodeProblem) -> CodeValue {
      if result.overflow { throw .type("\(a) \(sign) \(b) is too large") }
      return .integer(result.partialValue)
    }
    switch sign {
    case "+": return try checked(a.addingReportingOverflow(b))
    case "-": return try checked(a.subtractingReportingOverflow(b))
    case "*": return try checked(a.multipliedReportingOverflow(by: b))
    case "//", "%":
      guard b != 0 else { throw .type("division by zero") }
      guard a != .min else { throw .type("\(a) \(sign) \(b) is too large") }
      // Python rounds down, and the remainder has the divisor's sign.
      let remainder = a % b != 0 && (a % b < 0) != (b < 0) ? a % b + b : a % b
      return .integer(sign == "%" ? remainder : (a - remainder) / b)
    case "**":
      guard b >= 0, b < 64 else { throw .unsupported("\(a) ** \(b)") }
      var power: CodeValue = .integer(1)
      for _ in 0..<b { power = try integers("*", power.integer ?? 1, a) }
      return power
    case "&": return .integer(a & b)
    case "|": return .integer(a | b)
    case "^": return .integer(a ^ b)
    case "<<", ">>":
      guard b >= 0, b < 64 else { throw .type("\(a) \(sign) \(b) is out of range") }
      if sign == ">>" { return .integer(a >> b) }
      guard (a << b) >> b == a else { throw .type("\(a) << \(b) is too large") }
      return .integer(a << b)
    default: throw .unsupported("'\(sign)'")
    }
  }

  /// Whether a comparison holds.
  static func compare(_ sign: String, _ left: CodeValue, _ right: CodeValue) throws(CodeProblem) -> Bool {
    if let a = left.integer, let b = right.integer { return compare(sign, a, b) }
    if let a = left.real, let b = right.real { return compare(sign, a, b) }
    if case .text(let a) = left, case .text(let b) = right { return compare(sign, a, b) }
    switch sign {
    case "==": return left == right
    case "!=": return left != right
    default: throw mismatch(sign, left, right)
    }
  }

  private static func compare<Value: Comparable>(_ sign: String, _ a: Value, _ b: Value) -> Bool {
    switch sign {
    case "==": a == b
    case "!=": a != b
    case "<": a < b
    case "<=": a <= b
    case ">": a > b
    default: a >= b
    }
  }

  /// `'%d of %s' % (a, b)`: a value for each `%`, whatever letter follows.
  private static func formatted(_ format: String, _ value: CodeValue) throws(CodeProblem) -> String {
    var values = if case .tuple(let items) = value { items } else { [value] }
    var text = ""
    var rest = format[...]
    while let percent = rest.firstIndex(of: "%") {
      text += rest[..<percent]
      rest = rest[rest.index(after: percent)...]
      while let first = rest.first, "0123456789.-+# ".contains(first) { rest.removeFirst() }
      guard let letter = rest.popFirst() else { throw .type("'\(format)' ends with a '%'") }
      if letter == "%" {
        text += "%"
        continue
      }
      guard !values.isEmpty else { throw .type("'\(format)' wants more values") }
      let next = values.removeFirst()
      if letter == "x", let number = next.integer {
        text += String(number, radix: 16)
      } else {
        text += next.description
      }
    }
    return text + rest
  }
}
