import CLinux
import Glibc
import LinuxDevices
import Simulation
import Timing

/// `sluice sim --relay`: the link of a profile between two TAPs, until a signal ends it.
struct TapRelay {
  let profile: Profile
  let seed: UInt64
  let taps: [String]

  /// Set by the signals that end it.
  nonisolated(unsafe) private static var isEnding: sig_atomic_t = 0  // written by handlers, read by the loop

  func run() throws {
    let descriptors = try taps.map(Self.open)
    defer { for descriptor in descriptors { close(descriptor) } }
    for number in [SIGINT, SIGTERM, SIGHUP] { signal(number) { _ in unsafe TapRelay.isEnding = 1 } }
    let relay = Relay(profile, seed: seed) { side, frame in
      unsafe frame.withUnsafeBytes { bytes in
        var piece = unsafe iovec(
          iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
        // A TAP that is down, or full, loses the frame as any link does.
        _ = unsafe sluice_write_frame(descriptors[side.rawValue], &piece, 1)
      }
    }
    complain("\(profile.name), seed \(seed), between \(taps[0]) and \(taps[1]); ends with SIGTERM.")
    let poller = try EpollPoller()
    for (token, descriptor) in descriptors.enumerated() {
      try poller.watch(descriptor: descriptor, token: UInt32(token))
    }
    let began = sluice_monotonic_nanoseconds()
    var buffer = [UInt8](repeating: 0, count: 4096)
    while unsafe TapRelay.isEnding == 0 {
      let now = Instant(nanoseconds: sluice_monotonic_nanoseconds())
      let next = relay.nextTime.map { Instant(nanoseconds: began + $0) } ?? now + .seconds(1)
      poller.wait(until: next, now: now) { _ in }
      relay.advance(to: sluice_monotonic_nanoseconds() - began)
      for side in [Relay.Side.near, .far] { read(descriptors[side.rawValue], &buffer, into: relay, side) }
    }
    for side in [Relay.Side.near, .far] {
      let passed = relay.statistics(from: side)
      complain(
        "from \(taps[side.rawValue]): \(passed.offered) frames, \(passed.delivered) delivered, "
          + "\(passed.queueDrops) dropped by the queue, \(passed.losses) lost")
    }
    relay.close()
  }

  /// A TAP by name, made if it is not there, whose descriptor does not block.
  private static func open(_ name: String) throws -> Int32 {
    guard (1...15).contains(name.utf8.count) else {
      throw Failure("\"\(name)\" is no name of an interface: 1 to 15 bytes.")
    }
    var wasOpened: Int32 = 0
    var actual = [CChar](repeating: 0, count: 16)
    let descriptor = unsafe actual.withUnsafeMutableBufferPointer {
      unsafe sluice_tun_open("/dev/net/tun", name, 1, 0, 0, 0, $0.baseAddress, &wasOpened)
    }
    guard descriptor >= 0 else {
      let reason = unsafe String(cString: strerror(-descriptor))
      throw Failure("cannot make the TAP \(name): \(reason). It needs /dev/net/tun and CAP_NET_ADMIN.")
    }
    return descriptor
  }

  /// All frames that are there, a batch at most, so that what is due is not late.
  private func read(_ descriptor: Int32, _ buffer: inout [UInt8], into relay: Relay, _ side: Relay.Side) {
    for _ in 0..<64 {
      let count = unsafe buffer.withUnsafeMutableBytes {
        unsafe sluice_read_frame(descriptor, $0.baseAddress, $0.count)
      }
      guard count > 0 else { return }
      unsafe relay.receive(side, buffer.span.bytes.extracting(0..<count))
    }
  }
}
