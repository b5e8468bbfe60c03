import Buffers
import Devices
import Exclusion
import SoftInterrupts
import Testing
import Timing
import Wire

/// What happened, in order, on contexts that are stepped by hand or stopped.
final class Journal: @unchecked Sendable {  // written by one thread at a time
  var entries: [String] = []
  func note(_ entry: String) { entries.append(entry) }
}

/// An item or a timer that notes its name; freed at the end of the test.
@safe
final class Probe: @unchecked Sendable {  // memory that the test hands to one context
  let raw = UnsafeMutableRawPointer.allocate(byteCount: 128, alignment: 64)
  var item: ItemRef { unsafe ItemRef(raw) }
  let timer: TimerRef

  init(_ kind: WorkKind, value: UInt32 = 0, timerKind: UInt8 = 0) {
    unsafe raw.storeBytes(of: WorkItem(kind: kind), as: WorkItem.self)
    unsafe ItemRef(raw).value = value
    timer = unsafe TimerRef.initialize(at: raw + 64, kind: timerKind, owner: UInt(value))
  }
  deinit { unsafe raw.deallocate() }
}

@Suite struct ContextTests {
  static let net = WorkKind(rawValue: 24), serial = WorkKind(rawValue: 25)
  static let bio = WorkKind(rawValue: 26), general = WorkKind(rawValue: 27)

  func makeSet(
    _ journal: Journal, clock: VirtualClock, contexts: Int = 1,
    _ adjust: (inout ContextConfiguration) -> Void = { _ in }
  ) throws -> ContextSet {
    var configuration = ContextConfiguration(contexts: contexts, timeSource: clock)
    adjust(&configuration)
    let set = try ContextSet(configuration)
    for (kind, level, name) in [
      (Self.net, Level.net, "net"), (Self.serial, .serial, "serial"), (Self.bio, .bio, "bio"),
      (Self.general, .general, "general"),
    ] {
      set.handlers.register(kind, at: level) { item, _ in journal.note("\(name)\(item.value)") }
    }
    set.handlers.registerTimer(0) { timer, _ in journal.note("timer\(timer.owner)") }
    return set
  }

  @Test func levelsRunInOrderAndEachInTheOrderOfPosting() throws {
    let (journal, clock) = (Journal(), VirtualClock())
    let set = try makeSet(journal, clock: clock)
    let scheduler = ManualScheduler(clock: clock)
    scheduler.add(set)
    let timer = Probe(Self.net, value: 9)
    set.perform(on: 0) { cx in cx.arm(timer.timer, at: cx.now.adding(milliseconds: 1)) }
    scheduler.settle()
    clock.advance(by: .milliseconds(2))
    let probes = [Self.general, Self.bio, Self.serial, Self.net, Self.net, Self.general].enumerated()
      .map { Probe($0.element, value: UInt32($0.offset)) }
    for probe in probes { set.port(0).post(probe.item) }
    #expect(!scheduler.step(set, context: 0))
    // The second pass: of the two in the middle serial begins.
    #expect(journal.entries == ["timer9", "serial2", "net3", "net4", "bio1", "general0", "general5"])
    #expect(set.counters(0).entries.value == set.counters(0).exits.value)
  }

  /// R4: however much receive work is posted, expired timers run in the next pass, and the levels below get
  /// their share of each.
  @Test func R4_timersAndLowerLevelsRunUnderSaturation() throws {
    let (journal, clock) = (Journal(), VirtualClock())
    let set = try makeSet(journal, clock: clock)
    let scheduler = ManualScheduler(clock: clock)
    scheduler.add(set)
    let flood = (0..<2000).map { Probe(Self.net, value: UInt32($0)) }
    for probe in flood { set.port(0).post(probe.item) }
    let timer = Probe(Self.net, value: 1)
    let low = Probe(Self.general, value: 7)
    set.perform(on: 0) { cx in cx.arm(timer.timer, at: cx.now.adding(milliseconds: 1)) }
    set.port(0).post(low.item)
    #expect(scheduler.step(set, context: 0), "budget leaves work pending")
    #expect(set.counters(0).items.net.value == UInt64(LevelBudgets().net.items))
    #expect(journal.entries.last == "general7")
    clock.advance(by: .milliseconds(2))
    let before = journal.entries.count
    scheduler.step(set, context: 0)
    #expect(journal.entries[before] == "timer1", "clock first")
    scheduler.settle()
    let nets = journal.entries.filter { $0.hasPrefix("net") }
    #expect(nets == (0..<2000).map { "net\($0)" }, "RX-ORDER: first in first out over passes")
    let ends = (set.counters(0).budgetEnds.net.value, set.counters(0).budgetEnds.total)
    #expect(ends == (7, 7), "RX-BUDGET: 2000 items are seven full passes and the rest")
  }

