import Timing

/// Lets segments leave in time with the round trip instead of in bursts.
struct Pacer {
  /// Segments are paced.
  var isOn = false
  /// Bytes a second; zero: not yet known, nothing waits.
  var rate = 0
  /// When the next segment may leave.
  private(set) var next = Instant.zero

  /// Whether a segment may leave now.
  func mayLeave(_ now: Instant) -> Bool { !isOn || next <= now }

  /// `bytes` have left. A pause is not made up for, but what a timer is late by: it counts milliseconds, and what is due
  /// within one leaves together.
  mutating func left(_ bytes: Int, now: Instant) {
    guard isOn, rate > 0 else { return }
    next = max(next, now - Self.lateness).adding(nanoseconds: bytes * 1_000_000_000 / rate)
  }
  private static var lateness: Nanoseconds { .milliseconds(1) }

  /// The rate for a window of `window` bytes in a round trip: twice that in slow start, while the window doubles, else
  /// 1.2 times, so that the window and not the pace is what limits.
  mutating func follow(window: Int, roundTrip: Nanoseconds, isDoubling: Bool) {
    guard isOn, roundTrip > .zero else { return }
    let factor = isDoubling ? 200 : 120
    rate = Int(
      clamping: UInt64(clamping: window) * UInt64(factor) * 10_000_000 / UInt64(roundTrip.count))
  }
}
