extension RunResult {
  /// One JSON object on one line: bytes, seconds and bits per second; what was not measured is left out.
  public var json: String {
    var members: [String] = []
    func add(_ name: String, _ value: String) { members.append("\"\(name)\": \(value)") }
    func add(_ name: String, _ value: Double?, _ digits: Int) {
      if let value { add(name, Fixed.text(value, digits)) }
    }
    add("profile", Self.quoted(profile))
    add("seed", "\(seed)")
    add("workload", Self.quoted(workload.rawValue))
    add("failure", failure.map(Self.quoted) ?? "null")
    add("bytes", "\(bytes)")
    add("seconds", Double(transferTime) / 1e9, 6)
    add("seconds_to_rest", Double(wholeTime) / 1e9, 6)
    add("goodput", goodput, 0)
    add("limit", limit, 0)
    add("reference_newreno", reference?.newReno, 0)
    add("reference_cubic", reference?.cubic, 0)
    add("reference_bbr", reference?.bbr, 0)
    add("fairness", fairness, 4)
    add("retransmissions", "\(retransmissions)")
    add("timeouts", "\(timeouts)")
    add("checksum_errors", "\(checksumErrors)")
    add("largest_queue", "\(largestQueue)")
    add("average_queue", averageQueue, 0)
    add("queue_drops", "\(queueDrops)")
    add("losses", "\(losses)")
    add("mutations", "\(mutations)")
    add("frame_events", "\(frameEvents)")
    add("fingerprint", Self.quoted(String(fingerprint, radix: 16)))
    return "{" + members.joined(separator: ", ") + "}"
  }

  /// A JSON string (RFC 8259 section 7).
  private static func quoted(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case _ where scalar.value < 32:
        let digits = String(scalar.value, radix: 16)
        out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }
}
