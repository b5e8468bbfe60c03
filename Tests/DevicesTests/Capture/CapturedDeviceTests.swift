import Buffers
import Devices
import Exclusion
import Testing
import Timing
import Wire

@Suite("A captured device")
struct CapturedDeviceTests {
  private let pair = LinkPair(left: .ip, right: .ip, ringSlots: 4)
  private let clock = VirtualClock(start: Instant(milliseconds: 5))
  private let epoch: UInt64 = 1_000_000_000
  private let calls = CallCount()

  private func captured(_ device: any Device, _ number: UInt32) -> CapturedDevice {
    CapturedDevice(device, number: number, time: clock, epoch: epoch) { [calls] in calls.counter.increment() }
  }

  private func file(_ devices: [CapturedDevice]) throws -> PcapNGFile {
    var bytes: [UInt8] = []
    var writer = PcapNGWriter(interfaces: devices.map(\.capture), start: .zero, epoch: epoch)
    writer.begin { bytes += [UInt8](copying: $0) }
    writer.finish(at: clock.now()) { bytes += [UInt8](copying: $0) }
    return try PcapNGFile(bytes)
  }

  /// Sends one packet with these bytes. False: the device gave it back.
  private func isTaken(by device: CapturedDevice, _ bytes: [UInt8], from pool: PacketPoolRef) -> Bool {
    guard var packet = pool.allocate() else { return false }
    packet.append(bytes.count)
    for (offset, byte) in bytes.enumerated() {
      var span = packet.mutableBytes
      span.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self)
    }
    return device.send(packet, queue: 0) == nil
  }

  @Test("TX_OWN_records_what_went_over_the_link_at_both_ends_once")
  func bothEnds() throws {
    let pool = PacketPool(limit: 64, reserve: 1)
    let left = captured(pair.left, 0)
    let right = captured(pair.right, 1)
    var sent: [[UInt8]] = []

    // The ring fills up: the packet that comes back is not in the file.
    while true {
      let bytes = [0x45, UInt8(sent.count)]
      guard isTaken(by: left, bytes, from: pool.ref) else { break }
      sent.append(bytes)
      clock.advance(by: Nanoseconds(10))
    }
    #expect(sent.count >= 4)

    var batch = PacketQueue()
    let outcome = right.receive(queue: 0, limit: 64, pool: pool.ref, now: clock.now(), into: &batch)
    #expect(outcome == .drained)
    #expect(batch.count == sent.count)
    batch.removeAll()

    let file = try file([left, right])
    #expect(file.packets.filter { $0.interface == 0 }.map(\.bytes) == sent)
    #expect(file.packets.filter { $0.interface == 0 }.allSatisfy { $0.flags == 2 })
    #expect(file.packets.filter { $0.interface == 1 }.map(\.bytes) == sent)
    #expect(file.packets.filter { $0.interface == 1 }.allSatisfy { $0.flags == 1 })
    #expect(file.packets.map(\.time) == file.packets.map(\.time).sorted())
    #expect(file.packets[0].time == epoch + 5_000_000)
    #expect(file.interfaces.map(\.name) == ["left0", "right0"])
    #expect(file.interfaces.allSatisfy { $0.linkType == 101 && $0.timeResolution == 9 })
    #expect(file.statistics.map(\.frames) == [UInt64(sent.count), UInt64(sent.count)])
    #expect(pool.ref.inUse == 0)
  }

  @Test("announces the first frame after each drain, and no other")
  func announces() {
    let pool = PacketPool(limit: 64, reserve: 1)
    let left = captured(pair.left, 0)
    var empty = PacketQueue()
    #expect(left.receive(queue: 0, limit: 8, pool: pool.ref, now: .zero, into: &empty) == .drained)
    #expect(calls.counter.value == 0)
    #expect(isTaken(by: left, [1], from: pool.ref) && isTaken(by: left, [2], from: pool.ref))
    #expect(calls.counter.value == 1)
    left.takePending()
    #expect(isTaken(by: left, [3], from: pool.ref))
    #expect(calls.counter.value == 2)
    // What the link still holds goes back to the pool before the pool ends.
    var batch = PacketQueue()
    _ = pair.right.receive(queue: 0, limit: 8, pool: pool.ref, now: .zero, into: &batch)
    batch.removeAll()
  }
}

private final class CallCount: Sendable {
  let counter = SharedCounter()
}
