import Buffers
import DeviceTesting
import Devices
import Exclusion
import Testing
import Timing
import Wire

@Suite struct TransmitQueueTests {
  /// X1: a send that meets a stopped queue is deferred in order, counted and silent.
  @Test func X1_whatMeetsAStoppedQueueWaitsInOrder() throws {
    let bench = try Bench(completion: .atOnce, slots: 2)
    bench.send([1, 2, 3, 4, 5])
    #expect(bench.device.inRing == 2 && bench.queue.isStopped)
    #expect(bench.queue.counters.givenBack.value == 1, "one look, then the queue is known to be stopped")
    #expect(bench.queue.counters.busyWhileRunning.value == 0)
    #expect(bench.queue.counters.discipline.backlogPackets.value == 3)
    // One at a time: what comes back from the driver goes to the front of those that wait.
    bench.drain()
    #expect(bench.device.wire == [1, 2, 3, 4, 5])
    #expect(bench.queue.counters.discipline.backlogPackets.value == 0)
    #expect(bench.pool.counters.inUse == 0, "TX-OWN")
    #expect(!bench.queue.isStopped)
  }

  /// X2: the ring empties between the driver's look and its stop; the re-check restarts the queue.
  @Test func X2_completionBeforeTheStopIsNotLost() throws {
    let bench = try Bench(completion: .atOnce, slots: 1)
    var isFirst = true
    let device = bench.device
    device.beforeStop = {
      if isFirst {
        isFirst = false
        device.completes(1)
      }
    }
    bench.send([1, 2])
    device.beforeStop = {}
    bench.pass()
    #expect(device.wire == [1] && device.inRing == 1)
    #expect(!bench.queue.isStopped, "TX-STOP: space and stopped cannot both last")
    device.completes(1)
    bench.pass()
    #expect(device.wire == [1, 2])
  }

  /// A queue that one context sends by is entered once a pass. What others leave meanwhile goes when it is left, and what
  /// its own context sends after that goes behind, since it may be younger.
  @Test func X8_aPrivateQueueIsLeftAtTheEndOfThePass() throws {
    let bench = try Bench(completion: .atOnce, slots: 16, guests: 1, isPrivate: true)
    bench.send([1, 2])
    #expect(bench.device.inRing == 2, "at once")
    #expect(!bench.queue.gate.isFree && bench.cores[0].gates.entries.value == 1)
    bench.run { cx in
      let isAtRest = bench.queue.isAtRest(cx)
      #expect(isAtRest)
    }
    bench.send([3], on: 1)
    bench.run { cx in
      let isAtRest = bench.queue.isAtRest(cx)
      #expect(!isAtRest)
    }
    bench.send([4, 5])
    #expect(bench.device.inRing == 2)
    bench.run { $0.finishTransmission() }
    #expect(bench.device.inRing == 5 && bench.queue.gate.isFree)
    #expect(bench.cores[0].gates.entries.value == 2, "and for the flush of what was left there meanwhile")
    bench.drain()
    #expect(bench.device.wire == [1, 2, 3, 4, 5])
    #expect(bench.pool.counters.inUse == 0, "TX-OWN")
  }

  /// The driver has no room while a context is inside: what it restarts is run when that leaves.
  @Test func X1_aPrivateQueueThatStopsRestarts() throws {
    let bench = try Bench(completion: .atOnce, slots: 2, isPrivate: true)
    bench.send([1, 2, 3, 4])
    #expect(bench.queue.isStopped && bench.device.inRing == 2)
    bench.device.completes(1)
    #expect(bench.device.inRing == 1, "whoever is inside has it to do")
    bench.run { $0.finishTransmission() }
    #expect(bench.device.inRing == 2)
    bench.drain()
    #expect(bench.device.wire == [1, 2, 3, 4] && !bench.queue.isStopped && bench.queue.gate.isFree)
    #expect(bench.pool.counters.inUse == 0, "TX-OWN")
  }

  /// X9, TX-STRAND: whoever stops has a path that restarts: the completion alone suffices.
  @Test func X9_TX_RECLAIM_completionRestartsWithoutAnotherSend() throws {
    let bench = try Bench(completion: .atOnce, slots: 1)
    bench.send([1, 2, 3])
    #expect(bench.queue.isStopped)
    bench.device.completes(1)
    #expect(bench.cores[0].port.hasWork, "the restart is posted to the queue's home")
    bench.pass()
    #expect(bench.device.inRing == 1)
    #expect(bench.queue.counters.restarts.value == 1)
    bench.drain()
    #expect(bench.device.wire == [1, 2, 3])
  }

