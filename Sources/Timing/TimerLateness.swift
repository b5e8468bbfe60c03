/// How late timers fired: a histogram in powers of two of milliseconds, kept by the wheel's context.
public struct TimerLateness: Sendable {
  /// How many timers fired.
  public private(set) var fired: UInt64 = 0
  /// The worst delay between a deadline as armed and its firing.
  public private(set) var maximum = Nanoseconds.zero
  /// Element 0 counts delays below 1 ms, element *n* those below 2ⁿ ms that element *n* − 1 did not count,
  /// and the last one all longer ones.
  public private(set) var buckets = InlineArray<16, UInt64>(repeating: 0)

  mutating func record(_ delay: Nanoseconds) {
    fired &+= 1
    if delay > maximum { maximum = delay }
    let milliseconds = UInt64(clamping: delay.milliseconds)
    buckets[min(15, 64 &- milliseconds.leadingZeroBitCount)] &+= 1
  }
}
