import Chance
@testable import Devices
import Exclusion
import Testing
import Timing

@Suite("Capture")
struct CaptureTests {
  /// 2020-09-13 12:26:40 UTC.
  private static let epoch: UInt64 = 1_600_000_000_000_000_000

  private func ring(
    bytes: Int = 1 << 16, interface: UInt32 = 0, _ direction: PcapNG.Direction = .inbound, snap: Int = 2048
  ) -> CaptureRing {
    CaptureRing(
      byteCount: bytes, interface: interface, direction: direction, snapLength: snap, epoch: Self.epoch)
  }

  private func writer(_ interfaces: [CaptureInterface]) -> PcapNGWriter {
    PcapNGWriter(interfaces: interfaces, start: Instant(nanoseconds: 1), epoch: Self.epoch)
  }

  private func ethernet(_ rings: [CaptureRing], snap: Int = 2048) -> CaptureInterface {
    CaptureInterface(name: "sluice0", linkType: .ethernet, snapLength: snap, rings: rings)
  }

  private func frame(_ count: Int, _ seed: UInt64) -> [UInt8] {
    var chance = SeededGenerator(seed: seed)
    return (0..<count).map { _ in UInt8(truncatingIfNeeded: chance.next()) }
  }

  /// The whole file of what is in the rings.
  private func file(_ interfaces: [CaptureInterface]) throws -> PcapNGFile {
    var bytes: [UInt8] = []
    var writer = writer(interfaces)
    writer.begin { bytes += Array(copying: $0) }
    writer.finish(at: Instant(nanoseconds: 1_000_000)) { bytes += Array(copying: $0) }
    return try PcapNGFile(bytes)
  }

