import Buffers
import CLinux
import Devices
import Exclusion
import Glibc
import LinuxDevices
import Testing
import Wire

/// A veth pair in a network namespace of its own: the kernel at one end, with the addresses that ``Frames`` knows, and
/// nothing yet at the other. It goes with the last descriptor of the namespace.
enum XDPSite {
  static let near = "sluicex0", far = "sluicex1"

  /// Runs `body` on a thread inside of such a namespace.
  static func enter(queues: Int = 1, _ body: @escaping @Sendable () throws -> Void) throws {
    let failure = Failure()
    let thread = try WorkerThread(name: "xdp") {
      do {
        try make(queues)
        try body()
      } catch {
        failure.text = "\(error)"
      }
    }
    thread.join()
    if let text = failure.text { throw Refusal(text: text) }
  }

  /// Why nothing of it can be had here; said aloud, so that a run without it is not taken for one that passed.
  static let refusal: String? = {
    do {
      try enter {
        _ = try XDPDevice(name: far, address: MACAddress(0x0200_0a00_0202))
      }
      return nil
    } catch {
      let text = "AF_XDP IS NOT TESTED HERE: \(error)\n"
      let bytes = Array(text.utf8)
      _ = unsafe write(STDERR_FILENO, bytes, bytes.count)
      return text
    }
  }()

  private static func make(_ queues: Int) throws {
    // Swift does not import it.
    typealias Unshare = @convention(c) (Int32) -> Int32
    guard let address = unsafe dlsym(nil, "unshare") else { throw Refusal(text: "no unshare(2)") }
    let unshare = unsafe unsafeBitCast(address, to: Unshare.self)
    guard unshare(0x4000_0000) == 0 else { throw Refusal(text: "no network namespace: errno \(errno)") }
    let count = "\(queues)"
    try ip(
      "link", "add", near, "numtxqueues", count, "numrxqueues", count, "address", "02:00:0a:00:02:64", "type",
      "veth",
      "peer", "name", far, "numtxqueues", count, "numrxqueues", count)
    try ip("address", "add", "10.0.2.100/24", "dev", near)
    for name in [near, far] { try ip("link", "set", name, "up") }
  }

  /// iproute2, in the namespace of the calling thread, which a child inherits.
  static func ip(_ words: String...) throws {
    let arguments = ["ip"] + words
    var pointers = unsafe arguments.map { unsafe strdup($0) } + [nil]
    defer { for index in unsafe pointers.indices { unsafe free(pointers[index]) } }
    var child: pid_t = 0
    let result = unsafe posix_spawnp(&child, "ip", nil, nil, &pointers, environ)
    guard result == 0 else { throw Refusal(text: "no ip(8): errno \(result)") }
    var status: Int32 = 0
    unsafe waitpid(child, &status, 0)
    guard status == 0 else { throw Refusal(text: arguments.joined(separator: " ")) }
  }

  /// Frames that left the far interface, and those that the kernel dropped on their way to the near one, as it counts
  /// them (proc_net_dev(5)).
  static func framesSent() throws -> Int {
    guard let file = unsafe fopen("/proc/thread-self/net/dev", "r") else {
      throw Refusal(text: "no /proc/thread-self/net/dev: errno \(errno)")
    }
    defer { unsafe _ = fclose(file) }
    var line = [CChar](repeating: 0, count: 512)
    while unsafe fgets(&line, 512, file) != nil {
      let text = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
      let words = text.split(whereSeparator: { " :\n".contains($0) })
      guard words.first.map({ $0 == far }) ?? false, words.count > 12 else { continue }
      return (Int(words[10]) ?? 0) + (Int(words[12]) ?? 0)
    }
    throw Refusal(text: "the kernel does not count for \(far)")
  }

  struct Refusal: Error, CustomStringConvertible {
    let text: String
    var description: String { text }
  }
  private final class Failure: @unchecked Sendable {  // written before the thread is joined
    var text: String?
  }
}

/// AF_XDP against a Linux that knows nothing of us.
@Suite("AF_XDP", .enabled(if: XDPSite.refusal == nil, "the kernel refuses AF_XDP"))
struct XDPTests {
  private static func device(queues: Int = 1, mtu: Int? = nil) throws -> XDPDevice {
    try XDPDevice(name: XDPSite.far, address: MACAddress(0x0200_0a00_0202), queues: queues, mtu: mtu)
  }

