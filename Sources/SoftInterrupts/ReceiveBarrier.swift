import Exclusion

/// A barrier over received packets (RX-DRAIN), by looking at what each lane carried when it began. Control work:
/// it allocates.
///
/// Protection: (c) constant after the first part, (a) atomic.
@safe
final class ReceiveBarrier: @unchecked Sendable {  // each row of marks is written by its context, then read
  private let contexts: ContextSet
  private let count: Int
  /// By source and target: what had entered the lane. (c)
  private let marks: UnsafeMutablePointer<UInt64>
  /// (a) contexts that have not ended the part.
  private let remaining: AtomicWord
  private let finished: @Sendable (_ context: Int, inout SoftInterrupt) -> Void

  init(_ contexts: ContextSet, _ finished: @escaping @Sendable (Int, inout SoftInterrupt) -> Void) {
    self.contexts = contexts
    self.finished = finished
    count = contexts.count
    unsafe marks = .allocate(capacity: count * count)
    unsafe marks.initialize(repeating: 0, count: count * count)
    remaining = AtomicWord(UInt64(count))
  }
  deinit { unsafe marks.deallocate() }

  /// First part: what a context had received when this was posted is worked on or in a lane when it runs.
  func begin() {
    for index in 0..<count {
      contexts.perform(on: index) { [self] cx in
        for (target, lane) in unsafe cx.state.pointee.outgoing.enumerated() {
          unsafe marks[index * count + target] = lane?.entered ?? 0
        }
        guard remaining.subtract(1) == 1 else { return }
        for target in 0..<count { waitForLanes(of: target) }
      }
    }
  }

  /// Second part: pass by pass, until what was in the lanes is done.
  private func waitForLanes(of target: Int) {
    contexts.perform(on: target) { [self] cx in
      #if Explore
        if Mutation.barrierSkipsLanes.isOn { return finished(target, &cx) }
      #endif
      for (number, incoming) in unsafe cx.state.pointee.incoming.enumerated() {
        // Lanes come by their sources, the target itself left out.
        let source = number < target ? number : number + 1
        guard unsafe incoming.lane.done >= marks[source * count + target] else {
          return waitForLanes(of: target)
        }
      }
      finished(target, &cx)
    }
  }
}

extension ContextSet {
  /// Calls `finished` on each context, at general level, when every packet that any context had received before
  /// the call was given to its handler at its home (RX-DRAIN). What handlers left at gates may still be there.
  /// Any thread; does not wait.
  public func afterReceived(_ finished: @escaping @Sendable (_ context: Int, inout SoftInterrupt) -> Void) {
    ReceiveBarrier(self, finished).begin()
  }
}
