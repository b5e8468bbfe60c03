import Buffers
import Devices
import Exclusion
import SoftInterrupts
import Testing
import Timing
import Wire

/// Contexts behind a link in memory whose far end the test holds. A frame is two bytes: the context that is its
/// home, and a number; the handler at home notes both.
final class SteeringBench {
  let clock = VirtualClock()
  let scheduler: ManualScheduler
  let set: ContextSet
  let journal = Journal()
  private let link: LinkPair
  private let pool = PacketPool(limit: 4096)

  init(
    contexts: Int = 2, steering: ReceiveSteering = .home,
    _ adjust: (inout ContextConfiguration) -> Void = { _ in }
  ) throws {
    var configuration = ContextConfiguration(contexts: contexts, timeSource: clock)
    configuration.steering = steering
    adjust(&configuration)
    set = try ContextSet(configuration)
    link = LinkPair(left: .ip, right: .ip, queues: contexts, ringSlots: 2048)
    let journal = journal
    set.handlers.registerReceive { batch, _, cx in
      while let packet = batch.popFirst() {
        let home = Self.home(packet)
        if home != cx.index, cx.steers {
          _ = cx.steer(packet, to: home)
        } else {
          Self.note(packet, journal, cx)
        }
      }
    }
    set.handlers.registerSteered { batch, cx in
      while let packet = batch.popFirst() { Self.note(packet, journal, cx) }
    }
    _ = try set.addDevice(link.right, interface: 1)
    scheduler = ManualScheduler(clock: clock)
    scheduler.add(set)
  }

  enum BenchError: Error { case outOfPackets, linkIsFull }

  private static func home(_ packet: borrowing Packet) -> Int { Int(packet.bytes.uint8(at: 0)) }
  private static func note(_ packet: borrowing Packet, _ journal: Journal, _ cx: borrowing SoftInterrupt) {
    journal.note("\(cx.index):\(packet.bytes.uint8(at: 0)).\(packet.bytes.uint8(at: 1))")
  }

  /// Frames on the wire of one queue.
  func send(queue: Int = 0, home: UInt8, numbers: Range<UInt8>) throws {
    for number in numbers {
      guard var packet = pool.ref.allocate() else { throw BenchError.outOfPackets }
      packet.append(2)
      var bytes = packet.mutableBytes
      bytes.storeBytes(of: home, toByteOffset: 0, as: UInt8.self)
      bytes.storeBytes(of: number, toByteOffset: 1, as: UInt8.self)
      guard link.left.send(packet, queue: queue) == nil else { throw BenchError.linkIsFull }
    }
    link.left.flush(queue: queue)
  }
}

@Suite struct SteeringTests {
  /// R3: what is on a link is received by the context that owns the queue, whether or not anybody reads.
  @Test func R3_framesAreReceivedThoughNobodyCallsTheStack() throws {
    let bench = try SteeringBench()
    try bench.send(queue: 1, home: 1, numbers: 0..<5)
    bench.scheduler.settle()
    #expect(bench.journal.entries == (0..<5).map { "1:1.\($0)" })
  }

  /// RX-ORDER: a flow that comes in elsewhere is worked on at home, in the order in which it came.
  @Test func RX_ORDER_steeredPacketsKeepTheirOrderAndReachHome() throws {
    let bench = try SteeringBench()
    try bench.send(home: 1, numbers: 0..<100)
    try bench.send(home: 0, numbers: 0..<3)
    try bench.send(home: 1, numbers: 100..<200)
    bench.scheduler.settle()
    let entries = bench.journal.entries
    #expect(entries.filter { $0.hasPrefix("1:") } == (0..<200).map { "1:1.\($0)" })
    #expect(entries.filter { $0.hasPrefix("0:") } == (0..<3).map { "0:0.\($0)" })
    #expect(bench.set.counters(0).steered.value == 200)
    #expect(bench.set.counters(0).steeringDrops.value == 0)
  }

  /// One post, and one kick, for all that a pass steers to a target that sleeps.
  @Test func aPassTellsATargetOnce() throws {
    let bench = try SteeringBench()
    try bench.send(home: 1, numbers: 0..<150)
    #expect(bench.set.port(1).becomeIdle())
    bench.scheduler.step(bench.set, context: 0)
    #expect(bench.set.counters(0).steered.value == 150)
    #expect(bench.set.port(1).kicks == 1)
    bench.scheduler.settle()
    #expect(bench.journal.entries.count == 150)
  }

  /// RX-MISSED: what is steered while the target empties the lane makes it look once more.
  @Test func RX_MISSED_whatIsSteeredDuringADrainIsSeen() throws {
    let bench = try SteeringBench { $0.budgets.turn = 8 }
    for round in UInt8(0)..<10 {
      try bench.send(home: 1, numbers: round * 20..<round * 20 + 20)
      bench.scheduler.step(bench.set, context: round % 3 == 2 ? 1 : 0)
    }
    bench.scheduler.settle()
    #expect(bench.journal.entries == (0..<200).map { "1:1.\($0)" })
  }

  /// A lane is bounded; what does not fit is dropped and counted.
  @Test func aFullLaneDropsAndCounts() throws {
    let bench = try SteeringBench {
      $0.steeringLimit = 64
      $0.budgets.net = LevelBudget(items: 1000, time: 1_000_000_000)
    }
    try bench.send(home: 1, numbers: 0..<200)
    bench.scheduler.step(bench.set, context: 0)
    bench.scheduler.settle()
    #expect(bench.journal.entries == (0..<64).map { "1:1.\($0)" })
    #expect(bench.set.counters(0).steeringDrops.value == 136)
    #expect(bench.set.pool(0).inUse == 0)
  }

  @Test func withoutSteeringAPacketStaysWhereItCameIn() throws {
    let bench = try SteeringBench(steering: .none)
    try bench.send(home: 1, numbers: 0..<5)
    bench.scheduler.settle()
    #expect(bench.journal.entries == (0..<5).map { "0:1.\($0)" })
  }

  /// RX-DRAIN: the barrier passes when all that was received before it is done, lanes with several passes' worth
  /// included, and what comes later does not hold it up.
  @Test func RX_DRAIN_theBarrierComesAfterWhatWasReceivedBefore() throws {
    let bench = try SteeringBench(contexts: 3) {
      $0.budgets.net = LevelBudget(items: 32, time: 1_000_000_000)
    }
    try bench.send(home: 1, numbers: 0..<120)
    for _ in 0..<8 { bench.scheduler.step(bench.set, context: 0) }
    #expect(bench.set.counters(0).steered.value == 120)
    let journal = bench.journal
    bench.set.afterReceived { context, _ in journal.note("drained\(context)") }
    try bench.send(queue: 2, home: 2, numbers: 0..<10)
    bench.scheduler.settle()
    let last = try #require(journal.entries.lastIndex(of: "1:1.119"))
    #expect(try last < #require(journal.entries.firstIndex(of: "drained1")))
    #expect(journal.entries.filter { $0.hasPrefix("drained") }.count == 3)
  }
}
