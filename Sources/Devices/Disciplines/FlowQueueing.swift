public import Buffers
public import Exclusion
public import Timing

/// How fq_codel behaves (RFC 8290 section 5.2).
public struct FlowQueueParameters: Sendable, Hashable {
  /// When a flow's queue has stood too long.
  public var codel = CoDelParameters()
  /// Flows that are told apart, 1...65536, rounded up to a power of two.
  public var flows = 1024
  /// Bytes that a flow sends in its turn; nil: the largest frame of the link.
  public var quantum: Int?
  /// Packets that may wait in all: below what a context's pool holds, so that a queue that stands cannot take all.
  public var packetLimit = 4096
  /// Bytes of memory that they may occupy.
  public var memoryLimit = 32 << 20
  /// Marks packets of ECN-capable transports instead of dropping them (RFC 3168).
  public var marksECN = true
  /// What flows are told apart by; nil: a key from the system's random numbers, so that nobody can aim at another
  /// flow's queue.
  public var hashKey: HashKey?

  /// The defaults of the RFC, but for the packet limit.
  public init() {}
}

/// fq_codel, RFC 8290: a queue for each flow, served in turn by bytes, those that only now begin to send first; and
/// CoDel in each. A flow that sends less than its share never waits behind one that sends more.
///
/// Order is kept within a flow. Nothing is allocated after the start, and every operation takes constant time but
/// the one that finds the limit exceeded, which looks at all flows and then drops many packets.
@safe
public struct FlowQueueing: QueueDiscipline, ~Copyable, @unchecked Sendable {  // private to the gate's owner
  private let flows: UnsafeMutablePointer<Flow>
  private let flowCount: Int
  private let parameters: FlowQueueParameters
  private let key: HashKey
  private let quantum: Int
  private let largestFrame: Int
  /// Flows that began to send after silence, and those that have had a turn since.
  private var fresh = FlowList()
  private var seasoned = FlowList()
  /// Packets that wait.
  public private(set) var count = 0
  /// Their bytes.
  public private(set) var byteCount = 0
  /// Bytes of memory that they occupy.
  private(set) var memory = 0

  /// Packets that one search for the fattest flow drops at most.
  static var dropBatch: Int { 64 }

  private struct Flow: ~Copyable {
    var packets = PacketQueue()
    var codel = CoDel()
    /// Bytes that it may still send in this turn.
    var deficit = 0
    /// The flow behind it in its list, -1 for none.
    var next = -1
    var isListed = false
  }

  private struct FlowList {
    var head = -1
    var tail = -1
  }

  /// Nothing waits; `largestFrame` of the link in bytes, its header included.
  public init(_ parameters: FlowQueueParameters, largestFrame: Int) {
    self.parameters = parameters
    self.largestFrame = largestFrame
    var size = 1
    while size < min(parameters.flows, 65_536) { size *= 2 }
    flowCount = size
    quantum = max(1, parameters.quantum ?? largestFrame)
    key = parameters.hashKey ?? HashKey()
    unsafe flows = .allocate(capacity: size)
    for index in 0..<size { unsafe (flows + index).initialize(to: Flow()) }
  }

  deinit {
    unsafe flows.deinitialize(count: flowCount)
    unsafe flows.deallocate()
  }

  /// Which queue the packet's flow has, 0 up to the number of flows.
  public func flow(of packet: borrowing Packet) -> Int {
    Int(truncatingIfNeeded: PacketFlow.hash(packet, key)) & (flowCount - 1)
  }

  /// Puts the packet behind those of its flow. Beyond a limit the flow with the most bytes loses its oldest packets.
  public mutating func enqueue(
    _ packet: consuming Packet, now: Instant, dropped: inout PacketQueue,
    _ counters: borrowing DisciplineCounters
  ) {
    packet.metadata.arrival = now
    let index = flow(of: packet)
    count += 1
    byteCount += packet.totalCount
    memory += packet.charge
    unsafe flows[index].packets.append(packet)
    if unsafe !flows[index].isListed {
      unsafe flows[index].isListed = true
      unsafe flows[index].deficit = quantum
      append(index, fresh: true)
      counters.newFlows.increment()
    }
    while count > parameters.packetLimit || memory > parameters.memoryLimit {
      dropFattest(&dropped, counters)
    }
  }

  /// The next packet of the flow whose turn it is.
  public mutating func dequeue(
    now: Instant, dropped: inout PacketQueue, _ counters: borrowing DisciplineCounters
  ) -> Packet? {
    while true {
      let isFresh = fresh.head >= 0
      let index = isFresh ? fresh.head : seasoned.head
      guard index >= 0 else { return nil }
      if unsafe flows[index].deficit <= 0 {
        unsafe flows[index].deficit += quantum
        removeFirst(fresh: isFresh)
        append(index, fresh: false)
        continue
      }
      if let packet = take(index, now, &dropped, counters) {
        unsafe flows[index].deficit -= packet.totalCount
        return packet
      }
      // A flow that has just begun waits once more at the end, or it could come back to the front for ever.
      removeFirst(fresh: isFresh)
      if isFresh {
        append(index, fresh: false)
      } else {
        unsafe flows[index].isListed = false
      }
    }
  }

  /// The next packet of a flow that CoDel lets go.
  private mutating func take(
    _ index: Int, _ now: Instant, _ dropped: inout PacketQueue, _ counters: borrowing DisciplineCounters
  ) -> Packet? {
    while true {
      guard var packet = pop(index) else {
        unsafe flows[index].codel.foundEmpty()
        return nil
      }
      let verdict = unsafe flows[index].codel.judge(
        sojourn: now - packet.metadata.arrival, backlogBytes: flows[index].packets.byteCount,
        packetLimit: largestFrame, now: now, parameters.codel)
      switch verdict {
      case .send:
        return packet
      case .drop:
        if parameters.marksECN, PacketFlow.markCongestion(&packet) {
          counters.marked.increment()
          unsafe flows[index].codel.marked(parameters.codel)
          return packet
        }
        counters.dropped.increment()
        dropped.append(packet)
      }
    }
  }

  /// Half of the largest flow's bytes, or a batch of its packets, from its head: the sender learns soonest.
  private mutating func dropFattest(
    _ dropped: inout PacketQueue, _ counters: borrowing DisciplineCounters
  ) {
    var fattest = 0
    for index in 1..<max(1, flowCount) {
      if unsafe flows[index].packets.byteCount > flows[fattest].packets.byteCount { fattest = index }
    }
    let half = unsafe flows[fattest].packets.byteCount / 2
    var bytes = 0
    for _ in 0..<Self.dropBatch {
      guard bytes <= half, let packet = pop(fattest) else { return }
      bytes += packet.totalCount
      counters.overLimit.increment()
      dropped.append(packet)
    }
  }

  private mutating func pop(_ index: Int) -> Packet? {
    guard let packet = unsafe flows[index].packets.popFirst() else { return nil }
    count -= 1
    byteCount -= packet.totalCount
    memory -= packet.charge
    return packet
  }

  private mutating func append(_ index: Int, fresh isFresh: Bool) {
    var list = isFresh ? fresh : seasoned
    unsafe flows[index].next = -1
    if list.tail >= 0 {
      unsafe flows[list.tail].next = index
    } else {
      list.head = index
    }
    list.tail = index
    if isFresh { fresh = list } else { seasoned = list }
  }

  private mutating func removeFirst(fresh isFresh: Bool) {
    var list = isFresh ? fresh : seasoned
    list.head = unsafe flows[list.head].next
    if list.head < 0 { list.tail = -1 }
    if isFresh { fresh = list } else { seasoned = list }
  }
}
