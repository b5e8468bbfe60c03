/// A value of the code in a script.
enum CodeValue: Equatable {
  case integer(Int64)
  case real(Double)
  case text(String)
  case truth(Bool)
  case tuple([CodeValue])
  case nothing

  /// Whether a condition takes it for true.
  var isTrue: Bool {
    switch self {
    case .integer(let value): value != 0
    case .real(let value): value != 0
    case .text(let text): !text.isEmpty
    case .truth(let truth): truth
    case .tuple(let items): !items.isEmpty
    case .nothing: false
    }
  }

  /// As a number, where it is one.
  var integer: Int64? {
    switch self {
    case .integer(let value): value
    case .truth(let truth): truth ? 1 : 0
    case .real, .text, .tuple, .nothing: nil
    }
  }

  /// As a real number, where it is a number.
  var real: Double? {
    if case .real(let value) = self { value } else { integer.map(Double.init) }
  }
}

extension CodeValue: CustomStringConvertible {
  /// As `print` shows it.
  var description: String {
    switch self {
    case .integer(let value): String(value)
    case .real(let value): String(value)
    case .text(let text): text
    case .truth(let truth): truth ? "True" : "False"
    case .tuple(let items): "(\(items.map(\.description).joined(separator: ", ")))"
    case .nothing: "None"
    }
  }
}

/// Why code did not run to its end.
enum CodeProblem: Error, Equatable {
  /// An assertion that does not hold: its text, and its message.
  case assertion(String, message: String?)
  /// Something of Python that is not understood here.
  case unsupported(String)
  /// A name that nobody gave a value.
  case unknownName(String)
  /// An operation that its values do not allow.
  case type(String)
}

extension CodeProblem: CustomStringConvertible {
  var description: String {
    switch self {
    case .assertion(let text, let message): "assertion failed: \(text)" + (message.map { " (\($0))" } ?? "")
    case .unsupported(let what): "code: \(what)"
    case .unknownName(let name): "code: \(name) has no value"
    case .type(let what): "code: \(what)"
    }
  }
}
