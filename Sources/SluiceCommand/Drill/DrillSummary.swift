import Drill

/// What is told of scripts: a line each and a last line, or one JSON object.
struct DrillSummary {
  var isJSON: Bool
  var isVerbose: Bool
  private(set) var passed = 0
  private(set) var failed = 0
  private(set) var skipped = 0
  private var records: [String] = []

  init(isJSON: Bool, isVerbose: Bool) {
    self.isJSON = isJSON
    self.isVerbose = isVerbose
  }

  /// Tells of one script.
  mutating func add(_ path: String, _ report: DrillReport) {
    switch report.outcome {
    case .passed: passed += 1
    case .failed: failed += 1
    case .skipped: skipped += 1
    }
    if isJSON {
      records.append(Self.record(path, report))
    } else {
      for line in Self.text(path, report, isVerbose: isVerbose) { print(line) }
    }
  }

  /// Tells the sums.
  func finish() {
    guard isJSON else { return print("\(passed) passed, \(failed) failed, \(skipped) skipped") }
    print("{\"passed\": \(passed), \"failed\": \(failed), \"skipped\": \(skipped), \"scripts\": [")
    print(records.joined(separator: ",\n"))
    print("]}")
  }

  /// `PASS path`, `FAIL path:line: reason` and what belongs to it, `SKIP path: reason`.
  static func text(_ path: String, _ report: DrillReport, isVerbose: Bool) -> [String] {
    var lines = isVerbose ? report.log.map { "  \($0)" } : []
    for warning in report.warnings { lines.append("WARN \(path):\(warning.line): \(warning.reason)") }
    switch report.outcome {
    case .passed: lines.append("PASS \(path)")
    case .skipped(let reason): lines.append("SKIP \(path): \(reason)")
    case .failed(let failure):
      lines.append("FAIL \(path):\(failure.line): \(failure.reason)")
      if let expected = failure.expected { lines.append("  expected  \(indented(expected))") }
      if let actual = failure.actual { lines.append("  actual    \(indented(actual))") }
      if !failure.context.isEmpty, !isVerbose {
        lines.append("  before:")
        lines += failure.context.map { "    \($0)" }
      }
    }
    return lines
  }

  private static func indented(_ text: String) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\n            ")
  }

  private static func record(_ path: String, _ report: DrillReport) -> String {
    var fields = ["\"path\": \(quoted(path))"]
    switch report.outcome {
    case .passed: fields.append("\"outcome\": \"passed\"")
    case .skipped(let reason): fields += ["\"outcome\": \"skipped\"", "\"reason\": \(quoted(reason))"]
    case .failed(let failure):
      fields += [
        "\"outcome\": \"failed\"", "\"line\": \(failure.line)", "\"reason\": \(quoted(failure.reason))",
      ]
      if let expected = failure.expected { fields.append("\"expected\": \(quoted(expected))") }
      if let actual = failure.actual { fields.append("\"actual\": \(quoted(actual))") }
      fields.append("\"before\": [\(failure.context.map(quoted).joined(separator: ", "))]")
    }
    if !report.warnings.isEmpty {
      fields.append(
        "\"warnings\": [\(report.warnings.map { quoted("\($0.line): \($0.reason)") }.joined(separator: ", "))]"
      )
    }
    return "  {\(fields.joined(separator: ", "))}"
  }

  /// A string of JSON (RFC 8259 section 7).
  static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\t": result += "\\t"
      case _ where scalar.value < 0x20:
        result += "\\u" + String(scalar.value + 0x1_0000, radix: 16).dropFirst()
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
