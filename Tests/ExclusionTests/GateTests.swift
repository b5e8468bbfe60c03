import Exclusion
import Testing

/// PROTOCOLS 1, one thread: each branch of enter, post, find closed, leave.
@Suite(.serialized) struct GateTests {
  @Test func PCB_POST_freeGateRunsAtOnce() throws {
    let world = try GateWorld()
    let slots = TestSlots(8)
    asContext(world.other) { cx in
      #expect(world.gate.submit(slots.make(0), isSegment: true, &cx) == .ran)
      #expect(world.gate.submit(events: GateEvents(rawValue: 5), &cx) == .ran)
    }
    #expect(world.gate.ran == 1 && world.gate.errors == 0 && world.gate.isFree)
    #expect(unsafe world.gate.state.pointee.events == 5)
    #expect(world.other.gates.entries.value == 2)
    #expect(slots.pool.ref.inUse == 0)
  }

  @Test func PCB_POST_workForAnOwnedGateWaitsAndRunsInOrder() throws {
    let world = try GateWorld()
    let slots = TestSlots(8)
    var outcomes: [Outcome] = []
    var depth = 0
    world.gate.whileRunning { gate, cx in
      depth += 1
      if depth == 1 {
        // We own it: everything is a post, and nothing runs inside us.
        for value in UInt32(1)...3 {
          outcomes.append(gate.submit(slots.make(value), isSegment: true, &cx))
        }
        outcomes.append(gate.submit(events: GateEvents(rawValue: 2), &cx))
        outcomes.append(gate.post(slots.make(4)))
        #expect(gate.ran == 1)
      }
    }
    asContext(world.other) { cx in _ = world.gate.submit(slots.make(0), isSegment: false, &cx) }
    #expect(outcomes == [.posted, .posted, .posted, .posted, .posted])
    #expect(world.gate.ran == 5 && world.gate.errors == 0 && world.gate.isFree)
    #expect(unsafe world.gate.state.pointee.events == 2)
    #expect(world.other.gates.posts.value == 4)
  }

