import CLinux
import Devices
import Exclusion
import Glibc
import LinuxDevices
import Sluice

/// How late timers fire on a context that has more to receive than it can, on one processor that it shares with the
/// programs that read (scenario R4), and whether those, and a second, polite connection, still get on.
///
/// The process stays on one processor. A round measures an idle stack first, with the same timers: what the machine
/// and the kernel take is in there as well. Then datagrams come in without end, in memory or over a TAP from a
/// program on the other processors; one task reads them, and one exchanges single bytes over TCP with a second
/// stack, with two milliseconds' pause between.
enum TimerLateness {
  static let benchmark = Benchmark(
    "timer-lateness", "lateness of timers, and progress of programs, while one context receives without end",
    isQuick: false
  ) { options in try round(options) }

  private static var port: UInt16 { 9000 }
  private static let ourAddress = IPv4Address(10, 9, 0, 2)
  private static let floodAddress = IPv4Address(10, 9, 0, 1)

  private static func round(_ options: BenchmarkOptions) throws -> [BenchmarkSample] {
    // The program at the other end of a TAP is launched before, and keeps all processors.
    let flood = try options.link == .tap ? launchFlood() : nil
    defer { withExtendedLifetime(flood) {} }
    let pinned = sluice_pin_process()
    guard pinned == 0 else {
      throw BenchmarkFailure("the process could not be kept on one processor (errno \(pinned)).")
    }
    let idle = try idleLatenesses(options)
    return try saturated(options, idle, flood)
  }

  // MARK: Idle

  private static func idleLatenesses(_ options: BenchmarkOptions) throws -> [Double] {
    let probe = TimerProbe()
    let stack = try assemble(StackConfiguration(), probe)
    wait(seconds: options.seconds)
    finish(stack, probe)
    return probe.sorted()
  }

  private static func assemble(_ configuration: StackConfiguration, _ probe: TimerProbe?) throws -> Stack {
    let stack: Stack
    do throws(StackError) {
      stack = try Stack(configuration)
      probe?.register(with: stack)
      try stack.start()
    } catch {
      throw BenchmarkFailure("\(error)")
    }
    probe?.arm(on: stack)
    return stack
  }

  private static func finish(_ stack: Stack, _ probe: TimerProbe) {
    probe.disarm(on: stack)
    stack.shutdown()
  }

  private static func wait(seconds: Int) { usleep(useconds_t(seconds * 1_000_000)) }

  // MARK: Saturated

  private static func saturated(
    _ options: BenchmarkOptions, _ idle: [Double], _ flood: IsolatedCommand?
  ) throws -> [BenchmarkSample] {
    let memory =
      flood == nil
      ? FloodDevice(
        from: SocketAddress(IPAddress(floodAddress), port: 5000),
        to: SocketAddress(IPAddress(ourAddress), port: port)) : nil
    let pair = LinkPair(left: .ip, right: .ip)
    let probe = TimerProbe()
    let stack = try assemble(configuration(memory, flood, pair), probe)
    var client = StackConfiguration()
    client.interfaces = [StackInterface(pair.right, addresses: [IPPrefix("10.8.0.2/24")!])]
    let other = try assemble(client, nil)

    let work = Work()
    let tasks = try begin(work, stack, other)
    memory?.begin()
    flood?.start()
    wait(seconds: options.seconds)
    let counts = work.counts()
    memory?.end()
    flood?.send(signal: SIGKILL)
    let statistics = stack.statistics()
    for task in tasks { task.cancel() }
    other.shutdown()
    finish(stack, probe)
    // The frames belong to the stacks' pools, which must not go first.
    withExtendedLifetime((stack, other)) { pair.loseFrames() }
    return samples(probe.sorted(), idle, counts, statistics, Double(options.seconds))
      + ending(stack.statistics())
  }

  private static func configuration(
    _ memory: FloodDevice?, _ flood: IsolatedCommand?, _ pair: LinkPair
  ) -> StackConfiguration {
    var configuration = StackConfiguration()
    configuration.interfaces = [StackInterface(pair.left, addresses: [IPPrefix("10.8.0.1/24")!])]
    if let memory {
      configuration.interfaces.append(
        StackInterface(memory, addresses: [IPPrefix(IPAddress(ourAddress), length: 24)!]))
    }
    if let flood {
      let network = IsolatedNetwork()
      configuration.interfaces.append(
        StackInterface(
          flood.device,
          addresses: [IPPrefix(IPAddress(network.ipv4Gateway), length: network.ipv4PrefixLength)!]))
    }
    return configuration
  }

