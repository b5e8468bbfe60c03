import CLinux

// The only ways into the two contexts. Package access: the interface of the stack is where applications enter,
// the loop (or the manual scheduler) is where a context begins. Nothing else calls them.

@usableFromInline enum Root {
  static let none: UInt32 = 0
  static let application: UInt32 = 1
  static let context: UInt32 = 2

  /// Traps on nesting, in debug builds. Returns whether `leave` is owed.
  @inline(__always) static func enter(_ root: UInt32) {
    assert(sluice_current_root() == none, "a root inside a root: application code ran inside the stack")
    assert(
      {
        sluice_set_current_root(root)
        return true
      }())
    #if LockDep
      LockDep.requireNoneHeld()
    #endif
  }
  /// For application context, whose entries are inlined where they are.
  @usableFromInline static func enterApplication() { enter(application) }
  @usableFromInline static func leave() {
    assert(
      {
        sluice_set_current_root(none)
        return true
      }())
  }
}

/// Enters application context: at the entry of an interface call, and nowhere else.
@inlinable @inline(__always) package func withApplication<R: ~Copyable, E: Error>(
  _ body: (inout Held<Unlocked>) throws(E) -> R
) throws(E) -> R {
  Root.enterApplication()
  defer { Root.leave() }
  var held = Held<Unlocked>(_proof: ())
  return try body(&held)
}

/// Whether the calling thread runs a context, or application code that a context has called.
package var isInsideContext: Bool { ThreadLocal.currentContextAddress != 0 }

/// Makes the calling application thread, which holds nothing, the guest `core` for the length of `body`, as a context
/// is for a pass: afterwards the wake-ups that it raised are delivered, and it holds nothing that it found in a shared
/// table. Nil, at once: somebody else is this guest, or nobody may be any more.
package func withGuestRoot<R>(_ core: ContextCoreRef, _ body: (inout ContextRoot) -> R) -> R? {
  precondition(core.isGuest, "a context is its own thread's")
  guard core.occupy() else { return nil }
  let result = withContextRoot(core) { root in
    #if Explore
      if !Mutation.guestStaysOffline.isOn { root.goOnline() }
    #else
      root.goOnline()
    #endif
    let result = body(&root)
    #if Explore
      if Mutation.guestLeavesBeforeWaking.isOn { core.vacate() }
    #endif
    root.deliverWakeups()
    #if Explore
      if Mutation.guestKeepsGraceSection.isOn { return result }
    #endif
    root.goOffline()
    return result
  }
  // Last: the next guest has this one's memory.
  core.vacate()
  return result
}

extension ContextRoot {
  /// Leaves the root for the length of `body`, which is application code on the context's own thread: between two passes,
  /// with nothing owned and nothing kept that was found in a shared table. Memory of the context's pools is given back
  /// as by the context, which nobody else runs meanwhile.
  package mutating func asApplication<R>(_ body: () -> R) -> R {
    goOffline()
    Root.leave()
    let result = body()
    Root.enter(Root.context)
    goOnline()
    return result
  }
}

/// Makes the calling thread the one that runs `core`, at the root of its loop. One thread at a time per context.
package func withContextRoot<R: ~Copyable, E: Error>(
  _ core: ContextCoreRef, _ body: (inout ContextRoot) throws(E) -> R
) throws(E) -> R {
  Root.enter(Root.context)
  unsafe sluice_set_current_context(core.raw)
  defer {
    sluice_set_current_context(nil)
    Root.leave()
  }
  var root = ContextRoot(_proof: core)
  return try body(&root)
}

/// The same for one step of a context that is stepped by hand, which is awake for as long: between its steps it counts as
/// quiescent, as one that sleeps does.
package func withContextStep(_ core: ContextCoreRef, _ body: (inout ContextRoot) -> Bool) -> Bool {
  Root.enter(Root.context)
  unsafe sluice_set_current_context(core.raw)
  defer {
    sluice_set_current_context(nil)
    Root.leave()
  }
  var root = ContextRoot(_proof: core)
  root.goOnline()
  defer { root.goOffline() }
  return body(&root)
}
