import Benchmarks
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
  private var bandwidth: [Double] = []
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
      bandwidth.append(goodput / reference.bbr)
    }
  }

  private static func median(_ values: [Double]) -> Double? {
    values.isEmpty ? nil : BenchmarkResult.percentile(0.5, of: values.sorted())
  }

  // MARK: The table

  private static let columns: [(title: String, width: Int, cell: @Sendable (Tally) -> String)] = [
    ("profile", Profile.all.map(\.name.count).max() ?? 0, { $0.profile }),
    ("runs", 6, { "\($0.runs)" }),
    ("failed", 6, { $0.failures == 0 ? "-" : "\($0.failures)" }),
    ("MB", 8, { number(Double($0.bytes) / 1e6, 1) }),
    ("virtual s", 9, { number($0.seconds, 1) }),
    ("Mbit/s", 8, { number(median($0.goodputs).map { $0 / 1e6 }, 2) }),
    ("of limit", 8, { percent(median($0.limits)) }),
    ("of NewReno", 10, { percent(median($0.newReno)) }),
    ("of CUBIC", 8, { percent(median($0.cubic)) }),
    ("of BBR", 6, { percent(median($0.bandwidth)) }),
    ("resent", 7, { "\($0.retransmissions)" }),
    ("timeouts", 8, { "\($0.timeouts)" }),
    ("queue KiB", 9, { number(Double($0.largestQueue) / 1024, 0) }),
    ("fairness", 8, { number(median($0.fairness), 3) }),
  ]

  /// The titles of the columns.
  static var heading: String { line(columns.map(\.title)) }
  /// The profile's line: medians of measured runs, sums of all.
  var row: String { Self.line(Self.columns.map { $0.cell(self) }) }

  private static func line(_ cells: [String]) -> String {
    var line = ""
    for (index, cell) in cells.enumerated() {
      let padding = String(repeating: " ", count: max(0, columns[index].width - cell.count))
      line += index == 0 ? cell + padding : "  " + padding + cell
    }
    while line.last == " " { line.removeLast() }
    return line
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
