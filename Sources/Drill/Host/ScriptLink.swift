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
  /// Packets that are larger than a slot leave as they are gathered; where none is, nothing is gathered.
  let offloads: DeviceOffloads
  private let clock: VirtualClock
  private let tally = DeviceCounters()
  private var signal: ReceiveSignalRef?
  private var arrived: [Arrival] = []
  private var left: [DrillHost.Emission] = []
  /// Packets that did not fit into a slot.
  private(set) var refused = 0

  /// Bytes of a packet that surely fits into a slot.
  private static var slotted: Int { 1800 }

  init(mtu: Int, clock: VirtualClock) {
    self.mtu = mtu
    offloads = mtu > Self.slotted ? .gathering : []
    self.clock = clock
  }

  /// How many packets left since they were taken.
  var waiting: Int { left.count }

  /// A packet that waits to be received: what it stands for, if it is to arrive as one that a driver has joined.
  private struct Arrival {
    var bytes: [UInt8]
    var joined: Joined?
  }

  /// A super-segment's payload is that of so many segments, each of so many bytes but the last.
  struct Joined {
    /// Bytes of each but the last.
    var size: UInt16
    /// How many there are.
    var count: UInt16
  }

  /// A packet is there, of up to 64 KiB if it is a segment of TCP's. False: it is something else, and no slot is as
  /// large.
  func inject(_ packet: [UInt8], _ joined: Joined? = nil, isSegment: Bool = false) -> Bool {
    guard isSegment || packet.count <= Packet.capacity - Packet.headroomDefault else {
      refused += 1
      return false
    }
    arrived.append(Arrival(bytes: packet, joined: joined))
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
    for arrival in arrived.prefix(count) {
      guard var packet = Self.packet(arrival.bytes, pool) else {
        tally.receiveOutOfBuffers.increment()
        tally.receiveDrops.increment()
        continue
      }
      if let joined = arrival.joined {
        packet.metadata.offload.segmentSize = joined.size
        packet.metadata.offload.segmentCount = joined.count
      }
      packet.metadata.arrival = now
      tally.framesReceived.increment()
      tally.bytesReceived.increment(by: UInt64(arrival.bytes.count))
      batch.append(packet)
    }
    arrived.removeFirst(count)
    return arrived.isEmpty ? .drained : .more
  }

  /// The bytes as a packet: in its slot, and what does not fit there in chunks behind it, as super-segments are
  /// received. Nil: there is no memory for it.
  private static func packet(_ bytes: [UInt8], _ pool: PacketPoolRef) -> Packet? {
    guard var packet = pool.allocate() else { return nil }
    let isWhole = bytes.count <= packet.tailroom
    packet.append(isWhole ? bytes.count : PacketPoolRef.slotShare)
    let inSlot = packet.count
    unsafe packet.withUnsafeMutableBytes { memory in
      unsafe bytes.withUnsafeBytes {
        unsafe memory.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<inSlot]))
      }
    }
    if isWhole { return packet }
    var next = inSlot
    unsafe pool.forEachSpare { memory in
      let part = next..<min(next + memory.count, bytes.count)
      unsafe bytes.withUnsafeBytes {
        unsafe memory.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[part]))
      }
      next = part.upperBound
    }
    guard next == bytes.count else { return nil }
    pool.attachSpare(bytes.count - inSlot, to: &packet)
    return packet
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
