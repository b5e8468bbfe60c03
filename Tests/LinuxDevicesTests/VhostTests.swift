import Buffers
import Devices
import Glibc
import Testing
import Timing
import Wire

@testable import LinuxDevices

/// Frames between a guest's memory and packets, in every form that rings have.
@Suite("A guest's rings")
struct VhostTests {
  private static let buffer = VhostGuest.free

  @Test func whatIsNegotiated() throws {
    let rig = try VhostRig()
    let guest = VhostGuest(rig.path)
    func ask(_ message: VhostUserMessage, needsReply: Bool = false) -> [UInt64]? {
      guest.send(message, needsReply: needsReply)
      rig.pump()
      return guest.answer()
    }
    #expect(ask(.getFeatures) == [VhostFeatures.offloading.rawValue])
    #expect(ask(.getProtocolFeatures) == [8])
    #expect(ask(.getQueueCount) == [1])
    // Not before it was agreed on.
    #expect(ask(.setOwner, needsReply: true) == nil)
    #expect(ask(.setProtocolFeatures(8)) == nil)
    #expect(ask(.setOwner, needsReply: true) == [0])
    #expect(ask(.unknown, needsReply: true) == [1])
    #expect(ask(.setFeatures(1 << 32), needsReply: true) == [0])
    #expect(ask(.getRingBase(ring: 1)) == [1])
    #expect(ask(.setRingBase(ring: 1, value: 0xFFFE)) == nil)
    #expect(ask(.getRingBase(ring: 1)) == [0xFFFE << 32 | 1])
    #expect(ask(.resetOwner, needsReply: true) == [0])
    #expect(ask(.setFeatures(1 << 33), needsReply: true) == [1], "a word before the end")
    #expect(guest.isGone && rig.device.statistics.lastError == .features)
  }

  /// Nothing is left to either side where that is not wanted.
  @Test func offloadsAreNotOffered() throws {
    let rig = try VhostRig(offload: false)
    let guest = VhostGuest(rig.path)
    guest.send(.getFeatures)
    rig.pump()
    #expect(guest.answer() == [1 << 32 | 0x7800_8000] && rig.device.offloads == .gathering)
    guest.send(.setFeatures(VhostFeatures.offloading.rawValue))
    rig.pump()
    #expect(guest.isGone && rig.device.statistics.lastError == .features)
  }

  /// The pieces that a stream may cut messages into are no matter.
  @Test func messagesComeInPieces() throws {
    let rig = try VhostRig()
    let guest = VhostGuest(rig.path)
    let bytes = VhostUserMessage.setMemoryTable(VhostGuest.regions).encoded()
    guest.send([UInt8](bytes[..<5]), [guest.file, guest.file])
    rig.pump()
    for byte in bytes[5...] {
      guest.send([byte])
      rig.pump()
    }
    guest.send(.getQueueCount)
    rig.pump()
    #expect(guest.answer() == [1] && rig.device.statistics.broken == 0)
  }

  // MARK: From the guest

  @Test func aFrameInOneDescriptor() throws {
    let rig = try VhostRig()
    let guest = rig.guest()
    let frame = VhostRig.segment(100)
    guest.put(VhostRig.header() + frame, at: Self.buffer)
    guest.describe(1, 3, at: Self.buffer, 12 + frame.count)
    guest.offer(1, 3)
    #expect(rig.pump() == [frame])
    let done = guest.done(1)
    #expect(done.count == 1 && done[0].head == 3 && done[0].bytes == 0)
    #expect(rig.device.counters(queue: 0).bytesReceived.value == UInt64(frame.count))
    #expect(rig.pool.ref.inUse == 0)
  }

