import Timing

/// A packetdrill script: its options, the commands around it, and its events in order.
///
/// The grammar is packetdrill's, of google's tool and of the FreeBSD test suites. Documentation/Drill.md tells
/// what the words mean here.
public struct Script: Hashable, Sendable {
  /// `--name=value` lines at the top, in order.
  public var options: [ScriptOption]
  /// The command before the first event.
  public var setUp: ShellCommand?
  /// What happens, in order; never empty in a script that was parsed.
  public var events: [ScriptEvent]
  /// The command after the last event; it runs whatever became of the script.
  public var cleanUp: ShellCommand?

  /// A script of its parts.
  public init(
    options: [ScriptOption] = [], setUp: ShellCommand? = nil, events: [ScriptEvent],
    cleanUp: ShellCommand? = nil
  ) {
    self.options = options
    self.setUp = setUp
    self.events = events
    self.cleanUp = cleanUp
  }
}

/// A `--name=value` line.
public struct ScriptOption: Hashable, Sendable {
  /// Without the dashes.
  public var name: String
  /// Without its quotes; nil where the line has no `=`.
  public var value: String?

  /// An option by its name and its value.
  public init(name: String, value: String? = nil) {
    self.name = name
    self.value = value
  }
}

/// A command for the shell, between backticks.
public struct ShellCommand: Hashable, Sendable {
  /// The text between the backticks.
  public var text: String
  /// The line of the script where it starts.
  public var line: Int

  /// A command and the line that it stands in.
  public init(_ text: String, line: Int) {
    self.text = text
    self.line = line
  }
}

/// One event: when, and what.
public struct ScriptEvent: Hashable, Sendable {
  /// The line of the script where it starts.
  public var line: Int
  /// When it happens or is expected to.
  public var time: EventTime
  /// What happens or is expected to.
  public var action: EventAction

  /// An event of a line.
  public init(line: Int, time: EventTime, action: EventAction) {
    self.line = line
    self.time = time
    self.action = action
  }
}

/// When an event happens. Absolute times count from the start of the script, relative ones from the end of the
/// event before.
public enum EventTime: Hashable, Sendable {
  /// `0.100`.
  case absolute(Nanoseconds)
  /// `+.1`.
  case relative(Nanoseconds)
  /// `0.1~0.2`: an outbound packet, anywhere between.
  case absoluteRange(Nanoseconds, Nanoseconds)
  /// `+.1~+.2`: an outbound packet, anywhere between.
  case relativeRange(Nanoseconds, Nanoseconds)
  /// `*`: an outbound packet, whenever it comes.
  case any
}

/// What an event does.
public enum EventAction: Hashable, Sendable {
  /// `<` injects a packet, `>` expects one.
  case packet(PacketDescription)
  /// A system call and its expected outcome.
  case call(ScriptCall)
  /// A command for the shell.
  case shell(ShellCommand)
  /// Code between `%{` and `}%`, trimmed of blanks.
  case code(String)
}

/// A system call: `name(arguments) = result errno (note)`.
public struct ScriptCall: Hashable, Sendable {
  /// `+0...0.3 read(…)`: the call blocks, and returns at this time, counted as the event's time is. Nil for a call
  /// that returns at once.
  public var end: Nanoseconds?
  /// The name of the call.
  public var name: String
  /// What it is called with.
  public var arguments: [ScriptExpression]
  /// What it returns.
  public var result: ScriptExpression
  /// The name of the error that a result of -1 comes with; nil where the script does not say.
  public var errorName: String?
  /// The words between parentheses at the end of the line: a comment.
  public var note: String?

  /// A call and its expected outcome.
  public init(
    end: Nanoseconds? = nil, name: String, arguments: [ScriptExpression], result: ScriptExpression,
    errorName: String? = nil, note: String? = nil
  ) {
    self.end = end
    self.name = name
    self.arguments = arguments
    self.result = result
    self.errorName = errorName
    self.note = note
  }
}

/// An argument or a result of a system call.
public indirect enum ScriptExpression: Hashable, Sendable {
  /// `...`: whatever fits.
  case ellipsis
  /// A decimal or a hexadecimal number.
  case number(Int64, hexadecimal: Bool)
  /// A name: a constant or a file.
  case word(String)
  /// A string; `partial` where `...` follows it and only the start is meant.
  case string(String, partial: Bool)
  /// `A | B`.
  case union([ScriptExpression])
  /// `[a, b]`.
  case list([ScriptExpression])
  /// `{name = value, name(argument) = value, value}`.
  case structure([ScriptField])
  /// `htons(8080)`, `inet_addr("192.0.2.1")`.
  case call(String, [ScriptExpression])

  /// A decimal number.
  public static func integer(_ value: Int64) -> Self { .number(value, hexadecimal: false) }
}

/// A field of a structure.
public struct ScriptField: Hashable, Sendable {
  /// Nil in a structure that goes by order.
  public var name: String?
  /// What stands in parentheses behind the name: `msg_iov(2)`.
  public var argument: ScriptExpression?
  /// What stands behind the `=`.
  public var value: ScriptExpression

  /// A field and its value.
  public init(name: String? = nil, argument: ScriptExpression? = nil, value: ScriptExpression) {
    self.name = name
    self.argument = argument
    self.value = value
  }
}
