#if Explore
  import Devices
  import Timing

  /// The poller of a context whose thread is virtual: sleeps in virtual time, and tells of each kick once.
  // Sendable because all virtual threads are one thread.
  final class VirtualPoller: DevicePoller, @unchecked Sendable {
    private let machine: Machine
    private var watched: [(descriptor: Int32, token: UInt32)] = []

    init(_ machine: Machine) { self.machine = machine }

    func watch(descriptor: Int32, token: UInt32) throws { watched.append((descriptor, token)) }
    func watchWritable(token: UInt32, _ isWatched: Bool) {}

    func wait(until deadline: Instant?, now: Instant, _ ready: (PollEvent) -> Void) {
      let readable = machine.poll(watched.map(\.descriptor), until: deadline?.nanoseconds)
      for (descriptor, token) in watched where readable.contains(descriptor) {
        machine.absorb(descriptor)  // told once, to one thread
        ready(PollEvent(token: token, isReadable: true, isWritable: false))
      }
    }
  }

  /// The machine's time, which passes when everyone sleeps, or when the exploration says so.
  final class MachineClock: TimeSource, @unchecked Sendable {  // all virtual threads are one thread
    private let machine: Machine
    init(_ machine: Machine) { self.machine = machine }
    func now() -> Instant { Instant(nanoseconds: machine.now) }
  }
#endif