  @Test(arguments: [false, true]) func aFrameInManyDescriptors(isIndirect: Bool) throws {
    let rig = try VhostRig()
    let guest = rig.guest()
    let frame = VhostRig.segment(1000)
    let whole = VhostRig.header() + frame
    guest.put(whole, at: Self.buffer)
    // A header in two pieces, pieces of nothing, one that crosses from one piece of memory to the next.
    let across = VhostGuest.half - 10
    guest.put([UInt8](whole[107...]), at: across)
    let table = isIndirect ? VhostGuest.free + 64 << 10 : nil
    let pieces = [
      (Self.buffer, 5), (Self.buffer + 5, 2), (Self.buffer, 0), (Self.buffer + 7, 100),
      (across, whole.count - 107),
    ]
    for (number, piece) in pieces.enumerated() {
      let isLast = number == pieces.count - 1
      guest.describe(1, number, at: piece.0, piece.1, flags: isLast ? 0 : 1, next: number + 1, table: table)
    }
    if let table { guest.describe(1, 0, at: table, pieces.count * 16, flags: 4) }
    guest.offer(1, 0)
    #expect(rig.pump() == [frame])
    #expect(guest.done(1).map(\.head) == [0])
  }

  /// Indices go round at 65,536, and places at the ring's size.
  @Test func aRingGoesRound() throws {
    let rig = try VhostRig()
    let guest = rig.guest(base: 65_530)
    for number in 0..<40 {
      let frame = VhostRig.segment(number)
      guest.put(VhostRig.header() + frame, at: Self.buffer)
      guest.describe(1, number & 7, at: Self.buffer, 12 + frame.count)
      guest.offer(1, number & 7)
      #expect(rig.pump() == [frame])
      #expect(guest.done(1).map(\.head) == [number & 7])
    }
    guest.send(.getRingBase(ring: 1))
    rig.pump()
    #expect(guest.answer() == [UInt64(34) << 32 | 1])
  }

