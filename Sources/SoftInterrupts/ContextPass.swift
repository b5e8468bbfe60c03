// One pass of a context: the levels in order, then flush, wake, report quiescence.

import Devices
import Exclusion
import Timing

/// A context as its loop sees it.
@safe
struct ContextRunner: @unchecked Sendable {  // the state behind it is touched by one thread at a time
  let state: UnsafeMutablePointer<ContextState>

  /// Items between two looks at the clock: a handed-over gate runs a hundred of its own as one.
  private static var itemsPerLook: Int { 4 }
  /// Wake-ups that a turn may raise. With less room the pass ends and they are delivered: the buffer grows only
  /// for a turn that raises more.
  private static var wakesPerTurn: Int { 256 }

  /// Runs every level once. True: work is left, run again without sleeping.
  func pass(_ root: inout ContextRoot) -> Bool {
    let counters = unsafe state.pointee.counters
    counters.entries.increment()
    let began = refreshNow()
    let isMoreLeft = root.withSoftInterrupt { (cx: inout SoftInterrupt) -> Bool in
      distribute()
      runLevels(&cx)
      flush(&cx)
      #if Explore
        if Mutation.budgetEndForgotten.isOn { return false }
      #endif
      return hasWorkLeft
    }
    root.deliverWakeups()
    root.quiescent()
    reclaim(&root)
    scheduleHousekeeping()
    publish(began)
    counters.exits.increment()
    return isMoreLeft
  }

  /// Sorts what was posted by level, oldest first.
  private func distribute() {
    var posted = unsafe state.pointee.core.port.takeAll()
    while let item = posted.popFirst() {
      if item.kind == Handlers.Kind.receiveSignal {
        #if Explore
          if Mutation.signalTakenWithoutReceiving.isOn { continue }
        #endif
        if unsafe state.pointee.sources[Int(item.value)].hasDescriptor {
          unsafe state.pointee.sources[Int(item.value)].signal.settle()
        }
        // At once, so that this pass receives: a source that became pending later would wait for the next.
        unsafe state.pointee.sources[Int(item.value)].isPending = true
        continue
      }
      if item.kind == Handlers.Kind.steeringSignal {
        unsafe state.pointee.incoming[Int(item.value)].isPending = true
        continue
      }
      guard let entry = unsafe state.pointee.handlers.items[Int(item.kind.rawValue)] else {
        preconditionFailure("PCB-POST: an item of a kind that nobody registered")
      }
      unsafe state.pointee.queues[entry.level].append(item)
    }
  }

  private func runLevels(_ cx: inout SoftInterrupt) {
    let budgets = unsafe state.pointee.budgets
    var clock = Allowance(budgets.clock)
    runClock(&clock, &cx)
    runMiddle(budgets, &clock, &cx)
    for level in [Level.bio, .general] {
      var left = Allowance(budgets[level])
      runQueue(level, limit: left.items, &left, &cx)
      noteEnd(level, left)
      runClock(&clock, &cx)
    }
    if clock.isSpent, unsafe state.pointee.wheel.isBehind { noteEnd(.clock) }
    if !hasWakeRoom { unsafe state.pointee.counters.wakeRoomEnds.increment() }
  }

  /// Net and serial are equals: they take turns, and who begins alternates from pass to pass.
  private func runMiddle(_ budgets: LevelBudgets, _ clock: inout Allowance, _ cx: inout SoftInterrupt) {
    let isSerialFirst = unsafe state.pointee.isSerialFirst
    unsafe state.pointee.isSerialFirst = !isSerialFirst
    let (first, second) = isSerialFirst ? (Level.serial, Level.net) : (.net, .serial)
    var (firstLeft, secondLeft) = (Allowance(budgets[first]), Allowance(budgets[second]))
    var goesOn = true
    while goesOn {
      goesOn = takeTurn(first, limit: budgets.turn, &firstLeft, &cx)
      if goesOn { runClock(&clock, &cx) }
      if takeTurn(second, limit: budgets.turn, &secondLeft, &cx) {
        goesOn = true
        runClock(&clock, &cx)
      }
    }
    raiseLanes()
    noteEnd(first, firstLeft)
    noteEnd(second, secondLeft)
  }

  /// Some frames of one queue, then some of what was posted. False: there was nothing, or the budget is spent.
  private func takeTurn(
    _ level: Level, limit: Int, _ left: inout Allowance, _ cx: inout SoftInterrupt
  ) -> Bool {
    guard !left.isSpent, hasWork(level) else { return false }
    guard hasWakeRoom else { return false }
    receive(level, limit: limit, &left, &cx)
    if level == .net, !left.isSpent { receiveSteered(limit: limit, &left, &cx) }
    runQueue(level, limit: limit, &left, &cx)
    return true
  }

  /// Expired timers, one at a time: a handler may arm and cancel. Looked at after each turn too, so that a timer
  /// waits for one turn at most (TM-LATE).
  private func runClock(_ left: inout Allowance, _ cx: inout SoftInterrupt) {
    #if Explore
      if Mutation.timersStarvedByReceive.isOn, hasWork(.net) { return }
    #endif
    var count = 0
    while !left.isSpent, hasWakeRoom {
      let now = unsafe state.pointee.now
      guard let timer = unsafe state.pointee.wheel.popExpired(at: now, moves: &left.items) else { return }
      guard let fire = unsafe state.pointee.handlers.timers[Int(timer.kind)] else {
        preconditionFailure("TM-OWNER: a timer of a kind that nobody registered")
      }
      unsafe state.pointee.counters.timersFired.increment()
      fire(timer, &cx)
      left.items -= 1
      count += 1
      if count % Self.itemsPerLook == 0 { spendTime(of: &left) }
    }
  }