  @Test func framesOfEverySizePassBothWays() throws {
    try XDPSite.enter {
      let device = try Self.device(mtu: 1400)
      #expect(device.mtu == 1400 && device.isNative && !device.isZeroCopy(queue: 0))
      let bench = try Bench(device)
      #expect(bench.introduce())
      for (index, payload) in [0, 1, 17, 18, 19, 64, 511, 1000, 1471, 1472].enumerated() {
        bench.send(Frames.echoRequest(sequence: UInt8(index), payload: payload))
        #expect(
          bench.receive(where: { Frames.isEchoReply($0, sequence: UInt8(index), payload: payload) }) != nil,
          "\(payload) bytes")
      }
      let counters = device.counters(queue: 0)
      #expect(counters.framesSent.value == 11 && counters.framesReceived.value >= 11)
      #expect(counters.receiveDrops.value == 0 && counters.transmitDrops.value == 0)
      #expect(bench.pool.ref.inUse == 0)
    }
  }

  /// More than the kernel takes in a call, and more than the rings hold: what finds no room comes back, and goes later.
  /// What the kernel says that the interface sent is the judge; its answers it may drop, on a busy machine it does.
  @Test func aBurstBeyondTheRingIsNotLost() throws {
    try XDPSite.enter {
      let device = try Self.device()
      let bench = try Bench(device)
      #expect(bench.introduce())
      let before = try XDPSite.framesSent()
      for _ in 0..<20 {
        for sequence in UInt8(0)..<200 {
          while !bench.give(Frames.echoRequest(sequence: sequence, payload: 1400)) { bench.finish() }
        }
        bench.finish()
        bench.takeAll()
      }
      let counters = device.counters(queue: 0)
      #expect(counters.framesSent.value == 4001 && counters.transmitDrops.value == 0)
      #expect(counters.transmitCalls.value < 400, "a system call takes many frames")
      #expect(try XDPSite.framesSent() - before >= 4000)
      bench.send(Frames.echoRequest(sequence: 255, payload: 1400))
      #expect(bench.receive(where: { Frames.isEchoReply($0, sequence: 255, payload: 1400) }) != nil)
      #expect(bench.pool.ref.inUse == 0)
    }
  }

  @Test func everyQueueHasItsSocket() throws {
    try XDPSite.enter(queues: 2) {
      let device = try Self.device(queues: 2)
      let bench = try Bench(device)
      #expect(device.queueCount == 2 && bench.introduce())
      for queue in 0..<2 {
        bench.send(Frames.echoRequest(sequence: UInt8(queue), payload: 100), queue: queue)
        #expect(
          bench.receive(where: { Frames.isEchoReply($0, sequence: UInt8(queue), payload: 100) }) != nil,
          "queue \(queue)")
      }
      #expect((0..<2).allSatisfy { device.counters(queue: $0).framesSent.value > 0 })
    }
  }

  /// R8, and memory comes back: what finds no packet is dropped and counted, and the rings go round.
  @Test func R8_frameThatFindsNoPacketIsDroppedAndCounted() throws {
    try XDPSite.enter {
      let device = try Self.device()
      let bench = try Bench(device)
      #expect(bench.introduce())
      let empty = PacketPool(limit: 65, reserve: 64)
      guard let last = empty.ref.allocate() else { preconditionFailure("one packet beside the reserve") }
      var batch = PacketQueue()
      bench.send(Frames.echoRequest(sequence: 1, payload: 10))
      while device.counters(queue: 0).receiveDrops.value == 0 {
        _ = device.receive(queue: 0, limit: 1, pool: empty.ref, now: .zero, into: &batch)
      }
      let taken = batch.count
      #expect(taken == 0 && device.counters(queue: 0).receiveOutOfBuffers.value >= 1)
      _ = consume last
      bench.send(Frames.echoRequest(sequence: 2, payload: 10))
      #expect(bench.receive(where: { Frames.isEchoReply($0, sequence: 2, payload: 10) }) != nil)
    }
  }

  @Test func theInterfaceIsLeftAsItWas() throws {
    try XDPSite.enter {
      do {
        let device = try Self.device()
        // Ours while it is there.
        #expect(throws: LinkError.xdpRefused(call: "program", errno: EBUSY)) { try Self.device() }
        withExtendedLifetime(device) {}
      }
      // And anybody's afterwards.
      let index = unsafe sluice_interface_index(XDPSite.far)
      var program = sluice_xdp_program()
      let attached = unsafe sluice_xdp_attach(index, 1, &program)
      #expect(attached == 0)
      unsafe sluice_xdp_detach(&program)
      #expect(throws: LinkError.queuesDiffer(name: XDPSite.far, queues: 1)) { try Self.device(queues: 2) }
      #expect(throws: LinkError.interfaceUnknown(name: "nonexistent0", errno: ENODEV)) {
        try XDPDevice(name: "nonexistent0", address: MACAddress(1))
      }
    }
  }
}
