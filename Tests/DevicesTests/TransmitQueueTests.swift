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

  /// X8: what is in the queue is whole: a frame that its maker gives up before the send never gets there.
  @Test func X8_onlyWholePacketsEnterTheQueue() throws {
    let bench = try Bench(slots: 1)
    bench.send([1, 2])
    do {
      var halfMade = bench.pool.ref.allocate()!
      halfMade.append(3)
    }
    bench.drain()
    #expect(bench.device.wire == [1, 2])
    #expect(bench.pool.counters.inUse == 0)
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
