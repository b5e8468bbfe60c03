/// One number of one round.
public struct BenchmarkSample: Sendable {
  /// Base units, as they are printed.
  public enum Unit: String, Sendable {
    /// Seconds.
    case seconds = "s"
    /// A number of things each second.
    case perSecond = "1/s"
    /// Bits each second.
    case bitsPerSecond = "bit/s"
    /// Bytes.
    case bytes = "B"
    /// A number of things, or of one for each other.
    case ratio = "1"
  }
  /// The benchmark's name, and what of it after a dot.
  public var name: String
  /// In ``unit``.
  public var value: Double
  /// Of ``value``.
  public var unit: Unit

  /// A number.
  public init(_ name: String, _ value: Double, _ unit: Unit) {
    (self.name, self.value, self.unit) = (name, value, unit)
  }
}

/// One number over all rounds.
public struct BenchmarkResult: Sendable {
  /// The sample's.
  public var name: String
  /// Of the rounds' values; of an even number of them the greater one in the middle.
  public var median: Double
  /// The least.
  public var min: Double
  /// The greatest.
  public var max: Double
  /// Of all three.
  public var unit: BenchmarkSample.Unit

  /// One result for each sample. Every round has the same samples in the same order.
  public static func summary(of rounds: [[BenchmarkSample]]) -> [BenchmarkResult] {
    guard let first = rounds.first else { return [] }
    return first.indices.map { place in
      let values = rounds.map { $0[place].value }.sorted()
      return BenchmarkResult(
        name: first[place].name, median: percentile(0.5, of: values), min: values.first ?? 0,
        max: values.last ?? 0, unit: first[place].unit)
    }
  }

  /// The value that a share of the sorted ones does not exceed; 0 of none.
  public static func percentile(_ share: Double, of sorted: [Double]) -> Double {
    guard !sorted.isEmpty else { return 0 }
    return sorted[Swift.min(sorted.count - 1, Int(Double(sorted.count) * share))]
  }
}