  /// T1: idle contexts have a deadline exactly when something is armed, and none when nothing is.
  @Test func T1_anIdleContextWaitsForItsNextDeadlineAndElseForEver() throws {
    let (journal, clock) = (Journal(), VirtualClock())
    let set = try makeSet(journal, clock: clock)
    let scheduler = ManualScheduler(clock: clock)
    scheduler.add(set)
    scheduler.settle()
    #expect(scheduler.nextDeadline == nil)
    #expect(scheduler.settle() == 0, "nothing to do means no pass")
    let timer = Probe(Self.net, value: 3)
    set.perform(on: 0) { cx in cx.arm(timer.timer, at: cx.now.adding(milliseconds: 90_000)) }
    scheduler.settle()
    #expect(scheduler.run { journal.entries == ["timer3"] })
    #expect(clock.now() >= Instant(milliseconds: 90_000) && clock.now() <= Instant(milliseconds: 90_001))
    #expect(set.counters(0).timersArmed.value == 0 && scheduler.nextDeadline == nil)
  }

  /// PCB-GRACE: what was retired is freed when every context has passed a quiescent point, not before.
  @Test func retiredSlotsComeBackAfterAGracePeriod() throws {
    let (journal, clock) = (Journal(), VirtualClock())
    let set = try makeSet(journal, clock: clock, contexts: 2)
    let scheduler = ManualScheduler(clock: clock)
    scheduler.add(set)
    let pool = SlotPool(slotBytes: 64, slotsPerSlab: 4, limit: 4)
    let slot = try #require(pool.ref.allocate())
    let pin = set.grace.pin()
    set.perform(on: 0) { cx in cx.retire(slot) }
    for _ in 0..<5 { for index in 0..<2 { scheduler.step(set, context: index) } }
    #expect(pool.ref.inUse == 1, "somebody may still look")
    set.grace.unpin(pin)
    scheduler.settle()
    #expect(pool.ref.inUse == 0)
  }

  /// RS-LEAK: nor is anything lost that was retired shortly before the contexts stopped, or after.
  @Test func whatWasRetiredAtTheEndIsFreedOnce() throws {
    let (journal, clock) = (Journal(), VirtualClock())
    let set = try makeSet(journal, clock: clock, contexts: 2)
    set.handlers.registerReclaim(Self.bio) { item in journal.note("freed\(item.value)") }
    let scheduler = ManualScheduler(clock: clock)
    scheduler.add(set)
    let pool = SlotPool(slotBytes: 64, slotsPerSlab: 4, limit: 4)
    let slot = try #require(pool.ref.allocate())
    let probes = (0..<3).map { Probe(Self.bio, value: UInt32($0)) }
    let pin = set.grace.pin()
    set.retire(probes[0].item)
    set.perform(on: 1) { cx in cx.retire(slot) }
    for _ in 0..<5 { for index in 0..<2 { scheduler.step(set, context: index) } }
    set.retire(probes[1].item)
    scheduler.step(set, context: 0)
    set.retire(probes[2].item)
    set.grace.unpin(pin)
    #expect(journal.entries == [] && pool.ref.inUse == 1)
    set.reclaimAll()
    #expect(journal.entries.sorted() == ["freed0", "freed1", "freed2"] && pool.ref.inUse == 0)
    set.reclaimAll()
    #expect(journal.entries.count == 3)
  }

  @Test func closuresThatNeverRanAreReleased() throws {
    final class Token: Sendable {}
    weak var witness: Token?
    do {
      let set = try makeSet(Journal(), clock: VirtualClock())
      let token = Token()
      witness = token
      set.perform(on: 0) { _ in _ = token }
    }
    #expect(witness == nil)
  }
}
