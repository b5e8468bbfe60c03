import Buffers
import Devices
import Exclusion
import Testing
import Timing
import Wire

/// A driver with a ring of a few slots whose completions the test scripts.
final class ScriptedDevice: Device, @unchecked Sendable {  // one thread
  let name = "test0"
  let mtu = 1500
  let linkLayer = LinkLayer.ip
  let queueCount = 1
  let slots: Int
  /// Frames on the "wire", oldest first, as their first byte.
  var ring: [UInt8] = []
  var wire: [UInt8] = []
  var done = PacketQueue()
  var queue: TransmitQueueRef?
  /// Runs where a completion may race with the driver's stop: after the look, before the stop.
  var beforeStop: () -> Void = {}
  /// The bug of X1: gives the packet back without stopping.
  var forgetsToStop = false
  private let tally = DeviceCounters()

  init(slots: Int) { self.slots = slots }

  func counters(queue: Int) -> DeviceCounters { tally }
  func descriptor(queue: Int) -> Int32? { nil }
  func attach(queue: Int, receive: ReceiveSignalRef, transmit: TransmitQueueRef) { self.queue = transmit }
  func receive(
    queue: Int, limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue
  ) -> ReceiveOutcome { .drained }

  func send(_ packet: consuming Packet, queue number: Int) -> Packet? {
    while ring.count == slots {
      if forgetsToStop { return packet }
      beforeStop()
      if queue!.stop(hasRoom: { ring.count < slots }) { return packet }
    }
    unsafe ring.append(packet.bytes.unsafeLoad(as: UInt8.self))
    done.append(packet)
    return nil
  }
  func flush(queue: Int) {}
  func complete(queue: Int, into completed: inout PacketQueue) {
    completed.append(contentsOf: done.takeAll())
  }

  /// The hardware finishes `count` frames.
  func completes(_ count: Int) {
    wire += ring.prefix(count)
    ring.removeFirst(min(count, ring.count))
    queue!.roomAppeared()
  }
}

/// A context with a transmit queue, stepped by the test.
@safe
final class Bench {
  let core: ContextCoreRef
  let pool: PacketPool
  let device: ScriptedDevice
  let queue: TransmitQueueRef
  let batch = UnsafeMutablePointer<TransmitBatch>.allocate(capacity: 1)
  static let kind = WorkKind(rawValue: 3)

  init(slots: Int, limit: Int = 100) throws {
    core = try ContextCoreRef.make(index: 0, kick: .counted)
    pool = PacketPool(limit: 1000, home: core)
    device = ScriptedDevice(slots: slots)
    unsafe batch.initialize(to: TransmitBatch())
    unsafe core.attach(UnsafeMutableRawPointer(batch), .devices)
    queue = TransmitQueueRef.make(device: device, queue: 0, kind: Self.kind, home: core.port, limit: limit)
    device.queue = queue
  }
  deinit {
    queue.destroy()
    unsafe batch.deinitialize(count: 1)
    unsafe batch.deallocate()
    core.destroy()
  }

  func run(_ body: (inout SoftInterrupt) -> Void) {
    withContextRoot(core) { root in root.withSoftInterrupt { cx in body(&cx) } }
  }
  func send(_ bytes: [UInt8]) {
    run { cx in
      for byte in bytes {
        var packet = pool.ref.allocate()!
        packet.append(1)
        var span = packet.mutableBytes
        span.set(byte, at: 0)
        queue.send(packet, &cx)
      }
    }
  }
  /// What the context's loop does with posted work and at the end of a pass.
  func pass() {
    run { cx in
      var posted = core.port.takeAll()
      while let item = posted.popFirst() { unsafe GateRef<TransmitQueue>(item.raw).resume(budget: 64, &cx) }
      while let dirty = unsafe batch.pointee.nextDirty() { dirty.flush(&cx) }
      while let packet = unsafe batch.pointee.nextFinished() { _ = consume packet }
    }
  }
}

