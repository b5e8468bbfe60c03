import Buffers
import Devices
import LinuxDevices

/// What a frame of 1514 bytes costs to hand to the kernel over a TAP: nothing that sends there frame by frame is faster.
/// The kernel drops it where it arrives: nobody has its protocol.
enum TapWrite {
  static let benchmark = Benchmark(
    "tap-write", "frames of 1514 bytes into a TAP, one by one (needs a /dev/net/tun that you may open)",
    isQuick: false
  ) { options in
    let command: IsolatedCommand
    do throws(LaunchError) {
      // The link is there as long as the command is, which never begins.
      command = try IsolatedCommand.launch(["true"], link: .tap)
    } catch {
      throw BenchmarkFailure("\(error)", code: error.code)
    }
    let pool = PacketPool(limit: 64)
    guard let first = pool.ref.allocate() else { throw BenchmarkFailure("there is no packet.") }
    var sender = Sender(device: command.device, packet: first)
    var sent = 0
    let watch = Stopwatch(.thread)
    while true {
      for _ in 0..<256 { try sender.send() }
      sent += 256
      let (wall, processor) = watch.read()
      guard wall >= Double(options.seconds) else { continue }
      return [
        BenchmarkSample("tap-write", Double(sent) / processor, .perSecond),
        BenchmarkSample("tap-write.bits", Double(sent * Sender.frame * 8) / processor, .bitsPerSecond),
      ]
    }
  }
}

/// One packet, sent again and again.
private struct Sender: ~Copyable {
  static var frame: Int { 1514 }
  private let device: any Device
  private var packet: Packet?
  private var done = PacketQueue()

  init(device: any Device, packet: consuming Packet) {
    self.device = device
    packet.append(Self.frame)
    var bytes = packet.mutableBytes
    for place in 0..<12 { bytes.storeBytes(of: UInt8(2), toByteOffset: place, as: UInt8.self) }
    // A type for experiments (IEEE 802).
    bytes.storeBytes(of: UInt16(0x88B5).bigEndian, toByteOffset: 12, as: UInt16.self)
    self.packet = consume packet
  }

  mutating func send() throws(BenchmarkFailure) {
    guard let next = packet.take() else { throw BenchmarkFailure("the TAP kept a packet.") }
    if let back = device.send(next, queue: 0) {
      packet = consume back
    } else {
      device.complete(queue: 0, into: &done)
      packet = done.popFirst()
    }
  }
}
