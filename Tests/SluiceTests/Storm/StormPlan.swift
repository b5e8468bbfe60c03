import Foundation
import Sluice

/// How long a storm blows, and how hard. Every number can be set from outside: `SLUICE_STORM_SECONDS=60`.
struct StormPlan: Sendable {
  /// The storm ends after so long, or so many operations.
  var seconds: Double
  var operations: Int
  var threads: Int
  /// Connections that are open at once, at most.
  var connections: Int
  var contexts: Int
  /// Whether threads enter their connections.
  var entry: BlockEntry
  var seed: UInt64

  static var current: StormPlan {
    func number(_ name: String, _ fallback: Double) -> Double {
      ProcessInfo.processInfo.environment["SLUICE_STORM_\(name)"].flatMap(Double.init) ?? fallback
    }
    let given = ProcessInfo.processInfo.environment["SLUICE_STORM_SEED"].flatMap(UInt64.init)
    let seed = given ?? UInt64.random(in: 1...UInt64.max)
    let entries: [BlockEntry] = [.post, .enterIdle, .enterFree, .drive]
    return StormPlan(
      seconds: number("SECONDS", 2), operations: Int(number("OPERATIONS", 1e12)),
      threads: Int(number("THREADS", 8)), connections: Int(number("CONNECTIONS", 200)),
      contexts: Int(number("CONTEXTS", 2)),
      entry: entries[Int(number("ENTRY", Double(seed % 4))) % 4], seed: seed)
  }
}
