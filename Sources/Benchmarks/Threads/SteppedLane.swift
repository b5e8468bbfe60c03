import Exclusion
import SoftInterrupts
import Timing

/// What lets stacks pass on what programs have given them.
protocol Settling {
  /// Until nothing more comes of it.
  func settle()
}

/// Context `index` of each of two stacks, stepped by one thread, which is the program at both ends as well. Other lanes
/// of the same stacks belong to other threads.
struct SteppedLane: Settling {
  private let near: ContextSet
  private let far: ContextSet
  private let index: Int
  /// It is the caller of each step; the clock moves no context.
  private let scheduler = ManualScheduler(clock: VirtualClock())

  init(_ near: ContextSet, _ far: ContextSet, _ index: Int) {
    (self.near, self.far, self.index) = (near, far, index)
  }

  func settle() {
    var isMoreLeft = true
    while isMoreLeft {
      isMoreLeft = scheduler.step(near, context: index)
      isMoreLeft = scheduler.step(far, context: index) || isMoreLeft
      // What came back.
      isMoreLeft = scheduler.step(near, context: index) || isMoreLeft
    }
  }
}
