import Glibc

/// One number over all rounds.
struct BenchResult: Sendable {
  var name: String
  var median: Double
  var min: Double
  var max: Double
  var unit: BenchSample.Unit

  /// Every round has the same samples in the same order.
  static func summary(of rounds: [[BenchSample]]) -> [BenchResult] {
    guard let first = rounds.first else { return [] }
    return first.indices.map { place in
      let values = rounds.map { $0[place].value }.sorted()
      return BenchResult(
        name: first[place].name, median: percentile(0.5, of: values), min: values.first ?? 0,
        max: values.last ?? 0, unit: first[place].unit)
    }
  }

  /// The value that a share of the sorted ones does not exceed; 0 of none.
  static func percentile(_ share: Double, of sorted: [Double]) -> Double {
    guard !sorted.isEmpty else { return 0 }
    return sorted[Swift.min(sorted.count - 1, Int(Double(sorted.count) * share))]
  }

  static func json(_ results: [BenchResult]) -> String {
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

  static func text(_ results: [BenchResult]) -> String {
    let width = results.map(\.name.count).max() ?? 0
    return results.map { result in
      let name = result.name + String(repeating: " ", count: width - result.name.count)
      return "\(name)  \(show(result.median, result.unit))  (\(show(result.min, result.unit)) to "
        + "\(show(result.max, result.unit)))\n"
    }.joined()
  }

  private static func show(_ value: Double, _ unit: BenchSample.Unit) -> String {
    func rounded(_ value: Double) -> String {
      value.rounded() == value ? "\(Int(value))" : "\((value * 100).rounded() / 100)"
    }
    return switch unit {
    case .seconds: "\(rounded(value * 1e6)) µs"
    case .perSecond: "\(rounded(value)) per s"
    case .bytesPerSecond: "\(rounded(value / 1e6)) MB/s"
    case .count: rounded(value)
    }
  }
}
