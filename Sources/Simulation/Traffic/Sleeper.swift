import Exclusion
import Sockets

/// A place to wait at, as a thread or a task waits that has nothing else to do: published at the waiter of the shipped
/// interface, and run again when the stack wakes it (PROTOCOLS 2). One thread runs all; so it has the turn always.
final class Sleeper {
  private unowned let traffic: Traffic
  private var point: WaitPoint?
  private var ticket: Waiter.Ticket?
  /// The wake-up has come, and was not taken yet.
  private var isWoken = false
  /// Goes on. The argument says whether a wake-up led here; whoever can then do nothing counts it as wasted.
  var resume: (_ wasWoken: Bool) -> Void = { _ in }

  init(_ traffic: Traffic) { self.traffic = traffic }

  var isAsleep: Bool { ticket != nil }

  /// Sleeps until `need` can be had at `point`. False: it can be had already, try again.
  func sleep(at point: WaitPoint, need: UInt32, isReady: (UInt32) -> Bool) -> Bool {
    let target = unsafe WakeTarget(
      function: { context in
        unsafe Unmanaged<Sleeper>.fromOpaque(context).takeUnretainedValue().woken()
      }, context: Unmanaged.passUnretained(self).toOpaque())
    let ticket = point.waiter.publish(need: need, target)
    // Looked at again after the publication, as every waiter does (SB-ATOMIC).
    if isReady(need), point.waiter.retract(ticket) { return false }
    (self.point, self.ticket) = (point, ticket)
    return true
  }

  private func woken() {
    isWoken = true
    traffic.ready.append(self)
  }

  /// Takes the wake-up and goes on.
  func run() {
    guard isWoken, let point, let ticket else { return }
    isWoken = false
    self.ticket = nil
    point.waiter.finish(ticket)
    point.account.counters.delivered.increment()
    resume(true)
  }

  /// The wake-up let nothing be done.
  func wasted(at point: WaitPoint) { point.account.counters.wasted.increment() }

  /// Waits no longer.
  func cancel() {
    guard let point, let ticket else { return }
    if isWoken {
      // Claimed for us already: it is taken, and nothing done with it.
      isWoken = false
      point.waiter.finish(ticket)
      point.account.counters.delivered.increment()
    } else {
      _ = point.waiter.retract(ticket)
    }
    self.ticket = nil
  }
}
