#if Explore
  import Exclusion

  /// A counter that closures share.
  final class SharedCounterBox: Sendable {
    let counter = SharedCounter()
    var value: UInt64 { counter.value }
  }

  /// A context of `Exclusion` alone, for scenarios of gates and ports: its thread takes what is posted and sleeps as
  /// PROTOCOLS 5 says.
  struct BareContext {
    static let stop = WorkKind(rawValue: 31)

    let run: Run
    let core: ContextCoreRef
    private let thread: UInt64
    private let stopItem: ItemRef
    /// How often it went to sleep.
    let sleeps: SharedCounterBox

    /// Starts it; `handle` runs each item.
    init(
      _ run: Run, index: Int, domain: GraceDomain? = nil,
      _ handle: @escaping (ItemRef, inout SoftInterrupt) -> Void
    ) {
      self.run = run
      let core = BareContext.core(index, .descriptor, domain)
      self.core = core
      let sleeps = SharedCounterBox()
      self.sleeps = sleeps
      stopItem = unsafe ItemRef(run.memory(byteCount: 64))
      stopItem.kind = BareContext.stop
      thread = run.start("context \(index)") {
        withContextRoot(core) { root in
          root.goOnline()
          while Self.pass(&root, handle) {
            run.milestone(0)
            root.goOffline()
            Self.sleep(run, core.port, sleeps)
            root.goOnline()
          }
          root.goOffline()
        }
      }
    }

    private static func pass(
      _ root: inout ContextRoot, _ handle: (ItemRef, inout SoftInterrupt) -> Void
    ) -> Bool {
      var goesOn = true
      let core = root.core
      while core.port.hasWork {
        root.withSoftInterrupt { cx in
          var taken = core.port.takeAll()
          while let item = taken.popFirst() {
            if item.kind == stop { goesOn = false } else { handle(item, &cx) }
          }
        }
        root.deliverWakeups()
        root.quiescent()
      }
      return goesOn
    }

    private static func sleep(_ run: Run, _ port: ContextPortRef, _ sleeps: SharedCounterBox) {
      guard port.becomeIdle() else { return }
      sleeps.counter.increment()
      let readable = run.machine.poll([port.descriptor ?? 0], until: nil)
      if !readable.isEmpty { port.absorb() }
      _ = port.leaveIdle()
    }

    /// Ends the thread, after all that was posted before.
    func finish() {
      core.port.post(stopItem)
      run.join(thread)
      core.destroy()
    }

    static func core(_ index: Int, _ kick: KickKind, _ domain: GraceDomain? = nil) -> ContextCoreRef {
      do { return try ContextCoreRef.make(index: index, kick: kick, wakeCapacity: 8, domain: domain) } catch {
        preconditionFailure("a virtual context needs no descriptor of the system: \(error)")
      }
    }
  }

  /// Runs `body` as the context `core`, in one pass.
  func asContext<R>(_ core: ContextCoreRef, _ body: (inout SoftInterrupt) -> R) -> R {
    withContextRoot(core) { root in
      let result = root.withSoftInterrupt { cx in body(&cx) }
      root.deliverWakeups()
      return result
    }
  }
#endif
