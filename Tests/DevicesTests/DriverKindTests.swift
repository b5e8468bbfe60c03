import Buffers
import DeviceTesting
import Devices
import Exclusion
import Testing
import Timing

/// The three kinds of driver.
@Suite struct DriverKindTests {
  static let kinds: [TransmitSerialization] = [.gate, .driver, .lockless]

  @Test(arguments: kinds, [TransmitCompletion.atOnce, .later])
  func X1_everyKindKeepsOrderThroughAFullRing(
    kind: TransmitSerialization, completion: TransmitCompletion
  ) throws {
    let bench = try Bench(kind, completion: completion, slots: 2)
    bench.send([1, 2, 3])
    bench.pass()
    bench.send([4, 5])
    bench.drain()
    bench.send([6])
    bench.drain()
    #expect(bench.device.wire == [1, 2, 3, 4, 5, 6])
    #expect(bench.queue.counters.busyWhileRunning.value == 0)
    #expect(bench.queue.sent == 6)
    #expect(bench.device.counters(queue: 0).framesSent.value == 6)
    #expect(bench.pool.counters.inUse == 0)
  }

  /// A driver's lock that is taken defers the packet, silently; who lets go has it tried again, by a posted bit.
  @Test func TX_BUSY_aLockThatIsTakenDefersAndTheHolderRunsTheQueue() throws {
    let bench = try Bench(.driver, slots: 4)
    #expect(bench.device.lock.tryLock(), "a configuration, or an interrupt")
    bench.send([1, 2])
    bench.pass()
    #expect(bench.device.inRing == 0)
    #expect(bench.queue.counters.lockTaken.value > 0)
    #expect(bench.queue.counters.busyWhileRunning.value == 0 && !bench.queue.isStopped)
    #expect(!bench.cores[0].port.hasWork, "nobody spins on it")
    bench.device.lock.unlock()
    #expect(bench.cores[0].port.hasWork)
    bench.pass()
    #expect(bench.device.inRing == 2)
    bench.drain()
    #expect(bench.device.wire == [1, 2])
    #expect(bench.pool.counters.inUse == 0)
  }

  /// Who let go was told of nobody, so nobody is run.
  @Test func aLockThatNobodyMetRunsNothing() throws {
    let bench = try Bench(.driver, slots: 4)
    #expect(bench.device.lock.tryLock())
    #expect(!bench.device.lock.tryLock(), "it is only tried")
    bench.device.lock.unlock()
    #expect(!bench.cores[0].port.hasWork)
  }

  /// Lockless: a context with nothing deferred does not enter the gate.
  @Test func locklessGoesPastTheGate() throws {
    let bench = try Bench(.lockless, slots: 8, contexts: 2)
    bench.send([1], on: 0)
    bench.send([2], on: 1)
    #expect(bench.cores[0].gates.entries.value == 0 && bench.cores[1].gates.entries.value == 0)
    #expect(bench.device.inRing == 2)
    bench.pass(on: 1)
    bench.pass(on: 0)
    bench.drain()
    #expect(bench.device.wire == [1, 2])
    #expect(bench.pool.counters.inUse == 0)
  }

  /// A guest sends what its host would send: neither overtakes the other past the gate.
  @Test func TX_STRAND_aGuestDoesNotOvertakeItsHost() throws {
    let bench = try Bench(.lockless, slots: 1, guests: 1)
    bench.send([10, 11], on: 0)  // 11 waits
    bench.device.completes(1)  // there is room, and home is not told yet
    #expect(!bench.queue.isStopped)
    bench.send([12], on: 1)
    bench.pass(on: 1)
    bench.drain()
    #expect(bench.device.wire == [10, 11, 12])
    // And the other way round.
    bench.send([20, 21], on: 1)
    bench.device.completes(1)
    bench.send([22], on: 0)
    bench.pass(on: 1)
    bench.drain()
    #expect(bench.device.wire == [10, 11, 12, 20, 21, 22])
    #expect(bench.queue.counters.busyWhileRunning.value == 0)
    #expect(bench.pool.counters.inUse == 0)
  }

  /// X1: the queue was stopped by another context after this one had looked: the packet comes back and waits.
  @Test func X1_aSecondContextMeetsTheQueueThatTheFirstStopped() throws {
    let bench = try Bench(.lockless, slots: 1, contexts: 2)
    let device = bench.device
    bench.send([10], on: 0)
    // Context 1 finds no room; before it can stop the queue, context 0 does.
    var isFirst = true
    device.beforeStop = {
      guard isFirst else { return }
      isFirst = false
      _ = bench.queue.stop(hasRoom: { false })
    }
    bench.send([20], on: 1)
    device.beforeStop = {}
    bench.send([21], on: 1)
    #expect(bench.queue.isStopped)
    #expect(bench.queue.counters.busyWhileRunning.value == 0, "silent")
    bench.pass(on: 1)
    bench.drain()
    #expect(device.wire == [10, 20, 21])
    #expect(bench.pool.counters.inUse == 0)
  }

  /// While the owner holds a packet that it took from the list, the list is empty and the order is not: the source's
  /// count still says that something came first.
  @Test func TX_STRAND_whatIsDeferredIsNotOvertakenByItsOwnSource() throws {
    let bench = try Bench(.lockless, slots: 1, contexts: 2)
    let device = bench.device
    bench.send([10, 11], on: 0)  // 11 waits
    #expect(bench.queue.isStopped)
    device.completes(1)
    // Home drains: it holds 11, finds room taken by context 1, and in that moment context 0 sends 12.
    bench.send([20], on: 1)
    var isFirst = true
    device.beforeStop = {
      guard isFirst else { return }
      isFirst = false
      device.completes(1)
    }
    bench.send([12], on: 0)
    device.beforeStop = {}
    bench.pass(on: 1)
    bench.drain()
    let ofFirst = device.wire.filter { $0 < 20 }
    #expect(ofFirst == [10, 11, 12])
    #expect(device.wire.count == 4)
    #expect(bench.pool.counters.inUse == 0)
  }

  /// Packets that a discipline throws away do not hold their source back for ever.
  @Test func aDroppedPacketNoLongerCountsAgainstItsSource() throws {
    let bench = try Bench(
      .lockless, slots: 1, TransmitConfiguration(discipline: .fifo(FIFOLimits(packets: 1))))
    bench.send([1, 2, 3, 4, 5])
    #expect(bench.queue.counters.overflow == 3)
    bench.drain()
    let entries = bench.cores[0].gates.entries.value
    bench.send([6])
    #expect(bench.cores[0].gates.entries.value == entries, "past the gate again")
    bench.drain()
    #expect(bench.device.wire == [1, 2, 6])
    #expect(bench.pool.counters.inUse == 0)
  }
}
