internal import Exclusion

/// The door of a stack: calls that need an answer of a context pass while it is open, and a shutdown waits until
/// those that passed have left (RS-QUIESCE).
final class Intake: Sendable {
  private static var closed: UInt64 { 1 << 63 }
  /// CLOSED, and how many are inside.
  private let word = AtomicWord(0)
  private let waiter = Waiter()

  /// Whether the caller may go on; then it calls `leave` at its end.
  func enter() -> Bool {
    var seen = word.load()
    while seen & Self.closed == 0 {
      if word.compareExchange(&seen, seen + 1) { return true }
    }
    return false
  }

  func leave() {
    word.subtract(1)
    if let target = waiter.claim(where: { _ in word.load() == Self.closed }) {
      withApplication { held in wake(target, &held) }
    }
  }

  /// Lets nobody in any more, and blocks until everybody has left. False: it was closed before.
  func close() -> Bool {
    guard word.formOr(Self.closed) & Self.closed == 0 else { return false }
    let parker = Parker()
    let ticket = waiter.publish(need: 0, parker.wakeTarget)
    if word.load() == Self.closed, waiter.retract(ticket) { return true }
    withApplication { held in
      while !parker.park(&held) {}
    }
    waiter.finish(ticket)
    return true
  }

  /// Lets nobody in any more.
  var isClosed: Bool { word.load() & Self.closed != 0 }
}
