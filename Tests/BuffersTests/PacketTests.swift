import Testing
import Timing
import Wire

@testable import Buffers

@Suite struct PacketTests {
  @Test func headersArePrependedAndTrimmedAway() {
    let pool = PacketPool(limit: 128)
    do {
      var packet = pool.ref.allocate()!
      #expect(packet.count == 0 && packet.headroom == 128 && packet.tailroom == 1920 - 128)
      packet.write([1, 2, 3, 4])
      packet.prepend(2)
      var span = packet.mutableBytes
      span.store(8, at: 0)
      span.store(9, at: 1)
      #expect(packet.allBytes() == [8, 9, 1, 2, 3, 4])
      #expect(packet.headroom == 126)
      packet.trimFront(3)
      packet.trimBack(1)
      #expect(packet.allBytes() == [2, 3])
      packet.prepend(3)  // back to what was trimmed: ICMP quotes headers that input has passed
      #expect(packet.allBytes() == [8, 9, 1, 2, 3])
      packet.truncate(to: 9)
      packet.truncate(to: 1)
      #expect(packet.allBytes() == [8])
      packet.reset(headroom: 0)
      #expect(packet.count == 0 && packet.tailroom == Packet.capacity)
      packet.append(Packet.capacity)
      #expect(packet.tailroom == 0 && packet.bytes.byteCount == 1920)
    }
    #expect(pool.counters.inUse == 0)
  }

  @Test func metadataTravelsInTheSlot() {
    let pool = PacketPool(limit: 128)
    var packet = pool.ref.allocate()!
    packet.metadata.source = IPAddress(high: 1, low: 2)
    packet.metadata.arrival = Instant(milliseconds: 5)
    packet.metadata.offload.segmentation = .tcp6
    packet.metadata.offload.segmentSize = 1440
    packet.metadata.trafficClass = 3
    packet.metadata.flags.insert(.linkMulticast)
    packet.metadata.networkOffset = UInt16(packet.startOffset)
    packet.write([7])
    let item = packet.intoItem()
    item.value = 99

    var same = Packet(item: item)
    #expect(same.allBytes() == [7])
    #expect(same.metadata.source == IPAddress(high: 1, low: 2))
    #expect(same.metadata.arrival == Instant(milliseconds: 5))
    #expect(same.metadata.offload.segmentation == .tcp6)
    #expect(same.metadata.offload.segmentSize == 1440)
    #expect(same.metadata.congestionExperienced)
    #expect(same.metadata.flags == .linkMulticast)
    #expect(same.metadata.networkOffset == 128)
    same.reset()
    _ = consume same
    #expect(pool.counters.inUse == 0)

    // The slot is used again, and nothing of its last packet shows.
    let fresh = pool.ref.allocate()!
    #expect(fresh.metadata.source.isUnspecified)
    #expect(fresh.metadata.flags.isEmpty && fresh.metadata.arrival == .zero)
    #expect(fresh.count == 0 && fresh.pieceCount == 0)
  }

  @Test func metadataFitsItsPlace() {
    #expect(MemoryLayout<PacketMetadata>.size <= PacketLayout.start - PacketLayout.metadata)
    #expect(PacketLayout.metadata % MemoryLayout<PacketMetadata>.alignment == 0)
    #expect(MemoryLayout<PacketPiece>.size == PacketLayout.pieceBytes)
    #expect(MemoryLayout<Packet?>.size == 8)
  }

  @Test func outOfBoundsTrapsAreNamed() async {
    await #expect(processExitsWith: .failure) {
      let pool = PacketPool(limit: 128)
      var packet = pool.ref.allocate()!
      packet.append(packet.tailroom + 1)
    }
    await #expect(processExitsWith: .failure) {
      let pool = PacketPool(limit: 128)
      var packet = pool.ref.allocate()!
      packet.prepend(129)
    }
    await #expect(processExitsWith: .failure) {
      let pool = PacketPool(limit: 128)
      var packet = pool.ref.allocate()!
      packet.append(10)
      packet.trimFront(11)
    }
    await #expect(processExitsWith: .failure) {
      let pool = PacketPool(limit: 128)
      var packet = pool.ref.allocate()!
      packet.append(10)
      packet.trimBack(-1)
    }
  }
}
