/// The levels of a soft-interrupt context: clock > net = serial > bio > general (DESIGN section 4).
///
/// In each pass the levels run in this order, each within its ``LevelBudget``. Net and serial are equals: they
/// take turns, and who begins alternates from pass to pass. What is left stays pending, so a busy level delays
/// those below it but starves none (RX-BUDGET), and expired timers come first, also between turns (R4).
public enum Level: Int, Sendable, CaseIterable {
  /// Expired timers.
  case clock
  /// Device receive, completions, handed-over gates.
  case net
  /// The same for serial lines.
  case serial
  /// Capture files and other storage.
  case bio
  /// Control, housekeeping, grace periods.
  case general
}

/// What one level may do in one pass before it leaves the rest pending.
@frozen public struct LevelBudget: Hashable, Sendable {
  /// Items: timers, frames, posted items. At least 1.
  public var items: Int
  /// Nanoseconds, at least 1. Looked at after a few items, so that a level goes a few items beyond at most.
  public var time: UInt64

  /// What is below 1 is taken for 1: every level runs something in every pass.
  public init(items: Int, time: UInt64) {
    self.items = max(1, items)
    self.time = max(1, time)
  }
}

/// The budgets of all levels. Their times together bound a pass; expired timers are looked at after each turn,
/// so they wait for one turn and not for a pass (TM-LATE).
public struct LevelBudgets: Hashable, Sendable {
  /// Expired timers of a pass, looks between turns included: 256 of them in half a millisecond.
  public var clock = LevelBudget(items: 256, time: 500_000)
  /// Frames and posted items of a pass, together: 256 in a millisecond.
  public var net = LevelBudget(items: 256, time: 1_000_000)
  /// The same for serial lines.
  public var serial = LevelBudget(items: 256, time: 1_000_000)
  /// Pieces of storage work: 64 in half a millisecond.
  public var bio = LevelBudget(items: 64, time: 500_000)
  /// Pieces of control work: 64 in half a millisecond.
  public var general = LevelBudget(items: 64, time: 500_000)
  /// Frames, and as many posted items, of one turn of net or serial: after it the other has its turn, and
  /// expired timers are looked at. 1...256.
  public var turn = 64

  /// The defaults.
  public init() {}

  /// The budget of a level.
  public subscript(level: Level) -> LevelBudget {
    get {
      switch level {
      case .clock: clock
      case .net: net
      case .serial: serial
      case .bio: bio
      case .general: general
      }
    }
    set {
      switch level {
      case .clock: clock = newValue
      case .net: net = newValue
      case .serial: serial = newValue
      case .bio: bio = newValue
      case .general: general = newValue
      }
    }
  }
}
