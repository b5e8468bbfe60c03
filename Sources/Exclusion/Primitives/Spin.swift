import CLinux
import Synchronization

// Spinning before sleeping. A wake-up costs whoever waits five microseconds and more, and whoever wakes it two; a spin
// costs the processor. So a thread spins only where its own recent waits say that what it waits for comes within the
// limit, as virtual machines poll before they halt: a wait that a longer spin would have met doubles the window, one
// that outlasts the limit shrinks it to a quarter, and below a microsecond it does not spin at all. An idle stack
// sleeps at once. A spin that was in vain is followed by a time without any, longer each time: on a machine that has
// other work a spin takes the processor of the very thread that is waited for.

/// How a spin ended.
public enum SpinOutcome: Sendable {
  /// What was waited for is there.
  case found
  /// It is not, and time was spent.
  case gaveUp
  /// No time was spent: spinning is off, does not pay, or would take a processor from somebody.
  case off
}

/// A bound on spinning, and who may spin.
public enum Spin {
  /// Below this a window is closed, and above it a spin needs a processor to spare.
  private static var short: UInt64 { 1_000 }
  /// The first window.
  private static var first: UInt64 { 4_000 }
  /// A look that took longer than this was not alone on its processor.
  private static var gap: UInt64 { 40_000 }
  /// How long a thread does without spins after that at first, and at most.
  private static var hold: UInt64 { 1_000_000 }
  private static var longestHold: UInt64 { 64_000_000 }

  /// Processors of the process when it first asked.
  private static let processors = UInt64(sluice_processor_count())
  /// Threads that spin for longer than a moment: fewer than there are processors.
  private static let spinners = Spinners()
  private struct Spinners: ~Copyable, Sendable {
    let count = Atomic<UInt64>(0)
    func enter(limit: UInt64) -> Bool {
      guard count.wrappingAdd(1, ordering: .relaxed).newValue < limit else {
        leave()
        return false
      }
      return true
    }
    func leave() { count.wrappingSubtract(1, ordering: .relaxed) }
  }

  /// Looks for what the calling thread waits for: at least once, and for at most `limit` nanoseconds as long as its
  /// last waits say that it pays. Whoever sleeps afterwards calls ``slept(limit:)`` when it is awake again.
  @inline(__always)
  public static func wait(limit: UInt64, _ isThere: () -> Bool) -> SpinOutcome {
    if isThere() { return .found }
    #if Explore
      if explorer != nil { return .off }
    #endif
    guard limit > 0, processors > 1 else { return .off }
    let state = unsafe sluice_spin_state()!
    let began = sluice_monotonic_nanoseconds()
    unsafe state.pointee.began = began
    let window = unsafe min(state.pointee.window, limit)
    guard window >= short, unsafe began >= state.pointee.held_until else { return .off }
    var (last, isCounted) = (began, false)
    defer { if isCounted { spinners.leave() } }
    while true {
      for _ in 0..<8 {
        sluice_spin_hint()
        if isThere() {
          unsafe state.pointee.hold /= 2
          return .found
        }
      }
      let now = sluice_monotonic_nanoseconds()
      if !isCounted, now &- began > short { isCounted = spinners.enter(limit: processors) }
      // In vain, or somebody else ran here meanwhile, perhaps the very thread that is waited for: a spin may have taken
      // its processor, and each in a row is followed by twice the time without.
      if now &- last > gap || now &- began > window {
        let hold = unsafe min(max(state.pointee.hold &* 2, Self.hold), longestHold)
        unsafe (state.pointee.hold, state.pointee.held_until) = (hold, now &+ hold)
        return .gaveUp
      }
      last = now
      if !isCounted, now &- began > short { return .gaveUp }
    }
  }

  /// The calling thread slept after ``wait(limit:_:)``, and what it waited for has come.
  public static func slept(limit: UInt64) {
    #if Explore
      if explorer != nil { return }
    #endif
    let state = unsafe sluice_spin_state()!
    let began = unsafe state.pointee.began
    guard limit > 0, began > 0 else { return }
    unsafe state.pointee.began = 0
    let window = unsafe state.pointee.window
    if sluice_monotonic_nanoseconds() &- began <= limit {
      unsafe state.pointee.window = window == 0 ? min(first, limit) : min(window &* 2, limit)
    } else {
      unsafe state.pointee.window = window / 4 < short ? 0 : window / 4
    }
  }
}
