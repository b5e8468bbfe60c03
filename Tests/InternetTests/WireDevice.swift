import Buffers
import Devices
import Exclusion
import Timing
import Wire

/// A device whose other end is the test: frames go in and out as bytes. Used by one thread, under the manual
/// scheduler.
final class WireDevice: Device, @unchecked Sendable {
  let name: String
  let mtu: Int
  let linkLayer: LinkLayer
  let queueCount: Int
  private let queueCounters: [DeviceCounters]
  private var signals: [ReceiveSignalRef?]
  private var incoming: [[[UInt8]]]
  /// What the stack sent and the test has not yet taken, in order.
  private(set) var sent: [SentFrame] = []
  /// Packets that are with the device until it completes them.
  private var held: [ItemRef] = []

  struct SentFrame {
    var queue: Int
    var bytes: [UInt8]
  }

  init(_ linkLayer: LinkLayer, name: String = "wire0", mtu: Int = 1500, queues: Int = 1) {
    self.linkLayer = linkLayer
    self.name = name
    self.mtu = mtu
    queueCount = queues
    queueCounters = (0..<queues).map { _ in DeviceCounters() }
    signals = Array(repeating: nil, count: queues)
    incoming = Array(repeating: [], count: queues)
  }

  /// A frame arrives on a queue.
  func arrive(_ frame: [UInt8], queue: Int = 0) {
    incoming[queue].append(frame)
    signals[queue]?.raise()
  }
  /// All that was sent since the last call.
  func takeSent() -> [[UInt8]] {
    defer { sent = [] }
    return sent.map(\.bytes)
  }

  func counters(queue: Int) -> DeviceCounters { queueCounters[queue] }
  func descriptor(queue: Int) -> Int32? { nil }
  func attach(queue: Int, receive: ReceiveSignalRef, transmit: TransmitQueueRef) { signals[queue] = receive }

  func receive(
    queue: Int, limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue
  ) -> ReceiveOutcome {
    for _ in 0..<limit {
      guard !incoming[queue].isEmpty else { return .drained }
      guard var packet = pool.allocate() else { return .drained }
      let frame = incoming[queue].removeFirst()
      packet.append(min(frame.count, packet.tailroom))
      var span = packet.mutableBytes
      for index in 0..<span.byteCount { span.set(frame[index], at: index) }
      packet.metadata.arrival = now
      batch.append(packet)
    }
    return .more
  }

  func send(_ packet: consuming Packet, queue: Int) -> Packet? {
    var bytes: [UInt8] = []
    for index in 0..<packet.count { bytes.append(packet.bytes.uint8(at: index)) }
    sent.append(SentFrame(queue: queue, bytes: bytes))
    held.append(packet.intoItem())
    return nil
  }
  func flush(queue: Int) {}
  func complete(queue: Int, into completed: inout PacketQueue) {
    for item in held { completed.append(Packet(item: item)) }
    held = []
  }
}
