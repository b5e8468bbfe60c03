public import Exclusion

/// What a context did. Written by the context, read by anyone.
public final class ContextCounters: Sendable {
  /// Passes begun; equal to ``exits`` when the context is at rest (R1).
  public let entries = Counter()
  /// Passes completed.
  public let exits = Counter()
  /// Times the context went to sleep.
  public let sleeps = Counter()
  /// Timers fired.
  public let timersFired = Counter()
  /// Items run at net and serial level.
  public let netItems = Counter()
  /// Items run at bio level.
  public let bioItems = Counter()
  /// Items run at general level.
  public let generalItems = Counter()
  /// Times a level ran out of its budget and left work pending.
  public let budgetExhausted = Counter()
  /// Frames received.
  public let framesReceived = Counter()
  /// The number of timers armed, as of the last pass.
  public let timersArmed = Gauge()
  /// Retired slots that wait for a grace period, as of the last pass.
  public let slotsInLimbo = Gauge()
  /// The greatest lateness of a timer in nanoseconds beyond its tick.
  public let worstTimerLateness = Gauge()

  init() {}
}

/// A value with one writer and any number of readers.
public struct Gauge: ~Copyable, Sendable {
  private let word = AtomicWord(0)
  init() {}
  /// The last value that was set.
  public var value: UInt64 { word.loadRelaxed() }
  func set(_ value: UInt64) { word.storeRelaxed(value) }
}
