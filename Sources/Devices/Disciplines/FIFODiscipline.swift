public import Buffers
import Exclusion
public import Timing

/// How much may wait in a first-in-first-out queue.
public struct FIFOLimits: Sendable, Hashable {
  /// Packets at most, 1 or more. TCP stays far below by its own account (small queues).
  public var packets: Int
  /// Bytes at most, 1 or more.
  public var bytes: Int

  /// 4096 packets, 8 MiB, unless told otherwise.
  public init(packets: Int = 4096, bytes: Int = 8 << 20) {
    self.packets = max(1, packets)
    self.bytes = max(1, bytes)
  }
}

/// First in, first out; the newest is dropped when there is no room. What is on its source's account is not: it is
/// bounded there, and TCP never drops on its own host (X5).
public struct FIFODiscipline: QueueDiscipline, ~Copyable {
  private var waiting = PacketQueue()
  private let limits: FIFOLimits

  /// Nothing waits.
  public init(_ limits: FIFOLimits = FIFOLimits()) { self.limits = limits }

  /// Packets that wait.
  public var count: Int { waiting.count }
  /// Their bytes.
  public var byteCount: Int { waiting.byteCount }

  /// Adds the packet, or drops it.
  public mutating func enqueue(
    _ packet: consuming Packet, now: Instant, dropped: inout PacketQueue,
    _ counters: borrowing DisciplineCounters
  ) {
    let isFull = waiting.count >= limits.packets || waiting.byteCount >= limits.bytes
    if isFull, packet.credit == nil {
      counters.overLimit.increment()
      dropped.append(packet)
    } else {
      waiting.append(packet)
    }
  }
  /// Takes the oldest.
  public mutating func dequeue(
    now: Instant, dropped: inout PacketQueue, _ counters: borrowing DisciplineCounters
  ) -> Packet? { waiting.popFirst() }
}
