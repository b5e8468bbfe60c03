// A context is driven by one thread at a time: whoever runs its passes and sleeps in its place. Mostly that is its own.
// While it sleeps an application thread may borrow the context, run what it needs at once, and wait for more by
// driving the context itself, so that an exchange costs no switch of threads.
//
//   state of the word          drives        who wakes it
//   0                          own thread    awake
//   IDLE                       nobody        poster: own thread, in its poller
//   IDLE APART                 nobody        poster: own thread, at its cell
//   LENT                       borrower      awake
//   LENT IDLE                  borrower      poster: borrower, in the poller or at its cell
//   LENT … APART, OWED         borrower      the own thread woke meanwhile, and stays out of the way
//
// Only a sleeping context is borrowed, by one compare-and-swap from exactly IDLE (APART): nothing is posted, and its own
// thread touches nothing of it until it has taken it back. Who gives it back finds by the same compare-and-swap that
// nothing was posted meanwhile; else the own thread is woken. That one may also wake by itself, by a descriptor or its
// deadline. Then it sleeps on at its cell, where descriptors do not wake it for what the borrower sees anyhow, and looks
// again after a moment: a context that was given back without a word, because its borrower comes and goes, is taken
// when nobody has come for as long. While a borrower sleeps it sleeps too, and is owed a wake-up.

/// What became of a context that somebody had borrowed.
public enum GivenBack: Sendable {
  /// It sleeps; its own thread watches, or looks again soon.
  case asleep
  /// Its own thread was woken.
  case handedOver
}

extension ContextPortRef {
  /// Who drives the context sleeps at a cell instead of in a poller: it has no descriptors. Before it runs.
  public func sleepWithoutPoller() { unsafe port.pointee.polled.storeRelaxed(0) }
  /// Whether who drives the context sleeps in its poller.
  public var sleepsInPoller: Bool { isPolled }
  /// Times that application threads would have driven the context and found it awake. Any thread.
  public var missedBorrows: UInt64 { unsafe port.pointee.missed.value }
  /// Times that it was borrowed. Any thread.
  public var borrows: UInt64 { unsafe port.pointee.borrows.loadRelaxed() }

  // MARK: The context's own thread

  /// As ``becomeIdle()``, to sleep until `deadline` nanoseconds (`.max`: for ever), in the poller or at its cell.
  public func becomeIdle(untilNanoseconds deadline: UInt64) -> Bool {
    unsafe port.pointee.sleepsUntil.storeRelaxed(deadline)
    return becomeIdle(isPolled ? ContextPort.idle : ContextPort.idle | ContextPort.apart)
  }

  /// After a wait: true if the context is its own thread's again. Else it is lent, or was a moment ago and
  /// `isPatient`: it is then to wait at its cell, for a moment or, if `mustLook` is false, until it is woken.
  ///
  /// `known` is what it knew of ``borrows``, and is brought up to date.
  public func takeBack(isPatient: Bool, known: inout UInt64, mustLook: inout Bool) -> Bool {
    var seen = unsafe port.pointee.word.load()
    while true {
      let isNew = known != borrows
      if seen & ContextPort.lent == 0 {
        if isPatient, isNew, seen & ContextPort.idle != 0 {
          (known, mustLook) = (borrows, true)
          return false
        }
        if unsafe port.pointee.word.compareExchange(&seen, seen & ~ContextPort.flags) { return true }
        continue
      }
      #if Explore
        if Mutation.ownThreadIgnoresBorrower.isOn { return true }
      #endif
      // A borrower that sleeps, or has been there for a while, may stay for ever.
      let isOwed = !isPolled || (isPatient && !isNew && seen & ContextPort.idle != 0)
      unsafe port.pointee.sleepsUntil.storeRelaxed(0)
      let after = seen | ContextPort.apart | (isOwed ? ContextPort.owed : 0)
      guard unsafe after == seen || port.pointee.word.compareExchange(&seen, after) else { continue }
      (known, mustLook) = (borrows, after & ContextPort.owed == 0)
      return false
    }
  }

  /// The context's own thread was told of a kick that was the borrower's, and sleeps in no poller any more.
  public func kickAgain() { if let descriptor { KickDescriptor.kick(descriptor) } }

  // MARK: Application threads

  /// The caller drives the context from here on, until ``giveBack``. False: it is awake, or lent already.
  func borrow(isWaiting: Bool) -> Bool {
    var seen = unsafe port.pointee.word.loadRelaxed()
    #if Explore
      if Mutation.contextBorrowedTwice.isOn, seen & ContextPort.lent != 0, seen <= ContextPort.flags {
        return true
      }
    #endif
    while seen & ~ContextPort.apart == ContextPort.idle {
      let after = seen & ContextPort.apart | ContextPort.lent
      if unsafe port.pointee.word.compareExchange(&seen, after) {
        unsafe port.pointee.borrows.storeRelaxed(port.pointee.borrows.loadRelaxed() &+ 1)
        return true
      }
    }
    if isWaiting { unsafe port.pointee.missed.increment() }
    return false
  }

  /// The borrower, before it waits: false if something was posted meanwhile.
  func becomeIdleAsBorrower() -> Bool {
    var seen = unsafe port.pointee.word.load()
    while seen <= ContextPort.flags {
      #if Explore
        if Mutation.borrowerSleepsUnseen.isOn { return true }
      #endif
      if unsafe port.pointee.word.compareExchange(&seen, seen | ContextPort.idle) { return true }
    }
    return false
  }
  /// After it waited, whatever ended the wait.
  func leaveIdleAsBorrower() { _ = unsafe port.pointee.word.formAnd(~ContextPort.idle) }

