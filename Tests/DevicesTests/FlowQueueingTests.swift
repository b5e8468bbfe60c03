import Buffers
import DeviceTesting
@testable import Devices
import Exclusion
import Testing
import Timing
import Wire

/// A flow queue with packets of flows that are told apart by their source port.
private struct FlowBench: ~Copyable {
  var queue: FlowQueueing
  let counters = DisciplineCounters()
  var dropped = PacketQueue()
  /// The last to go.
  let pool = PacketPool(limit: 20_000)

  init(_ parameters: FlowQueueParameters = FlowQueueParameters()) {
    var parameters = parameters
    parameters.hashKey = parameters.hashKey ?? HashKey(seed: 1)
    queue = FlowQueueing(parameters, largestFrame: 1514)
  }

  /// An IPv4 datagram of `bytes` in all, numbered.
  func packet(_ flow: UInt16, bytes: Int = 1000, number: UInt32 = 0, trafficClass: UInt8 = 0) -> Packet {
    var packet = pool.ref.allocate()!
    packet.append(bytes)
    let header = IPv4Header(
      source: IPv4Address(10, 0, 0, 1), destination: IPv4Address(10, 0, 0, 2), protocol: .udp,
      payloadByteCount: bytes - 20, timeToLive: 64, trafficClass: TrafficClass(rawValue: trafficClass))
    var span = packet.mutableBytes
    header.emit(into: &span)
    span.set(flow, at: 20)
    span.set(UInt16(9), at: 22)
    span.set(number, at: 24)
    packet.metadata.networkOffset = UInt16(packet.startOffset)
    return packet
  }
  mutating func enqueue(_ flow: UInt16, bytes: Int = 1000, number: UInt32 = 0, at now: Instant = .zero) {
    queue.enqueue(packet(flow, bytes: bytes, number: number), now: now, dropped: &dropped, counters)
  }
  mutating func dequeue(at now: Instant = .zero) -> (flow: UInt16, number: UInt32, bytes: Int)? {
    guard let packet = queue.dequeue(now: now, dropped: &dropped, counters) else { return nil }
    return (packet.bytes.uint16(at: 20), packet.bytes.uint32(at: 24), packet.count)
  }
}