  /// Posted items, oldest first. What handlers post to this context meanwhile comes in the next pass.
  private func runQueue(_ level: Level, limit: Int, _ left: inout Allowance, _ cx: inout SoftInterrupt) {
    if unsafe state.pointee.queues.isEmpty(level) { return }
    var count = 0
    while count < limit, !left.isSpent, hasWakeRoom {
      guard let item = unsafe state.pointee.queues[level].popFirst() else { break }
      guard let entry = unsafe state.pointee.handlers.items[Int(item.kind.rawValue)] else { continue }
      unsafe state.pointee.counters.items[level].increment()
      entry.run(item, &cx)
      left.items -= 1
      count += 1
      if count % Self.itemsPerLook == 0 { spendTime(of: &left) }
    }
    if count > 0 { spendTime(of: &left) }
  }

  // MARK: Budgets

  /// The time since the last look goes off the budget of who looks.
  func spendTime(of left: inout Allowance) {
    let before = unsafe state.pointee.now
    left.time -= min(left.time, UInt64(clamping: (refreshNow() - before).count))
  }

  @discardableResult func refreshNow() -> Instant {
    let now = unsafe state.pointee.timeSource.now()
    unsafe state.pointee.now = now
    unsafe state.pointee.transmitBatch.pointee.now = now
    return now
  }

  /// Room for the wake-ups of one more turn.
  private var hasWakeRoom: Bool { unsafe state.pointee.core.wakes.room >= Self.wakesPerTurn }

  private func noteEnd(_ level: Level, _ left: Allowance) {
    if left.isSpent, hasWork(level) { noteEnd(level) }
  }
  /// What the level leaves stays pending (keeps RX-BUDGET), and the pass says that there is more.
  private func noteEnd(_ level: Level) { unsafe state.pointee.counters.budgetEnds[level].increment() }

  // MARK: What there is to do

  /// Whether a level has something that no later event will tell of.
  func hasWork(_ level: Level) -> Bool {
    switch level {
    case .clock: unsafe state.pointee.wheel.isBehind
    case .bio, .general: unsafe !state.pointee.queues.isEmpty(level)
    case .net:
      unsafe !state.pointee.queues.isEmpty(level) || hasPendingSource(level) || hasPendingLane
    case .serial: unsafe !state.pointee.queues.isEmpty(level) || hasPendingSource(level)
    }
  }
  // By index: an element that is lent to a closure is copied, and counted.
  private func hasPendingSource(_ level: Level) -> Bool {
    let count = unsafe state.pointee.sources.count
    for number in 0..<count {
      if unsafe state.pointee.sources[number].isPending, unsafe state.pointee.sources[number].level == level {
        return true
      }
    }
    return false
  }
  private var hasPendingLane: Bool {
    let count = unsafe state.pointee.incoming.count
    for number in 0..<count {
      if unsafe state.pointee.incoming[number].isPending { return true }
    }
    return false
  }
  var hasWorkLeft: Bool {
    hasWork(.clock) || hasWork(.net) || hasWork(.serial) || hasWork(.bio) || hasWork(.general)
  }

  private func publish(_ began: Instant) {
    let counters = unsafe state.pointee.counters
    counters.timersArmed.set(UInt64(unsafe state.pointee.wheel.armedCount))
    counters.slotsInLimbo.set(UInt64(unsafe state.pointee.limbo.count))
    counters.worstTimerLateness.set(
      UInt64(clamping: unsafe state.pointee.wheel.lateness.maximum.count))
    let length = UInt64(clamping: (unsafe state.pointee.now - began).count)
    if length > counters.longestPass.value { counters.longestPass.set(length) }
  }
}

/// What is left of a level's budget in this pass.
struct Allowance {
  var items: Int
  /// Nanoseconds.
  var time: UInt64

  init(_ budget: LevelBudget) { (items, time) = (budget.items, budget.time) }
  var isSpent: Bool { items <= 0 || time == 0 }
}

/// Posted work by level. Work of the clock is the wheel: what is posted for it runs at net.
struct RunQueues: ~Copyable {
  private var net = ItemList()
  private var serial = ItemList()
  private var bio = ItemList()
  private var general = ItemList()

  @inline(__always) func isEmpty(_ level: Level) -> Bool {
    switch level {
    case .clock, .net: net.isEmpty
    case .serial: serial.isEmpty
    case .bio: bio.isEmpty
    case .general: general.isEmpty
    }
  }

  subscript(level: Level) -> ItemList {
    _read {
      switch level {
      case .clock, .net: yield net
      case .serial: yield serial
      case .bio: yield bio
      case .general: yield general
      }
    }
    _modify {
      switch level {
      case .clock, .net: yield &net
      case .serial: yield &serial
      case .bio: yield &bio
      case .general: yield &general
      }
    }
  }
}