  /// Ends the loan. Nothing of the context may be touched any more. With `deadline` (nanoseconds; `.max`: none) the
  /// context's own thread is woken if it would sleep beyond it, with `isUrgent` at any rate, and with `isWatched` if
  /// nobody would watch descriptors for a moment.
  func giveBack(untilNanoseconds deadline: UInt64, isUrgent: Bool, isWatched: Bool) -> GivenBack {
    var seen = unsafe port.pointee.word.load()
    while true {
      let wakes =
        isUrgent || seen & ~ContextPort.apart != ContextPort.lent
        || (isWatched && isPolled && seen & ContextPort.apart != 0)
        || isSleptBeyond(deadline)
      if !wakes {
        let after = seen & ContextPort.apart | ContextPort.idle
        #if Explore
          if Mutation.loanEndedByStore.isOn {
            unsafe port.pointee.word.store(after)
            return .asleep
          }
        #endif
        if unsafe port.pointee.word.compareExchange(&seen, after) { return .asleep }
        continue
      }
      guard unsafe port.pointee.word.compareExchange(&seen, seen & ~ContextPort.flags) else { continue }
      #if Explore
        if Mutation.loanEndedWithoutKick.isOn { return .handedOver }
      #endif
      kick(seen & ~ContextPort.lent)
      return .handedOver
    }
  }
  private func isSleptBeyond(_ deadline: UInt64) -> Bool {
    #if Explore
      if Mutation.loanForgetsDeadline.isOn { return false }
    #endif
    return unsafe deadline < port.pointee.sleepsUntil.loadRelaxed()
  }

  /// Who drives the context as a borrower is to look at what its thread waits for. Any thread; what it is about was
  /// changed before.
  func rouse() {
    var seen = unsafe port.pointee.word.load()
    while seen & (ContextPort.lent | ContextPort.idle) == ContextPort.lent | ContextPort.idle {
      #if Explore
        if Mutation.borrowerNotRoused.isOn { return }
      #endif
      if unsafe port.pointee.word.compareExchange(&seen, seen & ~ContextPort.idle) { return kick(seen) }
    }
  }
}

extension ContextRoot {
  /// The context's own thread sleeps at its cell, until it is woken or until `deadline` nanoseconds (`.max`: for ever).
  public mutating func sleepAtCell(untilNanoseconds deadline: UInt64) {
    _ = unsafe core.port.port.pointee.own.parkAtRoot(untilNanoseconds: deadline)
  }

  /// Sleeps as a borrower until something is posted, `parker` is signalled, or until `deadline` nanoseconds (`.max`:
  /// for ever); `poll` waits for descriptors as long, where the context has any. False: there was something.
  public mutating func sleepAsBorrower(
    _ parker: borrowing Parker, untilNanoseconds deadline: UInt64, _ poll: () -> Void
  ) -> Bool {
    let port = core.port
    goOffline()
    defer { goOnline() }
    guard port.becomeIdleAsBorrower() else { return false }
    defer { port.leaveIdleAsBorrower() }
    // After IDLE is there: who signals the parker from here on takes it off.
    guard parker.beginDriving() else { return false }
    if port.isPolled {
      poll()
    } else {
      _ = unsafe port.port.pointee.borrower.parkAtRoot(untilNanoseconds: deadline)
    }
    parker.endDriving()
    return true
  }
}

/// How a context that was borrowed is given back.
public struct LoanEnd: Sendable {
  /// The context's next deadline, in nanoseconds; `.max`: none.
  public var deadline: UInt64
  /// It has work left, or is to stop.
  public var isUrgent: Bool
  /// Somebody beside the borrower depends on its descriptors' being watched.
  public var isWatched: Bool
  /// What to give back with.
  public init(deadline: UInt64, isUrgent: Bool, isWatched: Bool) {
    (self.deadline, self.isUrgent, self.isWatched) = (deadline, isUrgent, isWatched)
  }
}

/// Makes the calling application thread, which holds nothing, the driver of `core` for the length of `body`, if the
/// context sleeps; `body` says at last how it is given back. Nil, at once: it does not sleep, and who `isWaiting` would
/// rather drive it than wait.
package func withBorrowedRoot(
  _ core: ContextCoreRef, isWaiting: Bool, _ body: (inout ContextRoot) -> LoanEnd
) -> GivenBack? {
  guard core.port.borrow(isWaiting: isWaiting) else { return nil }
  let end = withContextRoot(core) { root in
    root.goOnline()
    let end = body(&root)
    root.goOffline()
    return end
  }
  return core.port.giveBack(
    untilNanoseconds: end.deadline, isUrgent: end.isUrgent, isWatched: end.isWatched)
}

#if Explore
  extension Mutation {
    /// A context that is lent is lent again.
    static let contextBorrowedTwice = Mutation("contextBorrowedTwice")
    /// The context's own thread goes on although somebody drives the context.
    static let ownThreadIgnoresBorrower = Mutation("ownThreadIgnoresBorrower")
    /// Who drives a borrowed context sleeps, and posters do not know it.
    static let borrowerSleepsUnseen = Mutation("borrowerSleepsUnseen")
    /// A context is given back by a store: what was posted meanwhile is forgotten.
    static let loanEndedByStore = Mutation("loanEndedByStore")
    /// A context with work is given back, and its own thread is not told.
    static let loanEndedWithoutKick = Mutation("loanEndedWithoutKick")
    /// Its own thread sleeps beyond a deadline that the borrower set.
    static let loanForgetsDeadline = Mutation("loanForgetsDeadline")
    /// What a borrower waits for comes from elsewhere, and it sleeps on.
    static let borrowerNotRoused = Mutation("borrowerNotRoused")
  }
#endif
