import ArgumentParser

/// `7`, or `1..100`, both ends included.
struct SeedRange: ExpressibleByArgument {
  var seeds: ClosedRange<UInt64>

  init(_ seeds: ClosedRange<UInt64>) { self.seeds = seeds }
  init?(argument: String) {
    let parts = argument.split(separator: ".", omittingEmptySubsequences: true)
    guard let first = parts.first.flatMap({ UInt64($0) }) else { return nil }
    if parts.count == 1, !argument.contains(".") {
      seeds = first...first
    } else if parts.count == 2, argument == "\(parts[0])..\(parts[1])", let last = UInt64(parts[1]),
      first <= last
    {
      seeds = first...last
    } else {
      return nil
    }
  }
}
