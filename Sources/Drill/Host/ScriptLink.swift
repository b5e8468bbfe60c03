import Buffers
import Devices
import Exclusion
import Timing

/// The host's only way out: bare IP packets, kept with the time of their leaving until somebody takes them. It carries
/// everything at once, and is never full.
///
/// One thread, that of the scheduler: contexts are stepped by whoever injects and takes.
final class ScriptLink: Device, @unchecked Sendable {  // one thread
  let name = "script0"
  let mtu: Int
  let linkLayer = LinkLayer.ip
  let queueCount = 1
  private let clock: VirtualClock
  private let tally = DeviceCounters()
  private var signal: ReceiveSignalRef?
  private var arrived: [[UInt8]] = []
  private var left: [DrillHost.Emission] = []
  /// Packets that did not fit into a slot.
  private(set) var refused = 0

  init(mtu: Int, clock: VirtualClock) {
    self.mtu = mtu
    self.clock = clock
  }

  /// How many packets left since they were taken.
  var waiting: Int { left.count }

  /// A packet is there. False: no slot is as large.
  func inject(_ packet: [UInt8]) -> Bool {
    guard packet.count <= Packet.capacity - Packet.headroomDefault else {
      refused += 1
      return false
    }
    arrived.append(packet)
    signal?.raise()
    return true
  }
  /// What left.
  func take() -> [DrillHost.Emission] {
    defer { left = [] }
    return left
  }

  func counters(queue: Int) -> DeviceCounters { tally }
  func descriptor(queue: Int) -> Int32? { nil }
  func attach(queue: Int, receive: ReceiveSignalRef, transmit: TransmitQueueRef) { signal = receive }

  func receive(
    queue: Int, limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue
  ) -> ReceiveOutcome {
    let count = min(limit, arrived.count)
    for bytes in arrived.prefix(count) {
      guard var packet = pool.allocate() else {
        tally.receiveOutOfBuffers.increment()
        tally.receiveDrops.increment()
        continue
      }
      packet.append(bytes.count)
      unsafe packet.withUnsafeMutableBytes { memory in
        unsafe bytes.withUnsafeBytes { unsafe memory.copyMemory(from: $0) }
      }
      packet.metadata.arrival = now
      tally.framesReceived.increment()
      tally.bytesReceived.increment(by: UInt64(bytes.count))
      batch.append(packet)
    }
    arrived.removeFirst(count)
    return arrived.isEmpty ? .drained : .more
  }

  func send(_ packet: consuming Packet, queue: Int) -> Packet? {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(packet.totalCount)
    packet.forEachSpan(from: 0, count: packet.totalCount) { span in
      for offset in 0..<span.byteCount { bytes.append(span.uint8(at: offset)) }
    }
    tally.framesSent.increment()
    tally.bytesSent.increment(by: UInt64(bytes.count))
    left.append(DrillHost.Emission(time: clock.now(), bytes: bytes))
    _ = consume packet
    return nil
  }
  func flush(queue: Int) {}
  func complete(queue: Int, into completed: inout PacketQueue) {}
}