  @Test func PCB_BOUND_segmentsAreBoundedCommandsAndBitsAreNot() throws {
    let world = try GateWorld(segmentLimit: 2)
    let slots = TestSlots(16)
    var refused: [ItemRef] = []
    var isFirst = true
    world.gate.whileRunning { gate, cx in
      guard isFirst else { return }
      isFirst = false
      #expect(gate.submit(slots.make(1), isSegment: true, &cx) == .posted)
      #expect(gate.submit(slots.make(2), isSegment: true, &cx) == .posted)
      let third = slots.make(9)
      #expect(gate.submit(third, isSegment: true, &cx) == .dropped)
      refused.append(third)
      for value in UInt32(3)...7 {
        #expect(gate.submit(slots.make(value), isSegment: false, &cx) == .posted)
      }
      for _ in 0..<3 { #expect(gate.submit(events: GateEvents(rawValue: 1), &cx) == .posted) }
    }
    asContext(world.other) { cx in _ = world.gate.submit(slots.make(0), isSegment: true, &cx) }
    #expect(world.gate.ran == 8 && world.gate.errors == 0)
    #expect(world.other.gates.dropped.value == 1)
    slots.giveBack(refused)
    #expect(slots.pool.ref.inUse == 0)
  }

  @Test func PCB_NOWAIT_outOfBudgetHandsOverStillOwned() throws {
    let world = try GateWorld(budget: 1)
    let slots = TestSlots(8)
    var isFirst = true
    world.gate.whileRunning { gate, cx in
      guard isFirst else { return }
      isFirst = false
      for value in UInt32(1)...4 { _ = gate.submit(slots.make(value), isSegment: true, &cx) }
    }
    asContext(world.other) { cx in _ = world.gate.submit(slots.make(0), isSegment: true, &cx) }
    #expect(world.gate.ran == 2)  // its own, and one more
    #expect(!world.gate.isFree && world.home.port.hasWork)
    #expect(world.other.gates.handOvers.value == 1)
    asContext(world.other) { cx in
      // Still owned, by home: later work queues behind.
      #expect(world.gate.submit(slots.make(5), isSegment: true, &cx) == .posted)
      #expect(world.gate.submit(events: .detach, &cx) == .posted)
    }
    asContext(world.home) { cx in
      #expect(world.runHome(budget: 2, &cx) == 1)
      #expect(world.gate.ran == 4)
      #expect(world.runHome(budget: 16, &cx) == 1)
    }
    #expect(world.gate.ran == 6 && world.gate.errors == 0)
    #expect(world.gate.isClosed && world.gate.retired == 1)
  }

  @Test func TM_LATE_bitsCostBudgetToo() throws {
    let world = try GateWorld(budget: 3)
    // Whoever runs raises a bit again: without a budget this would never return.
    world.gate.whileRunning { gate, cx in _ = gate.submit(events: GateEvents(rawValue: 1), &cx) }
    asContext(world.other) { cx in _ = world.gate.submit(events: GateEvents(rawValue: 1), &cx) }
    #expect(unsafe world.gate.state.pointee.eventRuns == 4)
    #expect(!world.gate.isFree)
    world.gate.whileRunning(nil)
    asContext(world.home) { cx in #expect(world.runHome(&cx) == 1) }
    #expect(world.gate.isFree)
  }

  @Test func PCB_NOWAIT_applicationsPostToAFreeGateThroughHome() throws {
    let world = try GateWorld()
    let slots = TestSlots(8)
    #expect(world.home.port.becomeIdle())
    #expect(world.gate.post(slots.make(0)) == .posted)
    #expect(world.home.port.kicks == 1)
    #expect(world.gate.post(slots.make(1)) == .posted)
    #expect(world.gate.post(events: GateEvents(rawValue: 8)) == .posted)
    #expect(world.home.port.kicks == 1)  // one kick for all of it
    #expect(world.gate.ran == 0)
    #expect(world.home.port.leaveIdle())
    asContext(world.home) { cx in #expect(world.runHome(&cx) == 1) }
    #expect(world.gate.ran == 2 && world.gate.errors == 0 && world.gate.isFree)
    #expect(unsafe world.gate.state.pointee.events == 8)
  }

  @Test func PCB_CLOSE_detachRetiresOnceAndHandsWorkBack() throws {
    let world = try GateWorld()
    let slots = TestSlots(8)
    asContext(world.other) { cx in
      #expect(world.gate.submit(events: .detach, &cx) == .ran)
      #expect(world.gate.retired == 1 && world.gate.isClosed)
      let late = slots.make(0)
      #expect(world.gate.submit(late, isSegment: true, &cx) == .closed)
      #expect(world.gate.post(late) == .closed)
      #expect(world.gate.submit(events: .detach, &cx) == .closed)
      #expect(world.gate.post(events: .detach) == .closed)
      slots.pool.ref.free(late)
    }
    #expect(world.gate.ran == 0 && world.gate.retired == 1)
    #expect(world.other.gates.closedFound.value == 2)
    #expect(slots.pool.ref.inUse == 0)
  }

  @Test func PCB_CLOSE_whatWasPostedBeforeTheLastReferenceWentStillRuns() throws {
    let world = try GateWorld()
    let slots = TestSlots(8)
    _ = world.gate.post(slots.make(0))
    _ = world.gate.post(events: .detach)
    _ = world.gate.post(slots.make(1))
    asContext(world.home) { cx in world.runHome(&cx) }
    #expect(world.gate.ran == 2 && world.gate.errors == 0 && world.gate.retired == 1)
  }

  @Test func PCB_MOVE_anOwnerMovesItsBlock() throws {
    let world = try GateWorld()
    let slots = TestSlots(8)
    let other = world.other
    world.gate.whileRunning { gate, _ in gate.move(to: other.port) }
    asContext(world.home) { cx in _ = world.gate.submit(events: GateEvents(rawValue: 1), &cx) }
    world.gate.whileRunning(nil)
    #expect(world.gate.home == other.port)
    _ = world.gate.post(slots.make(0))
    #expect(other.port.hasWork && !world.home.port.hasWork)
    asContext(other) { cx in
      var taken = other.port.takeAll()
      while let item = taken.popFirst() { unsafe GateRef<Recorder>(item.raw).resume(budget: 1, &cx) }
    }
    #expect(world.gate.ran == 1)
  }

  @Test func mailboxKeepsOrderLimitAndClosing() {
    let slots = TestSlots(16)
    let mailbox = Mailbox()
    let items = slots.make(1...5)
    #expect(mailbox.isEmpty && mailbox.count == 0)
    for item in items[0...2] { #expect(mailbox.post(item, limit: 3) == .posted) }
    #expect(mailbox.post(items[3], limit: 3) == .dropped)
    #expect(mailbox.count == 3 && !mailbox.isEmpty)
    var taken = mailbox.takeAll()
    #expect(taken.count == 3)
    #expect(taken.takeValues() == [1, 2, 3])
    check(mailbox.takeAll().isEmpty)

    // AQ-BOUND: what the consumer keeps still counts.
    for item in items[0...2] { _ = mailbox.post(item, limit: 3) }
    var kept = mailbox.takeAll(stillCounted: true)
    #expect(mailbox.isEmpty && mailbox.count == 3)
    #expect(mailbox.post(items[3], limit: 3) == .dropped)
    mailbox.discount(1)
    #expect(kept.popFirst() == items[0])
    #expect(mailbox.post(items[3], limit: 3) == .posted)

    // AQ-CLOSE: what was there is handed out once, and nothing comes later.
    var left = mailbox.close()
    #expect(left.takeValues() == [4])
    #expect(mailbox.isClosed && mailbox.post(items[4]) == .closed)
    #expect(mailbox.takeAll().isEmpty && mailbox.isClosed)  // taking does not open it again
    #expect(mailbox.post(items[4]) == .closed && mailbox.close().isEmpty)
    slots.giveBack(items)
  }

  @Test func portIdleProtocol() throws {
    let core = try makeContext()
    let port = core.port
    let slots = TestSlots(8)
    let items = slots.make(1...4)
    port.post(items[0])
    #expect(port.kicks == 0 && !port.becomeIdle())  // something to do: it must not sleep
    var taken = port.takeAll()
    #expect(taken.takeValues() == [1])
    #expect(port.becomeIdle() && port.isIdle)
    #expect(!port.leaveIdle())  // ended by a deadline: nobody kicked
    #expect(port.becomeIdle())
    port.post(items[1])
    port.post(items[2])
    #expect(port.kicks == 1)  // one kicker
    #expect(port.leaveIdle())
    taken = port.takeAll()
    #expect(taken.takeValues() == [2, 3])
    slots.giveBack(items)
    core.destroy()
  }
}
