import Buffers
import Exclusion
import Testing
import Wire

@testable import Devices

/// Super-segments that are cut where no device does it.
@Suite struct SegmentationTests {
  private static let link = 14

  /// A frame of TCP or UDP whose payload lies in attached pieces, with its checksum left to a device.
  private func frame(
    _ pool: PacketPoolRef, _ chunks: ChunkPoolRef, _ payload: [UInt8], isIPv4: Bool, isTCP: Bool, size: Int,
    flags: TCPFlags = [.ack, .psh, .fin, .cwr], dontFragment: Bool = false
  ) -> Packet {
    var packet = pool.allocate()!
    var chain = chunks.makeChain(copying: unsafe payload.span.bytes)!
    #expect(packet.attach(&chain, offset: 0, count: payload.count) == payload.count)
    let transport = isTCP ? 32 : 8
    let (source, destination) =
      isIPv4
      ? (IPAddress("10.0.0.1")!, IPAddress("10.0.0.2")!) : (IPAddress("fd00::1")!, IPAddress("fd00::2")!)
    let network = isIPv4 ? 20 : 40
    packet.prepend(Self.link + network + transport)
    packet.metadata.networkOffset = UInt16(packet.startOffset + Self.link)
    let total = transport + payload.count
    let ip = emitting(network) { span in
      if isIPv4 {
        IPv4Header(
          source: source.ipv4!, destination: destination.ipv4!, protocol: isTCP ? .tcp : .udp,
          payloadByteCount: total, identification: 0xFFFF, dontFragment: dontFragment
        ).emit(into: &span)
      } else {
        IPv6Header(
          source: source.ipv6!, destination: destination.ipv6!, nextHeader: isTCP ? .tcp : .udp,
          payloadByteCount: total
        ).emit(into: &span)
      }
    }
    let segment = emitting(transport) { span in
      if isTCP {
        var options = TCPOptions()
        options.timestamps = TCPTimestamps(value: 7, echo: 8)
        TCPHeader(
          sourcePort: 1, destinationPort: 2, sequence: SequenceNumber(0xFFFF_FF00),
          acknowledgment: SequenceNumber(9), flags: flags, window: 77, options: options
        ).emit(into: &span)
      } else {
        span.set(1 as UInt16, at: 0)
        span.set(2 as UInt16, at: 2)
        span.set(UInt16(total), at: 4)
      }
      InternetChecksum.sealPartially(
        &span, at: isTCP ? 16 : 6, source: source, destination: destination,
        protocol: isTCP ? .tcp : .udp, byteCount: total)
    }
    let headers = [UInt8](repeating: 0, count: Self.link) + ip + segment
    unsafe packet.withUnsafeMutableBytes { unsafe $0.copyBytes(from: headers) }
    packet.metadata.offload.needsChecksum = true
    packet.metadata.offload.checksumStart = UInt16(Self.link + network)
    packet.metadata.offload.checksumOffset = isTCP ? 16 : 6
    packet.metadata.offload.segmentSize = UInt16(size)
    packet.metadata.offload.segmentation = isTCP ? isIPv4 ? .tcp4 : .tcp6 : .udp
    return packet
  }

