public import Exclusion

/// What a context did. Written by the context, read by anyone.
public final class ContextCounters: Sendable {
  /// Passes begun; equal to ``exits`` when the context is at rest (R1).
  public let entries = Counter()
  /// Passes completed.
  public let exits = Counter()
  /// Times the context went to sleep.
  public let sleeps = Counter()
  /// Looks at its descriptors and sleeps over them, by its own thread and by those that drove it: a system call each.
  public let polls = Counter()
  /// Of the sleeps, rests in which frames of bulk gathered: the links did not end them.
  public let rests = Counter()
  /// Times that application threads drove the context in its own thread's place.
  public let borrows = Counter()
  /// Spins that found work.
  public let spinsFound = Counter()
  /// Spins after which the thread slept all the same.
  public let spinsFailed = Counter()
  /// Timers fired.
  public let timersFired = Counter()
  /// Posted items run, by level.
  public let items = LevelCounters()
  /// Times a level ran out of its budget and left work pending, by level (RX-BUDGET).
  public let budgetEnds = LevelCounters()
  /// Passes that ended early because their wake-ups had nearly filled the buffer.
  public let wakeRoomEnds = Counter()
  /// Frames received.
  public let framesReceived = Counter()
  /// Packets given to the home of their flow, another context.
  public let steered = Counter()
  /// Packets that came back because the home had too many waiting.
  public let steeringDrops = Counter()
  /// The number of timers armed, as of the last pass.
  public let timersArmed = Gauge()
  /// The number of retired slots that wait for a grace period, as of the last pass.
  public let slotsInLimbo = Gauge()
  /// Grace periods that took longer than the configuration's patience, once for each time it passed.
  public let graceStalls = Counter()
  /// Who held the last one up: its number among the readers of the domain, and one; 0: nobody.
  let straggler = Gauge()
  /// The greatest lateness of a timer in nanoseconds beyond its deadline.
  public let worstTimerLateness = Gauge()
  /// The longest pass, in nanoseconds of the stack's clock.
  public let longestPass = Gauge()

  init() {}
}

/// A counter for each level.
public struct LevelCounters: ~Copyable, Sendable {
  /// Expired timers.
  public let clock = Counter()
  /// Devices and handed-over gates.
  public let net = Counter()
  /// Serial lines.
  public let serial = Counter()
  /// Storage.
  public let bio = Counter()
  /// Control.
  public let general = Counter()

  init() {}

  /// The counter of a level.
  public subscript(level: Level) -> Counter {
    _read {
      switch level {
      case .clock: yield clock
      case .net: yield net
      case .serial: yield serial
      case .bio: yield bio
      case .general: yield general
      }
    }
  }
  /// One more of a level. The context only.
  @inline(__always) func increment(_ level: Level) {
    switch level {
    case .clock: clock.increment()
    case .net: net.increment()
    case .serial: serial.increment()
    case .bio: bio.increment()
    case .general: general.increment()
    }
  }
  /// All levels together.
  public var total: UInt64 {
    clock.value &+ net.value &+ serial.value &+ bio.value &+ general.value
  }
}
