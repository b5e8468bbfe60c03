import Buffers
import CLinux
import Devices
import Exclusion
import Glibc
import Testing
import Timing
import Wire

@testable import LinuxDevices

/// SLIP over a pseudo-terminal.
@Suite("Serial lines")
struct SerialTests {
  /// Writes all of `bytes` to the far side of a pseudo-terminal.
  private func put(_ bytes: [UInt8], _ path: String) throws {
    let line = unsafe open(path, O_RDWR | O_NOCTTY | O_CLOEXEC)
    try #require(line >= 0)
    defer { close(line) }
    #expect(unsafe write(line, bytes, bytes.count) == bytes.count)
  }

  @Test func packetsCrossWhateverTheirBytes() throws {
    let (left, right) = try SerialDevice.pair()
    let (near, far) = (try Bench(left), try Bench(right))
    #expect(left.mtu == 1006 && left.linkLayer == .ip && left.isSerialLine)
    let packets = [
      [0x45, SLIP.end, SLIP.escape, SLIP.escapedEnd, SLIP.escapedEscape, SLIP.end],
      (0..<1006).map { UInt8(truncatingIfNeeded: $0) }, [SLIP.end],
      [UInt8](repeating: SLIP.escape, count: 1006),
    ]
    for packet in packets {
      near.send(packet)
      let received = far.receive { _ in true }
      #expect(received == packet)
      far.send(packet)
      let back = near.receive { _ in true }
      #expect(back == packet)
    }
    #expect(right.counters(queue: 0).receiveDrops.value == 0)
    #expect(right.counters(queue: 0).framesReceived.value == 4)
  }

  /// What is damaged, and what is too long, costs itself only: the next END begins anew.
  @Test func garbageIsCountedAndTheNextPacketIsWhole() throws {
    let (device, path) = try SerialDevice.pseudoTerminal(mtu: 576)
    let bench = try Bench(device)
    let escaped: [UInt8] = [1, 2, SLIP.escape, 3, 4, SLIP.end]
    let cut: [UInt8] = [9, SLIP.escape, SLIP.end]
    let long = [UInt8](repeating: 7, count: 577) + [SLIP.end]
    try put(escaped + [SLIP.end, SLIP.end] + cut + long + [SLIP.end, 5, 6, SLIP.end], path)
    let received = bench.receive { _ in true }
    #expect(received == [5, 6])
    #expect(device.damagedDrops.value == 2 && device.oversizeDrops.value == 1)
    #expect(device.counters(queue: 0).receiveDrops.value == 3)
  }

  /// TX-STOP: a line takes a part of a packet. The queue stands, what is behind waits in order, and all of it
  /// arrives once the other side reads.
  @Test func TX_STOP_aFullLineStopsTheQueueAndLosesNothing() throws {
    let (left, right) = try SerialDevice.pair()
    let rig = try TransmitTests.Rig(left)
    let far = try Bench(right)
    rig.pass(sending: 0..<60)
    #expect(rig.queue.isStopped, "60 KB do not fit into a terminal")
    #expect(rig.queue.counters.busyWhileRunning.value == 0, "TX-BUSY")
    for number in UInt8(0)..<60 {
      let packet = far.receive { _ in true }
      #expect(packet == [UInt8](repeating: number, count: 1000))
      // What the poller of a context does when the line has room again.
      if let line = left.descriptor(queue: 0), sluice_is_writable(line) != 0 { rig.queue.roomAppeared() }
      rig.pass()
    }
    #expect(!rig.queue.isStopped)
    #expect(rig.pool.ref.inUse == 0, "RS-LEAK")
    #expect(left.counters(queue: 0).framesSent.value == 60)
  }

  /// The rest of a packet with nothing behind it goes out when there is room, with no other send.
  @Test func theRestOfTheLastPacketFollows() throws {
    let (left, right) = try SerialDevice.pair()
    let rig = try TransmitTests.Rig(left)
    let far = try Bench(right)
    var count: UInt8 = 0
    while !rig.queue.isStopped {
      rig.pass(sending: count..<count + 1)
      count += 1
    }
    for number in 0..<count {
      let packet = far.receive { _ in true }
      #expect(packet == [UInt8](repeating: number, count: 1000))
      if let line = left.descriptor(queue: 0), sluice_is_writable(line) != 0 { rig.queue.roomAppeared() }
      rig.pass()
    }
    #expect(!rig.queue.isStopped && left.counters(queue: 0).framesSent.value == UInt64(count))
  }

  @Test func whatIsNoTerminalIsRefused() {
    #expect(throws: LinkError.terminalRefused(path: "/dev/null", errno: ENOTTY)) {
      try SerialDevice.open(path: "/dev/null")
    }
    #expect(throws: LinkError.terminalRefused(path: "/no/such", errno: ENOENT)) {
      try SerialDevice.open(path: "/no/such")
    }
    #expect(throws: LinkError.mtuOutOfRange(1501, limit: 1500)) { try SerialDevice.pair(mtu: 1501) }
  }

  /// The line's far side opened by its path, as another program would.
  @Test func aPathOpensTheOtherSide() throws {
    let (device, path) = try SerialDevice.pseudoTerminal()
    let other = try SerialDevice.open(path: path, speed: 115_200)
    let (near, far) = (try Bench(device), try Bench(other))
    near.send([0x45, 1, 2, 3])
    let received = far.receive { _ in true }
    #expect(received == [0x45, 1, 2, 3])
  }

  /// Linux's own SLIP at the other end, where the kernel has its line discipline and lets us attach it.
  @Test func linuxSpeaksTheSame() throws {
    let (device, path) = try SerialDevice.pseudoTerminal()
    let line = unsafe open(path, O_RDWR | O_NOCTTY | O_CLOEXEC)
    try #require(line >= 0)
    defer { close(line) }
    var discipline: Int32 = 1  // N_SLIP
    guard unsafe ioctl(line, UInt(TIOCSETD), &discipline) == 0 else {
      // Loud: the test says that it looked at nothing.
      print("SKIPPED linuxSpeaksTheSame: no SLIP line discipline here (TIOCSETD: \(reason(errno)))")
      return
    }
    // The interface that the kernel made is down: what it gets is counted by nobody, but it must not trap.
    try Bench(device).send([0x45, 0, 0, 20])
  }
}