@Suite struct TransmitQueueTests {
  /// X1: a send that meets a stopped queue is deferred in order, counted and silent.
  @Test func X1_whatMeetsAStoppedQueueWaitsInOrder() throws {
    let bench = try Bench(slots: 2)
    bench.send([1, 2, 3, 4, 5])
    #expect(bench.device.ring == [1, 2] && bench.queue.isStopped)
    #expect(bench.queue.counters.givenBack.value == 1, "one look, then the queue is known to be stopped")
    #expect(bench.queue.counters.busyWhileRunning.value == 0)
    // One at a time: what comes back from the driver goes to the front of those that wait.
    while !bench.device.ring.isEmpty {
      bench.device.completes(1)
      bench.pass()
    }
    #expect(bench.device.wire == [1, 2, 3, 4, 5])
    #expect(bench.pool.counters.inUse == 0, "TX-OWN")
    #expect(!bench.queue.isStopped)
  }

  /// X2: the ring empties between the driver's look and its stop; the re-check restarts the queue.
  @Test func X2_completionBeforeTheStopIsNotLost() throws {
    let bench = try Bench(slots: 1)
    var isFirst = true
    bench.device.beforeStop = {
      if isFirst {
        isFirst = false
        bench.device.completes(1)
      }
    }
    bench.send([1, 2])
    bench.device.beforeStop = {}  // it holds the bench
    bench.pass()
    #expect(bench.device.wire == [1] && bench.device.ring == [2])
    #expect(!bench.queue.isStopped, "TX-STOP: space and stopped cannot both last")
    bench.device.completes(1)
    bench.pass()
    #expect(bench.device.wire == [1, 2])
  }

  /// X9, TX-STRAND: whoever stops has a path that restarts: the completion alone suffices.
  @Test func X9_completionRestartsWithoutAnotherSend() throws {
    let bench = try Bench(slots: 1)
    bench.send([1, 2, 3])
    #expect(bench.queue.isStopped)
    bench.device.completes(1)
    #expect(bench.core.port.hasWork, "the restart is posted to the queue's home")
    bench.pass()
    #expect(bench.device.ring == [2])
    #expect(bench.queue.counters.restarts.value == 1)
    while !bench.device.ring.isEmpty {
      bench.device.completes(1)
      bench.pass()
    }
    #expect(bench.device.wire == [1, 2, 3])
  }

  /// TX-BUSY: the same answer on a running queue is a bug in the driver, and is reported.
  @Test func TX_BUSY_givingBackOnARunningQueueIsReported() throws {
    let bench = try Bench(slots: 1)
    bench.device.forgetsToStop = true
    bench.send([1, 2])
    #expect(bench.queue.counters.busyWhileRunning.value >= 1)
    bench.device.forgetsToStop = false
    bench.device.completes(1)
    bench.send([3])
    while !bench.device.ring.isEmpty {
      bench.device.completes(1)
      bench.pass()
    }
    #expect(bench.device.wire == [1, 2, 3], "the packet was not lost, nor overtaken")
    bench.pass()
    #expect(bench.pool.counters.inUse == 0)
  }

  /// X3: a packet that the full list refuses is freed at the end of the pass, with nothing owned.
  @Test func X3_aFullListDropsCountsAndFreesLater() throws {
    let bench = try Bench(slots: 1, limit: 2)
    bench.send([1, 2, 3, 4, 5])
    #expect(bench.queue.counters.overflow.value == 2)
    #expect(bench.pool.counters.inUse == 5)
    bench.pass()
    #expect(bench.pool.counters.inUse == 2, "the driver's completed one and the refused two are freed")
    while !bench.device.ring.isEmpty {
      bench.device.completes(1)
      bench.pass()
    }
    #expect(bench.device.wire == [1, 2, 3])
    #expect(bench.pool.counters.inUse == 0)
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