  /// X9: another context stops the queue while home sleeps: home is told, as it alone watches the descriptor.
  @Test func X9_homeIsToldOfAQueueThatStopsElsewhere() throws {
    let bench = try Bench(slots: 1, contexts: 2)
    bench.send([1], on: 1)
    #expect(!bench.cores[0].port.hasWork)
    bench.send([2, 3], on: 1)
    #expect(bench.queue.isStopped && bench.cores[0].port.hasWork)
    bench.send([4], on: 1)
    bench.pass()
    #expect(bench.notices == 1, "one notice, however much is sent meanwhile")
    bench.send([5], on: 1)
    bench.pass()
    #expect(bench.notices == 2, "it still stands: home looks again")
    bench.pass(on: 1)
    bench.drain()
    #expect(bench.device.wire == [1, 2, 3, 4, 5])
    #expect(bench.pool.counters.inUse == 0)
  }

  /// TX-BUSY: the same answer on a running queue is a bug in the driver, and is reported.
  @Test func TX_BUSY_givingBackOnARunningQueueIsReported() throws {
    let bench = try Bench(completion: .atOnce, slots: 1)
    bench.device.forgetsToStop = true
    bench.send([1, 2])
    #expect(bench.queue.counters.busyWhileRunning.value >= 1)
    bench.device.forgetsToStop = false
    bench.device.completes(1)
    bench.send([3])
    bench.drain()
    #expect(bench.device.wire == [1, 2, 3], "the packet was not lost, nor overtaken")
    #expect(bench.pool.counters.inUse == 0)
  }

  /// X3: a packet that the full list refuses is freed at the end of the pass, with nothing owned.
  @Test func X3_aFullListDropsCountsAndFreesLater() throws {
    let bench = try Bench(
      completion: .atOnce, slots: 1, TransmitConfiguration(discipline: .fifo(FIFOLimits(packets: 1))))
    bench.send([1, 2, 3, 4, 5])
    #expect(bench.queue.counters.overflow == 2, "beside the one that the driver has seen")
    #expect(bench.pool.counters.inUse == 5)
    bench.pass()
    #expect(bench.pool.counters.inUse == 2, "the driver's completed one and the refused two are freed")
    bench.drain()
    #expect(bench.device.wire == [1, 2, 3])
    #expect(bench.pool.counters.inUse == 0)
  }

  /// X6: a packet that the device still reads is not freed, however long that takes; and its completion alone has
  /// it fetched (TX-RECLAIM).
  @Test func X6_TX_OWN_aPacketIsTheDevicesUntilItCompletes() throws {
    let bench = try Bench(slots: 4)
    bench.send([1, 2])
    for _ in 0..<3 { bench.pass() }
    #expect(bench.pool.counters.inUse == 2, "with the device")
    bench.device.completes(1)
    #expect(bench.pool.counters.inUse == 2, "nothing is freed inside the driver (X3)")
    bench.pass()
    #expect(bench.pool.counters.inUse == 1)
    bench.device.completes(1)
    bench.pass()
    #expect(bench.pool.counters.inUse == 0)
    #expect(bench.device.wire == [1, 2])
  }

