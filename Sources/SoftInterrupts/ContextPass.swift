// One pass of a context: the levels in order, then flush, wake, report quiescence.

import Buffers
import Devices
import Exclusion
import Timing

/// A context as its loop sees it.
@safe
struct ContextRunner: @unchecked Sendable {  // the state behind it is touched by one thread at a time
  let state: UnsafeMutablePointer<ContextState>

  /// Runs every level once. True: work is left, run again without sleeping.
  func pass(_ root: inout ContextRoot) -> Bool {
    let counters = unsafe state.pointee.counters
    counters.entries.increment()
    unsafe state.pointee.now = state.pointee.timeSource.now()
    let isMoreLeft = root.withSoftInterrupt { (cx: inout SoftInterrupt) -> Bool in
      distribute()
      var isMoreLeft = runClock(&cx)
      isMoreLeft = runReceive(.net, &cx) || isMoreLeft
      isMoreLeft = unsafe run(&state.pointee.net, .net, counters.netItems, &cx) || isMoreLeft
      isMoreLeft = runReceive(.serial, &cx) || isMoreLeft
      isMoreLeft = unsafe run(&state.pointee.serial, .serial, counters.netItems, &cx) || isMoreLeft
      isMoreLeft = unsafe run(&state.pointee.bio, .bio, counters.bioItems, &cx) || isMoreLeft
      isMoreLeft = unsafe run(&state.pointee.general, .general, counters.generalItems, &cx) || isMoreLeft
      flush(&cx)
      return isMoreLeft
    }
    root.deliverWakeups()
    root.quiescent()
    reclaim(&root)
    publish()
    counters.exits.increment()
    return isMoreLeft
  }

  /// Sorts what was posted by level, oldest first.
  private func distribute() {
    var posted = unsafe state.pointee.core.port.takeAll()
    while let item = posted.popFirst() {
      if item.kind == Handlers.Kind.receiveSignal {
        // At once, so that this pass receives: a source that became pending later would wait for the next.
        unsafe state.pointee.sources[Int(item.value)].isPending = true
        continue
      }
      guard let entry = unsafe state.pointee.handlers.items[Int(item.kind.rawValue)] else {
        preconditionFailure("PCB-POST: an item of a kind that nobody registered")
      }
      switch entry.level {
      case .clock, .net: unsafe state.pointee.net.append(item)
      case .serial: unsafe state.pointee.serial.append(item)
      case .bio: unsafe state.pointee.bio.append(item)
      case .general: unsafe state.pointee.general.append(item)
      }
    }
  }

  /// Expired timers, one at a time: a handler may arm and cancel.
  private func runClock(_ cx: inout SoftInterrupt) -> Bool {
    var left = Level.clock.itemBudget
    let counters = unsafe state.pointee.counters
    let now = unsafe state.pointee.now
    while left > 0 {
      guard let timer = unsafe state.pointee.wheel.popExpired(at: now, moves: &left) else {
        return unsafe state.pointee.wheel.isBehind
      }
      left -= 1
      counters.timersFired.increment()
      guard let fire = unsafe state.pointee.handlers.timers[Int(timer.kind)] else {
        preconditionFailure("TM-OWNER: a timer of a kind that nobody registered")
      }
      fire(timer, &cx)
    }
    counters.budgetExhausted.increment()
    return true
  }

  private func run(
    _ list: inout ItemList, _ level: Level, _ counter: borrowing Counter, _ cx: inout SoftInterrupt
  ) -> Bool {
    guard !list.isEmpty else { return false }
    // A private list: what handlers post to this context meanwhile comes in the next pass.
    var batch = ItemList()
    swap(&batch, &list)
    let deadline = unsafe state.pointee.now.adding(nanoseconds: level.timeBudget)
    var left = level.itemBudget
    while let item = batch.popFirst() {
      guard let entry = unsafe state.pointee.handlers.items[Int(item.kind.rawValue)] else { continue }
      counter.increment()
      entry.run(item, &cx)
      left -= 1
      guard left > 0, left % 16 != 0 || refreshNow() < deadline else { break }
    }
    if batch.isEmpty { return !list.isEmpty }
    unsafe state.pointee.counters.budgetExhausted.increment()  // keeps RX-BUDGET
    batch.append(contentsOf: list)
    list = batch
    return true
  }

