import Devices
import Exclusion
import Sluice

/// Two stacks joined in memory, each on the threads of its contexts, or one with itself. Programs are threads that
/// block, through the public interface.
enum ThreadedPair {
  static let benchmarks = [
    Benchmark("pair-bulk-threads", "the same; contexts have threads, and programs are threads that block") {
      options in try round("pair-bulk-threads", options, Bulk(), .bitsPerSecond, factor: 8)
    },
    Benchmark("pair-rr-threads", "the same; contexts have threads, and programs are threads that block") {
      options in try round("pair-rr-threads", options, Exchange(), .perSecond)
    },
    Benchmark("pair-crr-threads", "the same; contexts have threads, and programs are threads that block") {
      options in try round("pair-crr-threads", options, Connecting(), .perSecond)
    },
  ]

  static let address = SocketAddress("10.8.0.1:7")!

  private static func round(
    _ name: String, _ options: BenchmarkOptions, _ load: any ThreadedLoad, _ unit: BenchmarkSample.Unit,
    factor: Double = 1
  ) throws -> [BenchmarkSample] {
    let link = LinkPair(left: .ip, right: .ip, queues: options.contexts ?? 1)
    let far = try stack(options, link.left, "10.8.0.1/24")
    let near = options.isLoopback ? far : try stack(options, link.right, "10.8.0.2/24")
    var threads: [WorkerThread] = []
    do throws(SocketError) {
      let listener = try far.blocking.listen(on: address)
      for number in 0..<(options.connections ?? 1) {
        threads += try load.start(number, near, listener)
      }
    } catch {
      throw BenchmarkFailure("the connections could not be made: \(error).")
    }
    let stacks = options.isLoopback ? [far] : [far, near]
    let before = (load.done, Counts(stacks))
    let watch = Stopwatch(.process)
    Processors.sleep(seconds: options.seconds)
    let (wall, processor) = watch.read()
    let after = (load.done, Counts(stacks))
    let measured = Measured(units: Int(after.0 - before.0), wall: wall, processor: processor)
    for stack in stacks { stack.shutdown() }
    for thread in threads { thread.join() }
    let wasted = stacks.reduce(0) { $0 + $1.statistics().wakeups.wasted }
    // The frames belong to the stacks' pools, which must not go first.
    withExtendedLifetime(stacks) { link.loseFrames() }
    if let wrong = load.wrong { throw BenchmarkFailure(wrong) }
    func each(_ what: String, _ count: KeyPath<Counts, UInt64>) -> BenchmarkSample {
      let units = max(1, Double(measured.units) * factor / (factor == 1 ? 1 : 8 * 65_536))
      return BenchmarkSample(
        "\(name).\(what)", Double(after.1[keyPath: count] - before.1[keyPath: count]) / units, .ratio)
    }
    return measured.samples(name, unit, factor: factor) + [
      each("kicks", \.kicks), each("sleeps", \.sleeps), each("entered", \.entered),
      each("steered", \.steered),
      BenchmarkSample("\(name).wasted-wakeups", Double(wasted), .ratio),
    ]
  }

  /// What contexts did, of all stacks together.
  private struct Counts {
    var kicks, sleeps, entered, steered: UInt64

    init(_ stacks: [Stack]) {
      let all = stacks.map { $0.statistics() }
      kicks = all.reduce(0) { $0 + $1.total(\.kicks) }
      sleeps = all.reduce(0) { $0 + $1.total(\.sleeps) }
      entered = all.reduce(0) { $0 + $1.total(\.guestEntries) }
      steered = all.reduce(0) { $0 + $1.total(\.steered) }
    }
  }

  private static func stack(
    _ options: BenchmarkOptions, _ end: LinkEnd, _ address: String
  ) throws(BenchmarkFailure) -> Stack {
    var configuration = StackConfiguration()
    configuration.contexts = options.contexts ?? 1
    if options.isSteered { configuration.steering = .home }
    configuration.entry = options.entry
    configuration.spin = .microseconds(options.spin)
    // A minute of connections would be more than there are ports.
    configuration.sockets.tcp.timeWait = .milliseconds(50)
    configuration.interfaces = [StackInterface(end, addresses: [IPPrefix(address)!])]
    do throws(StackError) {
      let stack = try Stack(configuration)
      try stack.start()
      return stack
    } catch {
      throw BenchmarkFailure("\(error)")
    }
  }
}

