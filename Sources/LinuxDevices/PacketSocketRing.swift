import Buffers
import CLinux
import Devices
import Glibc
import Timing

/// The receiving side of a packet socket: a ring shared with the kernel.
@safe struct PacketSocketRing: ~Copyable {
  private let descriptor: Int32
  private let ring: UnsafeMutablePointer<sluice_packet_ring>

  /// A ring for frames of at most `longest` bytes, link header and tag included; the descriptor stays the caller's.
  init(_ descriptor: Int32, longest: Int) throws(LinkError) {
    var opened = unsafe sluice_packet_ring()
    let result = unsafe sluice_packet_ring_open(
      &opened, descriptor, UInt32(longest),
      UInt32(min(PacketSocketDevice.ringFrames, PacketSocketDevice.ringBytes / max(2048, longest))))
    guard result == 0 else { throw .packetRingRefused(errno: -result) }
    self.descriptor = descriptor
    unsafe ring = .allocate(capacity: 1)
    unsafe ring.initialize(to: opened)
  }

  deinit {
    unsafe sluice_packet_ring_close(ring)
    unsafe ring.deallocate()
  }

  func receive(
    limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue, _ counters: DeviceCounters
  ) -> ReceiveOutcome {
    for _ in 0..<limit {
      var frame = unsafe sluice_packet_frame()
      guard unsafe sluice_packet_ring_peek(ring, &frame) != 0 else { return .drained }
      if unsafe frame.is_losing != 0 { countRingDrops(counters) }
      guard var packet = pool.allocate() else {
        unsafe sluice_packet_ring_pop(ring)
        counters.receiveOutOfBuffers.increment()
        counters.receiveDrops.increment()
        continue
      }
      let isWhole = unsafe packet.copy(frame, pool)
      unsafe sluice_packet_ring_pop(ring)
      guard isWhole else {
        counters.receiveDrops.increment()
        continue
      }
      packet.metadata.arrival = now
      counters.framesReceived.increment()
      counters.bytesReceived.increment(by: UInt64(packet.totalCount))
      batch.append(packet)
    }
    return .more
  }

  private func countRingDrops(_ counters: DeviceCounters) {
    let drops = sluice_packet_drops(descriptor)
    counters.receiveCalls.increment()
    if drops > 0 { counters.receiveDrops.increment(by: UInt64(drops)) }
  }
}

extension Packet {
  /// Fills an empty packet with a frame of the ring, and memory beside it with what does not fit there. A tag that the
  /// kernel took off goes back behind the two addresses. False: it was cut short, or there is no memory.
  mutating func copy(_ frame: sluice_packet_frame, _ pool: PacketPoolRef) -> Bool {
    let tag = unsafe frame.vlan_protocol == 0 ? 0 : 4
    let total = unsafe Int(frame.count)
    let addresses = 12
    guard unsafe frame.count == frame.original_count, total > addresses else { return false }
    let here = total + tag <= tailroom ? total + tag : PacketPoolRef.slotShare
    var rest = here - tag
    if rest < total {
      unsafe pool.forEachSpare { piece in
        let count = min(piece.count, total - rest)
        if count > 0, let base = piece.baseAddress {
          unsafe base.copyMemory(from: frame.bytes + rest, byteCount: count)
          rest += count
        }
      }
      guard rest == total else { return false }
    }
    append(here)
    let bytes = unsafe dataAddress
    if tag == 0 {
      unsafe bytes.copyMemory(from: frame.bytes, byteCount: here)
    } else {
      unsafe bytes.copyMemory(from: frame.bytes, byteCount: addresses)
      unsafe bytes.storeBytes(of: frame.vlan_protocol.bigEndian, toByteOffset: addresses, as: UInt16.self)
      unsafe bytes.storeBytes(of: frame.vlan_tag.bigEndian, toByteOffset: addresses + 2, as: UInt16.self)
      unsafe (bytes + addresses + tag).copyMemory(
        from: frame.bytes + addresses, byteCount: here - tag - addresses)
    }
    pool.attachSpare(total + tag - here, to: &self)
    // A sender on this machine that leaves its checksum to the link: the bytes never were on a wire.
    if unsafe frame.lacks_checksum != 0 { metadata.flags.insert(.checksumVerified) }
    return true
  }
}
