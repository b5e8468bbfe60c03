// Guests: application threads that for a moment do a context's work in its place (DESIGN section 2, "when to enter").
//
// A guest has everything that a soft interrupt needs to run what is in a gate: packets, a wake buffer, a transmit
// batch, a place in grace periods, counters. It has nothing that would have to go on when the thread has left: no
// loop, no wheel, no table, nobody posts to it, and what it finds left to do in a gate is home's. It sends by its
// host's queues, so the packets of a flow keep their order.

public import Exclusion

extension ContextSet {
  /// Whether a guest of context `host` may do what would be posted there: nobody runs that context now.
  public func isIdle(_ host: Int) -> Bool { port(host).isIdle }

  /// What the guest of context `host` did; nil: it has none.
  public func guestCounters(of host: Int) -> ContextCounters? {
    count + host < coreCount ? counters(count + host) : nil
  }

  /// Runs `body` as the guest of context `host`: at once, on the calling thread. Nil: there is no guest, somebody
  /// else is it, or the contexts have stopped. Application context, nothing held; never waits.
  @inline(__always) public func asGuest<R>(of host: Int, _ body: (inout SoftInterrupt) -> R) -> R? {
    let index = count + host
    guard index < coreCount else { return nil }
    let runner = runner(index)
    return withGuestRoot(core(index)) { root in runner.stay(&root, body) }
  }
}

extension ContextRunner {
  /// What is a pass to a context is a stay to a guest. Its root does the rest.
  @inline(__always) fileprivate func stay<R>(_ root: inout ContextRoot, _ body: (inout SoftInterrupt) -> R)
    -> R
  {
    let counters = unsafe state.pointee.counters
    counters.entries.increment()
    refreshNow()
    let result = root.withSoftInterrupt { cx in
      let result = body(&cx)
      #if Explore
        if Mutation.guestForgetsFlush.isOn { return result }
      #endif
      cx.finishTransmission()
      return result
    }
    counters.exits.increment()
    return result
  }
}
