import Buffers
import Devices
import Glibc
import Testing
import Timing
import Wire

@testable import LinuxDevices

/// Queues whose frames have a header of offloads in front: a pair of datagram sockets stands for a TUN with IFF_VNET_HDR.
@Suite("Headers of offloads")
struct HeaderTests {
  @safe final class Rig {
    let far: Int32
    let device: TapDevice
    let pool = PacketPool(limit: 256, reserve: 0)

    init() {
      var ends: [Int32] = [0, 0]
      let type = Int32(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
      #expect(unsafe socketpair(AF_UNIX, type, 0, &ends) == 0)
      device = TapDevice(
        adopting: [ends[0]], name: "pair", mtu: 1500, linkLayer: .ip,
        offloads: [.gathering, .checksum, .tcp4, .tcp6, .udp])
      far = ends[1]
    }
    deinit { close(far) }

    /// The far end sends a frame; what the device makes of it.
    func receive(_ header: VirtioNetHeader, _ frame: [UInt8]) -> PacketQueue {
      var bytes = [UInt8](repeating: 0, count: VirtioNetHeader.byteCount) + frame
      var span = bytes.mutableSpan
      var raw = unsafe span.mutableBytes
      header.emit(into: &raw)
      return receive(bytes)
    }
    func receive(_ bytes: [UInt8]) -> PacketQueue {
      #expect(unsafe write(far, bytes, bytes.count) == bytes.count)
      var batch = PacketQueue()
      #expect(
        device.receive(queue: 0, limit: 4, pool: pool.ref, now: Instant(milliseconds: 3), into: &batch)
          == .drained)
      return batch
    }
    func taken(_ batch: borrowing PacketQueue) -> Int { batch.count }
    var counters: DeviceCounters { device.counters(queue: 0) }
  }

  /// A packet of TCP or UDP over IPv4.
  private func packet(_ payload: [UInt8], isTCP: Bool = true) -> [UInt8] {
    let total = (isTCP ? 20 : 8) + payload.count
    let start = 20 + total - payload.count
    var bytes = [UInt8](repeating: 0, count: 20 + total)
    var span = bytes.mutableSpan
    var raw = unsafe span.mutableBytes
    IPv4Header(
      source: IPv4Address(10, 0, 0, 1), destination: IPv4Address(10, 0, 0, 2), protocol: isTCP ? .tcp : .udp,
      payloadByteCount: total
    ).emit(into: &raw)
    raw.set(5 as UInt16, at: 20)
    raw.set(6 as UInt16, at: 22)
    if isTCP { raw.set(0x5010 as UInt16, at: 32) } else { raw.set(UInt16(total), at: 24) }
    for index in payload.indices { raw.set(payload[index], at: start + index) }
    return bytes
  }
  private func pattern(_ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
  }
  private func header(_ kind: VirtioNetHeader.Kind, _ size: UInt16) -> VirtioNetHeader {
    var header = VirtioNetHeader()
    header.flags = .needsChecksum
    (header.kind, header.segmentSize) = (kind, size)
    (header.checksumStart, header.checksumOffset) = (20, kind == .udp ? 6 : 16)
    return header
  }
  private func bytes(_ packet: borrowing Packet) -> [UInt8] {
    var bytes: [UInt8] = []
    packet.forEachSpan(from: 0, count: packet.totalCount) { span in
      for offset in 0..<span.byteCount { bytes.append(span.uint8(at: offset)) }
    }
    return bytes
  }

  @Test func aSuperSegmentIsOnePacket() throws {
    let rig = Rig()
    let sent = self.packet(pattern(65_495))
    var batch = rig.receive(header(.tcp4, 1400), sent)
    try #require(batch.count == 1)
    let packet = batch.popFirst()!
    #expect(bytes(packet) == sent)
    #expect(packet.metadata.flags == .checksumVerified)
    #expect(packet.metadata.offload.segmentSize == 1400 && packet.metadata.offload.segmentCount == 47)
    #expect(packet.metadata.arrival == Instant(milliseconds: 3))
    #expect(!packet.metadata.offload.needsChecksum && packet.metadata.offload.segmentation == .none)
    #expect(rig.counters.receiveCalls.value == 2, "one for the frame, one that found no other")
  }

  @Test(arguments: [20, 1500, 1520, 1521, 1700, 1792])
  func aFrameThatFitsLiesInTheSlot(count: Int) throws {
    let rig = Rig()
    let sent = pattern(count)
    var batch = rig.receive(VirtioNetHeader(), sent)
    let packet = batch.popFirst()!
    #expect(packet.pieceCount == 0 && bytes(packet) == sent)
    #expect(packet.metadata.flags == [])
  }

  @Test func datagramsAreCut() throws {
    let rig = Rig()
    let payload = pattern(3500)
    var batch = rig.receive(header(.udp, 1400), packet(payload, isTCP: false))
    var seen: [UInt8] = []
    var lengths: [Int] = []
    while let packet = batch.popFirst() {
      let all = bytes(packet)
      lengths.append(all.count - 28)
      #expect(all[24] == UInt8((all.count - 20) >> 8) && all[25] == UInt8(truncatingIfNeeded: all.count - 20))
      #expect(packet.metadata.flags == .checksumVerified)
      seen += all[28...]
    }
    #expect(lengths == [1400, 1400, 700] && seen == payload)
  }

