import Buffers
import CLinux
import Devices
import Glibc
import Timing

/// One packet socket, with its ring on one side and its batch on the other; the sides share no memory.
@safe final class PacketSocketQueue: @unchecked Sendable {
  let descriptor: Int32
  let counters = DeviceCounters()
  private let ring: UnsafeMutablePointer<sluice_packet_ring>
  private let batch: UnsafeMutablePointer<SendBatch>

  /// Takes `descriptor` over, also if it throws not; `longest` frame in bytes, link header and tag included.
  init(_ descriptor: Int32, longest: Int) throws(LinkError) {
    self.descriptor = descriptor
    unsafe ring = .allocate(capacity: 1)
    unsafe ring.initialize(to: sluice_packet_ring())
    unsafe batch = .allocate(capacity: 1)
    unsafe batch.initialize(to: SendBatch(descriptor: descriptor, counters: counters))
    let result = unsafe sluice_packet_ring_open(
      ring, descriptor, UInt32(longest), UInt32(PacketSocketDevice.ringFrames))
    guard result == 0 else { throw .packetRingRefused(errno: -result) }
  }

  deinit {
    unsafe batch.deinitialize(count: 1)
    unsafe batch.deallocate()
    unsafe sluice_packet_ring_close(ring)
    unsafe ring.deallocate()
    close(descriptor)
  }

  func attach(_ transmit: TransmitQueueRef) { unsafe batch.pointee.state.transmit = transmit }
  func send(_ packet: consuming Packet) -> Packet? { unsafe batch.pointee.add(packet) }
  func flush() { unsafe batch.pointee.flush() }
  func complete(into completed: inout PacketQueue) { unsafe batch.pointee.complete(into: &completed) }

  func receive(
    limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue
  ) -> ReceiveOutcome {
    for _ in 0..<limit {
      var frame = unsafe sluice_packet_frame()
      guard unsafe sluice_packet_ring_peek(ring, &frame) != 0 else { return .drained }
      if unsafe frame.is_losing != 0 { countRingDrops() }
      guard let packet = pool.allocate() else {
        unsafe sluice_packet_ring_pop(ring)
        counters.receiveOutOfBuffers.increment()
        counters.receiveDrops.increment()
        continue
      }
      unsafe take(frame, packet, now: now, into: &batch)
      unsafe sluice_packet_ring_pop(ring)
    }
    return .more
  }

  /// Copies a frame out of the ring. A tag that the kernel took off goes back behind the two addresses.
  private func take(
    _ frame: sluice_packet_frame, _ packet: consuming Packet, now: Instant, into batch: inout PacketQueue
  ) {
    let tag = unsafe frame.vlan_protocol == 0 ? 0 : 4
    let count = unsafe Int(frame.count)
    let addresses = 12
    let isWhole = unsafe frame.count == frame.original_count && count > addresses
    guard isWhole, count + tag <= packet.tailroom else {
      counters.receiveDrops.increment()
      return
    }
    packet.append(count + tag)
    let bytes = unsafe packet.dataAddress
    if tag == 0 {
      unsafe bytes.copyMemory(from: frame.bytes, byteCount: count)
    } else {
      unsafe bytes.copyMemory(from: frame.bytes, byteCount: addresses)
      unsafe bytes.storeBytes(of: frame.vlan_protocol.bigEndian, toByteOffset: addresses, as: UInt16.self)
      unsafe bytes.storeBytes(of: frame.vlan_tag.bigEndian, toByteOffset: addresses + 2, as: UInt16.self)
      unsafe (bytes + addresses + tag).copyMemory(from: frame.bytes + addresses, byteCount: count - addresses)
    }
    packet.metadata.arrival = now
    // A sender on this machine that leaves its checksum to the link: the bytes never were on a wire.
    if unsafe frame.lacks_checksum != 0 { packet.metadata.flags.insert(.checksumVerified) }
    counters.framesReceived.increment()
    counters.bytesReceived.increment(by: UInt64(count + tag))
    batch.append(packet)
  }

  private func countRingDrops() {
    let drops = sluice_packet_drops(descriptor)
    counters.receiveCalls.increment()
    if drops > 0 { counters.receiveDrops.increment(by: UInt64(drops)) }
  }
}
