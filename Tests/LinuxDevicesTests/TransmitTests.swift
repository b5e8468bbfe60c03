import Buffers
import Devices
import Exclusion
import Glibc
import Testing
import Timing

@testable import LinuxDevices

/// The transmit contract against a kernel that runs out of room: a pair of datagram sockets, which keeps the borders
/// of frames, holds few of them, and says so.
@Suite("A full transmit queue")
struct TransmitTests {
  /// A device at one end of a pair, behind a transmit queue with a context of its own.
  @safe final class Rig {
    let far: Int32
    let queue: TransmitQueueRef
    let core: ContextCoreRef
    let poller: EpollPoller
    let pool = PacketPool(limit: 1024)
    private let batch: UnsafeMutablePointer<TransmitBatch>
    private let signal: ReceiveSignalRef

    /// At one end of a pair.
    convenience init() throws {
      var ends: [Int32] = [0, 0]
      let type = Int32(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
      #expect(unsafe socketpair(AF_UNIX, type, 0, &ends) == 0)
      try self.init(TapDevice(adopting: [ends[0]], name: "pair", mtu: 1500, linkLayer: .ip), far: ends[1])
    }

    init(_ device: any Device, far: Int32 = -1) throws {
      self.far = far
      core = try ContextCoreRef.make(index: 0, kick: .counted)
      unsafe batch = .allocate(capacity: 1)
      unsafe batch.initialize(to: TransmitBatch())
      unsafe core.attach(UnsafeMutableRawPointer(batch), .devices)
      queue = TransmitQueueRef.make(device: device, queue: 0, kind: WorkKind(rawValue: 1), home: core.port)
      signal = ReceiveSignalRef.make(kind: WorkKind(rawValue: 2), source: 0, port: core.port)
      device.attach(queue: 0, receive: signal, transmit: queue)
      poller = try EpollPoller()
      if let descriptor = device.descriptor(queue: 0) { try poller.watch(descriptor: descriptor, token: 7) }
    }

    deinit {
      queue.destroy()
      signal.destroy()
      core.destroy()
      unsafe batch.deinitialize(count: 1)
      unsafe batch.deallocate()
      if far >= 0 { close(far) }
    }

    /// One pass of the context: sends frames with these numbers, runs what was posted, flushes, frees.
    func pass(sending numbers: Range<UInt8> = 0..<0) {
      withContextRoot(core) { root in
        root.withSoftInterrupt { cx in
          for number in numbers {
            guard var packet = pool.ref.allocate() else {
              Issue.record("the test's pool is empty")
              return
            }
            packet.append(1000)
            unsafe packet.withUnsafeMutableBytes {
              unsafe $0.copyBytes(from: [UInt8](repeating: number, count: 1000))
            }
            queue.send(packet, &cx)
          }
          var posted = core.port.takeAll()
          while let item = posted.popFirst() {
            unsafe GateRef<TransmitQueue>(item.raw).resume(budget: 256, &cx)
          }
          cx.finishTransmission()
        }
      }
    }

    /// Takes what the kernel holds at the other end: the number of each frame.
    func take(atMost limit: Int = .max) -> [UInt8] {
      var numbers: [UInt8] = []
      var bytes = [UInt8](repeating: 0, count: 2000)
      while numbers.count < limit, unsafe read(far, &bytes, bytes.count) == 1000 { numbers.append(bytes[0]) }
      return numbers
    }

    /// What the context does about a stopped queue before it sleeps, and when it is woken (X9).
    func wake() -> Bool {
      poller.watchWritable(token: 7, queue.isStopped)
      var hasRoom = false
      poller.wait(until: .zero, now: .zero) { event in
        guard event.token == 7, event.isWritable else { return }
        hasRoom = true
        queue.roomAppeared()
      }
      return hasRoom
    }
  }

  @Test func X1_X2_X9_givesBackStopsAndIsRestarted() throws {
    let rig = try Rig()
    rig.pass(sending: 0..<200)
    #expect(rig.queue.isStopped)
    #expect(rig.queue.counters.busyWhileRunning.value == 0)
    // Full: no readiness, so no restart, however often somebody looks.
    #expect(!rig.wake())
    #expect(rig.pool.ref.inUse > 0)

    // Nobody sends any more: readiness alone gets the rest out, in order, none twice.
    var taken: [UInt8] = []
    var passes = 0
    while taken.count < 200, passes < 1000 {
      taken += rig.take(atMost: 3)
      _ = rig.wake()
      rig.pass()
      passes += 1
    }
    #expect(taken == [UInt8](0..<200))
    #expect(!rig.queue.isStopped)
    #expect(!rig.wake())
    #expect(rig.queue.counters.overflow == 0)
    #expect(rig.queue.counters.busyWhileRunning.value == 0)
    #expect(rig.queue.counters.restarts.value > 0)
    let counters = rig.queue.device.counters(queue: 0)
    #expect(counters.framesSent.value == 200)
    #expect(counters.bytesSent.value == 200_000)
    #expect(counters.transmitDrops.value == 0)
    #expect(rig.pool.ref.inUse == 0)
  }

  @Test func aPeerThatIsGoneCostsItsFramesOnly() throws {
    let rig = try Rig()
    let nothing = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
    #expect(dup2(nothing, rig.far) == rig.far)
    close(nothing)
    rig.pass(sending: 0..<100)
    let counters = rig.queue.device.counters(queue: 0)
    #expect(counters.transmitDrops.value == 100)
    #expect(counters.framesSent.value == 0)
    #expect(!rig.queue.isStopped)
    #expect(rig.pool.ref.inUse == 0)
  }

  /// Neither a veth pair whose other end is down nor a TAP that is down may cost more than its frames: no queue that
  /// stands for ever, and no context that spins on one that is always "writable".
  @Test(.enabled(if: OpenTests.hasIP, "needs iproute2"), arguments: [LinkChoice.automatic, .veth])
  func aLinkThatIsDownLosesItsFrames(choice: LinkChoice) throws {
    let signpost = Signpost()
    let script = "\(signpost.open9); ip link set sluice0 down; echo down >&9; exec sleep 1000"
    let command = try IsolatedCommand.launch(["sh", "-c", script], link: choice)
    let rig = try Rig(command.device)
    command.start()
    #expect(signpost.waitFor("down"))
    rig.pass(sending: 0..<200)
    for _ in 0...FrameSender.patience where rig.queue.isStopped {
      _ = rig.wake()
      rig.pass()
    }
    #expect(!rig.queue.isStopped)
    #expect(command.device.counters(queue: 0).transmitDrops.value == 200)
    #expect(rig.queue.counters.busyWhileRunning.value == 0)
    #expect(rig.pool.ref.inUse == 0)
  }

  @Test func aDescriptorThatFailedIsToldOnce() throws {
    var ends: [Int32] = [0, 0]
    #expect(unsafe pipe(&ends) == 0)
    let poller = try EpollPoller()
    try poller.watch(descriptor: ends[1], token: 3)
    close(ends[0])
    var told = 0
    for _ in 0..<5 { poller.wait(until: .zero, now: .zero) { if $0.isReadable { told += 1 } } }
    // Once as a level, once more because it became an edge: then silence, and no time lost.
    #expect((1...2).contains(told))
    close(ends[1])
  }
}
