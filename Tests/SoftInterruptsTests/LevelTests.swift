import Exclusion
import SoftInterrupts
import Testing
import Timing

extension ContextTests {
  /// Net and serial are equals: neither waits for the other's budget, and who begins alternates.
  @Test func netAndSerialTakeTurns() throws {
    let (journal, clock) = (Journal(), VirtualClock())
    let set = try makeSet(journal, clock: clock) { $0.budgets.turn = 2 }
    let scheduler = ManualScheduler(clock: clock)
    scheduler.add(set)
    let probes = (0..<10).map { Probe($0 < 5 ? Self.net : Self.serial, value: UInt32($0 % 5)) }
    for probe in probes { set.port(0).post(probe.item) }
    #expect(!scheduler.step(set, context: 0))
    #expect(
      journal.entries == [
        "net0", "net1", "serial0", "serial1", "net2", "net3", "serial2", "serial3", "net4", "serial4",
      ])
    journal.entries.removeAll()
    for probe in probes { set.port(0).post(probe.item) }
    scheduler.step(set, context: 0)
    #expect(journal.entries.prefix(3) == ["serial0", "serial1", "net0"], "the other begins")
  }

  /// R4, TM-LATE: a timer that expires while a pass runs waits for the turn, not for the pass.
  @Test func R4_timersAreLookedAtBetweenTheTurnsOfALongPass() throws {
    let (journal, clock) = (Journal(), VirtualClock())
    let set = try makeSet(journal, clock: clock) {
      $0.budgets.turn = 4
      $0.budgets.net = LevelBudget(items: 1000, time: 1_000_000_000)
    }
    let slow = WorkKind(rawValue: 28)
    set.handlers.register(slow, at: .net) { item, _ in
      journal.note("slow\(item.value)")
      clock.advance(by: .microseconds(300))
    }
    let scheduler = ManualScheduler(clock: clock)
    scheduler.add(set)
    let timer = Probe(slow, value: 1)
    set.perform(on: 0) { cx in cx.arm(timer.timer, at: cx.now.adding(milliseconds: 1)) }
    scheduler.settle()
    let flood = (0..<12).map { Probe(slow, value: UInt32($0)) }
    for probe in flood { set.port(0).post(probe.item) }
    scheduler.step(set, context: 0)
    // 4 × 300 µs: due when the first turn ends, in the middle of the pass.
    #expect(journal.entries.firstIndex(of: "timer1") == 4)
    #expect(journal.entries.count == 13)
    #expect(set.counters(0).longestPass.value == 3_600_000)
  }

  /// RX-BUDGET by time: a level that is slow leaves its rest for the next pass, and those below run.
  @Test func RX_BUDGET_aSlowLevelLeavesItsRestPending() throws {
    let (journal, clock) = (Journal(), VirtualClock())
    let set = try makeSet(journal, clock: clock) {
      $0.budgets.net = LevelBudget(items: 1000, time: 1_000_000)
    }
    let slow = WorkKind(rawValue: 28)
    set.handlers.register(slow, at: .net) { item, _ in
      journal.note("slow\(item.value)")
      clock.advance(by: .microseconds(400))
    }
    let scheduler = ManualScheduler(clock: clock)
    scheduler.add(set)
    let flood = (0..<9).map { Probe(slow, value: UInt32($0)) }
    let low = Probe(Self.bio, value: 7)
    for probe in flood { set.port(0).post(probe.item) }
    set.port(0).post(low.item)
    #expect(scheduler.step(set, context: 0), "the rest wants another pass")
    #expect(journal.entries == ["slow0", "slow1", "slow2", "slow3", "bio7"], "a look every four items")
    #expect(set.counters(0).budgetEnds.net.value == 1)
    scheduler.settle()
    #expect(journal.entries.filter { $0.hasPrefix("slow") } == (0..<9).map { "slow\($0)" })
  }

  /// A pass that raises more wake-ups than are buffered ends early and delivers them: the buffer does not grow.
  @Test func wakeUpsDoNotOutgrowTheirBuffer() throws {
    let (journal, clock) = (Journal(), VirtualClock())
    let set = try makeSet(journal, clock: clock) {
      $0.wakeCapacity = 512
      $0.budgets.net = LevelBudget(items: 5000, time: 1_000_000_000)
    }
    let waking = WorkKind(rawValue: 28)
    let tally = Tally()
    let target = unsafe WakeTarget(
      function: { unsafe Unmanaged<Tally>.fromOpaque($0).takeUnretainedValue().counter.increment() },
      context: Unmanaged.passUnretained(tally).toOpaque())
    set.handlers.register(waking, at: .net) { _, cx in for _ in 0..<4 { cx.wake(target) } }
    let scheduler = ManualScheduler(clock: clock)
    scheduler.add(set)
    let flood = (0..<1000).map { _ in Probe(waking) }
    for probe in flood { set.port(0).post(probe.item) }
    scheduler.settle()
    #expect(tally.counter.value == 4000)
    #expect(set.core(0).wakes.overflowed.value == 0)
    #expect(set.counters(0).wakeRoomEnds.value > 0)
  }

  /// Housekeeping at general level: who pins too long is counted and named, and nothing ticks at rest.
  @Test func whoHoldsUpAGracePeriodIsNamed() throws {
    let (journal, clock) = (Journal(), VirtualClock())
    let set = try makeSet(journal, clock: clock, contexts: 2)
    let scheduler = ManualScheduler(clock: clock)
    scheduler.add(set)
    let pool = SlotPool(slotBytes: 64, slotsPerSlab: 4, limit: 4)
    let slot = try #require(pool.ref.allocate())
    let pin = set.grace.pin()
    set.perform(on: 0) { cx in cx.retire(slot) }
    for _ in 0..<8 {
      for _ in 0..<3 { scheduler.step(set, context: 0) }
      clock.advance(by: .milliseconds(500))
    }
    #expect(set.counters(0).graceStalls.value > 0)
    guard case .thread = set.lastStraggler(0) else {
      Issue.record("\(String(describing: set.lastStraggler(0))) was named")
      return
    }
    set.grace.unpin(pin)
    scheduler.settle()
    #expect(pool.ref.inUse == 0)
    #expect(scheduler.nextDeadline == nil, "nothing ticks when nothing waits")
  }
}

