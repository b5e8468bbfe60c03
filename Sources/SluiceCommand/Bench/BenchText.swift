import Benchmarks

/// Results as they are printed.
enum BenchText {
  static func json(_ results: [BenchmarkResult]) -> String {
    JSON.object {
      $0["results"] = .array(
        results.map { result in
          .object {
            $0["name"] = .text(result.name)
            $0["median"] = .real(result.median)
            $0["min"] = .real(result.min)
            $0["max"] = .real(result.max)
            $0["unit"] = .text(result.unit.rawValue)
          }
        })
    }.text
  }

  static func text(_ results: [BenchmarkResult]) -> String {
    let width = results.map(\.name.count).max() ?? 0
    return results.map { result in
      let name = result.name + String(repeating: " ", count: width - result.name.count)
      return "\(name)  \(show(result.median, result.unit))  (\(show(result.min, result.unit)) to "
        + "\(show(result.max, result.unit)))\n"
    }.joined()
  }

  /// A line for each: how many times as good as before.
  static func text(_ comparisons: [Baseline.Comparison]) -> String {
    let width = comparisons.map(\.name.count).max() ?? 0
    return comparisons.map { comparison in
      let name = comparison.name + String(repeating: " ", count: width - comparison.name.count)
      guard let ratio = comparison.ratio else { return "\(name)  not in the baseline\n" }
      return "\(name)  \((ratio * 100).rounded() / 100) times as good\(comparison.isWorse ? ", WORSE" : "")\n"
    }.joined()
  }

  private static func show(_ value: Double, _ unit: BenchmarkSample.Unit) -> String {
    func rounded(_ value: Double) -> String {
      value.rounded() == value ? "\(Int(value))" : "\((value * 100).rounded() / 100)"
    }
    return switch unit {
    case .seconds: "\(rounded(value * 1e6)) µs"
    case .perSecond: "\(rounded(value.rounded())) per s"
    case .bitsPerSecond: "\(rounded(value / 1e9)) Gbit/s"
    case .bytes: "\(rounded(value)) B"
    case .ratio: rounded(value)
    }
  }
}
