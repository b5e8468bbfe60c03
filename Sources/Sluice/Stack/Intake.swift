internal import Exclusion

/// The door of a stack: calls that need an answer of a context pass while it is open, and a shutdown waits until
/// those that passed have left (RS-QUIESCE).
package final class Intake: Sendable {
  private static var closed: UInt64 { 1 << 63 }
  /// CLOSED, and how many are inside.
  private let word = AtomicWord(0)
  private let waiter = Waiter()

  /// Open, with nobody inside.
  package init() {}

  /// Whether the caller may go on; then it calls `leave` at its end.
  package func enter() -> Bool {
    var seen = word.load()
    while seen & Self.closed == 0 {
      if word.compareExchange(&seen, seen + 1) { return true }
    }
    return false
  }

  package func leave() {
    #if Explore
      if Mutation.intakeLeftWithoutTelling.isOn {
        word.subtract(1)
        return
      }
    #endif
    word.subtract(1)
    if let target = waiter.claim(where: { _ in word.load() == Self.closed }) {
      withApplication { held in wake(target, &held) }
    }
  }

  /// Lets nobody in any more, and blocks until everybody has left. False: it was closed before.
  package func close() -> Bool {
    guard word.formOr(Self.closed) & Self.closed == 0 else { return false }
    let parker = Parker()
    let ticket = waiter.publish(need: 0, parker.wakeTarget)
    if isEmptyAfterAll, waiter.retract(ticket) { return true }
    withApplication { held in
      while !parker.park(&held) {}
    }
    waiter.finish(ticket)
    return true
  }

  /// Looked at after the publication: the last one may have left before it.
  private var isEmptyAfterAll: Bool {
    #if Explore
      if Mutation.intakeClosedWithoutLookingAgain.isOn { return false }
    #endif
    return word.load() == Self.closed
  }

  /// Lets nobody in any more.
  package var isClosed: Bool { word.load() & Self.closed != 0 }
}

#if Explore
  extension Mutation {
    /// Who closes goes to sleep without looking again whether anybody is inside.
    static let intakeClosedWithoutLookingAgain = Mutation("intakeClosedWithoutLookingAgain")
    /// Who leaves tells nobody.
    static let intakeLeftWithoutTelling = Mutation("intakeLeftWithoutTelling")
  }
#endif
