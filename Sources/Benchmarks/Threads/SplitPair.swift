import Devices
import Exclusion
import Sluice
import Sockets
import SoftInterrupts
import Timing

/// A byte there and a byte back between two threads that never sleep, each of which steps its stack and is its program.
enum SplitPair {
  static let benchmark = Benchmark(
    "pair-rr-split", "exchanges of a byte; a thread for either stack, which is its program, and never sleeps",
    unitOfWork: "exchanges"
  ) { options in try round(options) }

  private static func round(_ options: BenchmarkOptions) throws -> [BenchmarkSample] {
    let link = LinkPair(left: .ip, right: .ip)
    let far = try End(link.left, "\(SteppedPair.farAddress)/24", seed: 2)
    let near = try End(link.right, "10.8.0.2/24", seed: 1)
    let measured = try exchange(near, far, options)
    // What the sockets left, then the frames, which are the stacks' pools'.
    for _ in 0..<8 {
      near.step()
      far.step()
    }
    withExtendedLifetime((near, far)) { link.loseFrames() }
    return measured.samples("pair-rr-split", .perSecond)
  }

  /// The sockets go with its end.
  private static func exchange(_ near: End, _ far: End, _ options: BenchmarkOptions) throws -> Measured {
    func take<Value>(_ answer: Answer<Result<Value, SocketError>>) throws -> Value {
      for _ in 0..<8 {
        near.step()
        far.step()
      }
      guard case .success(let value)? = answer.take() else {
        throw BenchmarkFailure("a socket could not be made.")
      }
      return value
    }
    let listener = try take(far.stack.layer.listen(on: SocketAddress("\(SteppedPair.farAddress):7")!))
    let socket = try take(near.stack.layer.connect(to: listener.address))
    guard socket.isConnected, case .success(let child) = listener.tryAccept() else {
      throw BenchmarkFailure("the stacks did not connect.")
    }
    socket.setNoDelay(true)
    child.setNoDelay(true)

    let stop = AtomicWord(0)
    let done = SharedCounter()
    let mistakes = SharedCounter()
    let watch = Stopwatch(.process)
    let count = options.count ?? .max
    do throws(SystemFailure) {
      let server = try WorkerThread(name: "far") {
        while stop.load() == 0, let byte = far.wait(for: child, until: stop) {
          if !far.put(~byte, child) { mistakes.increment() }
        }
      }
      defer {
        stop.store(1)
        server.join()
      }
      let client = try WorkerThread(name: "near") {
        var next: UInt8 = 0
        while stop.load() == 0, done.value < UInt64(count) {
          next &+= 1
          if !near.put(next, socket) { mistakes.increment() }
          guard let byte = near.wait(for: socket, until: stop) else { return }
          if byte != ~next { mistakes.increment() }
          done.increment()
        }
      }
      if options.count == nil {
        Processors.sleep(seconds: options.seconds)
        stop.store(1)
      }
      client.join()
    } catch {
      throw BenchmarkFailure("the system has no thread to give: \(error).")
    }
    let (wall, processor) = watch.read()
    let measured = Measured(units: Int(done.value), wall: wall, processor: processor)
    guard mistakes.value == 0 else { throw BenchmarkFailure("bytes arrived that were not sent.") }
    socket.abort()
    child.abort()
    listener.close()
    return measured
  }
}

/// A stack of one context and its program.
private final class End: @unchecked Sendable {  // its thread steps it, who made it before and after
  let stack: Stack
  private let scheduler = ManualScheduler(clock: VirtualClock())

  init(_ end: LinkEnd, _ address: String, seed: UInt64) throws(BenchmarkFailure) {
    var configuration = StackConfiguration()
    configuration.isManual = true
    configuration.sockets.seed = seed
    configuration.interfaces = [StackInterface(end, addresses: [IPPrefix(address)!])]
    do throws(StackError) {
      stack = try Stack(configuration)
    } catch {
      throw BenchmarkFailure("\(error)")
    }
    scheduler.add(stack.contexts)
  }

  func step() { _ = scheduler.step(stack.contexts, context: 0) }

  func put(_ byte: UInt8, _ socket: StreamSocket) -> Bool {
    var byte = byte
    let outcome = unsafe withUnsafeBytes(of: &byte) { unsafe socket.tryWrite($0) }
    step()
    return outcome == .bytes(1)
  }

  /// Steps until a byte is there; nil: it is time to stop.
  func wait(for socket: StreamSocket, until stop: borrowing AtomicWord) -> UInt8? {
    var byte: UInt8 = 0
    while stop.load() == 0 {
      let outcome = unsafe withUnsafeMutableBytes(of: &byte) { unsafe socket.tryRead(into: $0) }
      if outcome == .bytes(1) { return byte }
      step()
    }
    return nil
  }
}
