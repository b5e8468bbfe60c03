import Buffers
import Chance
import Devices
import Exclusion
import Timing

/// The queue before a line.
struct LinkQueue: ~Copyable {
  private var plain: FIFODiscipline
  /// In place of `plain`.
  private var fair: FlowQueueing?
  private var early: EarlyDetectionState?
  private let counters = DisciplineCounters()

  init(_ choice: LinkQueueing, seed: UInt64) {
    let unbounded = Int.max / 2
    switch choice {
    case .dropTail(let bytes): plain = FIFODiscipline(FIFOLimits(packets: unbounded, bytes: bytes))
    case .fqCodel(let packets):
      plain = FIFODiscipline()
      var parameters = FlowQueueParameters()
      parameters.packetLimit = packets
      parameters.flows = 64
      parameters.hashKey = HashKey(seed: seed)
      fair = FlowQueueing(parameters, largestFrame: 1514)
    case .red(let parameters):
      plain = FIFODiscipline(FIFOLimits(packets: unbounded, bytes: parameters.limit))
      early = EarlyDetectionState(parameters)
    }
  }

  var byteCount: Int {
    switch fair {
    case .some(let fair): fair.byteCount
    case nil: plain.byteCount
    }
  }
  /// Packets marked with CE.
  var marked: UInt64 { counters.marked.value + (early?.marked ?? 0) }

  /// Adds a packet; what gives way goes to `dropped`.
  mutating func enqueue(
    _ packet: consuming Packet, now: Instant, dropped: inout PacketQueue, _ random: inout SeededGenerator
  ) {
    if early != nil {
      let queued = byteCount
      switch early?.judge(&packet, queued: queued, &random) {
      case .drop: return dropped.append(packet)
      case .send, nil: break
      }
    }
    if fair != nil {
      fair?.enqueue(packet, now: now, dropped: &dropped, counters)
    } else {
      plain.enqueue(packet, now: now, dropped: &dropped, counters)
    }
  }

  /// The next packet; what is thrown away on the way goes to `dropped`.
  mutating func dequeue(now: Instant, dropped: inout PacketQueue) -> Packet? {
    if fair != nil { return fair?.dequeue(now: now, dropped: &dropped, counters) }
    return plain.dequeue(now: now, dropped: &dropped, counters)
  }
}

/// Random early detection: the average of the queue, and what follows from it.
struct EarlyDetectionState {
  private let parameters: EarlyDetection
  /// Bytes, a moving average over some 500 packets.
  private var average = 0.0
  private(set) var marked: UInt64 = 0

  init(_ parameters: EarlyDetection) { self.parameters = parameters }

  mutating func judge(
    _ packet: inout Packet, queued: Int, _ random: inout SeededGenerator
  ) -> CoDelVerdict {
    average += (Double(queued) - average) / 512
    let (lower, upper) = (Double(parameters.lower), Double(parameters.upper))
    guard average > lower else { return .send }
    let probability =
      average < upper
      ? (average - lower) / (upper - lower) * parameters.probability
      : parameters.probability + (average - upper) / upper * (1 - parameters.probability)
    guard random.chance(min(1, probability)) else { return .send }
    if parameters.marks, PacketFlow.markCongestion(&packet) {
      marked += 1
      return .send
    }
    return .drop
  }
}