  /// What does not fit together is dropped, and counted.
  @Test func whatDoesNotFitIsRefused() {
    let rig = Rig()
    let good = packet(pattern(5000))
    var far = header(.tcp4, 1400)
    far.checksumStart = 1510
    var fragment = good
    fragment[6] = 0x20
    var shortHeader = good
    shortHeader[32] = 0x40
    var longHeader = [UInt8](good[..<40])
    (longHeader[3], longHeader[32]) = (40, 0xF0)
    let cases: [(VirtioNetHeader, [UInt8])] = [
      (header(.tcp6, 1400), good), (header(.udp, 1400), good), (header(.tcp4, 0), good),
      (header(.init(rawValue: 3), 1400), good), (header(.init(rawValue: 0x7F), 1400), good),
      (far, good), (header(.tcp4, 1400), fragment), (header(.tcp4, 1400), shortHeader),
      (header(.tcp4, 1400), longHeader), (header(.tcp4, 1400), [UInt8](good.dropLast())),
      (header(.tcp4, 1400), good + [0]), (header(.tcp4, 1400), [0x45]),
      (header(.udp, 1), packet(pattern(5000), isTCP: false)),
    ]
    for (number, (header, frame)) in cases.enumerated() {
      #expect(rig.taken(rig.receive(header, frame)) == 0, "\(number)")
      #expect(rig.counters.receiveHeaderErrors.value == UInt64(number + 1), "\(number)")
    }
    #expect(rig.counters.receiveDrops.value == UInt64(cases.count))
    #expect(rig.taken(rig.receive([1, 2, 3])) == 0, "less than a header")
    #expect(rig.taken(rig.receive([UInt8](repeating: 0, count: 10))) == 0, "nothing behind it")
    let long = [UInt8](repeating: 0, count: 70_000)
    #expect(rig.taken(rig.receive(VirtioNetHeader(), long)) == 0, "more than there is room for")
    #expect(rig.counters.receiveHeaderErrors.value == UInt64(cases.count))
    #expect(rig.pool.ref.inUse == 0)
  }

  /// Whatever the other end writes, nothing worse than a drop comes of it.
  @Test func anyBytesAreTaken() {
    let rig = Rig()
    var state: UInt64 = 0x9E37_79B9
    func random(_ below: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % below
    }
    var taken = 0
    for _ in 0..<2000 {
      var frame = packet(pattern(random(3) == 0 ? 9000 : random(2000)), isTCP: random(3) > 0)
      for _ in 0..<random(4) { frame[random(min(60, frame.count))] = UInt8(random(256)) }
      if random(4) == 0 { frame.removeLast(random(frame.count)) }
      var wrong = header(.init(rawValue: UInt8([0, 1, 4, 5, random(128)][random(5)])), UInt16(random(3000)))
      if random(3) == 0 { wrong.flags = .init(rawValue: UInt8(random(256))) }
      if random(3) == 0 { wrong.checksumStart = UInt16(random(65536)) }
      var batch = rig.receive(wrong, frame)
      while let packet = batch.popFirst() {
        taken += 1
        #expect(packet.totalCount <= frame.count)
        #expect(packet.pieceCount == 0 || packet.metadata.offload.segmentSize > 0 || packet.totalCount > 1792)
      }
    }
    #expect(taken > 100 && rig.counters.receiveHeaderErrors.value > 100)
    #expect(rig.pool.ref.inUse == 0)
  }

  @Test func whatIsSentSaysWhatItLeaves() throws {
    let rig = Rig()
    let chunks = ChunkPool(limit: 64)
    let payload = pattern(60_000)
    do {
      var packet = rig.pool.ref.allocate()!
      var chain = chunks.ref.makeChain(copying: unsafe payload.span.bytes)!
      #expect(packet.attach(&chain, offset: 0, count: payload.count) == payload.count)
      packet.prepend(40)
      packet.metadata.offload.needsChecksum = true
      (packet.metadata.offload.checksumStart, packet.metadata.offload.checksumOffset) = (20, 16)
      packet.metadata.offload.segmentation = .tcp4
      (packet.metadata.offload.segmentSize, packet.metadata.offload.headerLength) = (1400, 40)
      if rig.device.send(packet, queue: 0) != nil { Issue.record("there is room") }
      var done = PacketQueue()
      rig.device.complete(queue: 0, into: &done)
      #expect(done.count == 1)
    }
    #expect(rig.counters.transmitCalls.value == 1 && rig.counters.bytesSent.value == 60_040)
    var seen = [UInt8](repeating: 0, count: 70_000)
    #expect(unsafe read(rig.far, &seen, seen.count) == 60_050)
    #expect(seen[..<10] == [1, 1, 40, 0, 0x78, 5, 20, 0, 16, 0])
    #expect(Array(seen[50..<60_050]) == payload)
    #expect(chunks.ref.counters.inUse == 0)
  }
}