/// A gate whose work has work for the same gate.
private enum NestingBlock: GatedBlock {
  static func run(_ item: ItemRef, on block: GateRef<NestingBlock>, _ cx: inout SoftInterrupt) {
    let count = unsafe block.raw.load(fromByteOffset: 64, as: UInt64.self)
    unsafe block.raw.storeBytes(of: count + 1, toByteOffset: 64, as: UInt64.self)
    guard count == 0, let next = item.next else { return }
    item.next = nil
    #expect(block.submit(next, isSegment: false, &cx) == .posted, "who is inside leaves a note to himself")
  }
  static func run(events: GateEvents, on block: GateRef<NestingBlock>, _ cx: inout SoftInterrupt) {}
  static func retire(_ block: GateRef<NestingBlock>, _ cx: inout SoftInterrupt) {}
}

extension ContextTests {
  /// R1: work for a gate that this very soft interrupt is inside is a note, not a wait; entries and exits balance.
  @Test func R1_aSoftInterruptWaitsForNoGateThatItIsInside() throws {
    let (journal, clock) = (Journal(), VirtualClock())
    let set = try makeSet(journal, clock: clock)
    let scheduler = ManualScheduler(clock: clock)
    scheduler.add(set)
    let raw = UnsafeMutableRawPointer.allocate(byteCount: 128, alignment: 64)
    defer { unsafe raw.deallocate() }
    unsafe raw.initializeMemory(as: UInt8.self, repeating: 0, count: 128)
    unsafe GateRef<NestingBlock>.initialize(
      raw, kind: Self.net, home: set.port(0), segmentLimit: 8, budget: 8)
    let gate = unsafe GateRef<NestingBlock>(raw)
    let (outer, inner) = (Probe(Self.net), Probe(Self.net))
    let items = (outer.item, inner.item)
    set.perform(on: 0) { cx in
      items.0.next = items.1
      #expect(gate.submit(items.0, isSegment: false, &cx) == .ran)
    }
    scheduler.settle()
    #expect(unsafe raw.load(fromByteOffset: 64, as: UInt64.self) == 2)
    #expect(gate.isFree)
    #expect(set.counters(0).entries.value == set.counters(0).exits.value)
  }
}
