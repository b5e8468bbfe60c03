import Devices
import Exclusion
import Glibc
import Sluice

/// Two stacks joined in memory, each on its own threads: single bytes there and back, then bytes as fast as they go.
/// Programs are threads that block.
enum StreamBench {
  static let benchmark = Benchmark(
    name: "streams",
    abstract: "exchanges of single bytes, and bulk transfer, between two stacks in memory, or within one"
  ) { options in try round(options) }

  private static let address = SocketAddress("10.8.0.1:7")!

  private static func round(_ options: BenchOptions) throws -> [BenchSample] {
    let exchanges = try measure(options, Exchange())
    let bytes = try measure(options, Bulk())
    return [
      BenchSample(name: "exchanges", value: exchanges.rate, unit: .perSecond),
      BenchSample(name: "bulk", value: bytes.rate, unit: .bytesPerSecond),
      BenchSample(name: "wakeups.wasted", value: exchanges.wasted + bytes.wasted, unit: .count),
      BenchSample(name: "bulk.steered", value: bytes.steered, unit: .perSecond),
      BenchSample(name: "exchanges.kicks", value: exchanges.kicks, unit: .perSecond),
      BenchSample(name: "exchanges.entered", value: exchanges.entered, unit: .perSecond),
      BenchSample(name: "bulk.entered", value: bytes.entered, unit: .perSecond),
    ]
  }

  private struct Measured { var rate, wasted, steered, kicks, entered: Double }

  private static func measure(_ options: BenchOptions, _ load: any StreamLoad) throws -> Measured {
    let pair = LinkPair(left: .ip, right: .ip, queues: options.contexts)
    let left = try stack(options, pair.left, "10.8.0.1/24")
    let right = options.loopback ? left : try stack(options, pair.right, "10.8.0.2/24")
    var threads: [WorkerThread] = []
    let listener: TCPListener
    do throws(SocketError) {
      listener = try left.blocking.listen(on: address)
      for number in 0..<options.connections {
        let near = try right.blocking.connect(to: address)
        let far = try listener.acceptBlocking()
        near.setNoDelay(true)
        far.setNoDelay(true)
        threads.append(try worker("far-\(number)") { load.serve(far) })
        threads.append(try worker("near-\(number)") { load.drive(near) })
      }
    } catch {
      throw Failure("the connections could not be made: \(error).")
    }
    let before = load.done
    usleep(useconds_t(options.seconds * 1_000_000))
    let done = load.done - before
    let statistics = (options.loopback ? [left] : [left, right]).map { $0.statistics() }
    left.shutdown()
    right.shutdown()
    for thread in threads { thread.join() }
    // The frames belong to the stacks' pools, which must not go first.
    withExtendedLifetime((left, right)) { pair.loseFrames() }
    let seconds = Double(options.seconds)
    return Measured(
      rate: Double(done) / seconds,
      wasted: Double(statistics.reduce(0) { $0 + $1.wakeups.wasted }),
      steered: Double(statistics.reduce(0) { $0 + $1.total(\.steered) }) / seconds,
      kicks: Double(statistics.reduce(0) { $0 + $1.total(\.kicks) }) / seconds,
      entered: Double(statistics.reduce(0) { $0 + $1.total(\.guestEntries) }) / seconds)
  }

  private static func worker(
    _ name: String, _ body: @escaping @Sendable () -> Void
  ) throws(SocketError) -> WorkerThread {
    do throws(SystemFailure) {
      return try WorkerThread(name: name, body)
    } catch {
      throw .noBufferSpace
    }
  }

  private static func stack(_ options: BenchOptions, _ end: LinkEnd, _ address: String) throws(Failure)
    -> Stack
  {
    var configuration = StackConfiguration()
    configuration.contexts = options.contexts
    if options.steered { configuration.steering = .home }
    configuration.entry = options.enter.choice
    configuration.spin = .microseconds(options.spin)
    configuration.interfaces = [StackInterface(end, addresses: [IPPrefix(address)!])]
    do throws(StackError) {
      let stack = try Stack(configuration)
      try stack.start()
      return stack
    } catch {
      throw Failure("\(error)")
    }
  }
}

/// What the two ends of a connection do until it breaks.
private protocol StreamLoad: Sendable {
  func serve(_ stream: TCPStream)
  func drive(_ stream: TCPStream)
  var done: UInt64 { get }
}

private final class Exchange: StreamLoad {
  private let count = SharedCounter()
  var done: UInt64 { count.value }

  func serve(_ stream: TCPStream) {
    var byte: [UInt8] = [0]
    while (try? stream.blocking.read(into: &byte)) == 1, (try? stream.blocking.write(byte)) != nil {}
  }
  func drive(_ stream: TCPStream) {
    var byte: [UInt8] = [1]
    while (try? stream.blocking.write(byte)) != nil, (try? stream.blocking.read(into: &byte)) == 1 {
      count.increment()
    }
  }
}

private final class Bulk: StreamLoad {
  private let count = SharedCounter()
  var done: UInt64 { count.value }

  func serve(_ stream: TCPStream) {
    var bytes = [UInt8](repeating: 0, count: 65_536)
    while let taken = try? stream.blocking.read(into: &bytes), taken > 0 {
      count.increment(by: UInt64(taken))
    }
  }
  func drive(_ stream: TCPStream) {
    let bytes = [UInt8](repeating: 0x5A, count: 65_536)
    while (try? stream.blocking.write(bytes)) != nil {}
  }
}
