import Glibc
import Simulation

/// The runs of one profile, summed up.
struct Tally {
  let profile: String
  private(set) var runs = 0
  private(set) var failures = 0
  private var bytes = 0
  private var seconds = 0.0
  private var goodputs: [Double] = []
  private var limits: [Double] = []
  private var newReno: [Double] = []
  private var cubic: [Double] = []
  private var retransmissions = 0
  private var timeouts = 0
  private var largestQueue = 0
  private var fairness: [Double] = []

  init(_ profile: String) { self.profile = profile }

  mutating func add(_ result: RunResult) {
    runs += 1
    if result.failure != nil { failures += 1 }
    bytes += result.bytes
    seconds += Double(result.transferTime) / 1e9
    retransmissions += result.retransmissions
    timeouts += result.timeouts
    largestQueue = max(largestQueue, result.largestQueue)
    if let share = result.fairness { fairness.append(share) }
    guard let goodput = result.goodput else { return }
    goodputs.append(goodput)
    if let limit = result.limit { limits.append(goodput / limit) }
    if let reference = result.reference {
      newReno.append(goodput / reference.newReno)
      cubic.append(goodput / reference.cubic)
    }
  }

  private static func median(_ values: [Double]) -> Double? {
    values.isEmpty ? nil : BenchResult.percentile(0.5, of: values.sorted())
  }

  // MARK: The table

  private static let columns: [(title: String, cell: @Sendable (Tally) -> String)] = [
    ("profile", { $0.profile }),
    ("runs", { "\($0.runs)" }),
    ("failed", { $0.failures == 0 ? "-" : "\($0.failures)" }),
    ("MB", { number(Double($0.bytes) / 1e6, 1) }),
    ("virtual s", { number($0.seconds, 1) }),
    ("goodput Mbit/s", { number(median($0.goodputs).map { $0 / 1e6 }, 2) }),
    ("of limit", { percent(median($0.limits)) }),
    ("of NewReno", { percent(median($0.newReno)) }),
    ("of CUBIC", { percent(median($0.cubic)) }),
    ("retransmitted", { "\($0.retransmissions)" }),
    ("timeouts", { "\($0.timeouts)" }),
    ("queue KB", { number(Double($0.largestQueue) / 1024, 0) }),
    ("fairness", { number(median($0.fairness), 3) }),
  ]

  static func table(_ tallies: [Tally]) -> String {
    let rows = [columns.map(\.title)] + tallies.map { tally in columns.map { $0.cell(tally) } }
    let widths = columns.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      row.indices.map { column in
        let padding = String(repeating: " ", count: widths[column] - row[column].count)
        return column == 0 ? row[column] + padding : padding + row[column]
      }.joined(separator: "  ") + "\n"
    }.joined()
  }

  private static func number(_ value: Double?, _ digits: Int) -> String {
    guard let value else { return "" }
    return Fixed.text(value, digits)
  }
  private static func percent(_ share: Double?) -> String {
    guard let share else { return "" }
    return Fixed.text(share * 100, 0) + " %"
  }
}