  @Test("reads back: interfaces, frames in order of time, directions, statistics")
  func readsBack() throws {
    let inbound = ring()
    let outbound = ring(.outbound)
    let bare = ring(interface: 1)
    inbound.record(bytes: frame(60, 1), at: Instant(nanoseconds: 10))
    outbound.record(bytes: frame(61, 2), at: Instant(nanoseconds: 20))
    bare.record(bytes: frame(0, 3), at: Instant(nanoseconds: 25))
    inbound.record(bytes: frame(1514, 4), at: Instant(nanoseconds: 30))
    outbound.record(bytes: frame(63, 5), at: Instant(nanoseconds: 5_000_000_000))

    let file = try file([
      ethernet([inbound, outbound]),
      CaptureInterface(name: "tun0", linkType: .raw, snapLength: 2048, rings: [bare]),
    ])

    #expect(file.application == "Sluice")
    #expect(
      file.interfaces == [
        .init(name: "sluice0", linkType: 1, snapLength: 2048, timeResolution: 9),
        .init(name: "tun0", linkType: 101, snapLength: 2048, timeResolution: 9),
      ])
    #expect(file.packets.map(\.time) == [10, 20, 25, 30, 5_000_000_000].map { Self.epoch + $0 })
    #expect(file.packets.map(\.bytes) == [frame(60, 1), frame(61, 2), [], frame(1514, 4), frame(63, 5)])
    #expect(file.packets.map(\.flags) == [1, 2, 1, 1, 2])
    #expect(file.packets.map(\.interface) == [0, 0, 1, 0, 0])
    #expect(file.packets.allSatisfy { $0.drops == nil && $0.originalCount == $0.bytes.count })
    #expect(
      file.statistics == [
        .init(interface: 0, start: Self.epoch + 1, end: Self.epoch + 1_000_000, frames: 4, drops: 0),
        .init(interface: 1, start: Self.epoch + 1, end: Self.epoch + 1_000_000, frames: 1, drops: 0),
      ])
  }

  @Test("keeps no more of a frame than the snap length, and says how long it was")
  func snapLength() throws {
    let ring = ring(snap: 61)
    for count in [60, 61, 62, 1500] { ring.record(bytes: frame(count, 7), at: .zero) }
    let file = try file([ethernet([ring], snap: 61)])
    #expect(file.packets.map(\.bytes.count) == [60, 61, 61, 61])
    #expect(file.packets.map(\.originalCount) == [60, 61, 62, 1500])
    #expect(file.packets[3].bytes == Array(frame(1500, 7).prefix(61)))
  }

  @Test("a full ring loses frames, counts them and tells so in the next one")
  func fullRing() throws {
    let ring = ring(bytes: 1, snap: 100)
    var taken = 0
    while ring.record(bytes: frame(100, 1), at: .zero) { taken += 1 }
    #expect(!ring.record(bytes: frame(100, 2), at: .zero))
    #expect(taken >= 3)
    #expect(ring.drops.value == 2)

    #expect(ring.takeFirst { _ in } && ring.takeFirst { _ in })
    #expect(ring.record(bytes: frame(100, 3), at: .zero))
    let file = try file([ethernet([ring], snap: 100)])
    #expect(file.packets.map(\.drops) == Array(repeating: nil, count: taken - 2) + [2])
    #expect(file.packets.last?.bytes == frame(100, 3))
    #expect(file.statistics[0].frames == UInt64(taken + 3))
    #expect(file.statistics[0].drops == 2)
    #expect(!ring.takeFirst { _ in })
  }

  @Test("a frame that the driver gave back is neither recorded nor counted")
  func abandoned() throws {
    let ring = ring(.outbound)
    #expect(ring.stage(bytes: frame(80, 1), at: .zero))
    ring.abandon()
    #expect(ring.stage(bytes: frame(80, 2), at: .zero))
    #expect(ring.firstTime == nil)
    ring.commit()
    let file = try file([ethernet([ring])])
    #expect(file.packets.map(\.bytes) == [frame(80, 2)])
    #expect(file.statistics[0].frames == 1)
  }

  @Test("goes round and round without losing, splitting or confusing a byte", arguments: 0..<20)
  func wraps(_ seed: UInt64) throws {
    var chance = SeededGenerator(seed: seed)
    let ring = ring(bytes: 8192, snap: 300)
    var writer = writer([ethernet([ring], snap: 300)])
    var bytes: [UInt8] = []
    var expected: [[UInt8]] = []
    var pieces = 0
    writer.begin { bytes += Array(copying: $0) }
    let header = bytes
    for step in 0..<2000 {
      let next = frame(Int(chance.next() % 300), chance.next())
      if ring.record(bytes: next, at: Instant(nanoseconds: UInt64(step))) { expected.append(next) }
      if chance.next().isMultiple(of: 8) {
        let limit = Int(chance.next() % 40)
        let more = writer.drain(limit: limit) { piece in
          // What is written is a file by itself, once a header stands before it.
          let piece = Array(copying: piece)
          #expect((try? PcapNGFile(header + piece)) != nil)
          bytes += piece
          pieces += 1
        }
        #expect(more == (ring.firstTime != nil))
      }
    }
    writer.finish(at: .zero) { bytes += Array(copying: $0) }
    let file = try PcapNGFile(bytes)
    #expect(file.packets.map(\.bytes) == expected)
    #expect(file.packets.reduce(0) { $0 + ($1.drops ?? 0) } <= ring.drops.value)
    #expect(UInt64(expected.count) + ring.drops.value == 2000)
    #expect(pieces > 100)
  }

  @Test("one thread records while another writes: every frame is whole, in order, or counted")
  func twoThreads() throws {
    let ring = ring(bytes: 4096, snap: 400)
    let isDone = AtomicWord(0)
    let recorder = try WorkerThread(name: "recorder") { [self] in
      for number in 0..<5000 {
        let isRecorded = ring.record(
          bytes: frame(number % 400, UInt64(number)), at: Instant(nanoseconds: UInt64(number)))
        if !isRecorded { yieldProcessor() }
      }
      isDone.store(1)
    }
    var writer = writer([ethernet([ring], snap: 400)])
    var bytes: [UInt8] = []
    writer.begin { bytes += Array(copying: $0) }
    while isDone.load() == 0 {
      _ = writer.drain(limit: 16) { bytes += Array(copying: $0) }
    }
    recorder.join()
    writer.finish(at: .zero) { bytes += Array(copying: $0) }

    let file = try PcapNGFile(bytes)
    let numbers = file.packets.map { Int($0.time - Self.epoch) }
    #expect(numbers == numbers.sorted() && Set(numbers).count == numbers.count)
    #expect(zip(file.packets, numbers).allSatisfy { $0.bytes == frame($1 % 400, UInt64($1)) })
    #expect(file.packets.count + Int(ring.drops.value) == 5000)
    #expect(file.statistics[0].frames == 5000)
  }

  @Test("what a file refuses reaches the caller, and the capture can go on")
  func refusedWrite() throws {
    struct DiskFull: Error {}
    let ring = ring()
    var writer = writer([ethernet([ring])])
    ring.record(bytes: frame(10, 1), at: .zero)
    #expect(throws: DiskFull.self) {
      _ = try writer.drain(limit: 10) { _ throws(DiskFull) in throw DiskFull() }
    }
    ring.record(bytes: frame(10, 2), at: .zero)
    var count = 0
    _ = writer.drain(limit: 10) { count += $0.byteCount }
    #expect(count == 28 + 12 + 16)
  }

  @Test("the tests' own reader is total", arguments: 0..<200)
  func readerIsTotal(_ seed: UInt64) throws {
    var chance = SeededGenerator(seed: seed)
    let ring = ring()
    for count in [0, 1, 60, 61] { ring.record(bytes: frame(count, seed), at: .zero) }
    var bytes: [UInt8] = []
    var writer = writer([ethernet([ring])])
    writer.begin { bytes += Array(copying: $0) }
    writer.finish(at: .zero) { bytes += Array(copying: $0) }

    var spoiled = bytes
    for _ in 0..<(1 + chance.next() % 4) {
      spoiled[Int(chance.next() % UInt64(spoiled.count))] = UInt8(truncatingIfNeeded: chance.next())
    }
    _ = try? PcapNGFile(spoiled)
    _ = try? PcapNGFile(frame(Int(chance.next() % 200), seed))
    let end = Int(chance.next() % UInt64(bytes.count))
    _ = try? PcapNGFile(Array(bytes.prefix(end)))
  }
}

extension [UInt8] {
  init(copying span: RawSpan) {
    self = unsafe span.withUnsafeBytes { bytes in unsafe Array(bytes) }
  }
}

extension CaptureRing {
  @discardableResult
  fileprivate func record(bytes: [UInt8], at now: Instant) -> Bool {
    let isStaged = stage(bytes: bytes, at: now)
    commit()
    return isStaged
  }
  fileprivate func stage(bytes: [UInt8], at now: Instant) -> Bool {
    stage(count: bytes.count, at: now) { memory in
      for offset in memory.byteOffsets {
        memory.storeBytes(of: bytes[offset], toByteOffset: offset, as: UInt8.self)
      }
    }
  }
}
