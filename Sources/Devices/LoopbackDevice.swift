public import Buffers
import Exclusion
public import Timing
import Wire

/// The host's own interface: what is sent is received, by the same context, in a later pass. Input never
/// runs inside the sender's frame (R2, TX-NOREC).
public final class LoopbackDevice: Device {
  public let name = "lo"
  public let mtu: Int
  public let linkLayer = LinkLayer.ip
  public let queueCount: Int
  private let rings: [PacketRing]

  /// One ring for each context. `mtu` in bytes, at most what a packet slot carries.
  public init(queues: Int, mtu: Int = 1500, ringSlots: Int = 1024) {
    self.mtu = mtu
    queueCount = queues
    rings = (0..<queues).map { _ in PacketRing(slots: ringSlots) }
  }

  public func counters(queue: Int) -> DeviceCounters { rings[queue].counters }
  public func descriptor(queue: Int) -> Int32? { nil }
  public func attach(queue: Int, receive: ReceiveSignalRef, transmit: TransmitQueueRef) {
    rings[queue].attach(receive: receive, transmit: transmit)
  }
  public func receive(
    queue: Int, limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue
  ) -> ReceiveOutcome {
    rings[queue].take(limit: limit, now: now, into: &batch)
  }
  public func send(_ packet: consuming Packet, queue: Int) -> Packet? { rings[queue].put(packet) }
  public func flush(queue: Int) { rings[queue].signal() }
  public func complete(queue: Int, into completed: inout PacketQueue) {}
}