  /// More than one turn takes: the limit is kept, and nothing is lost.
  @Test func aBatchIsBounded() throws {
    let rig = try VhostRig()
    let guest = rig.guest()
    let frame = VhostRig.segment(8)
    guest.put(VhostRig.header() + frame, at: Self.buffer)
    for number in 0..<8 {
      guest.describe(1, number, at: Self.buffer, 12 + frame.count)
      guest.offer(1, number)
    }
    var batch = PacketQueue()
    #expect(
      rig.device.receive(queue: 0, limit: 3, pool: rig.pool.ref, now: .zero, into: &batch) == .more)
    #expect(batch.count == 3 && guest.done(1).count == 3)
    batch.removeAll()
    #expect(rig.pump().count == 5 && guest.done(1).count == 5)
  }

  @Test func aSuperSegmentIsOnePacket() throws {
    let rig = try VhostRig()
    let guest = rig.guest(size: 32)
    let frame = VhostRig.segment(60_000)
    guest.put(VhostRig.header(.tcp4, size: 1400, checksum: true) + frame, at: Self.buffer)
    var at = 0
    let total = 12 + frame.count
    for number in 0..<16 {
      let count = number == 15 ? total - at : 4000
      guest.describe(1, number, at: Self.buffer + at, count, flags: number == 15 ? 0 : 1, next: number + 1)
      at += count
    }
    guest.offer(1, 0)
    var taken = 0
    rig.take { packet in
      taken += 1
      #expect(VhostRig.bytes(packet) == frame)
      #expect(
        packet.metadata.flags == .checksumVerified && packet.metadata.arrival == Instant(milliseconds: 3))
      #expect(packet.metadata.offload.segmentSize == 1400 && packet.metadata.offload.segmentCount == 43)
    }
    #expect(taken == 1)
  }

  /// What does not fit together is dropped and counted, and its chain is the guest's again.
  @Test func framesOfNoSense() throws {
    let rig = try VhostRig()
    let guest = rig.guest()
    let frame = VhostRig.segment(5000)
    let cases: [(header: [UInt8], frame: [UInt8])] = [
      (VhostRig.header(), []), (VhostRig.header(), frame), (VhostRig.header(.tcp6, size: 1400), frame),
      (VhostRig.header(.tcp4, size: 0), frame), (VhostRig.header(.tcp4, size: 9), [1]),
    ]
    for one in cases {
      guest.put(one.header + one.frame, at: Self.buffer)
      guest.describe(1, 0, at: Self.buffer, 12 + one.frame.count)
      guest.offer(1, 0)
      #expect(rig.pump().isEmpty && guest.done(1).count == 1)
    }
    // Shorter than a header; longer than any frame.
    for count in [0, 11, 70_000] {
      guest.describe(1, 0, at: Self.buffer, count)
      guest.offer(1, 0)
      #expect(rig.pump().isEmpty && guest.done(1).count == 1)
    }
    let counters = rig.device.counters(queue: 0)
    #expect(rig.device.statistics.malformedFrames == 5 && counters.receiveHeaderErrors.value == 3)
    #expect(counters.receiveDrops.value == 8 && rig.device.statistics.brokenRings == 0)
    #expect(rig.pool.ref.inUse == 0)
  }

  /// A stack without packets takes frames off the ring all the same.
  @Test func withoutPacketsFramesAreDropped() throws {
    let rig = try VhostRig()
    let guest = rig.guest()
    let frame = VhostRig.segment(10)
    guest.put(VhostRig.header() + frame, at: Self.buffer)
    guest.describe(1, 0, at: Self.buffer, 12 + frame.count)
    guest.offer(1, 0)
    let empty = PacketPool(limit: 8, reserve: 0)
    var held = PacketQueue()
    while let packet = empty.ref.allocate() { held.append(packet) }
    var batch = PacketQueue()
    #expect(rig.device.receive(queue: 0, limit: 8, pool: empty.ref, now: .zero, into: &batch) == .drained)
    #expect(batch.isEmpty && guest.done(1).count == 1)
    #expect(rig.device.counters(queue: 0).receiveOutOfBuffers.value == 1)
    held.removeAll()
  }

  // MARK: To the guest

  /// Room for frames, `count` buffers of so many bytes each.
  private func offerRoom(_ guest: VhostGuest, _ count: Int, _ bytes: Int) {
    for number in 0..<count {
      guest.describe(0, number & (guest.size - 1), at: Self.buffer + number * bytes, bytes, flags: 2)
      guest.offer(0, number & (guest.size - 1))
    }
  }

  @Test func aFrameIntoOneBuffer() throws {
    let rig = try VhostRig()
    let guest = rig.guest()
    offerRoom(guest, 2, 1600)
    let frame = VhostRig.segment(700)
    #expect(rig.send(frame))
    let done = guest.done(0)
    #expect(done.count == 1 && done[0].head == 0 && done[0].bytes == 12 + frame.count)
    #expect(guest.bytes(Self.buffer, 12 + frame.count) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0] + frame)
    #expect(rig.device.counters(queue: 0).bytesSent.value == UInt64(frame.count))
  }

  /// A super-segment whose payload lies in chunks goes into as many buffers as it takes, as one.
  @Test func aSuperSegmentIntoManyBuffers() throws {
    let rig = try VhostRig()
    let guest = rig.guest(size: 64)
    offerRoom(guest, 60, 1524)
    let payload = VhostRig.pattern(60_000)
    let frame = VhostRig.segment(60_000)
    do {
      let chunks = ChunkPool(limit: 64)
      var packet = rig.pool.ref.allocate()!
      packet.append(54)
      unsafe packet.withUnsafeMutableBytes { unsafe $0.copyBytes(from: frame[..<54]) }
      var chain = chunks.ref.makeChain(copying: unsafe payload.span.bytes)!
      #expect(packet.attach(&chain, offset: 0, count: payload.count) == payload.count)
      superSegment(&packet)
      let isTaken = rig.give(packet)
      #expect(isTaken)
    }
    let done = guest.done(0)
    let total = 12 + frame.count
    #expect(done.count == (total + 1523) / 1524 && done.map(\.head) == Array(0..<done.count))
    #expect(done.reduce(0) { $0 + $1.bytes } == total && done.dropLast().allSatisfy { $0.bytes == 1524 })
    let header = VhostRig.header(.tcp4, size: 1400, checksum: true)[..<10] + [UInt8(done.count), 0]
    #expect(guest.bytes(Self.buffer, total) == header + frame)
    #expect(rig.pool.ref.inUse == 0)
  }
  private func superSegment(_ packet: inout Packet) {
    packet.metadata.offload.needsChecksum = true
    (packet.metadata.offload.checksumStart, packet.metadata.offload.checksumOffset) = (34, 16)
    packet.metadata.offload.segmentation = .tcp4
    (packet.metadata.offload.segmentSize, packet.metadata.offload.headerLength) = (1400, 54)
  }

  /// A guest that takes neither is sent frames that are whole.
  @Test func aGuestWithoutOffloads() throws {
    let rig = try VhostRig()
    let guest = rig.guest([.version1, .protocolFeatures])
    offerRoom(guest, 8, 1600)
    let frame = VhostRig.segment(1600)
    #expect(rig.send(frame, superSegment))
    let done = guest.done(0)
    #expect(done.map(\.bytes) == [12 + 54 + 1400, 12 + 54 + 200])
    var payload: [UInt8] = []
    for (number, count) in [1400, 200].enumerated() {
      let bytes = guest.bytes(Self.buffer + number * 1600, 66 + count)
      #expect(bytes[..<12] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0])
      let (network, transport) = ([UInt8](bytes[26..<46]), [UInt8](bytes[46...]))
      #expect(Frames.checksum(network) == 0)
      let pseudo = network[12..<20] + [0, 6, UInt8(transport.count >> 8), UInt8(transport.count & 255)]
      #expect(Frames.checksum(pseudo + transport) == 0)
      payload += transport[20...]
    }
    #expect(payload == VhostRig.pattern(1600))
    // A checksum alone, over the sum of the pseudo header that its sender left there.
    let single = VhostRig.segment(60)
    #expect(
      rig.send(single) {
        superSegment(&$0)
        $0.metadata.offload.segmentation = .none
      })
    let bytes = guest.bytes(Self.buffer + 3200 + 12, single.count)
    #expect(guest.done(0).count == 1 && Frames.checksum([UInt8](bytes[34...])) == 0)
  }

  /// Before virtio 1.0 a header has no number of buffers, and a frame lies in one chain.
  @Test func aGuestOfOld() throws {
    let rig = try VhostRig()
    let guest = rig.guest([.protocolFeatures])
    guest.describe(0, 0, at: Self.buffer, 10, flags: 3, next: 1)
    guest.describe(0, 1, at: Self.buffer + 100, 1514, flags: 2)
    guest.offer(0, 0)
    let frame = VhostRig.segment(64)
    #expect(rig.send(frame) && guest.done(0).map(\.bytes) == [10 + frame.count])
    #expect(guest.bytes(Self.buffer + 100, frame.count) == frame)
    guest.put([UInt8](repeating: 0, count: 10) + frame, at: Self.buffer)
    guest.describe(1, 0, at: Self.buffer, 10 + frame.count)
    guest.offer(1, 0)
    #expect(rig.pump() == [frame])
  }

  @Test func whatDoesNotFitIsDropped() throws {
    let rig = try VhostRig()
    let guest = rig.guest([.version1, .protocolFeatures])
    offerRoom(guest, 8, 100)
    #expect(rig.send(VhostRig.segment(700)) && guest.done(0).isEmpty)
    // Merged buffers, all of which are too few.
    let other = try VhostRig()
    let merging = other.guest()
    offerRoom(merging, 8, 100)
    #expect(other.send(VhostRig.segment(900)) && merging.done(0).isEmpty)
    #expect(other.send(VhostRig.segment(700)) && merging.done(0).count == 8)
    for rig in [rig, other] { #expect(rig.device.counters(queue: 0).transmitDrops.value == 1) }
  }

  /// The queue stands while the guest has no room, and goes on when it has made some and said so.
  @Test func aFullRingStopsTheQueue() throws {
    let device = try VhostRig()
    let guest = device.guest()
    let rig = try TransmitTests.Rig(device.device)
    offerRoom(guest, 4, 1024)
    rig.pass(sending: 0..<6)
    #expect(guest.done(0).count == 4 && rig.queue.isStopped && device.device.statistics.stops == 1)
    #expect(guest.kickIndex(0) == 4, "asked for a kick")
    device.pump()
    #expect(rig.queue.isStopped)
    offerRoom(guest, 4, 1024)
    guest.kick(0)
    device.pump()
    #expect(!rig.queue.isStopped)
    rig.pass()
    #expect(guest.done(0).count == 2 && !rig.queue.isWaiting)
    // Who stands when the guest goes is let go.
    rig.pass(sending: 0..<6)
    #expect(rig.queue.isStopped)
    shutdown(guest.socket, Int32(SHUT_RDWR))
    device.pump()
    rig.pass()
    #expect(!rig.queue.isStopped && !rig.queue.isWaiting)
    #expect(device.device.statistics.discarded == 4 && rig.pool.ref.inUse == 0)
  }

  // MARK: Kicks and calls

  /// A guest is asked to kick when nothing is left, and not before; it is called when it has asked for that.
  @Test func kicksAndCallsByIndex() throws {
    let rig = try VhostRig()
    let guest = rig.guest()
    let frame = VhostRig.segment(10)
    guest.put(VhostRig.header() + frame, at: Self.buffer)
    for number in 0..<8 { guest.describe(1, number, at: Self.buffer, 12 + frame.count) }
    guest.wantCall(1, at: 5)
    for number in 0..<4 { guest.offer(1, number) }
    var batch = PacketQueue()
    #expect(
      rig.device.receive(queue: 0, limit: 2, pool: rig.pool.ref, now: .zero, into: &batch) == .more)
    #expect(guest.kickIndex(1) == 0, "busy: no kick is asked for")
    batch.removeAll()
    rig.pump()
    #expect(guest.kickIndex(1) == 4)
    #expect(VhostGuest.count(guest.calls[1]) == 1, "the first time, whatever it asked for")
    guest.offer(1, 4)
    rig.pump()
    #expect(VhostGuest.count(guest.calls[1]) == 0)
    guest.offer(1, 5)
    rig.pump()
    #expect(VhostGuest.count(guest.calls[1]) == 1)
    guest.offer(1, 6)
    rig.pump()
    #expect(VhostGuest.count(guest.calls[1]) == 0)
    #expect(rig.device.statistics.calls == 2 && rig.device.counters(queue: 0).receiveCalls.value >= 2)
  }

  /// The same by flags.
  @Test func kicksAndCallsByFlags() throws {
    let rig = try VhostRig()
    let guest = rig.guest([.version1, .protocolFeatures])
    let frame = VhostRig.segment(10)
    guest.put(VhostRig.header() + frame, at: Self.buffer)
    for number in 0..<8 { guest.describe(1, number, at: Self.buffer, 12 + frame.count) }
    let flags = VhostGuest.ring(1) + VhostGuest.usedAt
    #expect(guest.load(UInt16.self, at: flags) == 0, "asleep: kicks are wanted")
    for number in 0..<4 { guest.offer(1, number) }
    var batch = PacketQueue()
    #expect(
      rig.device.receive(queue: 0, limit: 2, pool: rig.pool.ref, now: .zero, into: &batch) == .more)
    batch.removeAll()
    #expect(guest.load(UInt16.self, at: flags) == 1)
    rig.pump()
    #expect(guest.load(UInt16.self, at: flags) == 0 && VhostGuest.count(guest.calls[1]) == 2)
    guest.store(1 as UInt16, at: VhostGuest.ring(1) + VhostGuest.availableAt)
    guest.offer(1, 4)
    rig.pump()
    #expect(VhostGuest.count(guest.calls[1]) == 0)
  }

  /// In bulk there is no system call but those that see who woke us, one for sixteen turns.
  @Test func bulkCostsNoSystemCall() throws {
    let rig = try VhostRig()
    let guest = rig.guest(size: 64)
    let frame = VhostRig.segment(1000)
    guest.put(VhostRig.header() + frame, at: Self.buffer)
    for number in 0..<64 { guest.describe(1, number, at: Self.buffer, 12 + frame.count) }
    guest.offer(1, 0)
    rig.pump()
    let counters = rig.device.counters(queue: 0)
    let (calls, frames) = (counters.receiveCalls.value, counters.framesReceived.value)
    // The ring is never empty when a turn ends.
    for number in 1...32 { guest.offer(1, number & 63) }
    for turn in 0..<160 {
      for number in 0..<16 { guest.offer(1, (33 + turn * 16 + number) & 63) }
      var batch = PacketQueue()
      #expect(
        rig.device.receive(queue: 0, limit: 16, pool: rig.pool.ref, now: .zero, into: &batch) == .more)
      batch.removeAll()
      // The guest asks for no calls: what is done it sees when it looks.
      guest.wantCall(1, at: guest.available[1] &+ 1000)
    }
    #expect(counters.framesReceived.value - frames == 2560)
    #expect(counters.receiveCalls.value - calls <= 11)
  }

  // MARK: Life

  /// A ring that stops says where; it goes on there.
  @Test func aRingStopsAndGoesOn() throws {
    let rig = try VhostRig()
    let guest = rig.guest()
    let frame = VhostRig.segment(10)
    guest.put(VhostRig.header() + frame, at: Self.buffer)
    guest.describe(1, 0, at: Self.buffer, 12 + frame.count)
    guest.offer(1, 0)
    #expect(rig.pump().count == 1)
    for ring in 0..<2 as Range<UInt32> { guest.send(.getRingBase(ring: ring)) }
    rig.pump()
    #expect(guest.answer() == [0] && guest.answer() == [1 << 32 | 1])
    guest.offer(1, 0)
    guest.kick(1)
    #expect(rig.pump().isEmpty && rig.send(frame), "what is for a ring that does not run is lost")
    #expect(rig.device.statistics.discarded == 1)
    guest.available[1] = 1
    guest.describe(1)
    #expect(rig.pump() == [frame])
    // Disabled: what comes is taken, and thrown away.
    guest.send(.setRingEnabled(ring: 1, value: 0))
    guest.available[1] = 2
    guest.offer(1, 0)
    #expect(rig.pump().isEmpty && guest.done(1).count == 3 && rig.device.statistics.discarded == 2)
    #expect(rig.device.statistics.broken == 0)
  }

  /// Memory may be passed anew while rings run.
  @Test func memoryIsReplaced() throws {
    let rig = try VhostRig()
    let guest = rig.guest()
    let frame = VhostRig.segment(10)
    guest.put(VhostRig.header() + frame, at: Self.buffer)
    guest.describe(1, 0, at: Self.buffer, 12 + frame.count)
    for _ in 0..<3 {
      guest.send(.setMemoryTable(VhostGuest.regions), [guest.file, guest.file])
      guest.offer(1, 0)
      #expect(rig.pump() == [frame] && guest.done(1).count == 1)
    }
  }

  /// One at a time; who comes after it was served as the first one was, and nothing of that is left.
  @Test func frontEndsComeAndGo() throws {
    let rig = try VhostRig()
    let frame = VhostRig.segment(10)
    for round in 1...3 {
      let guest = rig.guest(base: UInt16(round))
      guest.put(VhostRig.header() + frame, at: Self.buffer)
      guest.describe(1, 0, at: Self.buffer, 12 + frame.count)
      guest.offer(1, 0)
      #expect(rig.pump() == [frame])
      let other = VhostGuest(rig.path)
      rig.pump()
      #expect(other.isGone && guest.answer() == nil)
      shutdown(guest.socket, Int32(SHUT_RDWR))
      rig.pump()
      #expect(!rig.device.statistics.isConnected && rig.send(frame))
      #expect(guest.isReleased())
    }
    let counts = rig.device.statistics
    #expect(counts.frontEnds == 3 && counts.left == 3 && counts.refused == 3 && counts.broken == 0)
    #expect(counts.discarded == 3)
  }

  @Test func theSocketGoesWithTheDevice() throws {
    let path: String
    do {
      let rig = try VhostRig()
      path = rig.path
      #expect(unsafe access(path, F_OK) == 0)
      #expect(throws: LinkError.switchRefused(.stream(path: path), errno: EADDRINUSE)) {
        _ = try VhostDevice(path: path, address: VhostRig.station, mtu: 1500)
      }
      _ = rig.guest()
    }
    #expect(unsafe access(path, F_OK) != 0)
  }
}
