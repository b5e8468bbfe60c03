import Devices
import Exclusion
import Glibc
import SoftInterrupts
import Testing
import Timing

/// Waits with poll(2); only for tests of contexts without devices.
final class PollPoller: DevicePoller, @unchecked Sendable {  // belongs to one context's thread
  private var watched: [(descriptor: Int32, token: UInt32)] = []

  func watch(descriptor: Int32, token: UInt32) throws { watched.append((descriptor, token)) }
  func watchWritable(token: UInt32, _ isWatched: Bool) {}
  func wait(until deadline: Instant?, now: Instant, _ ready: (PollEvent) -> Void) {
    var sets = watched.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
    let timeout = deadline.map { $0 <= now ? 0 : Int32(clamping: ($0 - now).milliseconds + 1) } ?? -1
    _ = unsafe poll(&sets, nfds_t(sets.count), timeout)
    for (set, entry) in zip(sets, watched) where set.revents != 0 {
      ready(PollEvent(token: entry.token, isReadable: true, isWritable: false))
    }
  }
}

/// Everything on real threads; every wait is for an event.
@Suite struct ThreadTests {
  /// PROTOCOLS 5: whatever is posted, from whichever thread, runs once; a sleeping context is kicked once.
  @Test func postsFromManyThreadsAllRun() throws {
    let set = try ContextSet(
      ContextConfiguration(contexts: 2, timeSource: RealClock()) { _ in PollPoller() })
    let counted = [Tally(), Tally()]
    try set.start()
    let posters = try (0..<2).map { number in
      try WorkerThread(name: "poster-\(number)") {
        for round in 0..<5000 {
          set.perform(on: (round + number) % 2) { cx in counted[cx.index].counter.increment() }
        }
      }
    }
    for poster in posters { poster.join() }
    set.stop()
    #expect(counted[0].counter.value + counted[1].counter.value == 10_000)
    for index in 0..<2 {
      let counters = set.counters(index)
      #expect(counters.entries.value == counters.exits.value, "R1")
      #expect(set.core(index).port.kicks <= counters.sleeps.value + 1, "one kick for each sleep at most")
    }
  }

  /// T1 on a real clock: a timer ends the wait of an idle context.
  @Test func aTimerWakesASleepingContext() throws {
    let set = try ContextSet(ContextConfiguration(timeSource: RealClock()) { _ in PollPoller() })
    let fired = Bell()
    set.handlers.registerTimer(0) { _, cx in cx.wake(fired.parker.wakeTarget) }
    let probe = Probe(Handlers.Kind.call)
    try set.start()
    let timer = probe.timer
    set.perform(on: 0) { cx in cx.arm(timer, at: cx.now.adding(milliseconds: 5)) }
    let isSignalled = withApplication { held in fired.parker.park(&held) }
    #expect(isSignalled)
    set.stop()
    #expect(set.counters(0).timersFired.value == 1)
    #expect(set.core(0).wakes.delivered.value == 1)
  }
}

final class Tally: Sendable { let counter = SharedCounter() }
final class Bell: Sendable { let parker = Parker() }
