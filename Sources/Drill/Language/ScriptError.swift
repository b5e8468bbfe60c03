/// A place in the text of a script.
public struct ScriptPosition: Hashable, Sendable, CustomStringConvertible {
  /// Counted from 1.
  public var line: Int
  /// Counted from 1, in bytes.
  public var column: Int

  /// A place by its line and column, both counted from 1.
  public init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }

  /// `line:column`.
  public var description: String { "\(line):\(column)" }
}

/// Why a text is no script, and where.
public struct ScriptError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What is wrong with the text.
  public enum Problem: Hashable, Sendable {
    /// A comment, string, command or code that is never closed; what opened it.
    case unclosed(String)
    /// Something else stands where `wanted` should; `found` is its text, empty at the end of the script.
    case expected(wanted: String, found: String)
    /// A word in capitals where a number should be: a name that whoever runs the script has to define.
    case undefined(String)
    /// What the language has, and nothing here reads.
    case unsupported(String)
    /// What is defined to stand for a word is neither a word, a number, a string nor a command.
    case badDefinition(name: String, value: String)
    /// A number that its field cannot hold.
    case outOfRange(field: String, limit: Int64)
    /// The end of a range of sequence numbers is not its start plus its length.
    case inconsistentSequence
    /// The second time of a range lies before the first.
    case backwardTime
    /// A word that is no flag of TCP.
    case unknownFlag(String)
    /// `*` and ranges of time are for packets that the stack sends.
    case timeOfOutboundOnly
    /// `<...>` is for packets that the stack sends.
    case anyOptionsInbound
    /// TCP options that do not fit 40 bytes.
    case optionsTooLong
    /// Digits of a digest or a cookie that are no hexadecimal number of whole bytes.
    case notHexadecimal(String)
    /// A structure or a list is nested deeper than any real script does.
    case nestedTooDeep
    /// A script without an event.
    case empty
  }

  /// Where it stands.
  public var position: ScriptPosition
  /// What is wrong.
  public var problem: Problem

  /// A problem at its place.
  public init(_ problem: Problem, at position: ScriptPosition) {
    self.problem = problem
    self.position = position
  }

  /// `line:column: what is wrong`.
  public var description: String { "\(position): \(problem)" }
}

extension ScriptError.Problem: CustomStringConvertible {
  /// A short sentence.
  public var description: String {
    switch self {
    case .unclosed(let opening): "\(opening) is never closed"
    case .expected(let wanted, let found):
      found.isEmpty
        ? "expected \(wanted), found the end of the script" : "expected \(wanted), found '\(found)'"
    case .undefined(let name): "\(name) is not defined; --define \(name)=VALUE does"
    case .unsupported(let what): what
    case .badDefinition(let name, let value): "\(name) is defined as '\(value)', which stands for nothing"
    case .outOfRange(let field, let limit): "\(field) is out of range: 0 to \(limit)"
    case .inconsistentSequence: "the end of the sequence range is not its start plus its length"
    case .backwardTime: "the range of time runs backward"
    case .unknownFlag(let flag): "'\(flag)' is no TCP flag"
    case .timeOfOutboundOnly: "'*' and ranges of time are for outbound packets"
    case .anyOptionsInbound: "'<...>' is for outbound packets"
    case .optionsTooLong: "TCP options take more than 40 bytes"
    case .notHexadecimal(let digits): "'\(digits)' are not the hexadecimal digits of whole bytes"
    case .nestedTooDeep: "nested too deep"
    case .empty: "a script needs an event"
    }
  }
}