  private func emitting(_ count: Int, _ emit: (inout MutableRawSpan) -> Void) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var span = bytes.mutableSpan
    var raw = unsafe span.mutableBytes
    emit(&raw)
    return bytes
  }

  /// What a receiver makes of a frame: right checksums, and what differs between segments.
  private struct Seen: Equatable {
    var sequence: UInt32 = 0
    var flags: TCPFlags = []
    var identification: UInt16 = 0
    var payload: [UInt8] = []
  }
  private func look(_ frame: [UInt8], isIPv4: Bool, isTCP: Bool) throws -> Seen {
    var seen = Seen()
    let bytes = unsafe frame.span.bytes.extracting(Self.link..<frame.count)
    let (source, destination): (IPAddress, IPAddress)
    let start: Int
    if isIPv4 {
      let view = try IPv4View(bytes)
      #expect(view.isChecksumValid && view.totalLength == bytes.byteCount)
      seen.identification = view.identification
      (source, destination, start) = (IPAddress(view.source), IPAddress(view.destination), 20)
    } else {
      let view = try IPv6View(bytes)
      #expect(view.payloadLength == bytes.byteCount - 40)
      (source, destination, start) = (IPAddress(view.source), IPAddress(view.destination), 40)
    }
    let segment = bytes.extracting(start..<bytes.byteCount)
    let number: IPProtocol = isTCP ? .tcp : .udp
    #expect(InternetChecksum.of(segment, source: source, destination: destination, protocol: number) == 0)
    var payload = 8
    if isTCP {
      let (header, count) = try TCPHeader.parse(segment)
      (seen.sequence, seen.flags, payload) = (header.sequence.rawValue, header.flags, count)
      #expect(header.window == 77 && header.options.timestamps == TCPTimestamps(value: 7, echo: 8))
    } else {
      #expect(segment.uint16(at: 4) == UInt16(segment.byteCount))
    }
    for offset in payload..<segment.byteCount { seen.payload.append(segment.uint8(at: offset)) }
    return seen
  }

  @Test(arguments: [true, false], [true, false])
  func theQueueOfADeviceThatCannotGetsSegments(isIPv4: Bool, isTCP: Bool) throws {
    let bench = try Bench(completion: .later, slots: 64)
    bench.device.keepsFrames = true
    let chunks = ChunkPool(limit: 64)
    let payload = (0..<10_001).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
    bench.run { cx in
      let packet = frame(bench.pool.ref, chunks.ref, payload, isIPv4: isIPv4, isTCP: isTCP, size: 1400)
      bench.queue.send(packet, &cx)
    }
    bench.drain()
    let seen = try bench.device.frames.map { try look($0, isIPv4: isIPv4, isTCP: isTCP) }
    #expect(seen.count == 8)
    #expect(Array(seen.map(\.payload).joined()) == payload)
    if isIPv4 { #expect(seen.map(\.identification) == (0..<8).map { 0xFFFF &+ $0 }) }
    if isTCP {
      #expect(seen.map(\.sequence) == (0..<8).map { 0xFFFF_FF00 &+ $0 &* 1400 })
      #expect(seen[0].flags == [.ack, .cwr])
      #expect(seen[1..<7].allSatisfy { $0.flags == .ack })
      #expect(seen[7].flags == [.ack, .psh, .fin])
    }
    #expect(bench.queue.counters.softwareSegmented.value == 1)
    #expect(bench.queue.counters.offloadDrops.value == 0)
    #expect(bench.pool.counters.inUse == 0 && chunks.ref.counters.inUse == 0)
  }

  /// One segment whose payload lies apart, and whose checksum is left to the device.
  /// Those that differ in nothing but their numbers have the headers of the one before them; the last one has its own.
  @Test(arguments: [true, false], [1400, 1401])
  func segmentsOfBulkAreLikeTheOneBefore(isIPv4: Bool, size: Int) throws {
    for rest in [size, 700] {
      let bench = try Bench(completion: .later, slots: 64)
      bench.device.keepsFrames = true
      let chunks = ChunkPool(limit: 64)
      let payload = (0..<7 * size + rest).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
      bench.run { cx in
        let packet = frame(
          bench.pool.ref, chunks.ref, payload, isIPv4: isIPv4, isTCP: true, size: size,
          flags: [.ack, .psh, .fin], dontFragment: true)
        bench.queue.send(packet, &cx)
      }
      bench.drain()
      let seen = try bench.device.frames.map { try look($0, isIPv4: isIPv4, isTCP: true) }
      #expect(seen.map(\.payload.count) == Array(repeating: size, count: 7) + [rest])
      #expect(Array(seen.map(\.payload).joined()) == payload)
      #expect(seen.map(\.sequence) == (0..<8).map { 0xFFFF_FF00 &+ $0 &* UInt32(size) })
      #expect(seen[..<7].allSatisfy { $0.flags == .ack } && seen[7].flags == [.ack, .psh, .fin])
      if isIPv4 { #expect(seen.allSatisfy { $0.identification == 0xFFFF }) }
      #expect(bench.pool.counters.inUse == 0 && chunks.ref.counters.inUse == 0)
    }
  }

  @Test func aSegmentInPiecesIsGathered() throws {
    let bench = try Bench(completion: .later, slots: 4)
    bench.device.keepsFrames = true
    let chunks = ChunkPool(limit: 4)
    let payload = (0..<1400).map { UInt8(truncatingIfNeeded: $0) }
    let account = UnsafeMutablePointer<PacketCredit>.allocate(capacity: 1)
    unsafe account.initialize(to: PacketCredit(bell: GateBell(bench.queue.gate, GateEvents(rawValue: 0))))
    let credit = unsafe PacketCreditRef(UnsafePointer(account))
    bench.run { cx in
      var packet = frame(bench.pool.ref, chunks.ref, payload, isIPv4: true, isTCP: true, size: 0)
      credit.take(packet.charge)
      packet.credit = credit
      packet.metadata.offload.segmentation = .none
      bench.queue.send(packet, &cx)
    }
    #expect(chunks.ref.counters.inUse == 0)
    bench.drain()
    try #require(bench.device.frames.count == 1)
    #expect(try look(bench.device.frames[0], isIPv4: true, isTCP: true).payload == payload)
    #expect(credit.outstanding == 0, "it went out with what was attached, and came back without")
    unsafe account.deinitialize(count: 1)
    unsafe account.deallocate()
  }

  /// What says that it is a super-segment and is none is dropped, and counted.
  @Test func whatMakesNoSenseIsDropped() throws {
    let bench = try Bench(completion: .atOnce, slots: 4)
    let chunks = ChunkPool(limit: 64)
    let wrongs: [(inout Packet) -> Void] = [
      { $0.metadata.networkOffset = 0 },
      { $0.metadata.offload.segmentSize = 0 },
      { $0.metadata.offload.segmentSize = 60_000 },
      { $0.metadata.offload.segmentation = .tcp6 },
      { $0.trimBack(1) },
      { packet in
        var bytes = packet.mutableBytes
        bytes.set(0x4F as UInt8, at: Self.link)
        bytes.set(0xFF as UInt8, at: Self.link + 46)
      },
    ]
    for wrong in wrongs {
      bench.run { cx in
        var packet = frame(
          bench.pool.ref, chunks.ref, [UInt8](repeating: 1, count: 5000), isIPv4: true, isTCP: true,
          size: 1000)
        wrong(&packet)
        bench.queue.send(packet, &cx)
      }
    }
    #expect(bench.queue.counters.offloadDrops.value == UInt64(wrongs.count))
    #expect(bench.device.inRing == 0)
    #expect(bench.pool.counters.inUse == 0 && chunks.ref.counters.inUse == 0)
  }

  /// TCP small queues: what a super-segment was on account for, its segments are.
  @Test func creditGoesOnToTheSegments() throws {
    let bench = try Bench(completion: .later, slots: 64)
    let chunks = ChunkPool(limit: 64)
    let account = UnsafeMutablePointer<PacketCredit>.allocate(capacity: 1)
    unsafe account.initialize(to: PacketCredit(bell: GateBell(bench.queue.gate, GateEvents(rawValue: 0))))
    let credit = unsafe PacketCreditRef(UnsafePointer(account))
    bench.run { cx in
      var packet = frame(
        bench.pool.ref, chunks.ref, [UInt8](repeating: 1, count: 4000), isIPv4: true, isTCP: true, size: 1000)
      credit.take(packet.charge)
      packet.credit = credit
      bench.queue.send(packet, &cx)
    }
    #expect(credit.outstanding == 4 * Packet.occupied)
    bench.drain()
    #expect(credit.outstanding == 0)
    unsafe account.deinitialize(count: 1)
    unsafe account.deallocate()
  }
}
