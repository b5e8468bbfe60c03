import Devices
import Exclusion
import Timing

extension ContextRunner {
  /// Looks at the port this often before sleeping: a poster that is about to come costs no system call.
  private static var spins: Int { 64 }
  /// How long a context with retired slots sleeps at most, so that they are freed after their grace period.
  private static var limboPeriod: UInt64 { 1_000_000 }

  /// The context's thread: passes while there is work, PROTOCOLS 5 when there is none.
  func loop() {
    withContextRoot(unsafe state.pointee.core) { root in
      root.goOnline()
      while true {
        let isMoreLeft = pass(&root)
        if unsafe state.pointee.isStopping { break }
        if isMoreLeft {
          poll()
        } else {
          idle(&root)
        }
      }
      root.goOffline()
    }
  }

  /// A look at the descriptors between passes, so that a busy run queue does not starve the devices.
  private func poll() {
    guard let poller = unsafe state.pointee.poller else { return }
    let now = unsafe state.pointee.now
    poller.wait(until: now, now: now) { markReady($0) }
  }

  private func idle(_ root: inout ContextRoot) {
    let port = unsafe state.pointee.core.port
    for _ in 0..<spinLimit(Self.spins) {
      if port.hasWork { return poll() }
      spinHint()
    }
    guard port.becomeIdle() else { return poll() }
    unsafe state.pointee.counters.sleeps.increment()
    var deadline = unsafe state.pointee.wheel.nextDeadline
    let now = unsafe state.pointee.timeSource.now()
    if unsafe !state.pointee.limbo.isEmpty {
      let soon = now.adding(nanoseconds: Self.limboPeriod)
      deadline = deadline.map { min($0, soon) } ?? soon
    }
    root.goOffline()
    unsafe state.pointee.poller?.wait(until: deadline, now: now) { markReady($0) }
    root.goOnline()
    // A kick that is owed, but not seen yet, makes a later wait end, which absorbs it.
    _ = port.leaveIdle()
  }
}
