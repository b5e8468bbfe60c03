import Buffers
import Devices
import Exclusion
import LinuxDevices
import Testing
import Timing
import Wire

/// A device under test, with the pool and the poller that a context would have.
final class Bench {
  let pool = PacketPool(limit: 1024)
  let device: any Device
  private let poller: EpollPoller

  init(_ device: any Device) throws {
    self.device = device
    poller = try EpollPoller()
    for queue in 0..<device.queueCount {
      guard let descriptor = device.descriptor(queue: queue) else { continue }
      try poller.watch(descriptor: descriptor, token: UInt32(queue))
    }
  }

  /// A packet with these bytes.
  func packet(_ bytes: [UInt8]) -> Packet {
    guard var packet = pool.ref.allocate() else { preconditionFailure("the test's pool is empty") }
    packet.append(bytes.count)
    unsafe packet.withUnsafeMutableBytes { unsafe $0.copyBytes(from: bytes) }
    return packet
  }

  /// Sends a frame, and lets go of it.
  func send(_ bytes: [UInt8], queue: Int = 0) {
    #expect(give(bytes, queue: queue))
    finish(queue: queue)
  }

  /// Gives a frame to the device; false: it came back.
  func give(_ bytes: [UInt8], queue: Int = 0) -> Bool {
    if let back = device.send(packet(bytes), queue: queue) {
      _ = consume back
      return false
    }
    return true
  }

  /// Asks the kernel for the command's address, and tells it ours.
  func introduce() -> Bool {
    send(Frames.arp(operation: 1, to: [255, 255, 255, 255, 255, 255]))
    return receive(where: { Frames.isARP($0, operation: 2) }) != nil
  }

  /// The end of a pass.
  func finish(queue: Int = 0) {
    device.flush(queue: queue)
    var completed = PacketQueue()
    device.complete(queue: queue, into: &completed)
  }

  /// Drops what has arrived.
  func takeAll(queue: Int = 0) {
    while true {
      var batch = PacketQueue()
      let now = RealClock().now()
      let outcome = device.receive(queue: queue, limit: 64, pool: pool.ref, now: now, into: &batch)
      if outcome != .more, batch.isEmpty { return }
    }
  }

  /// The next frame that `isWanted`, others dropped; nil: none in ten seconds.
  func receive(where isWanted: ([UInt8]) -> Bool) -> [UInt8]? {
    let clock = RealClock()
    let deadline = clock.now().adding(milliseconds: 10_000)
    while true {
      for queue in 0..<device.queueCount {
        while true {
          var batch = PacketQueue()
          let outcome = device.receive(queue: queue, limit: 1, pool: pool.ref, now: clock.now(), into: &batch)
          guard outcome == .more || !batch.isEmpty else { break }
          guard let packet = batch.popFirst() else { continue }
          let bytes = unsafe packet.withUnsafeBytes { unsafe [UInt8]($0) }
          if isWanted(bytes) { return bytes }
        }
      }
      if clock.now() >= deadline { return nil }
      poller.wait(until: deadline, now: clock.now()) { _ in }
    }
  }
}

/// Frames by hand: the kernel at the other end is the judge of them.
enum Frames {
  static let gateway: [UInt8] = [0x02, 0x00, 0x0a, 0x00, 0x02, 0x02]
  static let command: [UInt8] = [0x02, 0x00, 0x0a, 0x00, 0x02, 0x64]
  static let gatewayIP: [UInt8] = [10, 0, 2, 2], commandIP: [UInt8] = [10, 0, 2, 100]

  /// An ARP request for the command's address, or our answer to its own.
  static func arp(operation: UInt8, to target: [UInt8]) -> [UInt8] {
    target + gateway + [0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, operation] + gateway + gatewayIP
      + (operation == 1 ? [0, 0, 0, 0, 0, 0] : target) + commandIP
  }
  /// Whether it is ARP, of this operation, by the command.
  static func isARP(_ frame: [UInt8], operation: UInt8) -> Bool {
    frame.count >= 42 && frame[12...13] == [0x08, 0x06] && frame[21] == operation
      && frame[22..<28] == command[...]
  }
  /// An ICMP echo request to the command; the payload is numbered bytes.
  static func echoRequest(sequence: UInt8, payload: Int) -> [UInt8] {
    var icmp: [UInt8] = [8, 0, 0, 0, 0x12, 0x34, 0, sequence]
    icmp += (0..<payload).map { UInt8(truncatingIfNeeded: $0 &+ Int(sequence)) }
    store(checksum(icmp), in: &icmp, at: 2)
    let total = UInt16(20 + icmp.count)
    var ip: [UInt8] = [0x45, 0, UInt8(total >> 8), UInt8(total & 255), 0, 0, 0x40, 0, 64, 1, 0, 0]
    ip += gatewayIP + commandIP
    store(checksum(ip), in: &ip, at: 10)
    return command + gateway + [0x08, 0x00] + ip + icmp
  }
  /// Whether it answers that request, with true checksums and the same payload.
  static func isEchoReply(_ frame: [UInt8], sequence: UInt8, payload: Int) -> Bool {
    guard frame.count == 42 + payload, frame[12...13] == [0x08, 0x00], frame[23] == 1, frame[34] == 0,
      frame[41] == sequence
    else { return false }
    let sent = echoRequest(sequence: sequence, payload: payload)
    return checksum([UInt8](frame[14..<34])) == 0 && checksum([UInt8](frame[34...])) == 0
      && frame[42...] == sent[42...] && frame[0..<6] == gateway[...]
  }

  /// The Internet checksum, as RFC 1071 tells it: no part of what is tested.
  static func checksum(_ bytes: [UInt8]) -> UInt16 {
    var sum: UInt32 = 0
    for index in stride(from: 0, to: bytes.count, by: 2) {
      sum += UInt32(bytes[index]) << 8 + (index + 1 < bytes.count ? UInt32(bytes[index + 1]) : 0)
    }
    while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
    return ~UInt16(sum)
  }
  private static func store(_ value: UInt16, in bytes: inout [UInt8], at offset: Int) {
    bytes[offset] = UInt8(value >> 8)
    bytes[offset + 1] = UInt8(value & 255)
  }
}
