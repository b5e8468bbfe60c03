// Event sources that are not sockets: what a thread triggers, and timers. Their registrations hang in no socket's
// list; a count says what happened since it was told last.

import Exclusion
import SoftInterrupts
public import Timing

/// A user event: any thread triggers it, and the event queue tells (EVFILT_USER). Keeps its queue's memory.
public final class UserEvent: Sendable {
  fileprivate let queue: SocketEventQueue
  fileprivate let registration: RegistrationRef
  fileprivate let generation: UInt32

  fileprivate init(_ queue: SocketEventQueue, _ registration: RegistrationRef) {
    self.queue = queue
    self.registration = registration
    generation = registration.generation
  }

  /// Makes it `.triggered`, once more. Application context, any thread. Throws `.notRegistered` once it was
  /// removed, or its queue closed.
  public func trigger() throws(SocketError) {
    try queue.withLive(registration, generation) { registration in
      unsafe registration.body.pointee.count.add(1)
      fullFence()  // keeps SB-FENCE: the count before the look at the state
      return registration.raise(.triggered)
    }
  }

  /// Takes back every trigger that was not told yet: the level falls. Application context, any thread.
  public func clear() throws(SocketError) {
    try queue.withLive(registration, generation) { registration in
      _ = unsafe registration.body.pointee.count.exchange(0)
      return nil
    }
  }
}

/// A timer of an event queue (EVFILT_TIMER), by its place there.
public struct EventTimer: Sendable, Hashable {
  /// The queue, by a number that no other of the stack has: the place may be gone with it.
  let queueNumber: UInt64
  let registration: RegistrationRef
  let generation: UInt32
}

extension SocketEventQueue {
  /// Makes a user event, for any thread to trigger. As an edge it is told once for all triggers since it was told
  /// last; by level until ``UserEvent/clear()``. Throws `.limitReached`, `.closed`.
  public func addUserEvent(
    trigger: EventTrigger = .edge, token: UInt64
  ) throws(SocketError) -> UserEvent {
    var made: UserEvent?
    try change { (table, grace) throws(SocketError) in
      let registration = try obtain(&table, grace)
      registration.begin(.user, .triggered, trigger, token: token)
      made = UserEvent(self, registration)
      return nil
    }
    guard let made else { throw .closed }
    return made
  }

  /// Makes a timer that expires after `delay`, and then, if `interval` is not nil, each time that has passed. The
  /// event's `available` says how often it has expired since that was told last. It stays registered until it is
  /// removed. Throws `.limitReached`, `.closed`.
  public func addTimer(
    after delay: Nanoseconds, every interval: Nanoseconds? = nil, token: UInt64
  ) throws(SocketError) -> EventTimer {
    var made: EventTimer?
    let (home, hold) = (layer.nextContext(), hold)
    try change { (table, grace) throws(SocketError) in
      let registration = try obtain(&table, grace)
      registration.begin(.timer(home: home), .triggered, .edge, token: token)
      unsafe registration.body.pointee.interval = interval.map { UInt64(max(1, $0.count)) } ?? 0
      let deadline = layer.contexts.timeSource.now() + Nanoseconds(max(0, delay.count))
      let generation = registration.generation
      made = EventTimer(queueNumber: number, registration: registration, generation: generation)
      layer.contexts.perform(on: home) { cx in
        withExtendedLifetime(hold) { cx.arm(registration.timer, at: deadline) }
      }
      return nil
    }
    guard let made else { throw .closed }
    return made
  }

  /// Ends a user event: after this it is not told, and cannot be triggered. Throws `.notRegistered`, `.closed`.
  public func remove(_ event: UserEvent) throws(SocketError) {
    guard event.queue === self else { throw .notRegistered }
    try removeCounter(event.registration, event.generation)
  }
  /// Ends a timer: after this it is not told. Throws `.notRegistered`, `.closed`.
  public func remove(_ timer: EventTimer) throws(SocketError) {
    guard timer.queueNumber == number else { throw .notRegistered }
    try removeCounter(timer.registration, timer.generation)
  }

  private func removeCounter(_ registration: RegistrationRef, _ generation: UInt32) throws(SocketError) {
    try change { (_, _) throws(SocketError) in
      guard registration.isLive(generation) else { throw .notRegistered }
      endCounter(registration)
      return nil
    }
  }

  /// Runs `body` with a registration that cannot end and be used again meanwhile, then wakes whom it returns.
  fileprivate func withLive(
    _ registration: RegistrationRef, _ generation: UInt32, _ body: (RegistrationRef) -> WakeTarget?
  ) throws(SocketError) {
    if isForkedChild() { throw .closed }  // L6
    let target = try layer.contexts.grace.withPin { () throws(SocketError) -> WakeTarget? in
      guard registration.isLive(generation) else { throw .notRegistered }
      return body(registration)
    }
    if let target { withApplication { held in wake(target, &held) } }
  }

  /// The queue's lock held: no more events from here on. The slot of a timer is given back when the timer is off
  /// its wheel (TM-REF); until then the queue's memory stays. Again it does nothing.
  func endCounter(_ registration: RegistrationRef) {
    typealias State = RegistrationRef.State
    let before = unsafe registration.body.pointee.state.formOr(State.disabled | State.ending)
    guard before & State.ending == 0 else { return }
    queue.countEnd()
    switch unsafe registration.body.pointee.watched {
    case .timer(let home):
      let hold = hold
      layer.contexts.perform(on: home) { cx in
        withExtendedLifetime(hold) {
          cx.cancel(registration.timer)
          registration.detach()
        }
      }
    case .user: registration.detach()
    case .stream, .listener, .datagram:
      preconditionFailure("SO-REF: a socket's registration ends with its list")
    }
  }
}

extension RegistrationRef {
  /// Whether telling takes the count: timers, and user events that are told once for what came together.
  func takesCount(_ state: UInt64) -> Bool {
    switch unsafe body.pointee.watched {
    case .timer: true
    case .user: state & (State.edge | State.oneShot) != 0
    case .stream, .listener, .datagram: false
    }
  }

  /// Clock level, at home: the timer has expired.
  static func timerFired(_ timer: TimerRef, _ cx: inout SoftInterrupt) {
    guard let raw = unsafe UnsafeMutableRawPointer(bitPattern: timer.owner) else { return }
    let registration = unsafe RegistrationRef(raw)
    let interval = unsafe registration.body.pointee.interval
    var expiries: UInt64 = 1
    if interval != 0 {
      // What was missed counts, and the next one keeps the rhythm.
      let late = cx.now.nanoseconds &- timer.deadline.nanoseconds
      expiries += late / interval
      cx.arm(timer, at: timer.deadline.adding(nanoseconds: expiries * interval))
    }
    unsafe registration.body.pointee.count.add(expiries)
    fullFence()  // keeps SB-FENCE: the count before the look at the state
    if let target = registration.raise(.triggered) { cx.wake(target) }
  }
}