/// What programs do until the stacks are shut down.
protocol ThreadedLoad: Sendable {
  /// Threads of one of several connections, whose near end is the first stack's.
  func start(_ number: Int, _ near: Stack, _ listener: TCPListener) throws(SocketError) -> [WorkerThread]
  var done: UInt64 { get }
  /// What was not as it must be.
  var wrong: String? { get }
}

/// Units and a verdict, for all threads of a load.
final class Tally: Sendable {
  let units = SharedCounter()
  private let mistakes = SharedCounter()

  /// False is remembered.
  @discardableResult
  func check(_ isRight: Bool) -> Bool {
    if !isRight { mistakes.increment() }
    return isRight
  }
  var wrong: String? { mistakes.value > 0 ? "bytes arrived that were not sent." : nil }
}

extension ThreadedLoad {
  func worker(_ name: String, _ body: @escaping @Sendable () -> Void) throws(SocketError) -> WorkerThread {
    do throws(SystemFailure) {
      return try WorkerThread(name: name, body)
    } catch {
      throw .noBufferSpace
    }
  }
  /// One connection.
  func connection(_ near: Stack, _ listener: TCPListener) throws(SocketError) -> (TCPStream, TCPStream) {
    let stream = try near.blocking.connect(to: ThreadedPair.address)
    let child = try listener.acceptBlocking()
    stream.setNoDelay(true)
    child.setNoDelay(true)
    return (stream, child)
  }
}

// The threads of all loads end when their connections do: the stacks are shut down under them, and whatever is thrown then
// (`try?`) says no more than that. What is not as it must be before that is told by `wrong`, or by nothing being done.

private struct Exchange: ThreadedLoad {
  private let tally = Tally()
  var done: UInt64 { tally.units.value }
  var wrong: String? { tally.wrong }

  func start(_ number: Int, _ near: Stack, _ listener: TCPListener) throws(SocketError) -> [WorkerThread] {
    let (stream, child) = try connection(near, listener)
    let server = try worker("far-\(number)") {
      var byte: [UInt8] = [0]
      while (try? child.blocking.read(into: &byte)) == 1 {
        byte[0] = ~byte[0]
        guard (try? child.blocking.write(byte)) != nil else { return }
      }
    }
    let client = try worker("near-\(number)") {
      var byte: [UInt8] = [1]
      while true {
        let sent = byte[0]
        guard (try? stream.blocking.write(byte)) != nil, (try? stream.blocking.read(into: &byte)) == 1,
          tally.check(byte[0] == ~sent)
        else { return }
        byte[0] = sent &+ 1
        tally.units.increment()
      }
    }
    return [server, client]
  }
}

private struct Bulk: ThreadedLoad {
  private static var piece: Int { 65_536 }
  private let tally = Tally()
  var done: UInt64 { tally.units.value }
  var wrong: String? { tally.wrong }

  func start(_ number: Int, _ near: Stack, _ listener: TCPListener) throws(SocketError) -> [WorkerThread] {
    let (stream, child) = try connection(near, listener)
    let server = try worker("far-\(number)") {
      let text = Text(longest: Self.piece)
      var bytes = [UInt8](repeating: 0, count: Self.piece)
      var place = 0
      while let taken = try? child.blocking.read(into: &bytes), taken > 0 {
        let piece = unsafe bytes.span.bytes.extracting(0..<taken)
        guard tally.check(text.edgesMatch(piece, at: place)) else { return }
        place += taken
        tally.units.increment(by: UInt64(taken))
      }
    }
    let client = try worker("near-\(number)") {
      let text = Text(longest: Self.piece)
      var place = 0
      while unsafe (try? stream.blocking.write(text.piece(from: place, count: Self.piece))) != nil {
        place += Self.piece
      }
    }
    return [server, client]
  }
}

private struct Connecting: ThreadedLoad {
  private let tally = Tally()
  var done: UInt64 { tally.units.value }
  var wrong: String? { tally.wrong }

  func start(_ number: Int, _ near: Stack, _ listener: TCPListener) throws(SocketError) -> [WorkerThread] {
    let server = try worker("far-\(number)") {
      var byte: [UInt8] = [0]
      while let child = try? listener.acceptBlocking() {
        guard (try? child.blocking.read(into: &byte)) == 1, (try? child.blocking.read(into: &byte)) == 0
        else { return }
        child.close()
      }
    }
    let client = try worker("near-\(number)") {
      while let stream = try? near.blocking.connect(to: ThreadedPair.address) {
        guard (try? stream.blocking.write([1])) != nil else { return }
        stream.close()
        tally.units.increment()
      }
    }
    return [server, client]
  }
}
