import Chance
import Exclusion
import Glibc
import Testing

/// The same protocols between real threads: bounded counts, no sleeps. The thread sanitizer watches the owners'
/// plain memory.
@Suite(.serialized, .timeLimit(.minutes(3))) struct GateStressTests {
  @Test(arguments: [0, 1, 3, 64])
  func PCB_OWN_PCB_POST_everyItemRunsOnceInOrderPerSource(budget: Int) throws {
    let count: UInt32 = 10_000
    let world = Shared(try GateWorld(budget: budget))
    let slots = Shared(TestSlots(64)), twin = Shared(TestSlots(64)), third = Shared(TestSlots(64))
    let finished = Word()
    try together([
      {  // Home: its own submissions, and what is handed over.
        withContextRoot(world.value.home) { root in
          var next: UInt32 = 0
          while !world.value.gate.isClosed {
            root.withSoftInterrupt { cx in
              // It may be home that everything waits for, so it does not wait for a slot.
              if next < count, let item = slots.value.pool.ref.allocate() {
                (item.code, item.value) = (0, next)
                _ = world.value.gate.submit(item, isSegment: false, &cx)
                next += 1
                if next == count { finished.word.add(1) }
              }
              if world.value.runHome(budget: budget + 1, &cx) == 0, next == count { yieldProcessor() }
            }
          }
        }
      },
      {  // Another context.
        withContextRoot(world.value.other) { root in
          root.withSoftInterrupt { cx in
            for next in 0..<count {
              _ = world.value.gate.submit(twin.value.make(source: 1, next), isSegment: false, &cx)
              if next % 64 == 0 { _ = world.value.gate.submit(events: GateEvents(rawValue: 1), &cx) }
            }
          }
        }
        finished.word.add(1)
      },
      {  // An application; it drops the last reference when all have submitted.
        for next in 0..<count {
          _ = world.value.gate.post(third.value.make(source: 2, next))
          if next % 64 == 0 { _ = world.value.gate.post(events: GateEvents(rawValue: 2)) }
        }
        finished.wait(for: 2)
        _ = world.value.gate.post(events: .detach)
      },
    ])
    let gate = world.value.gate
    #expect(gate.errors == 0)
    #expect(gate.ran == Int(count) * 3)
    #expect(gate.retired == 1)
    #expect(unsafe gate.state.pointee.events == 3)
    #expect(!world.value.home.port.hasWork)
    #expect(slots.value.pool.ref.inUse + twin.value.pool.ref.inUse + third.value.pool.ref.inUse == 0)
  }

  @Test func PCB_CLOSE_lateWorkComesBackExactlyOnce() throws {
    // Closing races with submissions: every item ran or came back, and never both.
    for _ in 0..<200 {
      let world = Shared(try GateWorld(budget: 1))
      let slots = Shared(TestSlots(64)), twin = Shared(TestSlots(64))
      let back = Word(), finished = Word()
      try together([
        {
          withContextRoot(world.value.other) { root in
            root.withSoftInterrupt { cx in
              for next in UInt32(0)..<20 {
                let item = slots.value.make(source: 0, next)
                if world.value.gate.submit(item, isSegment: false, &cx) == .closed {
                  back.word.add(1)
                  slots.value.pool.ref.free(item)
                }
              }
            }
          }
          finished.word.add(1)
        },
        {
          for next in UInt32(0)..<20 {
            if next == 10 { _ = world.value.gate.post(events: .detach) }
            let item = twin.value.make(source: 1, next)
            if world.value.gate.post(item) == .closed {
              back.word.add(1)
              twin.value.pool.ref.free(item)
            }
          }
          finished.word.add(1)
        },
        {
          withContextRoot(world.value.home) { root in
            while finished.value < 2 || !world.value.gate.isClosed || world.value.home.port.hasWork {
              root.withSoftInterrupt { cx in
                if world.value.runHome(&cx) == 0 { yieldProcessor() }
              }
            }
          }
        },
      ])
      let gate = world.value.gate
      #expect(gate.errors == 0 && gate.retired == 1)
      #expect(gate.ran + Int(back.value) == 40)
      #expect(slots.value.pool.ref.inUse + twin.value.pool.ref.inUse == 0)
    }
  }

  @Test func AQ_CLOSE_mailboxBetweenThreads() throws {
    let count: UInt32 = 20_000
    let mailbox = Shared(Mailbox())
    let slots = Shared(TestSlots(256)), twin = Shared(TestSlots(256))
    let received = Word(), errors = Word(), refused = Word()
    @Sendable func produce(_ source: UInt16, _ slots: Shared<TestSlots>) {
      for next in 0..<count {
        let item = slots.value.make(source: source, next)
        while true {
          let outcome = mailbox.value.post(item, limit: 100)
          if outcome == .posted { break }
          if outcome == .closed {
            refused.word.add(1)
            slots.value.pool.ref.free(item)
            break
          }
          yieldProcessor()
        }
      }
    }
    try together([
      { produce(0, slots) }, { produce(1, twin) },
      {
        var last: [UInt32] = [0, 0]
        var total = 0
        func consume(_ list: consuming ItemList) {
          while let item = list.popFirst() {
            if item.value < last[Int(item.code)] { errors.word.add(1) }
            last[Int(item.code)] = item.value
            SlotPoolRef.of(item)?.freeRemote(item)
            total += 1
          }
        }
        while total < Int(count) {
          if mailbox.value.count > 100 { errors.word.add(1) }
          consume(mailbox.value.takeAll())
        }
        consume(mailbox.value.close())
        received.set(UInt64(total))
      },
    ])
    #expect(errors.value == 0)
    #expect(received.value + refused.value == UInt64(count) * 2)
    #expect(mailbox.value.isClosed && mailbox.value.isEmpty)
    #expect(slots.value.pool.ref.inUse + twin.value.pool.ref.inUse == 0)
  }

  @Test func RX_BUDGET_aSleepingContextIsKickedOnceAndLosesNothing() throws {
    let count: UInt32 = 20_000
    let core = try ContextCoreRef.make(index: 0, kick: .descriptor)
    let descriptor = try #require(core.port.descriptor)
    let slots = Shared(TestSlots(32)), twin = Shared(TestSlots(32))
    let errors = Word(), owed = Word()
    @Sendable func produce(_ source: UInt16, _ slots: Shared<TestSlots>) {
      for next in 0..<count { core.port.post(slots.value.make(source: source, next)) }
    }
    try together([
      { produce(0, slots) }, { produce(1, twin) },
      {
        var next: [UInt32] = [0, 0]
        while next != [count, count] {
          var taken = core.port.takeAll()
          if taken.isEmpty {
            guard core.port.becomeIdle() else { continue }
            var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            _ = unsafe poll(&watched, 1, -1)
            // Only a kick can have ended this wait, and the poster took IDLE away first.
            if !core.port.leaveIdle() { errors.word.add(1) }
            owed.word.add(1)
            core.port.absorb()
            if !core.port.hasWork { errors.word.add(1) }
          }
          while let item = taken.popFirst() {
            if item.value != next[Int(item.code)] { errors.word.add(1) }
            next[Int(item.code)] = item.value + 1
            SlotPoolRef.of(item)?.freeRemote(item)
          }
        }
      },
    ])
    #expect(errors.value == 0)
    #expect(core.port.kicks == owed.value)  // no useless kick
    core.destroy()
  }

  @Test func RX_BUDGET_workThatMeetsAContextAboutToSleepIsNotLost() throws {
    // One item at a time, posted at about the moment when the context finds nothing and lies down.
    let core = try makeContext()
    let slots = Shared(TestSlots(4))
    let taken = Word(), lost = Word(), kicked = Word()
    let count: UInt32 = 20_000
    try together([
      {
        var item = slots.value.make(0)
        for next in 0..<count {
          core.port.post(item)
          item = slots.value.make(next + 1)
          var deadline: UInt64 = 0
          spin {
            // The deadline only turns an item that is never taken into a failure.
            if deadline == 0 { deadline = monotonicSeconds(20) }
            return taken.value <= next && monotonicSeconds(0) < deadline
          }
          if taken.value <= next {
            lost.word.add(1)
            break
          }
        }
        SlotPoolRef.of(item)?.freeRemote(item)
      },
      {
        var random = SeededGenerator(seed: 1)
        while taken.value < count && lost.value == 0 {
          var list = core.port.takeAll()
          while let item = list.popFirst() {
            SlotPoolRef.of(item)?.freeRemote(item)
            taken.word.add(1)
          }
          for _ in 0..<(random.next() % 64) { spinHint() }
          if core.port.becomeIdle() {
            spin { core.port.isIdle && taken.value < count && lost.value == 0 }
            if core.port.leaveIdle() { kicked.word.add(1) }
          }
        }
      },
    ])
    #expect(lost.value == 0 && taken.value == count)
    #expect(core.port.kicks == kicked.value)
    core.destroy()
  }
}
