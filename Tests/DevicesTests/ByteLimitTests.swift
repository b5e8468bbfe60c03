import Buffers
import DeviceTesting
import Exclusion
import Testing
import Timing

@testable import Devices

@Suite("Byte limits") struct ByteLimitTests {
  /// A device that completes everything each millisecond and ran dry because of the limit: it grows until it does not.
  @Test func growsWhileTheDeviceStarves() {
    var limit = ByteLimit(ByteLimitParameters())
    var sent: [Int] = []
    for step in 0..<40 {
      var given = 0
      while limit.mayGive, given < 60_000 {
        limit.given(1500)
        given += 1500
      }
      sent.append(given)
      limit.completed(given, now: Instant(milliseconds: UInt64(step)))
    }
    #expect(sent[0] == 1500, "one packet to begin with")
    #expect(sent.last == 60_000, "until the limit is no limit: \(sent)")
    #expect(limit.inFlight == 0)
  }

  /// Slack that was there through a whole hold time is taken away, at once, and not before.
  @Test func shrinksByTheSlackOfAHoldTime() {
    var limit = ByteLimit(ByteLimitParameters(minimum: 3000, hold: .milliseconds(100)))
    // Grown by a burst: 90,000 bytes that all completed together.
    for step in 0..<30 {
      var given = 0
      while limit.mayGive, given < 90_000 {
        limit.given(1500)
        given += 1500
      }
      limit.completed(given, now: Instant(milliseconds: UInt64(step)))
    }
    let grown = limit.limit
    #expect(grown > 50_000)
    // Then a trickle: busy all the time, but with 9000 bytes in flight and 3000 completed at a time.
    for _ in 0..<6 { limit.given(1500) }
    var limits: Set<Int> = []
    for step in 30..<400 {
      limit.completed(3000, now: Instant(milliseconds: UInt64(step)))
      limits.insert(limit.limit)
      for _ in 0..<2 { limit.given(1500) }
      if step == 60 { #expect(limit.limit == grown, "not before the hold time is over") }
    }
    #expect(limit.limit < grown / 4, "\(limits)")
    #expect(limit.limit >= 3000)
  }

  @Test func staysWithinItsBounds() {
    var limit = ByteLimit(ByteLimitParameters(minimum: 5000, maximum: 9000))
    for step in 0..<50 {
      var given = 0
      while limit.mayGive {
        limit.given(1500)
        given += 1500
      }
      limit.completed(given, now: Instant(milliseconds: UInt64(step)))
      #expect((5000...9000).contains(limit.limit))
    }
    var off = ByteLimit(ByteLimitParameters(maximum: 0))
    for _ in 0..<10_000 { off.given(1500) }
    #expect(off.mayGive)
  }

  /// What the limit holds back waits in order, and the completion alone lets it go on (TX-STRAND), for each kind of
  /// driver that completes later.
  @Test(arguments: DriverKindTests.kinds) func TX_STRAND_completionsLiftTheLimit(kind: TransmitSerialization)
    throws
  {
    let bench = try Bench(kind, slots: 100)
    bench.send([1, 2, 3, 4, 5, 6, 7, 8], bytes: 1000)
    bench.pass()
    #expect(bench.device.inRing < 8 && !bench.queue.isStopped, "held back although the ring has room")
    #expect(bench.queue.counters.byteLimitStops.value > 0)
    bench.drain()
    #expect(bench.device.wire == [1, 2, 3, 4, 5, 6, 7, 8])
    #expect(bench.queue.counters.byteLimit.value > 1)
    #expect(bench.pool.counters.inUse == 0)
    bench.send([9], bytes: 1000)
    bench.drain()
    #expect(bench.device.wire.last == 9)
  }

  /// A device that is done at once has nothing in flight: there is no limit to meet.
  @Test func aDeviceThatIsDoneAtOnceHasNone() throws {
    let bench = try Bench(completion: .atOnce, slots: 100)
    bench.send((1...50).map { UInt8($0) }, bytes: 1500)
    #expect(bench.device.inRing == 50)
    #expect(bench.queue.counters.byteLimitStops.value == 0 && bench.queue.counters.byteLimit.value == 0)
    bench.drain()
    #expect(bench.pool.counters.inUse == 0)
  }
}