@Suite("fq_codel") struct FlowQueueingTests {
  /// A flow that begins to send leaves before a bulk flow's next turn, however much of that waits.
  @Test func aSparseFlowDoesNotWaitBehindABulkFlow() {
    var bench = FlowBench()
    for number in 0..<500 { bench.enqueue(1, bytes: 1500, number: UInt32(number)) }
    for _ in 0..<10 { #expect(bench.dequeue()?.flow == 1) }
    bench.enqueue(2, bytes: 100)
    #expect(bench.dequeue()?.flow == 2)
    #expect(bench.counters.newFlows.value == 2)
  }

  /// Found empty a new flow waits once more at the end: what it sends meanwhile does not come first again.
  @Test func aFlowIsNotNewAgainAtOnce() {
    var bench = FlowBench()
    for _ in 0..<60 { bench.enqueue(1, bytes: 100) }
    for _ in 0..<17 { #expect(bench.dequeue()?.flow == 1) }  // its second turn has just begun
    bench.enqueue(2, bytes: 100)
    #expect(bench.dequeue()?.flow == 2)
    #expect(bench.dequeue()?.flow == 1)
    bench.enqueue(2, bytes: 100)
    #expect(bench.dequeue()?.flow == 1)
    #expect(bench.counters.newFlows.value == 2)
  }

  /// A turn is over when its bytes are used up.
  @Test func aFlowThatUsedUpItsTurnWaits() {
    var parameters = FlowQueueParameters()
    parameters.quantum = 1000
    var bench = FlowBench(parameters)
    for _ in 0..<3 { for flow in 1...2 as ClosedRange<UInt16> { bench.enqueue(flow, bytes: 1000) } }
    #expect((0..<6).map { _ in bench.dequeue()?.flow } == [1, 2, 1, 2, 1, 2])
  }

  /// Shares are of bytes, not of packets.
  @Test func flowsShareBytes() {
    var bench = FlowBench()
    for _ in 0..<400 {
      bench.enqueue(1, bytes: 1500)
      bench.enqueue(2, bytes: 300)
      bench.enqueue(2, bytes: 300)
    }
    var bytes: [UInt16: Int] = [:]
    for _ in 0..<400 {
      guard let packet = bench.dequeue() else { break }
      bytes[packet.flow, default: 0] += packet.bytes
    }
    #expect(abs(bytes[1, default: 0] - bytes[2, default: 0]) <= 2 * 1514, "\(bytes)")
  }

  /// Bytes that lie in chunks count as well.
  @Test func attachedBytesAreSharedToo() {
    var bench = FlowBench()
    let chunks = ChunkPool(limit: 512)
    let content = [UInt8](repeating: 7, count: 9000)
    for number in 0..<40 {
      var packet = bench.packet(1, bytes: 60)
      var chain = unsafe chunks.ref.makeChain(copying: content.span.bytes)!
      #expect(packet.attach(&chain, offset: 0, count: 9000) == 9000)
      bench.queue.enqueue(packet, now: .zero, dropped: &bench.dropped, bench.counters)
      for _ in 0..<9 { bench.enqueue(2, bytes: 1000, number: UInt32(number)) }
    }
    let flows = (0..<200).map { _ in bench.dequeue()?.flow }
    let large = flows.filter { $0 == 1 }.count
    #expect(18...22 ~= large, "one of these for nine or ten of the others: \(large)")
    while bench.dequeue() != nil {}
  }

  /// Within a flow nothing is overtaken.
  @Test func aFlowKeepsItsOrder() {
    var bench = FlowBench()
    var random: UInt64 = 88_172_645_463_325_252
    var (made, seen): ([UInt16: UInt32], [UInt16: UInt32]) = ([:], [:])
    for step in 0..<5000 {
      random ^= random << 13
      random ^= random >> 7
      random ^= random << 17
      let flow = UInt16(random % 17)
      let now = Instant(milliseconds: UInt64(step) / 4)
      if random >> 32 % 3 != 0 {
        made[flow, default: 0] += 1
        bench.enqueue(flow, bytes: 100 + Int(random >> 40 % 1400), number: made[flow, default: 0], at: now)
      } else if let packet = bench.dequeue(at: now) {
        #expect(packet.number > seen[packet.flow, default: 0])
        seen[packet.flow] = packet.number
      }
    }
    while let packet = bench.dequeue(at: .zero) {
      #expect(packet.number > seen[packet.flow, default: 0])
      seen[packet.flow] = packet.number
    }
    #expect(bench.queue.count == 0 && bench.queue.byteCount == 0)
    bench.dropped.removeAll()
    #expect(bench.pool.counters.inUse == 0)
  }

  /// The limit is the fattest flow's problem, whose oldest packets go, several at once.
  @Test func theFattestFlowPaysForTheLimit() {
    var parameters = FlowQueueParameters()
    parameters.packetLimit = 200
    var bench = FlowBench(parameters)
    for number in 0..<10 { bench.enqueue(2, number: UInt32(number)) }
    for number in 0..<191 { bench.enqueue(1, number: UInt32(number)) }
    #expect(bench.dropped.count == 64 && bench.counters.overLimit.value == 64)
    #expect(bench.queue.count == 201 - 64)
    let first = bench.dequeue()
    #expect(first?.flow == 2 && first?.number == 0, "untouched")
    var numbers: [UInt32] = []
    while let packet = bench.dequeue() { if packet.flow == 1 { numbers.append(packet.number) } }
    #expect(numbers == Array(64..<191))
  }

  @Test func memoryIsLimitedToo() {
    var parameters = FlowQueueParameters()
    parameters.memoryLimit = 10 * Packet.occupied
    var bench = FlowBench(parameters)
    for number in 0..<11 { bench.enqueue(1, bytes: 60, number: UInt32(number)) }
    #expect(bench.queue.count < 10 && bench.counters.overLimit.value > 0)
    // What has left occupies nothing.
    let dropped = bench.counters.overLimit.value
    for _ in 0..<20 {
      while bench.dequeue() != nil {}
      bench.enqueue(1, bytes: 60)
    }
    #expect(bench.counters.overLimit.value == dropped)
  }

  /// A queue that stands is thinned out, its neighbour is not; with ECN it is marked, and the checksum stays right.
  @Test(arguments: [false, true]) func aStandingQueueIsTold(byMark isMarked: Bool) {
    var parameters = FlowQueueParameters()
    parameters.marksECN = isMarked
    var bench = FlowBench(parameters)
    var (marks, seen) = (0, 0)
    for step in 0..<1000 {
      let now = Instant(milliseconds: UInt64(step) + 1)
      for _ in 0..<2 {
        bench.queue.enqueue(
          bench.packet(1, trafficClass: 2), now: now, dropped: &bench.dropped, bench.counters)
      }
      guard let packet = bench.queue.dequeue(now: now, dropped: &bench.dropped, bench.counters) else {
        continue
      }
      seen += 1
      if packet.bytes.uint8(at: 1) & 3 == 3 { marks += 1 }
      #expect(InternetChecksum.of(packet.bytes.extracting(0..<20)) == 0)
    }
    #expect(seen > 900)
    #expect(isMarked ? marks > 5 : marks == 0)
    #expect(Int(bench.counters.marked.value) == marks)
    #expect(isMarked ? bench.dropped.isEmpty : bench.dropped.count > 5)
    #expect(bench.counters.dropped.value == UInt64(bench.dropped.count))
  }

  /// A queue that is one frame long is none, and waiting begins when a packet is queued, whenever it came.
  @Test func oneFrameIsNoQueue() {
    var bench = FlowBench()
    for _ in 0..<2 { bench.enqueue(1, bytes: 1514) }
    for step in 1...400 as ClosedRange<UInt64> {
      let now = Instant(milliseconds: step * 10)
      #expect(bench.dequeue(at: now) != nil)
      bench.enqueue(1, bytes: 1514, at: now)
    }
    #expect(bench.dropped.count == 0)
    var other = FlowBench()
    for _ in 0..<4 { other.enqueue(1, at: Instant(milliseconds: 9999)) }
    for step in 0..<400 as Range<UInt64> {
      let now = Instant(milliseconds: 10_000 + step)
      for _ in 0..<4 { other.enqueue(1, at: now) }
      for _ in 0..<4 { #expect(other.dequeue(at: now) != nil) }
    }
    #expect(other.dropped.count == 0)
  }

  /// Each mark is the end of a dequeue: a flow that stands for another interval is marked again by the next.
  @Test func aQueueThatStandsOnIsMarkedAgain() {
    var bench = FlowBench()
    for _ in 0..<20 {
      bench.queue.enqueue(
        bench.packet(1, trafficClass: 2), now: .zero, dropped: &bench.dropped, bench.counters)
    }
    let marks = ([10, 120, 230, 340, 341] as [UInt64]).map { milliseconds -> UInt64 in
      #expect(bench.dequeue(at: Instant(milliseconds: milliseconds)) != nil)
      return bench.counters.marked.value
    }
    #expect(marks == [0, 1, 2, 3, 3])
  }

  /// A flow that the limit has emptied stands no more.
  @Test func whatTheLimitEmptiedBeginsAnew() {
    var parameters = FlowQueueParameters()
    parameters.packetLimit = 3
    var bench = FlowBench(parameters)
    for _ in 0..<3 { bench.enqueue(1) }
    #expect(bench.dequeue(at: Instant(milliseconds: 10))?.flow == 1)  // above target from here on
    for _ in 0..<2 { bench.enqueue(2, bytes: 100, at: Instant(milliseconds: 11)) }
    #expect(bench.dropped.count == 2 && bench.counters.overLimit.value == 2)
    for _ in 0..<2 { #expect(bench.dequeue(at: Instant(milliseconds: 12))?.flow == 2) }
    #expect(bench.dequeue(at: Instant(milliseconds: 12)) == nil)
    for _ in 0..<3 { bench.enqueue(1, at: Instant(milliseconds: 1000)) }
    #expect(bench.dequeue(at: Instant(milliseconds: 1010))?.flow == 1)
    #expect(bench.counters.dropped.value == 0)
  }

  /// IPv6 has its mark in another place; what is not ECN-capable has none.
  @Test func markingKnowsBothFamiliesAndItsLimits() throws {
    let bench = FlowBench()
    var packet = bench.pool.ref.allocate()!
    packet.append(48)
    let header = IPv6Header(
      source: IPv6Address(high: 1, low: 2), destination: IPv6Address(high: 3, low: 4), nextHeader: .udp,
      payloadByteCount: 8, hopLimit: 64, trafficClass: TrafficClass(rawValue: 1))
    var span = packet.mutableBytes
    header.emit(into: &span)
    packet.metadata.networkOffset = UInt16(packet.startOffset)
    let isMarked = PacketFlow.markCongestion(&packet)
    #expect(isMarked)
    #expect(try IPv6View(packet.bytes).trafficClass.rawValue == 3)
    #expect(packet.metadata.congestionExperienced)
    var plain = bench.packet(1)
    let isPlainMarked = PacketFlow.markCongestion(&plain)
    var other = bench.pool.ref.allocate()!
    other.append(42)
    let isOtherMarked = PacketFlow.markCongestion(&other)
    #expect(!isPlainMarked && !isOtherMarked, "not ECN-capable, and ARP")
  }

  /// With another key other flows meet: nobody can choose whose queue to share.
  @Test func theKeyDecidesWhichFlowsMeet() {
    var parameters = FlowQueueParameters()
    parameters.flows = 64
    func meetings(_ seed: UInt64) -> Set<UInt16> {
      parameters.hashKey = HashKey(seed: seed)
      let bench = FlowBench(parameters)
      let first = bench.queue.flow(of: bench.packet(0))
      return Set((1..<2000).filter { bench.queue.flow(of: bench.packet($0)) == first })
    }
    let (one, two) = (meetings(1), meetings(2))
    #expect(one.count > 10 && two.count > 10)
    #expect(one.intersection(two).count < one.count / 4)
  }

  /// Behind a real queue: bulk waits, a sparse flow passes it, everything arrives, the numbers are tc's.
  @Test func servesADeviceThatIsBusy() throws {
    var parameters = FlowQueueParameters()
    parameters.hashKey = HashKey(seed: 1)
    let bench = try Bench(
      completion: .atOnce, slots: 1, TransmitConfiguration(discipline: .fqCodel(parameters)))
    let flows = FlowBench(parameters)
    bench.run { cx in
      for number: UInt32 in 0..<20 {
        bench.queue.send(flows.packet(1, bytes: 1500, number: number), &cx)
      }
      bench.queue.send(flows.packet(2, bytes: 60), &cx)
    }
    #expect(bench.queue.counters.discipline.backlogPackets.value == 20)
    #expect(bench.queue.counters.discipline.backlogBytes.value == 19 * 1500 + 60)
    #expect(bench.queue.counters.discipline.newFlows.value == 2)
    bench.drain()
    #expect(bench.device.wire.count == 21)
    #expect(bench.queue.counters.overflow == 0)
    #expect(flows.pool.counters.inUse == 0)
  }
}
