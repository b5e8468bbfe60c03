// What a context looks at once in a while, at general level, and only while there is something to look at.

import Exclusion
import Timing

/// Who keeps retired memory from being used again.
public enum GraceStraggler: Hashable, Sendable, CustomStringConvertible {
  /// A context whose pass does not end.
  case context(Int)
  /// An application thread that is a guest of this context.
  case guest(of: Int)
  /// An application thread that is inside of a look-up, by its place among the pins.
  case thread(place: Int)

  /// For people.
  public var description: String {
    switch self {
    case .context(let number): "context \(number)"
    case .guest(let host): "the application thread that is a guest of context \(host)"
    case .thread(let place): "the application thread at pin \(place)"
    }
  }
}

/// A timer while slots are in limbo, and the item that it posts to the general level. In memory of its own; the
/// context's alone.
@safe
struct Housekeeping: ~Copyable {
  private let memory: UnsafeMutableRawPointer
  let timer: TimerRef
  /// Nanoseconds that a grace period may take before it is a stall.
  let patience: UInt64
  /// The oldest epoch that was waited for the last time.
  var epoch: UInt64?

  static var timerKind: UInt8 { 31 }
  private static var timerOffset: Int { 64 }

  init(patience: UInt64) {
    self.patience = patience
    unsafe memory = .allocate(byteCount: 128, alignment: 64)
    unsafe memory.initializeMemory(as: WorkItem.self, to: WorkItem(kind: Handlers.Kind.housekeeping))
    timer = unsafe TimerRef.initialize(at: memory + Self.timerOffset, kind: Self.timerKind, owner: 0)
  }
  deinit { unsafe memory.deallocate() }

  var item: ItemRef { unsafe ItemRef(memory) }

  /// The timer's work is the general level's.
  static func register(in handlers: inout Handlers) {
    handlers.registerTimer(timerKind) { _, cx in
      unsafe cx.core.port.post(cx.state.pointee.housekeeping.item)
    }
    handlers.register(Handlers.Kind.housekeeping, at: .general) { _, cx in
      unsafe ContextRunner(state: cx.state).keepHouse()
    }
  }
}

extension ContextRunner {
  /// The end of a pass: housekeeping goes on while retired slots wait, and ends with the last of them.
  @inline(__always) func scheduleHousekeeping() {
    let isWaiting = unsafe !state.pointee.limbo.isEmpty
    if unsafe isWaiting != state.pointee.housekeeping.timer.isArmed { scheduleHousekeeping(isWaiting) }
  }
  @inline(never) private func scheduleHousekeeping(_ isWaiting: Bool) {
    let timer = unsafe state.pointee.housekeeping.timer
    if isWaiting {
      let patience = unsafe state.pointee.housekeeping.patience
      unsafe state.pointee.wheel.arm(timer, at: state.pointee.now.adding(nanoseconds: patience))
    } else {
      unsafe state.pointee.wheel.cancel(timer)
      unsafe state.pointee.housekeeping.epoch = nil
    }
  }

  /// Slots that waited the last time and still wait: somebody pins too long, and is named.
  fileprivate func keepHouse() {
    let oldest = unsafe state.pointee.limbo.oldestEpoch
    if let oldest, unsafe oldest == state.pointee.housekeeping.epoch,
      let straggler = unsafe state.pointee.grace.stragglers(before: oldest).first
    {
      unsafe state.pointee.counters.graceStalls.increment()
      unsafe state.pointee.counters.straggler.set(UInt64(straggler) + 1)
    }
    unsafe state.pointee.housekeeping.epoch = oldest
  }
}

extension ContextSet {
  /// Who kept slots of context `index` from being used again when a grace period stalled last; nil: none did.
  public func lastStraggler(_ index: Int) -> GraceStraggler? {
    let number = counters(index).straggler.value
    guard number > 0 else { return nil }
    let reader = Int(number) - 1
    if reader >= coreCount { return .thread(place: reader - coreCount) }
    return reader < count ? .context(reader) : .guest(of: reader - count)
  }
}
