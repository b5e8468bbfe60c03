public import Buffers
import Exclusion
public import Timing
import Wire

/// The host's own interface: what is sent is received, by the same context, in a later pass. Input never
/// runs inside the sender's frame (R2, TX-NOREC).
public final class LoopbackDevice: Device {
  /// `lo`.
  public let name = "lo"
  /// The largest packet, in bytes.
  public let mtu: Int
  /// Bare packets.
  public let linkLayer = LinkLayer.ip
  /// The number of queue pairs.
  public let queueCount: Int
  /// What is received as it was sent.
  public let offloads: DeviceOffloads
  private let rings: [PacketRing]

  /// One ring for each context. `mtu` in bytes, at most what a packet slot carries; `offloads` is what passes as it is.
  public init(queues: Int, mtu: Int = 1500, ringSlots: Int = 1024, offloads: DeviceOffloads = []) {
    self.mtu = mtu
    self.offloads = offloads
    queueCount = queues
    rings = (0..<queues).map { _ in PacketRing(slots: ringSlots) }
  }

  /// What went through the queue.
  public func counters(queue: Int) -> DeviceCounters { rings[queue].counters }
  /// None: a device in memory raises signals.
  public func descriptor(queue: Int) -> Int32? { nil }
  /// Whom to tell, once before the first use.
  public func attach(queue: Int, receive: ReceiveSignalRef, transmit: TransmitQueueRef) {
    rings[queue].attach(receive: receive, transmit: transmit)
  }
  /// Takes packets that this host sent to itself. Context of the queue.
  public func receive(
    queue: Int, limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue
  ) -> ReceiveOutcome {
    rings[queue].take(limit: limit, now: now, into: &batch)
  }
  /// Puts the packet into the ring, or gives it back with the queue stopped (TX-BUSY).
  public func send(_ packet: consuming Packet, queue: Int) -> Packet? { rings[queue].put(packet) }
  /// Puts them into the ring, if there is room for all.
  public func sendAll(_ frames: inout PacketQueue, queue: Int) -> Bool { rings[queue].putAll(&frames) }
  /// Tells the receiver, once for the batch.
  public func flush(queue: Int) { rings[queue].signal() }
  /// Nothing comes back: a sent packet is the receiver's to free.
  public func complete(queue: Int, into completed: inout PacketQueue) {}
}
