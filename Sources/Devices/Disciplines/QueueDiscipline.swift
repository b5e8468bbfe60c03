public import Buffers
public import Exclusion
public import Timing

/// In which order packets that wait for a driver leave, and which of them do not. Private to the owner of the
/// queue's gate. What a discipline throws away it counts and hands back, to be freed when nothing is owned any more
/// (X3).
public protocol QueueDiscipline: ~Copyable {
  /// Packets that wait.
  var count: Int { get }
  /// Their bytes.
  var byteCount: Int { get }
  /// Takes a packet, which is whole (X8). What gives way, perhaps this one, goes to `dropped`.
  mutating func enqueue(
    _ packet: consuming Packet, now: Instant, dropped: inout PacketQueue,
    _ counters: borrowing DisciplineCounters
  )
  /// The packet that is next; nil when none waits. What is thrown away on the way goes to `dropped`.
  mutating func dequeue(
    now: Instant, dropped: inout PacketQueue, _ counters: borrowing DisciplineCounters
  ) -> Packet?
}

/// Which discipline a device's transmit queues have.
public enum DisciplineChoice: Sendable, Hashable {
  /// In the order in which they came; what finds no room is dropped.
  case fifo(FIFOLimits)
  /// A share of the link for each flow, and short queues: RFC 8290.
  case fqCodel(FlowQueueParameters)

  /// First in, first out, with the usual limits.
  public static var fifo: DisciplineChoice { .fifo(FIFOLimits()) }
  /// fq_codel with the usual parameters.
  public static var fqCodel: DisciplineChoice { .fqCodel(FlowQueueParameters()) }

  /// As `tc` calls it.
  public var name: String {
    switch self {
    case .fifo: "fifo"
    case .fqCodel: "fq_codel"
    }
  }
}

/// What a discipline did, in the terms of `tc -s qdisc`. Written by the owner of the queue's gate; anyone reads.
public struct DisciplineCounters: ~Copyable, Sendable {
  /// Packets that found the queue full, or gave way to others: the limits' drops.
  public let overLimit = Counter()
  /// Packets dropped because their queue stood too long: CoDel's drops.
  public let dropped = Counter()
  /// Packets marked with CE instead.
  public let marked = Counter()
  /// Flows that began to send after silence.
  public let newFlows = Counter()
  /// Packets that wait now.
  public let backlogPackets = Gauge()
  /// Their bytes.
  public let backlogBytes = Gauge()

  /// All zero.
  public init() {}
}
