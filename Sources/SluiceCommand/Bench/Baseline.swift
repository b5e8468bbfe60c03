import Benchmarks
import Glibc

/// Results of an earlier run, for this one to be compared with.
struct Baseline {
  private let results: [(name: String, median: Double, unit: String)]

  /// What `sluice bench --json` printed; nil if that it is not.
  init?(_ text: String) {
    guard case .array(let all)? = JSON(parsing: text)?.member("results") else { return nil }
    var results: [(name: String, median: Double, unit: String)] = []
    for result in all {
      guard case .text(let name)? = result.member("name"), case .real(let median)? = result.member("median"),
        case .text(let unit)? = result.member("unit")
      else { return nil }
      results.append((name, median, unit))
    }
    self.results = results
  }

  /// The same, from a file.
  static func read(_ path: String) throws(Failure) -> Baseline {
    guard let file = unsafe fopen(path, "re") else {
      throw Failure("\(path) cannot be read: errno \(errno).")
    }
    defer { unsafe fclose(file) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 65_536)
    while case let count = unsafe fread(&piece, 1, piece.count, file), count > 0 { bytes += piece[..<count] }
    guard let baseline = Baseline(String(decoding: bytes, as: UTF8.self)) else {
      throw Failure("\(path) has no results of `sluice bench --json`.")
    }
    return baseline
  }

  /// A result beside the earlier one.
  struct Comparison {
    var name: String
    /// How many times as good as it was: above 1 is better. Nil: there was nothing to compare with.
    var ratio: Double?
    /// Worse by more than is tolerated.
    var isWorse: Bool
  }

  /// Each result that has a better and a worse.
  ///
  /// - Parameter tolerance: 0.1: a tenth worse is nothing yet.
  func compare(_ now: [BenchmarkResult], tolerance: Double) -> [Comparison] {
    now.compactMap { result in
      guard let isMoreBetter = result.isMoreBetter else { return nil }
      let before = results.first { $0.name == result.name && $0.unit == result.unit.rawValue }
      guard let before, before.median > 0, result.median > 0 else {
        return Comparison(name: result.name, ratio: nil, isWorse: false)
      }
      let ratio = isMoreBetter ? result.median / before.median : before.median / result.median
      return Comparison(name: result.name, ratio: ratio, isWorse: ratio < 1 / (1 + tolerance))
    }
  }
}

extension BenchmarkResult {
  /// Nil: neither is.
  var isMoreBetter: Bool? {
    switch unit {
    case .perSecond, .bitsPerSecond: true
    case .seconds, .bytes: false
    case .ratio: nil
    }
  }
}