  private func refreshNow() -> Instant {
    unsafe state.pointee.now = state.pointee.timeSource.now()
    return unsafe state.pointee.now
  }

  /// Receives from each queue that said it has something.
  private func runReceive(_ level: Level, _ cx: inout SoftInterrupt) -> Bool {
    var isMoreLeft = false
    for number in unsafe state.pointee.sources.indices {
      guard unsafe state.pointee.sources[number].isPending,
        unsafe state.pointee.sources[number].level == level
      else { continue }
      let source = unsafe state.pointee.sources[number]
      let signalled = source.device.descriptor(queue: source.queue) == nil
      if signalled { source.signal.beginDrain() }
      var batch = PacketQueue()
      let outcome = source.device.receive(
        queue: source.queue, limit: level.itemBudget, pool: unsafe state.pointee.pool,
        now: unsafe state.pointee.now,
        into: &batch)
      unsafe state.pointee.counters.framesReceived.increment(by: UInt64(batch.count))
      if !batch.isEmpty { unsafe state.pointee.handlers.receive(&batch, source.interface, &cx) }
      var isPending = false
      switch outcome {
      case .drained:
        // Raised while draining: once more (R5). A descriptor is level-triggered, it tells again.
        isPending = signalled && !source.signal.endDrain()
      case .more:
        isPending = true
        unsafe state.pointee.counters.budgetExhausted.increment()
      case .failed:
        unsafe state.pointee.sources[number].hasFailed = true
      }
      unsafe state.pointee.sources[number].isPending = isPending
      isMoreLeft = isMoreLeft || isPending
    }
    return isMoreLeft
  }

  /// The end of a pass: put-off system calls, then the packets that are done, with nothing owned (X3).
  private func flush(_ cx: inout SoftInterrupt) {
    let batch = unsafe state.pointee.core.attachment(.devices).assumingMemoryBound(to: TransmitBatch.self)
    while let queue = unsafe batch.pointee.nextDirty() { queue.flush(&cx) }
    while let packet = unsafe batch.pointee.nextFinished() { _ = consume packet }
    watchStoppedQueues()
  }

  /// A stopped queue of a device with a descriptor restarts when there is room to write (X9).
  private func watchStoppedQueues() {
    guard let poller = unsafe state.pointee.poller else { return }
    for number in unsafe state.pointee.sources.indices {
      let isStopped = unsafe state.pointee.sources[number].transmit.isStopped
      guard unsafe isStopped != state.pointee.sources[number].isWatchedForRoom else { continue }
      let source = unsafe state.pointee.sources[number]
      guard source.device.descriptor(queue: source.queue) != nil else {
        continue
      }
      unsafe state.pointee.sources[number].isWatchedForRoom = isStopped
      poller.watchWritable(token: UInt32(number), isStopped)
    }
  }

  /// Frees retired slots whose grace period has passed (PCB-GRACE).
  private func reclaim(_ root: inout ContextRoot) {
    guard unsafe !state.pointee.limbo.isEmpty else { return }
    let handlers = unsafe state.pointee.handlers
    let grace = unsafe state.pointee.grace
    unsafe state.pointee.limbo.reclaim(grace) { item in
      if let reclaim = handlers.reclaims[Int(item.kind.rawValue)] {
        reclaim(item)
      } else {
        SlotPoolRef.of(item)?.giveBack(item)
      }
    }
  }

  private func publish() {
    let counters = unsafe state.pointee.counters
    counters.timersArmed.set(UInt64(unsafe state.pointee.wheel.armedCount))
    counters.slotsInLimbo.set(UInt64(unsafe state.pointee.limbo.count))
    counters.worstTimerLateness.set(
      UInt64(clamping: unsafe state.pointee.wheel.lateness.maximum.count))
  }

  func markReady(_ event: PollEvent) {
    if event.token == ContextSet.portToken { return unsafe state.pointee.core.port.absorb() }
    let number = Int(event.token)
    if event.isReadable, unsafe !state.pointee.sources[number].hasFailed {
      unsafe state.pointee.sources[number].isPending = true
    }
    if event.isWritable { unsafe state.pointee.sources[number].transmit.roomAppeared() }
  }
}
