/// The levels of a soft-interrupt context: clock > net = serial > bio > general (DESIGN section 4).
///
/// In each pass the levels run in this order, each within its budget. What is left stays pending, so a
/// busy level delays those below it but starves none, and expired timers always come first (R4).
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

  /// Items that a level may run in one pass.
  public var itemBudget: Int {
    switch self {
    case .clock: 256
    case .net, .serial: 256
    case .bio: 64
    case .general: 64
    }
  }

  /// Nanoseconds that a level may run in one pass before it leaves the rest pending.
  public var timeBudget: UInt64 {
    switch self {
    case .clock: 500_000
    case .net, .serial: 1_000_000
    case .bio, .general: 500_000
    }
  }
}
