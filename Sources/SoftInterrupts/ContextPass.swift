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
    let state = unsafe state
    unsafe state.pointee.counterSet._withUnsafeGuaranteedRef { $0.entries.increment() }
    let began = refreshNow()
    let isMoreLeft = root.withSoftInterrupt { (cx: inout SoftInterrupt) -> Bool in
      distribute()
      var isOver = false
      if receivesOnly { isOver = receiveOnly(&cx) } else { runLevels(&cx) }
      flush(&cx)
      #if Explore
        if Mutation.budgetEndForgotten.isOn { return false }
      #endif
      // Nothing else came to it meanwhile.
      return !isOver && hasWorkLeft
    }
    deliverWakeups(&root)
    root.quiescent()
    if unsafe !state.pointee.limbo.isEmpty { reclaim(&root) }
    scheduleHousekeeping()
    publish(began)
    return isMoreLeft
  }

  /// Most passes have raised none.
  @inline(__always) func deliverWakeups(_ root: inout ContextRoot) {
    if unsafe state.pointee.core.wakes.count > 0 { root.deliverWakeups() }
  }

  /// Sorts what was posted by level, oldest first.
  @inline(__always) private func distribute() {
    let state = unsafe state
    guard unsafe state.pointee.core.port.hasWork else { return }
    var posted = unsafe state.pointee.core.port.takeAll()
    while let item = posted.popFirst() {
      if item.kind == Handlers.Kind.receiveSignal {
        #if Explore
          if Mutation.signalTakenWithoutReceiving.isOn { continue }
        #endif
        let number = Int(item.value)
        if unsafe state.pointee.sources[number].hasDescriptor {
          unsafe state.pointee.sources[number].port._withUnsafeGuaranteedRef { $0.signal.settle() }
        }
        // At once, so that this pass receives: a source that became pending later would wait for the next.
        unsafe state.pointee.sources.setPending(number, true)
        continue
      }
      if item.kind == Handlers.Kind.steeringSignal {
        let number = Int(item.value)
        if unsafe !state.pointee.incoming[number].isPending {
          unsafe state.pointee.incoming[number].isPending = true
          unsafe state.pointee.pendingLanes += 1
        }
        continue
      }
      let level = unsafe state.pointee.handlers._withUnsafeGuaranteedRef { $0.level(of: item.kind) }
      guard let level else {
        preconditionFailure("PCB-POST: an item of a kind that nobody registered")
      }
      unsafe state.pointee.queues.of(level).pointee.append(item)
    }
  }

  /// There is nothing to do but to receive from one queue: an exchange of requests and answers has no other passes.
  @inline(__always) private var receivesOnly: Bool {
    let state = unsafe state
    return unsafe state.pointee.sources.onlyPending(.net) && state.pointee.pendingLanes == 0
      && state.pointee.wheel.isQuiet(at: state.pointee.now) && state.pointee.queues.isEmpty
      && hasWakeRoom
  }
  /// What ``runLevels(_:)`` would make of it. True: one turn did, and whatever it left is in the sources.
  @inline(__always) private func receiveOnly(_ cx: inout SoftInterrupt) -> Bool {
    let state = unsafe state
    unsafe state.pointee.wheel.hear(of: state.pointee.now)
    var left = unsafe Allowance(state.pointee.budgets.net)
    receive(.net, limit: unsafe state.pointee.budgets.turn, &left, &cx)
    let isOver = unsafe !state.pointee.sources.hasAnyPending
    if isOver { raiseLanes() } else { goOn(&left, &cx) }
    return isOver
  }
  /// The turns after the first.
  @inline(never) private func goOn(_ left: inout Allowance, _ cx: inout SoftInterrupt) {
    var clock = unsafe Allowance(state.pointee.budgets.clock)
    let turn = unsafe state.pointee.budgets.turn
    runClock(&clock, &cx)
    while takeTurn(.net, limit: turn, &left, &cx) { runClock(&clock, &cx) }
    noteEnd(.net, left)
    raiseLanes()
  }

  /// A level with nothing to do costs a load or two. What every pass goes through is one function: with an item or two
  /// in each, calls would cost as much as what they do.
  @inline(__always) private func runLevels(_ cx: inout SoftInterrupt) {
    let state = unsafe state
    var clock = unsafe Allowance(state.pointee.budgets.clock)
    // Whatever the wheel expects: it hears of the time, from which it counts what is armed in this pass.
    runExpired(&clock, &cx)
    runMiddle(&clock, &cx)
    if hasWork(.bio) { runLow(.bio, &clock, &cx) }
    if hasWork(.general) { runLow(.general, &clock, &cx) }
    if clock.isSpent, unsafe state.pointee.wheel.isBehind { noteEnd(.clock) }
    if !hasWakeRoom {
      unsafe state.pointee.counterSet._withUnsafeGuaranteedRef { $0.wakeRoomEnds.increment() }
    }
  }

  @inline(never) private func runLow(_ level: Level, _ clock: inout Allowance, _ cx: inout SoftInterrupt) {
    var left = unsafe Allowance(state.pointee.budgets[level])
    runQueue(level, limit: left.items, &left, &cx)
    noteEnd(level, left)
    runClock(&clock, &cx)
  }

  /// Net and serial are equals: they take turns, and who begins alternates from pass to pass. Neither gets work while the
  /// other one runs that it did not have, so one alone takes all turns.
  @inline(__always) private func runMiddle(_ clock: inout Allowance, _ cx: inout SoftInterrupt) {
    let state = unsafe state
    let isSerialFirst = unsafe state.pointee.isSerialFirst
    unsafe state.pointee.isSerialFirst = !isSerialFirst
    let (hasNet, hasSerial) = (hasWork(.net), hasWork(.serial))
    if hasSerial {
      if hasNet { alternate(isSerialFirst, &clock, &cx) } else { runSerial(&clock, &cx) }
    } else if hasNet {
      takeTurns(.net, &clock, &cx)
    }
    raiseLanes()
  }

  @inline(__always) private func takeTurns(
    _ level: Level, _ clock: inout Allowance, _ cx: inout SoftInterrupt
  ) {
    let turn = unsafe state.pointee.budgets.turn
    var left = unsafe Allowance(state.pointee.budgets[level])
    while takeTurn(level, limit: turn, &left, &cx) { runClock(&clock, &cx) }
    noteEnd(level, left)
  }
  @inline(never) private func runSerial(_ clock: inout Allowance, _ cx: inout SoftInterrupt) {
    takeTurns(.serial, &clock, &cx)
  }

  @inline(never) private func alternate(
    _ isSerialFirst: Bool, _ clock: inout Allowance, _ cx: inout SoftInterrupt
  ) {
    let turn = unsafe state.pointee.budgets.turn
    var netLeft = unsafe Allowance(state.pointee.budgets.net)
    var serialLeft = unsafe Allowance(state.pointee.budgets.serial)
    var isSerial = isSerialFirst
    // Turns in a row that found nothing.
    var idle = 0
    while idle < 2 {
      let isTaken =
        isSerial
        ? takeTurn(.serial, limit: turn, &serialLeft, &cx) : takeTurn(.net, limit: turn, &netLeft, &cx)
      isSerial = !isSerial
      idle = isTaken ? 0 : idle + 1
      if isTaken { runClock(&clock, &cx) }
    }
    noteEnd(.net, netLeft)
    noteEnd(.serial, serialLeft)
  }

  /// Some frames of one queue, then some of what was posted. False: there was nothing, or the budget is spent.
  @inline(__always) private func takeTurn(
    _ level: Level, limit: Int, _ left: inout Allowance, _ cx: inout SoftInterrupt
  ) -> Bool {
    guard !left.isSpent, hasWork(level) else { return false }
    guard hasWakeRoom else { return false }
    receive(level, limit: limit, &left, &cx)
    if level == .net, unsafe state.pointee.pendingLanes != 0, !left.isSpent {
      receiveSteered(limit: limit, &left, &cx)
    }
    runQueue(level, limit: limit, &left, &cx)
    return true
  }

  /// Expired timers, one at a time: a handler may arm and cancel. Looked at after each turn too, so that a timer
  /// waits for one turn at most (TM-LATE).
  @inline(__always) private func runClock(_ left: inout Allowance, _ cx: inout SoftInterrupt) {
    if unsafe !state.pointee.wheel.isQuiet(at: state.pointee.now) { runExpired(&left, &cx) }
  }
  @inline(never) private func runExpired(_ left: inout Allowance, _ cx: inout SoftInterrupt) {
    let state = unsafe state
    #if Explore
      if Mutation.timersStarvedByReceive.isOn, hasWork(.net) { return }
    #endif
    var count = 0
    while !left.isSpent, hasWakeRoom {
      let now = unsafe state.pointee.now
      guard let timer = unsafe state.pointee.wheel.popExpired(at: now, moves: &left.items) else { return }
      unsafe state.pointee.counterSet._withUnsafeGuaranteedRef { $0.timersFired.increment() }
      let isFired = unsafe state.pointee.handlers._withUnsafeGuaranteedRef { $0.fire(timer, &cx) }
      precondition(isFired, "TM-OWNER: a timer of a kind that nobody registered")
      left.items -= 1
      count += 1
      if count % Self.itemsPerLook == 0 { spendTime(of: &left) }
    }
  }

  /// Posted items, oldest first. What handlers post to this context meanwhile comes in the next pass.
  @inline(__always) private func runQueue(
    _ level: Level, limit: Int, _ left: inout Allowance, _ cx: inout SoftInterrupt
  ) {
    let state = unsafe state
    let queue = unsafe state.pointee.queues.of(level)
    if unsafe queue.pointee.isEmpty { return }
    var count = 0
    while count < limit, !left.isSpent, hasWakeRoom {
      guard let item = unsafe queue.pointee.popFirst() else { break }
      unsafe state.pointee.counterSet._withUnsafeGuaranteedRef { $0.items.increment(level) }
      guard unsafe state.pointee.handlers._withUnsafeGuaranteedRef({ $0.run(item, &cx) }) else { continue }
      left.items -= 1
      count += 1
      if count % Self.itemsPerLook == 0 { spendTime(of: &left) }
    }
    if count % Self.itemsPerLook != 0 { spendTime(of: &left) }
  }

  // MARK: Budgets

  /// The time since the last look goes off the budget of who looks.
  @inline(__always) func spendTime(of left: inout Allowance) {
    let before = unsafe state.pointee.now
    left.time -= min(left.time, UInt64(clamping: (refreshNow() - before).count))
  }

  @inline(__always) @discardableResult func refreshNow() -> Instant {
    let now = unsafe state.pointee.time.now()
    unsafe state.pointee.now = now
    unsafe state.pointee.core.present = now.nanoseconds
    unsafe state.pointee.transmitBatch.pointee.now = now
    return now
  }

  /// Room for the wake-ups of one more turn.
  @inline(__always) private var hasWakeRoom: Bool {
    unsafe state.pointee.core.wakes.room >= Self.wakesPerTurn
  }

  @inline(__always) private func noteEnd(_ level: Level, _ left: Allowance) {
    if left.isSpent, hasWork(level) { noteEnd(level) }
  }
  /// What the level leaves stays pending (keeps RX-BUDGET), and the pass says that there is more.
  @inline(never) private func noteEnd(_ level: Level) {
    unsafe state.pointee.counters.budgetEnds.increment(level)
  }

  // MARK: What there is to do

  /// Whether a level has something that no later event will tell of.
  @inline(__always) func hasWork(_ level: Level) -> Bool {
    let state = unsafe state
    return switch level {
    case .clock: unsafe state.pointee.wheel.isBehind
    case .bio, .general: unsafe !state.pointee.queues.of(level).pointee.isEmpty
    case .net:
      unsafe !state.pointee.queues.of(level).pointee.isEmpty || state.pointee.sources.hasPending(level)
        || state.pointee.pendingLanes != 0
    case .serial:
      unsafe !state.pointee.queues.of(level).pointee.isEmpty || state.pointee.sources.hasPending(level)
    }
  }
  @inline(__always) var hasWorkLeft: Bool {
    hasWork(.clock) || hasWork(.net) || hasWork(.serial) || hasWork(.bio) || hasWork(.general)
  }

  /// The end of a pass, for statistics.
  @inline(__always) private func publish(_ began: Instant) {
    let state = unsafe state
    unsafe state.pointee.counterSet._withUnsafeGuaranteedRef { counters in
      unsafe counters.timersArmed.set(UInt64(state.pointee.wheel.armedCount))
      unsafe counters.slotsInLimbo.set(UInt64(state.pointee.limbo.count))
      unsafe counters.worstTimerLateness.set(UInt64(clamping: state.pointee.wheel.lateness.maximum.count))
      let length = unsafe UInt64(clamping: (state.pointee.now - began).count)
      if length > counters.longestPass.value { counters.longestPass.set(length) }
      counters.exits.increment()
    }
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
@safe
struct RunQueues: ~Copyable {
  private let lists: UnsafeMutablePointer<ItemList>

  init() {
    unsafe lists = .allocate(capacity: Level.allCases.count)
    for number in 0..<Level.allCases.count { unsafe (lists + number).initialize(to: ItemList()) }
  }
  deinit {
    unsafe lists.deinitialize(count: Level.allCases.count)
    unsafe lists.deallocate()
  }

  /// Whether nothing waits at any level.
  @inline(__always) var isEmpty: Bool {
    for number in 0..<Level.allCases.count where unsafe !lists[number].isEmpty { return false }
    return true
  }
  @inline(__always) func of(_ level: Level) -> UnsafeMutablePointer<ItemList> {
    unsafe lists + (level == .clock ? Level.net : level).rawValue
  }
}
