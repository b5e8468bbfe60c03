import Devices
import Exclusion
import Sluice
import Sockets
import SoftInterrupts
import Timing

/// What more contexts bring: two stacks with a context for each thread, joined by a link with as many queues. A thread
/// steps its context of either stack and is the program of one connection that is at home there at both ends, so that
/// threads share the stacks' tables, pools and accounts, and nothing else; none sleeps, and none waits for another.
enum Scale {
  static let benchmark = Benchmark(
    "scale", "bulk transfer with 1, 2, 4, … threads, each with its context; --contexts is the last",
    unitOfWork: "full segments of each thread"
  ) { options in try round(options) }

  private static func round(_ options: BenchmarkOptions) throws -> [BenchmarkSample] {
    let most = options.contexts ?? Processors.count
    let steps = Array(sequence(first: 1) { $0 * 2 }.prefix { $0 < most }) + [most]
    var samples: [BenchmarkSample] = []
    var first: Measured?
    for count in steps {
      let measured = try measure(count, options)
      let name = "scale.\(count)"
      samples += measured.samples(name, .bitsPerSecond, factor: 8)
      let one = first ?? measured
      first = one
      if count > 1 {
        let rates = (Double(measured.units) / measured.wall, Double(one.units) / one.wall)
        samples.append(BenchmarkSample("\(name).speedup", rates.0 / rates.1, .ratio))
        let efforts = (Double(measured.units) / measured.processor, Double(one.units) / one.processor)
        samples.append(
          BenchmarkSample("\(name).speedup-by-processor", Double(count) * efforts.0 / efforts.1, .ratio))
      }
    }
    return samples
  }

  private static func measure(_ count: Int, _ options: BenchmarkOptions) throws -> Measured {
    let link = LinkPair(left: .ip, right: .ip, queues: count)
    let far = try stack(link.left, "\(SteppedPair.farAddress)/24", contexts: count, seed: 2)
    let near = try stack(link.right, "10.8.0.2/24", contexts: count, seed: 1)
    let measured = try transfer(near, far, options)
    // The stacks end with what the sockets left, and their frames, which are their pools', before them.
    withExtendedLifetime((near, far)) {
      let scheduler = ManualScheduler(clock: VirtualClock(start: RealClock().now()))
      scheduler.add(near.contexts)
      scheduler.add(far.contexts)
      scheduler.settle()
      link.loseFrames()
    }
    return measured
  }

  /// The sockets go with its end.
  private static func transfer(_ near: Stack, _ far: Stack, _ options: BenchmarkOptions) throws -> Measured {
    let ends = try connections(near, far, options)
    let work = ends.enumerated().map { index, ends in
      Lane(near.contexts, far.contexts, index, ends, options)
    }
    let stop = AtomicWord(0)
    var threads: [WorkerThread] = []
    let watch = Stopwatch(.thread)
    for lane in work {
      do throws(SystemFailure) {
        threads.append(try WorkerThread(name: "lane") { lane.run(until: stop) })
      } catch {
        stop.store(1)
        for thread in threads { thread.join() }
        throw BenchmarkFailure("the system has no thread to give: \(error).")
      }
    }
    if options.count == nil {
      Processors.sleep(seconds: options.seconds)
      stop.store(1)
    }
    for thread in threads { thread.join() }
    let wall = watch.read().wall
    for lane in work { if let failure = lane.failure { throw failure } }
    let measured = Measured(
      units: work.reduce(0) { $0 + $1.units }, wall: wall, processor: work.reduce(0) { $0 + $1.processor })
    for (writer, reader) in ends {
      writer.abort()
      reader.abort()
    }
    return measured
  }

  private static func stack(
    _ end: LinkEnd, _ address: String, contexts: Int, seed: UInt64
  ) throws(BenchmarkFailure) -> Stack {
    var configuration = StackConfiguration()
    configuration.contexts = contexts
    configuration.isManual = true
    configuration.sockets.seed = seed
    configuration.interfaces = [StackInterface(end, addresses: [IPPrefix(address)!])]
    do throws(StackError) {
      return try Stack(configuration)
    } catch {
      throw BenchmarkFailure("\(error)")
    }
  }

  /// One connection for each context, at home there at both ends: of those that are made, as many as it takes.
  private static func connections(
    _ near: Stack, _ far: Stack, _ options: BenchmarkOptions
  ) throws -> [(StreamSocket, StreamSocket)] {
    let scheduler = ManualScheduler(clock: VirtualClock(start: RealClock().now()))
    scheduler.add(near.contexts)
    scheduler.add(far.contexts)
    func take<Value>(_ answer: Answer<Result<Value, SocketError>>) throws -> Value {
      scheduler.settle()
      guard case .success(let value)? = answer.take() else {
        throw BenchmarkFailure("a socket could not be made.")
      }
      return value
    }
    let limits = BufferLimits(send: options.buffer, receive: options.buffer)
    let listener = try take(
      far.layer.listen(on: SocketAddress("\(SteppedPair.farAddress):7")!, backlog: 1024, limits: limits))
    var found = [(StreamSocket, StreamSocket)?](repeating: nil, count: near.contexts.count)
    var tries = 0
    while found.contains(where: { $0 == nil }) {
      tries += 1
      guard tries < 10_000 else { throw BenchmarkFailure("no connection is at home where it must be.") }
      let socket = try take(near.layer.connect(to: listener.address, limits: limits))
      scheduler.settle()
      guard case .success(let child) = listener.tryAccept() else {
        throw BenchmarkFailure("the stacks did not connect.")
      }
      let home = try home(of: socket, in: near)
      if found[home] == nil, try self.home(of: child, in: far) == home {
        found[home] = (socket, child)
      } else {
        socket.abort()
        child.abort()
        scheduler.settle()
      }
    }
    listener.close()
    scheduler.settle()
    return found.compactMap { $0 }
  }

  private static func home(of socket: StreamSocket, in stack: Stack) throws -> Int {
    let all = stack.layer.inventory(limit: 1024).connections
    guard
      let own = all.first(where: { $0.local == socket.localAddress && $0.remote == socket.remoteAddress })
    else { throw BenchmarkFailure("a connection is not in the table.") }
    return own.home
  }
}

/// What one thread does.
private final class Lane: @unchecked Sendable {  // its maker's until the thread starts, and after the join
  private let lane: SteppedLane
  private let ends: (StreamSocket, StreamSocket)
  private let limit: Int
  private let copies: Bool
  private(set) var units = 0
  private(set) var processor = 0.0
  private(set) var failure: BenchmarkFailure?

  init(
    _ near: ContextSet, _ far: ContextSet, _ index: Int, _ ends: (StreamSocket, StreamSocket),
    _ options: BenchmarkOptions
  ) {
    lane = SteppedLane(near, far, index)
    self.ends = ends
    limit = options.count.map { $0 * PairBulk.segment } ?? .max
    copies = options.copies
  }

  func run(until stop: borrowing AtomicWord) {
    let watch = Stopwatch(.thread)
    var work = Transfer(lane, ends.0, ends.1, copies: copies)
    do throws(BenchmarkFailure) {
      var done = 0
      while stop.load() == 0, done < limit {
        done += try work.turn(limit: limit == .max ? .max : limit - done)
      }
      units = done
    } catch {
      failure = error
    }
    processor = watch.read().processor
  }
}
