import Exclusion
import Sluice
import SoftInterrupts
import Sockets

/// Drives a loop of services on a context's own thread, between its passes: what the context has received is served and
/// answered without a switch of threads.
@safe
final class ServiceResident: @unchecked Sendable {  // the context's thread's, but for what says otherwise
  private var loop: ServiceLoop?
  /// Published at the loop's event queue.
  private var ticket: Waiter.Ticket?
  /// Who waits for the end.
  private var whenEnded: Answer<Void>?
  /// (c) Has it run.
  private var target: WakeTarget?
  /// They keep it.
  private unowned let contexts: ContextSet
  private let index: Int

  /// Settles on a context that has not started.
  init(on index: Int, of contexts: ContextSet) {
    self.contexts = contexts
    self.index = index
    target = Resident(on: index, of: contexts) { [self] in run() }.wakeTarget
  }

  /// Gives it a loop. Once; any thread.
  func drive(_ loop: ServiceLoop) { tell { $0.loop = loop } }

  /// Ends the loop, and waits for that. Any thread but a context's, before the contexts stop.
  func stop(_ loop: ServiceLoop) {
    let answer = Answer<Void>(loop.queue.point.account)
    tell { $0.whenEnded = answer }
    loop.queue.close()
    _ = answer.wait()
  }

  /// Changes it on the context's thread, and has it run.
  private func tell(_ change: @escaping @Sendable (ServiceResident) -> Void) {
    contexts.perform(on: index) { [self] cx in
      change(self)
      if let target { cx.wake(target) }
    }
  }

  /// Whether it is to go on after the next pass.
  private func run() -> Bool {
    guard let loop else { return tellEnd() }
    let point = loop.queue.point
    if let ticket {
      self.ticket = nil
      // Roused for something else, or by the wake-up, which is then taken.
      if !point.waiter.retract(ticket) {
        point.waiter.finish(ticket)
        loop.noteWakeUp()
      }
    }
    switch loop.advance() {
    case .hasMore: return true
    case .waits:
      guard let target else { return false }
      let published = point.waiter.publish(need: 1, target)
      // Looked at again after the publication: news may have come between (SB-ATOMIC).
      if loop.queue.isReady, point.waiter.retract(published) { return true }
      loop.counters.sleeps.increment()
      ticket = published
      return false
    case .ended:
      loop.end()
      self.loop = nil
      return tellEnd()
    }
  }

  private func tellEnd() -> Bool {
    if loop == nil, let answer = whenEnded {
      whenEnded = nil
      contexts.perform(on: index) { cx in answer.complete((), &cx) }
    }
    return false
  }
}
