import Exclusion
import Testing

/// An application thread that does a context's work for a moment: what `enter` does with a gate, and what becomes of
/// the guest.
@Suite(.serialized) struct GuestTests {
  /// A gate at home on context 0, and a guest of that context.
  private final class Visit {
    let world: GateWorld
    let domain: GraceDomain
    let guest: ContextCoreRef
    init() throws {
      let domain = GraceDomain(contexts: 3)
      self.domain = domain
      guest = try ContextCoreRef.make(index: 2, host: 0, kick: .counted, domain: domain)
      world = try GateWorld(budget: 16)
    }
    deinit { guest.destroy() }

    func enter(_ item: ItemRef) -> Outcome? {
      let (gate, home) = (world.gate, world.home.port)
      return withGuestRoot(guest) { root in root.withSoftInterrupt { cx in gate.enter(item, at: home, &cx) } }
    }
  }

  @Test func PCB_POST_aGuestRunsItsOwnItemAndLeavesTheRestToHome() throws {
    let visit = try Visit()
    let (gate, home) = (visit.world.gate, visit.world.home)
    let slots = TestSlots(8)
    var isFirst = true
    gate.whileRunning { gate, _ in
      guard isFirst else { return }
      isFirst = false
      for value in UInt32(1)...2 { #expect(gate.post(slots.make(value)) == .posted) }
      #expect(gate.post(events: GateEvents(rawValue: 4)) == .posted)
    }
    #expect(visit.enter(slots.make(0)) == .ran)
    #expect(gate.ran == 1 && !gate.isFree)
    #expect(visit.guest.gates.entries.value == 1 && visit.guest.gates.handOvers.value == 1)
    asContext(home) { cx in _ = visit.world.runHome(&cx) }
    #expect(gate.ran == 3 && gate.errors == 0 && gate.isFree)
    #expect(unsafe gate.state.pointee.events == 4)
  }

  @Test func PCB_NOWAIT_aGuestThatFindsTheGateOwnedPosts() throws {
    let visit = try Visit()
    let (gate, home) = (visit.world.gate, visit.world.home)
    let slots = TestSlots(8)
    #expect(gate.post(slots.make(0)) == .posted)  // home's, which does not run yet
    #expect(visit.enter(slots.make(1)) == .posted)
    #expect(gate.ran == 0 && visit.guest.gates.entries.value == 0)
    asContext(home) { cx in _ = visit.world.runHome(&cx) }
    #expect(gate.ran == 2 && gate.errors == 0 && gate.isFree)
  }

  @Test func PCB_MOVE_aGuestOfTheOldHomeLeavesItsItemToTheNewOne() throws {
    let visit = try Visit()
    let (gate, other) = (visit.world.gate, visit.world.other)
    let slots = TestSlots(8)
    gate.move(to: other.port)
    #expect(visit.enter(slots.make(0)) == .posted)
    #expect(gate.ran == 0 && !visit.world.home.port.hasWork)
    asContext(other) { cx in
      var taken = other.port.takeAll()
      while let item = taken.popFirst() { unsafe GateRef<Recorder>(item.raw).resume(budget: 16, &cx) }
    }
    #expect(gate.ran == 1 && gate.errors == 0 && gate.isFree)
  }

  @Test func PCB_CLOSE_aGuestFindsAClosedGate() throws {
    let visit = try Visit()
    let slots = TestSlots(8)
    asContext(visit.world.home) { cx in _ = visit.world.gate.submit(events: .detach, &cx) }
    let item = slots.make(0)
    #expect(visit.enter(item) == .closed)
    #expect(visit.world.gate.ran == 0 && visit.world.gate.retired == 1)
    slots.giveBack([item])
  }

  /// W7: a wake-up of a guest comes when it has left the gate; PCB-GRACE: then it looks at nothing any more.
  @Test func W7_PCB_GRACE_aGuestWakesAndLeaves() throws {
    let visit = try Visit()
    let (gate, domain) = (visit.world.gate, visit.domain)
    let slots = TestSlots(8)
    let parker = Parker()
    let target = parker.wakeTarget
    gate.whileRunning { _, cx in
      cx.wake(target)
      let epoch = domain.advance()
      #expect(domain.stragglers(before: epoch) == [2])
    }
    #expect(visit.enter(slots.make(0)) == .ran)
    #expect(visit.guest.wakes.delivered.value == 1 && visit.guest.wakes.count == 0)
    #expect(domain.hasPassed(domain.advance()))
    let isWoken = withApplication { held in parker.park(&held) }
    #expect(isWoken)
  }

  /// One thread at a time, and nobody once it is closed.
  @Test func aGuestIsOneThreadOrNone() throws {
    let visit = try Visit()
    let slots = TestSlots(8)
    let guest = visit.guest
    var second: Bool?
    let mayBeGuest = mayBeGuestElsewhere
    visit.world.gate.whileRunning { _, _ in
      second = mayBeGuest(guest)
    }
    #expect(visit.enter(slots.make(0)) == .ran)
    #expect(second == false)
    guest.closeToGuests()
    let item = slots.make(1)
    #expect(visit.enter(item) == nil)
    slots.giveBack([item])
  }

  /// Whether another thread may be the guest now.
  private func mayBeGuestElsewhere(_ guest: ContextCoreRef) -> Bool {
    let answer = SharedBox()
    do {
      let thread = try WorkerThread(name: "elsewhere") {
        if withGuestRoot(guest, { _ in true }) != nil { answer.counter.increment() }
      }
      thread.join()
    } catch {
      Issue.record("no thread: \(error)")
    }
    return answer.counter.value > 0
  }
}

private final class SharedBox: Sendable {
  let counter = SharedCounter()
}
