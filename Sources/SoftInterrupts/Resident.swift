public import Exclusion

/// Application code that lives with a context: it runs on the context's own thread, between two passes and with nothing
/// owned, whenever it was roused. A service that looks what there is, answers, and never waits needs no thread of its own
/// so, and what it serves needs no switch of threads.
///
/// It may call what an application may that does not wait. As long as it runs its context does nothing else, and nobody
/// borrows a context that has a resident.
@safe public final class Resident: @unchecked Sendable {  // constant
  let body: @Sendable () -> Bool
  /// They keep it.
  private unowned let contexts: ContextSet
  private let core: ContextCoreRef
  private let runner: ContextRunner

  /// Settles `body` on context `index`, which has no other, before the contexts start, and keeps it as long as they are
  /// there. It returns whether it is to run again after the next pass without being roused.
  public init(on index: Int, of contexts: ContextSet, _ body: @escaping @Sendable () -> Bool) {
    self.body = body
    self.contexts = contexts
    core = contexts.core(index)
    runner = contexts.runner(index)
    contexts.settle(self, on: index)
  }

  /// Has it run whenever `descriptor` has become readable, which is told once for each time that something came. Before
  /// the contexts start, which have threads. Throws what the poller throws.
  public func watch(descriptor: Int32) throws {
    try contexts.watch(descriptor: descriptor, forResidentOf: core.index)
  }
  /// Whether the descriptor has become readable since this was asked last. The body only.
  public func takeReadable() -> Bool { runner.takeResidentReadable() }

  /// Has it run soon. Any thread; does not wait.
  public func rouse() {
    // Where its own context delivers, which it may touch: it is the next to run.
    if core.runsHere { return runner.noteResident() }
    #if Explore
      if Mutation.residentRousedFromAfar.isOn { return runner.noteResident() }
    #endif
    contexts.perform(on: core.index) { cx in unsafe cx.state.pointee.isResidentDue = true }
  }

  /// Rouses it; for as long as it is there, which is until the contexts have stopped.
  public var wakeTarget: WakeTarget {
    unsafe WakeTarget(
      function: { unsafe Unmanaged<Resident>.fromOpaque($0).takeUnretainedValue().rouse() },
      context: Unmanaged.passUnretained(self).toOpaque())
  }
}

extension ContextRunner {
  /// On the thread that runs the context.
  func noteResident() { unsafe state.pointee.isResidentDue = true }

  /// Its descriptor has something.
  func markResidentReadable() {
    unsafe state.pointee.isResidentReadable = true
    unsafe state.pointee.isResidentDue = true
  }
  func takeResidentReadable() -> Bool {
    defer { unsafe state.pointee.isResidentReadable = false }
    return unsafe state.pointee.isResidentReadable
  }

  /// Runs the resident if it was roused. True: it ran, and may have left something to do.
  func runResident(_ root: inout ContextRoot) -> Bool {
    guard unsafe state.pointee.isResidentDue, let resident = unsafe state.pointee.resident else {
      return false
    }
    unsafe state.pointee.isResidentDue = false
    if root.asApplication(resident.body) { unsafe state.pointee.isResidentDue = true }
    return true
  }
}
