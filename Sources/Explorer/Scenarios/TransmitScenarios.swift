#if Explore
  import Buffers
  import DeviceTesting
  import Devices
  import Exclusion
  import SoftInterrupts
  import Timing

  /// What a source's bell rings at: it counts.
  private enum BellTower: GatedBlock {
    static func run(_ item: ItemRef, on block: GateRef<BellTower>, _ cx: inout SoftInterrupt) {}
    static func run(events: GateEvents, on block: GateRef<BellTower>, _ cx: inout SoftInterrupt) {
      let rung = unsafe (block.raw + GateHeader.byteCount).assumingMemoryBound(to: UInt64.self)
      unsafe rung.pointee += 1
    }
    static func retire(_ block: GateRef<BellTower>, _ cx: inout SoftInterrupt) {}
  }

  /// A word that two threads share.
  private final class Turned: Sendable {
    let word = AtomicWord(0)
  }

  extension Catalogue {
    static let transmit: [Scenario] = [
      Scenario(
        id: "X1", title: "two contexts send past the gate of a lockless driver whose ring holds one frame",
        mutations: ["transmitOnStoppedQueueAsserted"]
      ) { run in
        TransmitWorld.explore(run, .lockless, slots: 1, each: 2, completions: 3)
      },
      Scenario(
        id: "X2", title: "the ring empties between the look that finds it full and the stop",
        mutations: ["queueStopWithoutRecheck"]
      ) { run in
        TransmitWorld.explore(run, .gate, slots: 1, each: 2, completions: 3)
      },
      Scenario(
        id: "TX-STOP", title: "a sender that stops and a completion that makes room, whose stores come late",
        hasStoreBuffers: true, mutations: ["transmitSenderWithoutFence", "transmitCompleterWithoutFence"]
      ) { run in
        TransmitWorld.explore(run, .gate, slots: 1, sources: 1, each: 2, completions: 2)
      },
      Scenario(
        id: "TX-STRAND",
        title: "a lockless driver's queue is stopped, restarted and deferred to from two contexts",
        mutations: ["transmitRestartWithoutRun", "transmitDeferWithoutRun"]
      ) { run in
        TransmitWorld.explore(run, .lockless, slots: 1, each: 2, completions: 4)
      },
      Scenario(
        id: "TX-STRAND/lock", title: "senders and the hardware meet at the lock of a driver that has its own",
        mutations: ["driverLockLetGoUnheard"]
      ) { run in
        TransmitWorld.explore(run, .driver, slots: 2, each: 2, completions: 4)
      },
      Scenario(
        id: "TX-BUSY", title: "a packet comes back from a stopped queue while others wait behind it",
        mutations: ["transmitRequeuedAtTail"]
      ) { run in
        TransmitWorld.explore(run, .gate, slots: 1, each: 3, completions: 4)
      },
      Scenario(
        id: "TX-BUSY/lockless",
        title: "the owner has taken a packet from the list while its context sends another",
        mutations: ["transmitListTestedEmpty"]
      ) { run in
        TransmitWorld.explore(run, .lockless, slots: 1, each: 3, completions: 5)
      },
      Scenario(
        id: "TX-BUSY/private",
        title: "a flow comes over to a context that stays inside its queue, where a packet of it waits",
        mutations: ["transmitInsideOvertakes"]
      ) { run in
        comesOver(run)
      },
      Scenario(
        id: "TX-OWN",
        title: "the hardware is done with a packet, and home frees it, before its sender goes on",
        mutations: ["packetReadAfterGiven"]
      ) { run in
        TransmitWorld.explore(run, .lockless, slots: 2, sources: 1, each: 3, completions: 3)
      },
      Scenario(
        id: "X3", title: "packets complete while their queue is owned, and are freed when it is not",
        mutations: ["packetsFreedInsideQueue"]
      ) { run in
        freedInside(run)
      },
      Scenario(
        id: "X5", title: "two packets of a source leave on two contexts while it decides to wait for room",
        mutations: ["creditReturnedUnheard", "creditAwaitedByStore"]
      ) { run in
        credit(run)
      },
      Scenario(
        id: "X7",
        title: "another context leaves the queue standing while home sleeps, and an interrupt is lost",
        mutations: ["transmitNoticeLost"]
      ) { run in
        watchdog(run)
      },
      Scenario(
        id: "R5", title: "frames arrive between the last look of a drain and its end",
        mutations: ["drainEndedWithoutRecheck"]
      ) { run in
        drain(run)
      },
    ]

    /// The second context sends the first packet of its flow, and the first context the other one.
    private static func comesOver(_ run: Run) {
      let world = TransmitWorld(run, .gate, slots: 4, sources: 2, each: 2, isPrivate: true)
      let isOver = Turned()
      run.concurrently([
        (
          "inside",
          {
            var isSent = false
            world.pass(0) { send in
              send(0, 0)
              guard isOver.word.load() == 1 else { return }
              send(1, 1)
              isSent = true
            }
            run.wait(until: { isOver.word.load() == 1 })
            world.pass(0) { send in
              if !isSent { send(1, 1) }
              send(0, 1)
            }
          }
        ),
        (
          "comes over",
          {
            world.pass(1) { send in
              send(1, 0)
              isOver.word.store(1)
            }
          }
        ),
      ])
      world.finish()
    }

    /// Home keeps what it frees to the end, so that credit comes back from the source's own passes alone.
    private static func freedInside(_ run: Run) {
      let world = TransmitWorld(run, .gate, slots: 2, sources: 1, each: 3)
      let memory = unsafe run.memory(byteCount: 64).bindMemory(to: PacketCredit.self, capacity: 1)
      unsafe memory.initialize(
        to: PacketCredit(bell: GateBell(world.queue.gate, GateEvents(rawValue: 1 << 3))))
      let credit = unsafe PacketCreditRef(UnsafePointer(memory))
      world.charge(credit)
      world.homeFinishes = false
      var expected = credit.outstanding
      let source = world.source(0) { isFinished in
        if isFinished {
          expected = credit.outstanding
        } else {
          run.require(credit.outstanding == expected, "X3: a packet was freed while its queue was owned")
        }
      }
      run.concurrently([source, world.hardware(3)])
      world.homeFinishes = true
      world.finish()
      run.require(credit.outstanding == 0, "credit is out that nobody has")
    }

    private static func credit(_ run: Run) {
      let home = BareContext(run, index: 0) { item, cx in
        unsafe GateRef<BellTower>(item.raw).resume(budget: 4, &cx)
      }
      let raw = unsafe run.memory(byteCount: 128)
      unsafe GateRef<BellTower>.initialize(
        raw, kind: WorkKind(rawValue: 1), home: home.core.port, segmentLimit: 1, budget: 1)
      let tower = unsafe GateRef<BellTower>(raw)
      let memory = unsafe run.memory(byteCount: 64).bindMemory(to: PacketCredit.self, capacity: 1)
      unsafe memory.initialize(to: PacketCredit(bell: GateBell(tower, GateEvents(rawValue: 1))))
      let credit = unsafe PacketCreditRef(UnsafePointer(memory))
      credit.take(2)
      var waits = false
      run.concurrently([
        ("source", { waits = credit.waits(below: 1) }), ("context 1", { credit.give(1) }),
        ("context 2", { credit.give(1) }),
      ])
      let rung = unsafe (raw + GateHeader.byteCount).load(as: UInt64.self)
      run.require(credit.outstanding == 0, "X5: \(credit.outstanding) of credit are out that nobody has")
      run.require(!waits || rung == 1, "X5: the source waits, and was told \(rung) times")
      run.require(waits || rung == 0, "X5: the source was told although it does not wait")
      home.finish()
    }

    private static func watchdog(_ run: Run) {
      nonisolated(unsafe) let here = run  // virtual threads are all on one
      guard
        let set = try? ContextSet(
          ContextConfiguration(contexts: 2, packetLimit: 128, timeSource: run.clock) { _ in
            unsafe here.makePoller()
          }
        )
      else { return run.require(false, "no contexts") }
      let device = ScriptedDevice(slots: 1)
      guard
        let queues = try? set.addDevice(
          device, interface: 1, transmit: TransmitConfiguration(byteLimit: ByteLimitParameters(maximum: 0))),
        (try? set.start()) != nil
      else { return run.require(false, "no device") }
      let queue = queues[1]
      run.concurrently([
        (
          "application",
          { [unowned set] in
            for mark in 0..<2 as Range<UInt8> {
              set.perform(on: 1) { cx in
                guard var packet = cx.pool.allocate() else { return }
                packet.append(1)
                var span = packet.mutableBytes
                span.set(mark, at: 0)
                queue.send(packet, &cx)
              }
            }
          }
        ),
        ("hardware", { device.completes(1, isTold: false) }),
      ])
      run.sleep(nanoseconds: 11_000_000_000)
      run.require(
        !queue.isWaiting || queue.counters.timeouts.value > 0, "X7: the queue stands, and nobody noticed")
      while device.completes(2) > 0 { run.sleep(nanoseconds: 1_000_000) }
      run.sleep(nanoseconds: 1_000_000)
      set.stop()
      for index in 0..<2 { run.require(set.pool(index).inUse == 0, "TX-OWN: packets are left") }
    }

    private static func drain(_ run: Run) {
      let ring = UnsafeMutablePointer<Ring<UInt64>>.allocate(capacity: 1)
      unsafe ring.initialize(to: Ring(minimumCapacity: 4))
      var signal: ReceiveSignalRef?
      var received: [UInt64] = []
      let home = BareContext(run, index: 0) { _, _ in
        repeat {
          signal?.beginDrain()
          while let frame = unsafe ring.pointee.pop() { received.append(frame) }
        } while signal?.endDrain() == false
      }
      let made = ReceiveSignalRef.make(kind: WorkKind(rawValue: 2), source: 0, port: home.core.port)
      signal = made
      run.concurrently([
        (
          "link",
          {
            for frame in 1...3 as ClosedRange<UInt64> {
              _ = unsafe ring.pointee.push(frame)
              made.raise()
            }
          }
        )
      ])
      run.require(received == [1, 2, 3], "R5: \(received) were received of 3 frames")
      home.finish()
      made.destroy()
      unsafe ring.deinitialize(count: 1)
      unsafe ring.deallocate()
    }
  }
#endif
