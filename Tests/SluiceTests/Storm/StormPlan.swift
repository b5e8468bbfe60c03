import Foundation

/// How long a storm blows, and how hard. Every number can be set from outside: `SLUICE_STORM_SECONDS=60`.
struct StormPlan: Sendable {
  /// The storm ends after so long, or so many operations.
  var seconds: Double
  var operations: Int
  var threads: Int
  /// Connections that are open at once, at most.
  var connections: Int
  var contexts: Int
  var seed: UInt64

  static var current: StormPlan {
    func number(_ name: String, _ fallback: Double) -> Double {
      ProcessInfo.processInfo.environment["SLUICE_STORM_\(name)"].flatMap(Double.init) ?? fallback
    }
    let seed = ProcessInfo.processInfo.environment["SLUICE_STORM_SEED"].flatMap(UInt64.init)
    return StormPlan(
      seconds: number("SECONDS", 2), operations: Int(number("OPERATIONS", 1e12)),
      threads: Int(number("THREADS", 8)), connections: Int(number("CONNECTIONS", 200)),
      contexts: Int(number("CONTEXTS", 2)), seed: seed ?? UInt64.random(in: 1...UInt64.max))
  }
}

/// A generator with a seed (splitmix64); each thread has its own.
struct StormRandom: RandomNumberGenerator {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    return Self.mix(state)
  }
  static func mix(_ value: UInt64) -> UInt64 {
    var word = value
    word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
    return word ^ (word >> 31)
  }
  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
  mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
}
