// Looking into a document that was read: what is not there, or something else, is nothing.

extension JSON {
  /// The member of an object, `.null` if there is none.
  subscript(name: String) -> JSON { member(name) ?? .null }
  /// The elements of an array.
  var elements: [JSON] { if case .array(let elements) = self { elements } else { [] } }
  /// The members of an object.
  var members: [(String, JSON)] { if case .object(let members) = self { members } else { [] } }
  /// A number; 0 for what is none.
  var value: Double {
    switch self {
    case .real(let value): value
    case .number(let value): Double(value)
    case .null, .bool, .text, .array, .object: 0
    }
  }
  /// A number without what is behind its point.
  var count: Int { Int(exactly: value.rounded(.towardZero)) ?? 0 }
  /// A text; nil for what is none.
  var string: String? { if case .text(let text) = self { text } else { nil } }
}
