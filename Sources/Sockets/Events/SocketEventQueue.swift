import Exclusion

/// An event queue, in the manner of kqueue and epoll: registrations say of which socket one wants to know what,
/// and a harvest tells what is true of them (DESIGN section 3 rule 6).
///
/// All calls are for application context and never wait; ``point`` is where the blocking and the async API wait.
/// Several threads may wait and harvest: they take turns, and what was told to one as an edge, or once, is not told
/// to another. Contexts put registrations on the ready list without a lock, by one compare-and-swap each.
public final class SocketEventQueue: Sendable {
  let hold: EventQueueHold
  let layer: SocketLayer
  var queue: EventQueueRef { hold.queue }
  /// No other queue of the stack has it.
  let number: UInt64

  init(_ layer: SocketLayer, limit: Int) {
    self.layer = layer
    number = layer.nextQueueNumber()
    hold = EventQueueHold(EventQueueRef.make(layer, limit: limit), layer)
  }
  deinit {
    // Nobody waits any more, and no other thread has the table: no lock is needed, which a context could not take.
    if !isForkedChild() { unsafe queue.memory.pointee.table.withExclusiveState { endAll(&$0) } }
  }

  // MARK: Registrations

  /// Watches `subject` for `interest` from now on; what is true already is told. `token` comes back with each
  /// event. Watching does not keep the socket open: its close ends the registration.
  ///
  /// - Throws: `.alreadyRegistered`, `.limitReached` (of this queue, or 64 queues for one socket), `.closed` if the
  ///   socket or the queue is, `.otherStack`.
  public func add(
    _ subject: EventSubject, for interest: SocketEvents, trigger: EventTrigger = .level, token: UInt64
  ) throws(SocketError) {
    let (watched, layer) = (try subject.watched(by: layer), layer)
    try change { (table, grace) throws(SocketError) in
      try grace.withPin { () throws(SocketError) in
        guard let observers = unsafe watched.observers else { throw .invalidAddress }
        guard unsafe observers.pointee.find(queue) == nil else { throw .alreadyRegistered }
        let registration = try obtain(&table, grace)
        registration.begin(watched, interest, trigger, token: token)
        do throws(SocketError) {
          try unsafe observers.pointee.insert(registration, layer)
        } catch {
          registration.end()
          if error == .limitReached { layer.eventCounters.refused.increment() }
          throw error
        }
        return registration.raiseWhatIsTrue()
      }
    }
  }

  /// Asks for something else of a subject that is watched. What is true is told as if it were new; a registration
  /// that was told once is told again.
  ///
  /// - Throws: `.notRegistered`, `.closed` if the queue is, `.otherStack`.
  public func modify(
    _ subject: EventSubject, for interest: SocketEvents, trigger: EventTrigger = .level, token: UInt64
  ) throws(SocketError) {
    let watched = try subject.watched(by: layer)
    try change { (_, grace) throws(SocketError) in
      try grace.withPin { () throws(SocketError) in
        guard let registration = unsafe watched.observers?.pointee.find(queue) else { throw .notRegistered }
        registration.change(interest, trigger, token: token)
        return registration.raiseWhatIsTrue()
      }
    }
  }

  /// Watches no longer: after this no event of it is told.
  ///
  /// - Throws: `.notRegistered`, also if the socket was closed; `.closed` if the queue is; `.otherStack`.
  public func remove(_ subject: EventSubject) throws(SocketError) {
    let (watched, layer) = (try subject.watched(by: layer), layer)
    try change { (_, grace) throws(SocketError) in
      try grace.withPin { () throws(SocketError) in
        guard let observers = unsafe watched.observers,
          let registration = unsafe observers.pointee.find(queue),
          unsafe observers.pointee.remove(registration, layer)
        else { throw .notRegistered }
        registration.end()
        return nil
      }
    }
  }

  /// How many registrations there are now.
  public var registrationCount: Int { unsafe Int(queue.memory.pointee.registrations.load()) }

  /// Changes the table, with whom to wake for it.
  func change(
    _ body: (inout RegistrationTable, GraceDomain) throws(SocketError) -> WakeTarget?
  ) throws(SocketError) {
    if isForkedChild() { throw .closed }  // L6
    let grace = layer.contexts.grace
    try withApplication { held throws(SocketError) in
      let target = try unsafe queue.memory.pointee.table.withLock(&held) { (table, _) throws(SocketError) in
        guard unsafe queue.memory.pointee.isClosed.load() == 0 else { throw SocketError.closed }
        return try body(&table, grace)
      }
      if let target { wake(target, &held) }  // with nothing held (SB-UPCALL)
    }
  }

  /// A slot, counted as a registration.
  func obtain(_ table: inout RegistrationTable, _ grace: GraceDomain) throws(SocketError) -> RegistrationRef {
    guard let registration = table.obtain(queue, grace) else {
      layer.eventCounters.refused.increment()
      throw .limitReached
    }
    unsafe queue.memory.pointee.registrations.add(1)
    layer.eventCounters.registered.increment()
    return registration
  }

  // MARK: Harvesting

  /// What a harvest found.
  public struct Harvest: Sendable {
    /// What is true, oldest first.
    public var events: [SocketEvent] = []
    /// Registrations looked at, told or not.
    public var examined = 0
  }