  /// A program that sends datagrams to the gateway as fast as it can.
  private static func launchFlood() throws(BenchmarkFailure) -> IsolatedCommand {
    guard let path = CommandLine.arguments.first else {
      throw BenchmarkFailure("this program does not know its name.")
    }
    do throws(LaunchError) {
      let gateway = IsolatedNetwork().ipv4Gateway
      return try IsolatedCommand.launch(
        ["/proc/self/exe", "flood", "\(gateway)", "\(port)"].map {
          $0 == "/proc/self/exe" ? program(path) : $0
        },
        link: .tap)
    } catch {
      throw BenchmarkFailure("\(error)", code: error.code)
    }
  }
  /// The file that this program was started from.
  private static func program(_ fallback: String) -> String {
    var path = [CChar](repeating: 0, count: 4096)
    let count = unsafe readlink("/proc/self/exe", &path, path.count - 1)
    guard count > 0 else { return fallback }
    return String(decoding: path[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  // MARK: Programs

  private struct Counts { var datagrams, exchanges: UInt64 }
  /// What the programs got done.
  private final class Work: Sendable {
    let datagrams = SharedCounter()
    let exchanges = SharedCounter()
    func counts() -> Counts { Counts(datagrams: datagrams.value, exchanges: exchanges.value) }
  }

  private static func begin(_ work: Work, _ stack: Stack, _ other: Stack) throws -> [Task<Void, Never>] {
    let socket: UDPSocket
    let listener: TCPListener
    do throws(SocketError) {
      socket = try stack.blocking.bind(to: SocketAddress(.anyIPv4, port: port))
      listener = try stack.blocking.listen(on: SocketAddress(.anyIPv4, port: 7))
    } catch {
      throw BenchmarkFailure("the sockets could not be made: \(error).")
    }
    let reader = Task {
      while (try? await socket.receive()) != nil { work.datagrams.increment() }
    }
    let server = Task {
      guard let stream = try? await listener.accept() else { return }
      var buffer = [UInt8](repeating: 0, count: 4096)
      while let count = try? await stream.read(into: &buffer), count > 0,
        (try? await stream.write(buffer[..<count])) != nil
      {}
    }
    let polite = Task {
      guard let stream = try? await other.connect(to: SocketAddress("10.8.0.1:7")!) else { return }
      stream.setNoDelay(true)
      var byte: [UInt8] = [1]
      while !Task.isCancelled {
        guard (try? await stream.write(byte)) != nil, (try? await stream.read(into: &byte)) == 1 else {
          return
        }
        work.exchanges.increment()
        try? await Task.sleep(for: .milliseconds(2))
      }
    }
    return [reader, server, polite]
  }

  // MARK: Numbers

  private static func samples(
    _ busy: [Double], _ idle: [Double], _ counts: Counts, _ statistics: StackStatistics, _ seconds: Double
  ) -> [BenchmarkSample] {
    func quantile(_ share: Double, _ values: [Double]) -> Double {
      BenchmarkResult.percentile(share, of: values)
    }
    var samples: [BenchmarkSample] = []
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
      let (calm, loaded) = (quantile(share, idle), quantile(share, busy))
      samples.append(BenchmarkSample("lateness.idle.\(name)", calm, .seconds))
      samples.append(BenchmarkSample("lateness.saturated.\(name)", loaded, .seconds))
      samples.append(BenchmarkSample("lateness.beyond-idle.\(name)", loaded - calm, .seconds))
    }
    let context = statistics.contexts[0]
    return samples + [
      BenchmarkSample("timers.fired", Double(busy.count) / seconds, .perSecond),
      BenchmarkSample("frames.received", Double(context.framesReceived) / seconds, .perSecond),
      BenchmarkSample("application.datagrams", Double(counts.datagrams) / seconds, .perSecond),
      BenchmarkSample("polite.exchanges", Double(counts.exchanges) / seconds, .perSecond),
      BenchmarkSample("passes", Double(context.exits) / seconds, .perSecond),
      BenchmarkSample("pass.longest", Double(context.longestPass) / 1e9, .seconds),
      BenchmarkSample("net.budget-ends", Double(context.budgetEnds.net) / seconds, .perSecond),
    ]
  }

  /// At rest.
  private static func ending(_ statistics: StackStatistics) -> [BenchmarkSample] {
    let (entries, exits) = (statistics.total(\.entries), statistics.total(\.exits))
    return [
      BenchmarkSample("wakeups.wasted", Double(statistics.wakeups.wasted), .ratio),
      BenchmarkSample("entries.without-exit", Double(entries &- exits), .ratio),
    ]
  }
}