  /// X8: what is in the queue is whole, to its last attached byte, whether it goes straight through, is left to whoever
  /// is inside, comes back from the driver or waits; and a frame that its maker gives up never gets there.
  @Test(arguments: DriverKindTests.kinds, [DisciplineChoice.fifo, .fqCodel])
  func X8_onlyWholePacketsEnterTheQueue(kind: TransmitSerialization, discipline: DisciplineChoice) throws {
    let bench = try Bench(
      kind, slots: 1, contexts: 2, offloads: .gathering,
      TransmitConfiguration(discipline: discipline, byteLimit: ByteLimitParameters(maximum: 0)))
    bench.device.keepsFrames = true
    let chunks = ChunkPool(limit: 64)
    var made: [[UInt8]] = []
    func packet(_ mark: UInt8, attached: Int) -> Packet {
      let content = (0..<40 + attached).map { mark &+ UInt8(truncatingIfNeeded: $0) }
      var packet = bench.pool.ref.allocate()!
      packet.append(40)
      var span = packet.mutableBytes
      for offset in 0..<40 { span.set(content[offset], at: offset) }
      if attached > 0 {
        let rest = Array(content[40...])
        var chain = unsafe chunks.ref.makeChain(copying: rest.span.bytes)!
        #expect(packet.attach(&chain, offset: 0, count: attached) == attached)
      }
      made.append(content)
      return packet
    }
    func send(_ mark: UInt8, attached: Int = 0, on context: Int = 0) {
      bench.run(on: context) { cx in bench.queue.send(packet(mark, attached: attached), &cx) }
    }
    send(1, attached: 9000)
    #expect(bench.device.inRing == 1)
    bench.queue.roomAppeared()  // home has the queue, and has not begun
    send(20, attached: 5000, on: 1)
    send(21, on: 1)
    bench.run { _ in _ = packet(99, attached: 300) }
    made.removeLast()
    bench.pass()
    #expect(bench.queue.isStopped && bench.queue.isWaiting)
    send(2, attached: 7000)
    send(22, attached: 1, on: 1)
    bench.pass(on: 1)
    bench.drain()
    #expect(bench.device.frames.count == made.count && Set(bench.device.frames) == Set(made))
    #expect(bench.device.wire.filter { $0 >= 20 } == [20, 21, 22], "TX-BUSY")
    #expect(bench.pool.counters.inUse == 0 && chunks.ref.counters.inUse == 0)
  }

  /// A link that is down costs its frames, and stops nothing.
  @Test func aLinkThatIsDownLosesItsFrames() throws {
    let bench = try Bench(slots: 1)
    bench.device.isDown = true
    bench.send([1, 2, 3])
    bench.pass()
    #expect(bench.device.counters(queue: 0).transmitDrops.value == 3)
    #expect(!bench.queue.isStopped && bench.pool.counters.inUse == 0)
  }

  /// RX-MISSED, R5: raised while it is drained, a signal causes another drain, and is posted once only.
  @Test func R5_aSignalRaisedWhileDrainingIsRemembered() throws {
    let core = try ContextCoreRef.make(index: 0, kick: .counted)
    let signal = ReceiveSignalRef.make(kind: WorkKind(rawValue: 2), source: 5, port: core.port)
    signal.raise()
    signal.raise()
    var posted = core.port.takeAll()
    #expect(posted.count == 1 && posted.popFirst()?.value == 5)
    signal.beginDrain()
    signal.raise()
    #expect(!signal.endDrain(), "once more")
    #expect(!core.port.hasWork)
    signal.beginDrain()
    #expect(signal.endDrain())
    signal.raise()
    #expect(core.port.takeAll().count == 1)
    signal.destroy()
    core.destroy()
  }

  /// TX-NOREC, R2: what loopback is given it hands over in a later receive, never inside the send.
  @Test func R2_loopbackDefers() throws {
    let core = try ContextCoreRef.make(index: 0, kick: .counted)
    let pool = PacketPool(limit: 100, home: core)
    let loopback = LoopbackDevice(queues: 1, ringSlots: 4)
    let signal = ReceiveSignalRef.make(kind: WorkKind(rawValue: 2), source: 0, port: core.port)
    let queue = TransmitQueueRef.make(
      device: loopback, queue: 0, kind: WorkKind(rawValue: 3), home: core.port)
    loopback.attach(queue: 0, receive: signal, transmit: queue)
    for _ in 0..<4 {
      var packet = pool.ref.allocate()!
      packet.append(60)
      if loopback.send(packet, queue: 0) != nil { Issue.record("the ring has room") }
    }
    #expect(!core.port.hasWork, "told at the end of the batch")
    loopback.flush(queue: 0)
    #expect(core.port.takeAll().count == 1)
    var batch = PacketQueue()
    #expect(loopback.receive(queue: 0, limit: 3, pool: pool.ref, now: .zero, into: &batch) == .more)
    #expect(loopback.receive(queue: 0, limit: 3, pool: pool.ref, now: .zero, into: &batch) == .drained)
    #expect(batch.count == 4)
    batch.removeAll()
    #expect(pool.counters.inUse == 0)
    queue.destroy()
    signal.destroy()
    core.destroy()
  }
}
