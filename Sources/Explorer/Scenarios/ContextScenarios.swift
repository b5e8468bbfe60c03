#if Explore
  import Buffers
  import Devices
  import Exclusion
  import SoftInterrupts
  import Timing
  import Wire

  /// Contexts as they ship, on virtual threads, with work that notes what ran.
  @safe final class ExploredContexts: @unchecked Sendable {  // all virtual threads are one thread
    static let work = WorkKind(rawValue: 24)
    static let gate = WorkKind(rawValue: 25)

    let run: Run
    let set: ContextSet
    /// Values that ran, by context.
    var ran: [[UInt32]]

    init(
      _ run: Run, contexts: Int = 1, _ adjust: (inout ContextConfiguration) -> Void = { _ in }
    ) {
      self.run = run
      ran = Array(repeating: [], count: contexts)
      var configuration = ContextConfiguration(contexts: contexts, packetLimit: 128, timeSource: run.clock)
      configuration.steeringLimit = 64
      let pollers = (0..<contexts).map { _ in run.makePoller() }
      configuration.makePoller = { pollers[$0] }
      adjust(&configuration)
      do { set = try ContextSet(configuration) } catch {
        preconditionFailure("virtual contexts need nothing of the system: \(error)")
      }
    }

    func start() {
      do { try set.start() } catch { preconditionFailure("a virtual thread was refused: \(error)") }
    }

    func item(_ kind: WorkKind, value: Int) -> ItemRef {
      let item = unsafe ItemRef(run.memory(byteCount: 64))
      (item.kind, item.value) = (kind, UInt32(value))
      return item
    }

    /// At rest: every pass that began has ended, nobody was kicked more often than he slept. Then the end.
    func finish() {
      for index in 0..<set.count {
        let counters = set.counters(index)
        run.require(counters.entries.value == counters.exits.value, "R1: entries are not exits")
        run.require(
          set.port(index).kicks <= counters.sleeps.value, "PROTOCOLS 5: more kicks than sleeps")
      }
      set.stop()
    }
  }

  /// Two gates, entered from two contexts at once, each of which has something for the other.
  @safe private final class CrossedGates: @unchecked Sendable {  // all virtual threads are one thread
    enum Block: GatedBlock {
      static func run(_ item: ItemRef, on block: GateRef<Block>, _ cx: inout SoftInterrupt) {
        let number = Int(unsafe block.raw.load(fromByteOffset: 64, as: UInt64.self))
        let owner = unsafe block.raw.load(fromByteOffset: 72, as: UInt.self)
        guard let raw = unsafe UnsafeRawPointer(bitPattern: owner) else { return }
        unsafe Unmanaged<CrossedGates>.fromOpaque(raw)._withUnsafeGuaranteedRef {
          $0.ran(item, at: number, &cx)
        }
      }
      static func run(events: GateEvents, on block: GateRef<Block>, _ cx: inout SoftInterrupt) {}
      static func retire(_ block: GateRef<Block>, _ cx: inout SoftInterrupt) {}
    }
    private static var innerCode: UInt16 { 2 }
    let contexts: ExploredContexts
    private var gates: [GateRef<Block>] = []
    private var inner: [ItemRef] = []
    private(set) var counts = [0, 0]

    init(_ run: Run) {
      contexts = ExploredContexts(run, contexts: 2)
      contexts.set.handlers.register(ExploredContexts.gate, at: .net) { item, cx in
        unsafe GateRef<Block>(item.raw).resume(budget: 4, &cx)
      }
      contexts.set.handlers.register(ExploredContexts.work, at: .net) { [unowned self] item, cx in
        _ = gates[cx.index].submit(item, isSegment: false, &cx)
      }
      for number in 0..<2 {
        let raw = unsafe run.memory(byteCount: 128)
        unsafe GateRef<Block>.initialize(
          raw, kind: ExploredContexts.gate, home: contexts.set.port(number), segmentLimit: 8, budget: 4)
        unsafe raw.storeBytes(of: UInt64(number), toByteOffset: 64, as: UInt64.self)
        unsafe raw.storeBytes(
          of: UInt(bitPattern: Unmanaged.passUnretained(self).toOpaque()), toByteOffset: 72, as: UInt.self)
        gates.append(unsafe GateRef(raw))
        let item = contexts.item(ExploredContexts.work, value: number)
        item.code = Self.innerCode
        inner.append(item)
      }
    }

    private func ran(_ item: ItemRef, at number: Int, _ cx: inout SoftInterrupt) {
      counts[number] += 1
      if item.code != Self.innerCode { _ = gates[1 - number].submit(inner[number], isSegment: false, &cx) }
    }
  }

  /// A source that always has another frame, until it was asked so often that a timer must have fired before.
  @safe private final class EndlessDevice: Device, @unchecked Sendable {  // one thread
    let name = "endless0"
    let mtu = 1500
    let linkLayer = LinkLayer.ip
    let queueCount = 1
    private let own = DeviceCounters()
    private let deadline: Instant
    private var turns = 0
    private(set) var turnsAfter = 0
    var hasFired = false
    var signal: ReceiveSignalRef?

    init(deadline: Instant) { self.deadline = deadline }
    func counters(queue: Int) -> DeviceCounters { own }
    func descriptor(queue: Int) -> Int32? { nil }
    func attach(queue: Int, receive: ReceiveSignalRef, transmit: TransmitQueueRef) { signal = receive }
    func receive(
      queue: Int, limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue
    ) -> ReceiveOutcome {
      if hasFired { return .drained }
      turns += 1
      if now >= deadline { turnsAfter += 1 }
      return turnsAfter < 8 && turns < 100 ? .more : .drained
    }
    func send(_ packet: consuming Packet, queue: Int) -> Packet? { packet }
    func flush(queue: Int) {}
    func complete(queue: Int, into completed: inout PacketQueue) {}
  }

  /// Context 0 gets numbers and steers a packet for each to context 1, one in a pass.
  @safe private final class Steerer: @unchecked Sendable {  // all virtual threads are one thread
    let contexts: ExploredContexts
    private(set) var steered = 0

    /// `turn` packets come out of a lane at once.
    init(_ run: Run, turn: Int = 1) {
      contexts = ExploredContexts(run, contexts: 2) {
        $0.steering = .home
        $0.budgets.turn = turn
        $0.budgets.net = LevelBudget(items: 2 * turn, time: 1_000_000)
      }
      contexts.set.handlers.register(ExploredContexts.work, at: .net) { [unowned self] item, cx in
        guard var packet = cx.pool.allocate() else { return }
        packet.metadata.sequence = item.value
        if cx.steer(packet, to: 1) == nil { steered += 1 }
      }
      contexts.set.handlers.registerSteered { [unowned self] batch, cx in
        while let packet = batch.popFirst() { contexts.ran[cx.index].append(packet.metadata.sequence) }
      }
    }

    func post(_ numbers: Range<Int>) -> (name: String, body: () -> Void) {
      let items = numbers.map { contexts.item(ExploredContexts.work, value: $0) }
      return (
        "poster", { [self] in for item in items { contexts.set.port(0).post(item) } }
      )
    }
  }

  extension Catalogue {
    static let contexts: [Scenario] = [
      Scenario(
        id: "R1",
        title:
          "two soft interrupts, each inside a gate, each with work for the gate that the other is inside",
        mutations: ["softInterruptWaitsForOwner"]
      ) { run in
        let world = CrossedGates(run)
        let contexts = world.contexts
        contexts.start()
        let items = (0..<2).map { contexts.item(ExploredContexts.work, value: $0) }
        run.concurrently(
          (0..<2).map { number in ("poster \(number)", { contexts.set.port(number).post(items[number]) }) })
        run.require(world.counts == [2, 2], "PCB-POST: the gates ran \(world.counts)")
        contexts.finish()
      },
      Scenario(
        id: "R3", title: "a frame on a link in memory is received although nobody calls the stack",
        mutations: ["signalTakenWithoutReceiving"]
      ) { run in
        let contexts = ExploredContexts(run)
        let link = LinkPair(left: .ip, right: .ip, ringSlots: 4)
        contexts.set.handlers.registerReceive { [unowned contexts] batch, _, cx in
          while let packet = batch.popFirst() { contexts.ran[cx.index].append(packet.metadata.sequence) }
        }
        do { _ = try contexts.set.addDevice(link.right, interface: 1) } catch {
          preconditionFailure("a device in memory has no descriptor: \(error)")
        }
        contexts.start()
        let pool = PacketPool(limit: 128, reserve: 1)
        let ref = pool.ref
        run.concurrently([
          (
            "sender",
            {
              for _ in 0..<3 {
                guard let packet = ref.allocate() else { return }
                _ = link.left.send(packet, queue: 0)
                link.left.flush(queue: 0)
              }
            }
          )
        ])
        run.require(contexts.ran[0].count == 3, "R3: \(contexts.ran[0].count) of 3 frames were received")
        contexts.finish()
        withExtendedLifetime(pool) {}
      },
      Scenario(
        id: "R4", title: "a timer expires while a device always has another frame", timePasses: true,
        mutations: ["timersStarvedByReceive"]
      ) { run in
        let contexts = ExploredContexts(run) { $0.budgets.turn = 1 }
        let deadline = run.clock.now().adding(milliseconds: 2)
        let device = EndlessDevice(deadline: deadline)
        contexts.set.handlers.registerTimer(0) { _, _ in device.hasFired = true }
        do { _ = try contexts.set.addDevice(device, interface: 1) } catch {
          preconditionFailure("a device in memory has no descriptor: \(error)")
        }
        let timer = unsafe TimerRef.initialize(at: run.memory(byteCount: 64), kind: 0, owner: 0)
        contexts.start()
        contexts.set.perform(on: 0) { cx in cx.arm(timer, at: deadline) }
        run.wait { contexts.set.counters(0).timersArmed.value == 1 }
        run.concurrently([
          ("link", { device.signal?.raise() }),
          ("time", { run.sleep(nanoseconds: 3_000_000) }),
        ])
        for _ in 0..<10 where !device.hasFired { run.sleep(nanoseconds: 1_000_000) }
        run.require(device.hasFired, "T1: the timer never fired")
        run.require(device.turnsAfter <= 3, "TM-LATE: the timer waited for \(device.turnsAfter) turns")
        contexts.finish()
      },
      Scenario(
        id: "RX-BUDGET", title: "a level runs out of its budget with work left, while more is posted",
        mutations: ["budgetEndForgotten", "idleByLoadThenStore", "postWithoutKick", "posterLeavesIdleSet"]
      ) { run in
        let contexts = ExploredContexts(run) { $0.budgets.net = LevelBudget(items: 1, time: 1_000_000) }
        contexts.set.handlers.register(ExploredContexts.work, at: .net) { [unowned contexts] item, cx in
          contexts.ran[cx.index].append(item.value)
        }
        contexts.start()
        let items = (0..<4).map { contexts.item(ExploredContexts.work, value: $0) }
        run.concurrently(
          [items[..<2], items[2...]].map { mine in
            ("poster", { for item in mine { contexts.set.port(0).post(item) } })
          })
        let ran = contexts.ran[0]
        run.require(ran.count == 4, "RX-BUDGET: \(ran.count) of 4 items ran")
        run.require(
          ran.filter { $0 < 2 } == [0, 1] && ran.filter { $0 >= 2 } == [2, 3], "PCB-POST: in the order \(ran)"
        )
        contexts.finish()
      },
      Scenario(
        id: "RX-MISSED", title: "packets are steered to a context while it empties the lane",
        mutations: ["laneDrainForgetsRaise"]
      ) { run in
        let world = Steerer(run)
        world.contexts.start()
        run.concurrently([world.post(0..<4)])
        run.require(
          world.contexts.ran[1].count == 4, "RX-MISSED: \(world.contexts.ran[1].count) of 4 came home")
        world.contexts.finish()
      },
      Scenario(
        id: "RX-ORDER", title: "packets of one flow come home by a lane, several in a pass",
        mutations: ["laneEmptiedNewestFirst"]
      ) { run in
        let world = Steerer(run, turn: 4)
        world.contexts.start()
        run.concurrently([world.post(0..<5)])
        run.require(world.contexts.ran[1] == [0, 1, 2, 3, 4], "RX-ORDER: \(world.contexts.ran[1])")
        world.contexts.finish()
      },
      Scenario(
        id: "RX-DRAIN", title: "a barrier is asked for while a lane still has packets of the time before",
        mutations: ["barrierSkipsLanes"]
      ) { run in
        let world = Steerer(run)
        let contexts = world.contexts
        contexts.start()
        let flags = FlagBox()
        // The target's passes up to the second part of the barrier take two each.
        let count = 6
        let (name, post) = world.post(0..<count)
        run.concurrently([
          (
            name,
            {
              post()
              run.wait { world.steered == count }
              contexts.set.afterReceived { context, _ in
                if context == 1 { flags.seen = contexts.ran[1].count }
              }
            }
          )
        ])
        run.require(
          flags.seen == count, "RX-DRAIN: the barrier passed after \(flags.seen) of \(count) packets")
        contexts.finish()
      },
    ]
  }

  private final class FlagBox: @unchecked Sendable {  // all virtual threads are one thread
    var seen = -1
  }
#endif
