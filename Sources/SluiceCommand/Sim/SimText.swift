import Simulation

/// What `sluice sim` says to people.
enum SimText {
  static var list: String {
    let width = Profile.all.map(\.name.count).max() ?? 0
    return Profile.all.map {
      "\($0.name)\(String(repeating: " ", count: width - $0.name.count))  \($0.purpose)\n"
    }
    .joined()
  }

  /// A failure, the last events before it, and how to see it again.
  static func failure(_ result: RunResult, _ command: String) -> String {
    var text =
      "\(result.profile) seed \(result.seed) (\(result.workload.rawValue)): \(result.failure ?? "")\n"
    for state in result.states.suffix(12) { text += "  \(state)\n" }
    for entry in result.trace.suffix(20) { text += "  \(entry.text)\n" }
    return text + "again: \(command) --trace 100"
  }
}
