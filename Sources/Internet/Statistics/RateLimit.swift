// Token buckets in the form of a virtual schedule (GCRA): the state of a bucket is one instant, so the
// bucket of the whole stack is one word.

import Exclusion
import Timing

/// How often something may happen: `burst` at once, then `perSecond`.
public struct RateLimitParameters: Sendable, Equatable {
  /// Events per second in the long run, 1 or more.
  public var perSecond: Int
  /// Events at once after a pause, 1 or more.
  public var burst: Int

  /// At most 1,000,000 a second.
  public init(perSecond: Int, burst: Int) {
    self.perSecond = min(max(perSecond, 1), 1_000_000)
    self.burst = max(burst, 1)
  }

  /// Nanoseconds that one event costs.
  var interval: UInt64 { 1_000_000_000 / UInt64(perSecond) }
  /// How far ahead of now the schedule may run.
  var tolerance: UInt64 { interval * UInt64(burst) }

  /// The next state of a bucket whose state is `full` (when it will be full again), or nil if it is empty.
  func take(from full: UInt64, at now: UInt64) -> UInt64? {
    let next = max(full, now) &+ interval
    return next &- now <= tolerance ? next : nil
  }
}

/// A bucket with one user.
struct RateLimit {
  let parameters: RateLimitParameters
  private var full: UInt64 = 0

  init(_ parameters: RateLimitParameters) { self.parameters = parameters }

  /// Whether it may happen now; takes a token if so.
  mutating func allows(at now: Instant) -> Bool {
    guard let next = parameters.take(from: full, at: now.nanoseconds) else { return false }
    full = next
    return true
  }
}

/// A bucket that all contexts share.
struct SharedRateLimit: ~Copyable {
  let parameters: RateLimitParameters
  private let full = AtomicWord(0)

  init(_ parameters: RateLimitParameters) { self.parameters = parameters }

  /// Whether it may happen now; takes a token if so. A lost race is tried again with the winner's state,
  /// so it ends when the bucket is empty at the latest.
  func allows(at now: Instant) -> Bool {
    var seen = full.loadRelaxed()
    while let next = parameters.take(from: seen, at: now.nanoseconds) {
      if full.compareExchange(&seen, next) { return true }
    }
    return false
  }
}
