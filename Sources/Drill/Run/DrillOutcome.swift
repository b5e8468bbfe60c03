/// What became of a script.
public enum DrillOutcome: Sendable, Equatable {
  /// Everything was as the script says.
  case passed
  /// Something was not.
  case failed(DrillFailure)
  /// It asks for something that is not supported: why.
  case skipped(String)
}

/// Where a script failed, and why.
public struct DrillFailure: Error, Sendable, Equatable {
  /// The line of the script.
  public var line: Int
  /// What is wrong, in one line.
  public var reason: String
  /// What the script expects, where it expects a packet or a call.
  public var expected: String?
  /// What happened instead.
  public var actual: String?
  /// The packets and calls before, a line each, oldest first.
  public var context: [String]

  /// A failure of a line.
  public init(
    line: Int, reason: String, expected: String? = nil, actual: String? = nil, context: [String] = []
  ) {
    self.line = line
    self.reason = reason
    self.expected = expected
    self.actual = actual
    self.context = context
  }
}

/// A script's outcome and what was seen on the way.
public struct DrillReport: Sendable, Equatable {
  /// What became of it.
  public var outcome: DrillOutcome
  /// Each packet, call and line that code printed, in order, with its time: what `--verbose` shows.
  public var log: [String]
  /// What was not as expected, and only noted, because of `--non_fatal`.
  public var warnings: [DrillFailure]

  /// An outcome, and what was seen.
  public init(outcome: DrillOutcome, log: [String] = [], warnings: [DrillFailure] = []) {
    self.outcome = outcome
    self.log = log
    self.warnings = warnings
  }
}
