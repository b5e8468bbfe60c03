import Buffers
import DeviceTesting
import Exclusion
import Testing
import Timing

@testable import Devices

/// The limit as Linux has it (lib/dynamic_queue_limits.c), in sums of all bytes ever queued and completed.
private struct Reference {
  let minimum: Int, maximum: Int, hold: Nanoseconds
  var limit: Int
  var queued = 0, completed = 0, last = 0
  var queuedBefore = 0, excessBefore = 0, lastBefore = 0
  var leastSlack = Int.max
  var heldSince = Instant.zero

  init(_ parameters: ByteLimitParameters) {
    (minimum, maximum, hold) = (max(1, parameters.minimum), parameters.maximum, parameters.hold)
    limit = minimum
  }
  var mayGive: Bool { queued - completed <= limit }
  mutating func given(_ bytes: Int) {
    queued += bytes
    last = bytes
  }
  mutating func completed(_ bytes: Int, now: Instant) {
    let done = completed + bytes
    var (new, excess) = (limit, max(0, queued - completed - limit))
    let (inProgress, inProgressBefore) = (queued - done, queuedBefore - completed)
    let areAllDone = done >= queuedBefore
    if (excess > 0 && inProgress == 0) || (excessBefore > 0 && areAllDone) {
      new += max(0, done - queuedBefore) + excessBefore
      (heldSince, leastSlack) = (now, .max)
    } else if inProgress > 0, inProgressBefore > 0, !areAllDone {
      let slack = max(0, limit + excessBefore - 2 * bytes)
      let ofLast = excessBefore > 0 ? max(0, lastBefore - excessBefore) : 0
      leastSlack = min(leastSlack, max(slack, ofLast))
      if now > heldSince + hold {
        new = max(0, new - leastSlack)
        (heldSince, leastSlack) = (now, .max)
      }
    }
    new = min(max(new, minimum), maximum)
    if new != limit { (limit, excess) = (new, 0) }
    (queuedBefore, excessBefore, lastBefore, completed) = (queued, excess, last, done)
  }
}

@Suite("Byte limits") struct ByteLimitTests {
  /// Loads of all kinds, with completions of all sizes: the limit is what Linux would have found.
  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func followsTheReferenceProgram(seed: UInt64) {
    var random = seed &* 0x9E37_79B9_7F4A_7C15
    func next(_ bound: Int) -> Int {
      random ^= random << 13
      random ^= random >> 7
      random ^= random << 17
      return Int(random % UInt64(bound))
    }
    let parameters = ByteLimitParameters(
      minimum: seed % 2 == 0 ? 0 : 2000, maximum: 60_000, hold: .milliseconds(20))
    var (reference, subject) = (Reference(parameters), ByteLimit(parameters))
    var limits: Set<Int> = []
    var (grew, shrank) = (0, 0)
    for step in 0..<20_000 {
      let now = Instant(milliseconds: UInt64(step))
      // Now busy, now a trickle: as many packets as there are, unless the limit comes first.
      var left = step / 700 % 2 == 0 ? next(40) : next(4)
      while left > 0, reference.mayGive {
        #expect(subject.mayGive)
        let bytes = next(3) == 0 ? 60 + next(200) : 1500
        reference.given(bytes)
        subject.given(bytes)
        left -= 1
      }
      #expect(subject.mayGive == reference.mayGive)
      guard subject.inFlight > 0, next(3) > 0 else { continue }
      let bytes = next(3) == 0 ? subject.inFlight : 1 + next(subject.inFlight)
      let before = reference.limit
      reference.completed(bytes, now: now)
      subject.completed(bytes, now: now)
      #expect(subject.limit == reference.limit, "at \(step), after \(before)")
      if subject.limit != reference.limit { return }
      if reference.limit > before { grew += 1 }
      if reference.limit < before { shrank += 1 }
      limits.insert(reference.limit)
    }
    #expect(grew > 50 && shrank > 50 && limits.count > 100, "\(grew) up, \(shrank) down, \(limits.count)")
  }

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

  /// What the driver gave back is not in flight, however often it was offered.
  @Test(arguments: DriverKindTests.kinds) func whatComesBackIsNotInFlight(kind: TransmitSerialization) throws
  {
    let bench = try Bench(
      kind, slots: 1, TransmitConfiguration(byteLimit: ByteLimitParameters(minimum: 10_000)))
    bench.send([1, 2, 3, 4, 5], bytes: 1000)
    #expect(bench.queue.isStopped)
    bench.drain()
    #expect(bench.device.wire == [1, 2, 3, 4, 5])
    #expect(bench.queue.counters.bytesInFlight.value == 0)
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