  /// Tells what is true now, of at most `limit` registrations. The holder of the turn only. Throws `.closed`.
  public func harvest(atMost limit: Int) throws(SocketError) -> Harvest {
    let grace = layer.contexts.grace
    return try withApplication { held throws(SocketError) in
      try unsafe queue.memory.pointee.table.withLock(&held) { (table, _) throws(SocketError) in
        guard unsafe queue.memory.pointee.isClosed.load() == 0 else { throw SocketError.closed }
        var found = Harvest()
        unsafe table.list.append(contentsOf: queue.memory.pointee.ready.takeAll())
        // Those that are told again at each harvest go to the end, and are not looked at twice in this one.
        var left = table.list.count
        grace.withPin {
          while left > 0, found.events.count < limit, let item = table.list.popFirst() {
            left -= 1
            found.examined += 1
            let registration = unsafe RegistrationRef(item.raw)
            if let event = examine(registration, &table) { found.events.append(event) }
          }
        }
        layer.eventCounters.told.increment(by: UInt64(found.events.count))
        return found
      }
    }
  }

  /// Takes what is true now, of at most `limit` registrations, without waiting. Nothing while another thread waits
  /// or harvests: what becomes true then is told there. Throws `.closed`.
  public func poll(atMost limit: Int) throws(SocketError) -> [SocketEvent] {
    if isForkedChild() { throw .closed }  // L6
    guard unsafe queue.pair.pointee.turn.tryTake() else { return [] }
    defer { withApplication { held in unsafe queue.pair.pointee.turn.pass(&held) } }
    return try harvest(atMost: limit).events
  }

  /// Whether a wait would not sleep.
  public var isReady: Bool { queue.hasWork }
  /// Where to wait, with need 1.
  public var point: WaitPoint { unsafe WaitPoint(queue.pair, layer.wakeAccount) }

  // MARK: Closing

  /// Ends every registration and wakes those who wait, with `.closed`. Cannot fail; again it does nothing.
  public func close() {
    if isForkedChild() { return }  // L6
    withApplication { held in
      unsafe queue.memory.pointee.table.withLock(&held) { table, _ in endAll(&table) }
      #if Explore
        if Mutation.eventQueueClosedSilently.isOn { return }
      #endif
      if let target = unsafe queue.pair.pointee.waiter.claim(where: { _ in queue.hasWork }) {
        wake(target, &held)
      }
    }
  }

  private func endAll(_ table: inout RegistrationTable) {
    guard unsafe queue.memory.pointee.isClosed.exchange(1) == 0 else { return }
    layer.contexts.grace.withPin {
      for registration in table.slots where !registration.isDetached { end(registration) }
    }
    // From here on nothing can be queued; the slots go with the queue.
    _ = unsafe queue.memory.pointee.ready.close()
    _ = unsafe queue.memory.pointee.gone.close()
    table.list = ItemList()
  }

  /// Inside a grace section in which it was seen not detached: so the memory of its socket is there.
  private func end(_ registration: RegistrationRef) {
    guard let observers = unsafe registration.body.pointee.watched.observers else {
      return endCounter(registration)
    }
    // The socket's close may come first, and ends it as well.
    if unsafe observers.pointee.remove(registration, layer) { registration.end() }
  }
}

extension SocketEventQueue {
  /// One registration off the ready list: what it has to tell, if anything.
  private func examine(_ registration: RegistrationRef, _ table: inout RegistrationTable) -> SocketEvent? {
    typealias State = RegistrationRef.State
    let body = unsafe registration.body
    #if Explore
      let early =
        Mutation.eventLookedAtWhileQueued.isOn
        ? registration.readiness(asking: State.interest(registration.word)) : nil
    #endif
    let before = unsafe body.pointee.state.formAnd(~(State.queued | State.pending))
    fullFence()  // keeps SB-FENCE: off the list before the look, against the update before the raise
    if before & State.detached != 0 {
      table.giveUp(registration)
      return nil
    }
    guard before & State.disabled == 0 else { return nil }
    let interest = State.interest(before)
    let pending = State.pending(before)
    #if Explore
      let found = early ?? registration.readiness(asking: interest)
    #else
      let found = registration.readiness(asking: interest)
    #endif
    // What is told is not told again; the level of a user event stays until it is cleared.
    if registration.takesCount(before) { unsafe body.pointee.count.subtract(UInt64(found.available)) }
    let told = found.events.intersection(interest)
    let isEdge = before & State.edge != 0
    guard !told.isEmpty, !isEdge || !told.isDisjoint(with: pending) else {
      if !pending.isEmpty { layer.eventCounters.suppressed.increment() }
      return nil
    }
    guard afterTelling(registration, before, &table) else { return nil }
    return unsafe SocketEvent(
      token: body.pointee.token, events: told, available: found.available, space: found.space,
      error: found.error)
  }

  /// What becomes of a registration that has something to tell. False: its socket was closed while it was looked
  /// at, and nothing is told of it (SO-GEN).
  private func afterTelling(
    _ registration: RegistrationRef, _ before: UInt64, _ table: inout RegistrationTable
  ) -> Bool {
    typealias State = RegistrationRef.State
    var seen = registration.word
    while true {
      if seen & State.detached != 0 { return false }
      if before & State.edge != 0 { return true }
      if before & State.oneShot != 0 {
        if registration.change(&seen, seen | State.disabled) { return true }
        continue
      }
      // Raised again meanwhile: it is on the ready list already.
      if seen & State.queued != 0 { return true }
      if registration.change(&seen, seen | State.queued) {
        table.list.append(registration.item)
        return true
      }
    }
  }
}
