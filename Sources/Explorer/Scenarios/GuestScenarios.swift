#if Explore
  import Devices
  import Exclusion
  import Internet
  import SoftInterrupts
  import Sockets
  import Timing
  import Wire

  /// One gate at home with a context that runs and sleeps as it ships, and application threads that enter it.
  @safe private final class GuestWorld: @unchecked Sendable {  // all virtual threads are one thread
    enum Block: GatedBlock {
      static func run(_ item: ItemRef, on block: GateRef<Block>, _ cx: inout SoftInterrupt) {
        let owner = unsafe block.raw.load(fromByteOffset: 64, as: UInt.self)
        guard let raw = unsafe UnsafeRawPointer(bitPattern: owner) else { return }
        unsafe Unmanaged<GuestWorld>.fromOpaque(raw)._withUnsafeGuaranteedRef { $0.ran(item, &cx) }
      }
      static func run(events: GateEvents, on block: GateRef<Block>, _ cx: inout SoftInterrupt) {}
      static func retire(_ block: GateRef<Block>, _ cx: inout SoftInterrupt) {}
    }
    /// Nothing more than to be noted, and the waiter woken.
    static let plain: UInt16 = 0
    /// The owner moves the block to context 1.
    static let moving: UInt16 = 1
    /// The owner uses what it finds.
    static let looking: UInt16 = 2

    let contexts: ExploredContexts
    let run: Run
    private let gate: GateRef<Block>
    private let state: UnsafeMutableRawPointer
    /// By an item's value.
    private var waiters: [WakeTarget?]
    private(set) var ran: [UInt32] = []
    private let pool: UnsafeMutablePointer<SlotPool>
    /// What the owner may find: the address of a slot.
    private let found: UnsafeMutablePointer<AtomicWord>
    private(set) var hasStopped = false

    init(_ run: Run, contexts count: Int = 1) {
      self.run = run
      contexts = ExploredContexts(run, contexts: count) { $0.guests = 1 }
      contexts.set.handlers.register(ExploredContexts.gate, at: .net) { item, cx in
        unsafe GateRef<Block>(item.raw).resume(budget: 4, &cx)
      }
      unsafe state = run.memory(byteCount: 128)
      unsafe GateRef<Block>.initialize(
        state, kind: ExploredContexts.gate, home: contexts.set.port(0), segmentLimit: 8, budget: 4)
      gate = unsafe GateRef(state)
      waiters = Array(repeating: nil, count: 8)
      unsafe pool = run.memory(byteCount: 64).bindMemory(to: SlotPool.self, capacity: 1)
      unsafe pool.initialize(to: SlotPool(slotBytes: 128, slotsPerSlab: 2, limit: 2))
      unsafe found = run.memory(byteCount: 64).bindMemory(to: AtomicWord.self, capacity: 1)
      unsafe found.initialize(to: AtomicWord(0))
      unsafe state.storeBytes(
        of: UInt(bitPattern: Unmanaged.passUnretained(self).toOpaque()), toByteOffset: 64, as: UInt.self)
      contexts.start()
    }

    /// The block's owner.
    private func ran(_ item: ItemRef, _ cx: inout SoftInterrupt) {
      unsafe willOwn(state + 72)  // keeps PCB-OWN
      run.require(!hasStopped, "RS-QUIESCE: a block runs, and the contexts have stopped")
      run.require(
        !cx.core.isGuest || gate.home == contexts.set.port(cx.core.host),
        "PCB-MOVE: a guest of context \(cx.core.host) runs what is at home elsewhere")
      ran.append(item.value)
      if item.code == Self.moving { gate.move(to: contexts.set.port(1)) }
      if item.code == Self.looking,
        let raw = unsafe UnsafeMutableRawPointer(bitPattern: UInt(found.pointee.load()))
      {
        let slot = unsafe ItemRef(raw)
        for _ in 0..<4 { run.step() }
        unsafe willRead(slot.raw + 32)
        run.require(slot.value == 7, "PCB-GRACE: a slot was used again under its reader")
      }
      if let waiter = waiters[Int(item.value)] { cx.wake(waiter) }
    }

    /// As `SocketLayer` does for its blocks, with `.enterIdle`.
    func submit(_ item: ItemRef) {
      let (set, gate) = (contexts.set, gate)
      let entered =
        set.isIdle(0) && gate.isFree ? set.asGuest(of: 0) { gate.enter(item, at: set.port(0), &$0) } : nil
      if entered == nil { _ = gate.post(item) }
    }

    /// A thread that submits items and waits for each to have run.
    func program(_ values: Range<Int>, code: UInt16 = plain) -> (name: String, body: () -> Void) {
      let items = values.map { value in
        let item = contexts.item(ExploredContexts.work, value: value)
        item.code = code
        return item
      }
      return (
        "program \(values.lowerBound)",
        { [self] in
          let parker = Parker()
          for item in items {
            waiters[Int(item.value)] = parker.wakeTarget
            submit(item)
            withApplication { held in while !parker.park(&held) {} }
          }
        }
      )
    }

    /// A slot where the block's owner finds it.
    func putSlot() {
      guard let slot = unsafe pool.pointee.ref.allocate() else { return }
      slot.value = 7
      unsafe found.pointee.store(UInt64(UInt(bitPattern: slot.raw)))
    }
    /// Home takes it away, and has as many passes as a grace period takes.
    func removeSlot() {
      let counters = contexts.set.counters(0)
      for _ in 0..<3 {
        let before = counters.exits.value
        contexts.set.perform(on: 0) { [self] cx in
          guard let raw = unsafe UnsafeMutableRawPointer(bitPattern: UInt(found.pointee.exchange(0))) else {
            return
          }
          cx.retire(unsafe ItemRef(raw))
        }
        run.wait { counters.exits.value > before }
      }
    }
    var slotsInUse: Int { unsafe pool.pointee.ref.inUse }

    func stop() {
      contexts.set.stop()
      hasStopped = true
    }

    func finish() {
      if !hasStopped { contexts.finish() }
      let guests = contexts.set.guestCounters(of: 0)
      run.require(guests?.entries.value == guests?.exits.value, "R1: a guest came and did not go")
      run.require(slotsInUse == 0, "PCB-GRACE: a grace period never passed")
      unsafe pool.deinitialize(count: 1)
    }
  }

  extension SocketWorld {
    /// A context, or more, that runs and sleeps as it ships, and programs that enter.
    fileprivate static func exploreEntering(
      _ run: Run, contexts: Int = 1, _ entry: BlockEntry, _ body: (SocketWorld) -> Void
    ) {
      explore(
        run, contexts: contexts, .threads, adjusting: { $0.guests = 1 },
        changing: {
          $0.connectionLimit = 8
          $0.applicationPackets = 8
          $0.applicationChunks = 16
          $0.entry = entry
        }, body)
    }

    fileprivate func writer(_ socket: StreamSocket, _ bytes: [UInt8]) -> (name: String, body: () -> Void) {
      (
        "writer \(bytes[0])",
        {
          for byte in bytes {
            if case .bytes = socket.writeNow([byte]) { continue }
            return
          }
        }
      )
    }
    /// Reads until there are `count` bytes, or the end.
    fileprivate func reader(
      _ socket: StreamSocket, _ count: Int, _ got: @escaping ([UInt8]) -> Void
    ) -> (name: String, body: () -> Void) {
      (
        "reader",
        { [self] in
          var all: [UInt8] = []
          while all.count < count {
            let next = wait(at: socket.readPoint, isReady: socket.isReadable) { () -> [UInt8]? in
              let (outcome, bytes) = socket.readNow()
              return outcome == .wouldBlock ? nil : bytes
            }
            if next.isEmpty { break }
            all += next
          }
          got(all)
        }
      )
    }
  }

  extension Catalogue {
    static let guests: [Scenario] = [
      Scenario(
        id: "W7/guest",
        title: "three programs enter one gate, or leave it to home, and wait for what they brought",
        mutations: [
          "guestLeavesBeforeWaking", "guestTakenByStore", "guestEntersOwnedGate", "guestLeavesBacklog",
        ]
      ) { run in
        let world = GuestWorld(run)
        run.concurrently([world.program(0..<2), world.program(2..<4), world.program(4..<5)])
        run.require(world.ran.sorted() == [0, 1, 2, 3, 4], "PCB-POST: \(world.ran) ran")
        run.require(
          world.ran.filter { $0 < 2 } == [0, 1] && world.ran.filter { 2...3 ~= $0 } == [2, 3],
          "PCB-POST: in the order \(world.ran)")
        world.finish()
      },
      Scenario(
        id: "PCB-GRACE/guest", title: "a guest looks at a slot that home takes away and gives back",
        mutations: ["guestStaysOffline", "guestKeepsGraceSection"]
      ) { run in
        let world = GuestWorld(run)
        world.putSlot()
        run.concurrently([
          world.program(0..<2, code: GuestWorld.looking), ("remover", { world.removeSlot() }),
        ])
        for _ in 0..<200 where world.slotsInUse > 0 { run.sleep(nanoseconds: 1_000_000) }
        world.finish()
      },
      Scenario(
        id: "PCB-MOVE/guest", title: "a block moves while a guest of its old home is about to enter",
        mutations: ["guestEntersMoved"]
      ) { run in
        let world = GuestWorld(run, contexts: 2)
        run.concurrently([world.program(0..<1, code: GuestWorld.moving), world.program(1..<3)])
        run.require(world.ran.count == 3, "PCB-POST: \(world.ran) ran")
        world.finish()
      },
      Scenario(
        id: "RS-QUIESCE/guest", title: "the contexts stop while programs come as guests",
        mutations: ["guestsNotClosed"]
      ) { run in
        let world = GuestWorld(run)
        let items = (0..<3).map { world.contexts.item(ExploredContexts.work, value: $0) }
        run.concurrently([
          ("program", { for item in items { world.submit(item) } }), ("stopper", { world.stop() }),
        ])
        world.finish()
      },
      Scenario(
        id: "PCB-POST/guest",
        title: "both ends of a connection write as guests of a home that sleeps now and then",
        mutations: ["guestForgetsFlush", "guestLeavesBacklog"]
      ) { run in
        SocketWorld.exploreEntering(run, .enterIdle) { world in
          let (near, far) = world.connection()
          var (there, back): ([UInt8], [UInt8]) = ([], [])
          run.concurrently([
            world.writer(near, [1, 2, 3]), world.reader(far, 3) { there = $0 },
            world.writer(far, [9, 8]), world.reader(near, 2) { back = $0 },
          ])
          run.require(there == [1, 2, 3] && back == [9, 8], "SB-WHOLE: read \(there) and \(back)")
        }
      },
      Scenario(
        id: "PCB-OWN/driver",
        title: "programs write in the place of contexts that sleep, while segments come from the other",
        mutations: ["directWriteEntersOwned"]
      ) { run in
        SocketWorld.exploreEntering(run, contexts: 2, .drive) { world in
          let (near, far) = world.connection()
          let (left, right) = world.connection()
          var read: [[UInt8]] = [[], [], [], []]
          run.concurrently([
            world.writer(near, [1, 2]), world.reader(far, 2) { read[0] = $0 },
            world.writer(far, [3, 4]), world.reader(near, 2) { read[1] = $0 },
            world.writer(left, [5, 6]), world.reader(right, 2) { read[2] = $0 },
            world.writer(right, [7, 8]), world.reader(left, 2) { read[3] = $0 },
          ])
          run.require(read == [[1, 2], [3, 4], [5, 6], [7, 8]], "SB-WHOLE: read \(read)")
        }
      },
      Scenario(
        id: "L8/guest", title: "one thread writes as a guest, another one aborts the connection",
        mutations: ["guestEntersOwnedGate", "guestKeepsGraceSection"]
      ) { run in
        SocketWorld.exploreEntering(run, .enterFree) { world in
          let (near, far) = world.connection()
          run.concurrently([
            world.writer(near, [1, 2, 3]), ("closer", { near.abort() }),
            world.reader(far, 4) { run.require([1, 2, 3].starts(with: $0), "SB-WHOLE: read \($0)") },
          ])
        }
      },
      Scenario(
        id: "L2/guest",
        title: "one thread writes as a guest, another one closes; both connections are at one home",
        mutations: ["guestTakenByStore", "guestForgetsFlush"]
      ) { run in
        SocketWorld.exploreEntering(run, .enterFree) { world in
          let (near, far) = world.connection()
          let (left, right) = world.connection()
          var there: [UInt8] = []
          run.concurrently([
            (
              "writer",
              {
                _ = near.writeNow([1])
                _ = near.writeNow([2])
                near.close()
              }
            ), world.reader(far, 3) { there = $0 }, world.writer(left, [5]), world.reader(right, 1) { _ in },
          ])
          run.require(there == [1, 2], "L2: read \(there)")
        }
      },
    ]
  }
#endif
