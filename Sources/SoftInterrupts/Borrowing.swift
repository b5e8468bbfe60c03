// Application threads that drive a context which sleeps (Exclusion, `Lending.swift`): for a moment, to run what they
// bring, or as long as they wait, so that what they wait for is worked on by the one who wants it.
//
// A borrower is no guest: it is the context, with its wheel, its pool and its tables, and runs whole passes.

import Devices
public import Exclusion
import Timing

/// How a thread waited by driving a context.
public enum AttendanceEnd: Hashable, Sendable {
  /// It was signalled.
  case woken
  /// The deadline has come.
  case expired
  /// The context does not sleep, or its own thread wanted it back: wait as others do.
  case refused
}

extension ContextSet {
  /// Runs `body` as context `index`, on the calling thread and at once, and then what that left the context to do.
  /// False: it does not sleep, and `body` did not run. Application context, nothing held; never waits.
  ///
  /// A context that is stepped by hand sleeps between its steps, and the thread that steps it is the one that calls; what
  /// `body` leaves to do is done at once as well.
  public func asBorrower(of index: Int, _ body: (inout SoftInterrupt) -> Void) -> Bool {
    guard mayBeBorrowed(index) else { return false }
    let runner = runner(index)
    if isStepped {
      guard !isInsideContext else { return false }
      return withContextStep(core(index)) { root in
        runner.visit(&root, body)
        return true
      }
    }
    return withBorrowedRoot(core(index), isWaiting: false) { root in
      runner.visit(&root, body)
      return runner.endLoan(isWatched: false)
    } != nil
  }

  /// Waits for `parker`, which belongs to the calling thread and was made for context `index`, by driving the context,
  /// until `deadline` nanoseconds of the machine's clock (`.max`: for ever). Takes no token. Application context,
  /// nothing held.
  public func attend(_ index: Int, _ parker: borrowing Parker, untilNanoseconds deadline: UInt64)
    -> AttendanceEnd
  {
    guard mayBeBorrowed(index) else { return .refused }
    let runner = runner(index)
    var outcome = AttendanceEnd.refused
    _ = withBorrowedRoot(core(index), isWaiting: true) { root in
      outcome = runner.attend(&root, parker, deadline)
      return runner.endLoan(isWatched: outcome != .woken || !runner.isAlone)
    }
    return outcome
  }
}

extension ContextRunner {
  /// Passes over what a visit left, before the context's own thread is woken for the rest.
  private static var passesOfVisit: Int { 4 }
  /// A borrower that received more frames than this is not alone with what it waits for.
  private static var framesOfOne: UInt64 { 4 }

  /// The pass of who brings something.
  fileprivate func visit(_ root: inout ContextRoot, _ body: (inout SoftInterrupt) -> Void) {
    unsafe state.pointee.counterSet._withUnsafeGuaranteedRef {
      $0.entries.increment()
      $0.borrows.increment()
    }
    refreshNow()
    root.withSoftInterrupt { cx in
      body(&cx)
      flush(&cx)
    }
    deliverWakeups(&root)
    root.quiescent()
    unsafe state.pointee.counterSet._withUnsafeGuaranteedRef { $0.exits.increment() }
    var passes = 0
    while passes < Self.passesOfVisit, hasMore, unsafe !state.pointee.isStopping {
      _ = pass(&root)
      passes += 1
    }
  }

  fileprivate func attend(
    _ root: inout ContextRoot, _ parker: borrowing Parker, _ deadline: UInt64
  ) -> AttendanceEnd {
    let counters = unsafe state.pointee.counters
    let limit = unsafe state.pointee.spinLimit
    counters.borrows.increment()
    let frames = counters.framesReceived.value
    let others = unsafe state.pointee.core.wakes.delivered.value
    var outcome = AttendanceEnd.woken
    while !parker.isSignalled {
      guard unsafe !state.pointee.isStopping else {
        outcome = .refused
        break
      }
      if hasMore || spin(limit: limit, until: { parker.isSignalled }) {
        _ = pass(&root)
        continue
      }
      let now = refreshNow()
      if now.nanoseconds >= deadline {
        outcome = .expired
        break
      }
      let due = sleepDeadline(now)?.nanoseconds ?? .max
      let until = min(due, deadline)
      counters.sleeps.increment()
      let slept = root.sleepAsBorrower(parker, untilNanoseconds: until) {
        counters.polls.increment()
        unsafe state.pointee.poller?.wait(
          until: until == .max ? nil : Instant(nanoseconds: until), now: now
        ) { markReady($0) }
      }
      if slept { Spin.slept(limit: limit) }
      // What is due is no event of anybody's.
      if unsafe due <= state.pointee.time.now().nanoseconds { _ = pass(&root) }
    }
    let delivered = unsafe state.pointee.core.wakes.delivered.value
    unsafe state.pointee.isBorrowerAlone =
      counters.framesReceived.value &- frames <= Self.framesOfOne && delivered &- others <= 1
    return outcome
  }
  /// Whether the last one that attended was the only one that something came for.
  fileprivate var isAlone: Bool { unsafe state.pointee.isBorrowerAlone }

  /// How what there is now is given back.
  fileprivate func endLoan(isWatched: Bool) -> LoanEnd {
    let now = unsafe state.pointee.now
    let isStopping = unsafe state.pointee.isStopping
    return LoanEnd(
      deadline: sleepDeadline(now)?.nanoseconds ?? .max, isUrgent: hasMore || isStopping, isWatched: isWatched
    )
  }

  /// Whether a pass would find something that is there already.
  @inline(__always) private var hasMore: Bool { unsafe hasWorkLeft || state.pointee.core.port.hasWork }
}
