import Buffers
import DeviceTesting
import Devices
import Exclusion
import SoftInterrupts
import Testing
import Timing
import Wire

/// A scripted device on contexts that are stepped by hand.
private final class WatchedLink {
  let clock = VirtualClock(start: Instant(milliseconds: 1000))
  let scheduler: ManualScheduler
  let set: ContextSet
  let device: ScriptedDevice
  let queues: [TransmitQueueRef]
  let received = Journal()

  init(contexts: Int = 1, slots: Int = 1, watchdog: Nanoseconds = .seconds(5)) throws {
    scheduler = ManualScheduler(clock: clock)
    set = try ContextSet(ContextConfiguration(contexts: contexts, timeSource: clock))
    device = ScriptedDevice(slots: slots)
    queues = try set.addDevice(device, interface: 1, transmit: TransmitConfiguration(watchdog: watchdog))
    let received = received
    set.handlers.registerReceive { batch, _, _ in
      while let packet = batch.popFirst() { received.note("\(packet.count)") }
    }
    scheduler.add(set)
  }

  func send(_ marks: [UInt8], on context: Int = 0) {
    let queue = queues[context]
    set.perform(on: context) { cx in
      for mark in marks {
        guard var packet = cx.pool.allocate() else { return }
        packet.append(1)
        var span = packet.mutableBytes
        span.set(mark, at: 0)
        queue.send(packet, &cx)
      }
    }
    scheduler.settle()
  }
}

@Suite struct TransmitWatchTests {
  /// X7: an interrupt is lost, and the queue stands. The watchdog reports it, once for each time that it stands so
  /// long, and the driver gets the chance to reset its sending side.
  @Test func X7_aQueueThatStandsIsReported() throws {
    let link = try WatchedLink()
    let counters = { link.queues[0].counters.timeouts.value }
    link.send([1, 2, 3])
    #expect(link.device.completes(1, isTold: false) == 1)
    link.scheduler.run(milliseconds: 4990)
    #expect(counters() == 0)
    link.scheduler.run(milliseconds: 20)
    #expect(counters() == 1 && link.device.resets == 1)
    // After the reset frames leave as they should.
    for _ in 0..<3 {
      link.device.completes(1)
      link.scheduler.settle()
    }
    #expect(link.device.wire == [1, 2, 3])
    link.scheduler.run(milliseconds: 20_000)
    #expect(counters() == 1, "a bug detector does not cry twice")
    #expect(link.set.pool(0).inUse == 0)
    #expect(link.scheduler.nextDeadline == nil, "the timer is off when nothing waits")
  }

  /// A queue that is full all the time, but moves, is no news.
  @Test func X7_aBusyQueueIsNotReported() throws {
    let link = try WatchedLink(slots: 2)
    for round in 0..<20 {
      link.send([UInt8(round), UInt8(round), UInt8(round)])
      link.device.completes(3)
      link.scheduler.run(milliseconds: 1000)
    }
    #expect(link.queues[0].isWaiting, "it was never empty")
    #expect(link.queues[0].counters.timeouts.value == 0)
    while link.device.completes(2) > 0 { link.scheduler.settle() }
    #expect(link.set.pool(0).inUse == 0)
  }

  /// C8: recovery of the sending side leaves what has arrived alone.
  @Test func C8_recoveryOfOneDirectionLeavesTheOtherAlone() throws {
    let link = try WatchedLink()
    link.send([1, 2])
    let (device, queue) = (link.device, link.queues[0])
    link.set.perform(on: 0) { cx in
      // They arrive while the sending side is being reset: neither receive nor signal has run yet.
      for count in 1...3 {
        guard var packet = cx.pool.allocate() else { return }
        packet.append(count * 10)
        device.arrives(packet)
      }
      queue.timedOut(&cx)
    }
    link.scheduler.settle()
    #expect(device.resets == 1)
    #expect(link.received.entries == ["10", "20", "30"])
    #expect(device.counters(queue: 0).framesReceived.value == 3)
    link.device.completes(2)
    link.scheduler.settle()
    #expect(link.set.pool(0).inUse == 0)
  }

  /// X9: home sleeps while another context fills the queue: it has its watchdog all the same.
  @Test func X9_homeWatchesAQueueThatAnotherContextStopped() throws {
    let link = try WatchedLink(contexts: 2)
    link.send([1, 2], on: 1)
    #expect(link.queues[1].isWaiting)
    link.scheduler.run(milliseconds: 5010)
    #expect(link.queues[1].counters.timeouts.value == 1)
    while link.device.completes(2) > 0 { link.scheduler.settle() }
    #expect(link.set.pool(1).inUse == 0)
  }

  @Test func withoutAWatchdogNothingIsArmed() throws {
    let link = try WatchedLink(watchdog: .zero)
    link.send([1, 2])
    #expect(link.scheduler.nextDeadline == nil)
    while link.device.completes(2) > 0 { link.scheduler.settle() }
  }
}
