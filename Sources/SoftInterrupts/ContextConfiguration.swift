public import Devices
public import Timing

/// How a ``ContextSet`` is made.
public struct ContextConfiguration: Sendable {
  /// Number of contexts, 1...64.
  public var contexts: Int
  /// Guests of each context, 0 or 1: whether application threads may enter what is at home there.
  public var guests = 0
  /// Packets that each context's pool may grow to (2 KiB each), and each guest's.
  public var packetLimit: Int
  /// What each level may do in one pass.
  public var budgets = LevelBudgets()
  /// Wake-ups that one pass buffers, 512...65536; a pass that comes near it ends early.
  public var wakeCapacity = 1024
  /// Where received packets are worked on, if there are several contexts.
  ///
  /// Measured with `sluice bench pair-bulk-threads pair-rr-threads --contexts 2 --connections 8`, release build, on a
  /// machine of two busy processors, medians of two runs, steered against not: bulk 0.81 against 1.21 and
  /// 0.57 against 0.83 GB/s, exchanges of a byte 41,500 against 39,200 and 33,100 against 34,700 a second. Where
  /// each context has a queue of the link the second hop costs more than the caches win, so it is not the default;
  /// a link with fewer queues than contexts has no other way to use them all.
  public var steering = ReceiveSteering.none
  /// Packets that may wait on their way from one context to another, 64...65536; more are dropped and counted.
  public var steeringLimit = 1024
  /// Nanoseconds that a thread spins at most before it sleeps, where its last waits say that it pays; 0: none spins.
  public var spinLimit: UInt64 = 0
  /// Nanoseconds that a grace period may take before who holds it up is counted and named.
  public var gracePatience: UInt64 = 1_000_000_000
  /// The clock: real or virtual.
  public var timeSource: any TimeSource
  /// Makes the poller of a context that runs on a thread; nil under the manual scheduler.
  public var makePoller: (@Sendable (Int) throws -> any DevicePoller)?

  /// A configuration; `makePoller` nil means that the contexts are stepped by hand.
  public init(
    contexts: Int = 1, packetLimit: Int = 16384, timeSource: any TimeSource,
    makePoller: (@Sendable (Int) throws -> any DevicePoller)? = nil
  ) {
    self.contexts = contexts
    self.packetLimit = packetLimit
    self.timeSource = timeSource
    self.makePoller = makePoller
  }
}
