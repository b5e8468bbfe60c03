import Buffers
import Devices
import Glibc
import Testing
import Timing
import Wire

@testable import LinuxDevices

/// A device with a guest at its socket, and the context that the test is.
@safe final class VhostRig {
  let path = "/tmp/sluice-\(getpid())-\(UInt32.random(in: 0...UInt32.max)).sock"
  let device: VhostDevice
  let pool = PacketPool(limit: 512, reserve: 0)
  static let station = MACAddress(0x0200_0A00_0202)

  init(offload: Bool = true) throws {
    device = try VhostDevice(path: path, address: Self.station, mtu: 1500, offload: offload)
  }

  /// A guest whose rings run.
  func guest(_ features: VhostFeatures = .offloading, size: Int = 8, base: UInt16 = 0) -> VhostGuest {
    let guest = VhostGuest(path, size: size, base: base)
    guest.start(features)
    #expect(pump().isEmpty)
    #expect(device.statistics.isConnected)
    return guest
  }

  /// What a context does until nothing is left: the frames that came.
  @discardableResult func pump(limit: Int = 64) -> [[UInt8]] {
    var frames: [[UInt8]] = []
    take(limit: limit) { frames.append(Self.bytes($0)) }
    return frames
  }
  func take(limit: Int = 64, _ body: (borrowing Packet) -> Void) {
    while true {
      var batch = PacketQueue()
      let outcome = device.receive(
        queue: 0, limit: limit, pool: pool.ref, now: Instant(milliseconds: 3), into: &batch)
      while let packet = batch.popFirst() { body(packet) }
      if outcome == .drained { return }
    }
  }

  /// Sends a packet; false: it came back.
  func send(_ bytes: [UInt8], _ change: (inout Packet) -> Void = { _ in }) -> Bool {
    var packet = pool.ref.allocate()!
    packet.append(bytes.count)
    unsafe packet.withUnsafeMutableBytes { unsafe $0.copyBytes(from: bytes) }
    change(&packet)
    return give(packet)
  }
  func give(_ packet: consuming Packet) -> Bool {
    if let back = device.send(packet, queue: 0) {
      _ = consume back
      return false
    }
    device.flush(queue: 0)
    var done = PacketQueue()
    device.complete(queue: 0, into: &done)
    #expect(done.count == 1)
    return true
  }

  static func bytes(_ packet: borrowing Packet) -> [UInt8] {
    var bytes: [UInt8] = []
    packet.forEachSpan(from: 0, count: packet.totalCount) { span in
      for offset in 0..<span.byteCount { bytes.append(span.uint8(at: offset)) }
    }
    return bytes
  }
  static func pattern(_ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
  }

  /// An Ethernet frame of TCP over IPv4 with so much payload.
  static func segment(_ payload: Int) -> [UInt8] {
    var packet = [UInt8](repeating: 0, count: 40)
    var elements = packet.mutableSpan
    var raw = unsafe elements.mutableBytes
    IPv4Header(
      source: IPv4Address(10, 0, 0, 1), destination: IPv4Address(10, 0, 0, 2), protocol: .tcp,
      payloadByteCount: 20 + payload
    ).emit(into: &raw)
    raw.set(5 as UInt16, at: 20)
    raw.set(6 as UInt16, at: 22)
    raw.set(1000 as UInt32, at: 24)
    raw.set(0x5018 as UInt16, at: 32)
    return Frames.command + Frames.gateway + [8, 0] + packet + pattern(payload)
  }
  /// The header in front of a frame, 12 bytes.
  static func header(_ kind: VirtioNetHeader.Kind = .none, size: UInt16 = 0, checksum: Bool = false)
    -> [UInt8]
  {
    [checksum ? 1 : 0, kind.rawValue, 54, 0, UInt8(size & 255), UInt8(size >> 8)]
      + (checksum ? [34, 0, 16, 0] : [0, 0, 0, 0])
      + [0, 0]
  }
}
