import Devices
import Sluice
import Sockets
import SoftInterrupts
import Timing

/// Two stacks joined by a link in memory, MTU 1500, checksums on, both stepped by the calling thread, which is the
/// program at either end as well. The calls are those that the interface of `Sluice` makes; nobody waits.
///
/// The stacks are told the time, as a program that steps them does: the real one once in some turns, or, where the
/// work is of a fixed size, a microsecond a turn.
struct SteppedPair: Settling {
  let near: Stack
  let far: Stack
  private let link: LinkPair
  private let scheduler: ManualScheduler
  private let clock: VirtualClock
  private let real = RealClock()
  private let isCounted: Bool

  static let farAddress = "10.8.0.1"

  /// - Parameter offloads: what the link takes as it is.
  init(_ options: BenchmarkOptions, offloads: DeviceOffloads = []) throws {
    isCounted = options.count != nil
    clock = VirtualClock(start: isCounted ? Instant(nanoseconds: 1_000_000_000) : real.now())
    link = LinkPair(left: .ip, right: .ip, offloads: offloads, passesFrames: true)
    scheduler = ManualScheduler(clock: clock)
    near = try Self.stack(link.left, "10.8.0.2/24", seed: 1, clock)
    far = try Self.stack(link.right, "\(Self.farAddress)/24", seed: 2, clock)
    scheduler.add(near.contexts)
    scheduler.add(far.contexts)
  }

  private static func stack(
    _ end: LinkEnd, _ address: String, seed: UInt64, _ clock: VirtualClock
  ) throws -> Stack {
    var configuration = StackConfiguration()
    configuration.time = clock
    configuration.isManual = true
    configuration.sockets.seed = seed
    // The program and its two stacks are one thread: a call does what it asks for.
    configuration.sockets.entry = .drive
    configuration.interfaces = [StackInterface(end, addresses: [IPPrefix(address)!])]
    do throws(StackError) {
      return try Stack(configuration)
    } catch {
      throw BenchmarkFailure("\(error)")
    }
  }

  /// Frames that the near stack has sent.
  var framesSent: UInt64 { link.left.counters(queue: 0).framesSent.value }

  /// Passes over both stacks until neither has anything to do.
  func settle() { scheduler.settle() }

  /// Tells the stacks what time it is, so many turns after the last time.
  func passTime(turns: Int) {
    if isCounted { clock.advance(by: .microseconds(Int64(turns))) } else { clock.advance(to: real.now()) }
  }
  /// Lets virtual time pass.
  func pass(_ span: Nanoseconds) { clock.advance(by: span) }

  /// Settles, and takes the answer that is then there.
  func take<Value>(_ answer: Answer<Result<Value, SocketError>>) throws(BenchmarkFailure) -> Value {
    settle()
    switch answer.take() {
    case .success(let value): return value
    case .failure(let error): throw BenchmarkFailure("a socket could not be made: \(error).")
    case nil: throw BenchmarkFailure("a socket was not made: no answer.")
    }
  }

  func listen(_ limits: BufferLimits) throws -> ListeningSocket {
    try take(far.layer.listen(on: SocketAddress("\(Self.farAddress):7")!, limits: limits))
  }

  /// A connection: its end here, and its end there.
  func connect(_ limits: BufferLimits, _ listener: ListeningSocket) throws -> (StreamSocket, StreamSocket) {
    let socket = try take(near.layer.connect(to: listener.address, limits: limits))
    settle()
    guard socket.isConnected, case .success(let child) = listener.tryAccept() else {
      throw BenchmarkFailure("the stacks did not connect.")
    }
    return (socket, child)
  }

  /// Ends both stacks, and looks at what is left of the work: nothing, or the numbers are worth nothing.
  func end() throws {
    for stack in [near, far] { _ = stack.quiesce() }
    // TIME-WAIT, and retransmissions of what was under way.
    scheduler.run(milliseconds: 130_000)
    for stack in [near, far] { stack.forget() }
    settle()
    for stack in [near, far] where !stack.remains().isEmpty {
      throw BenchmarkFailure("not everything was given back: \(stack.remains()).")
    }
    link.loseFrames()
  }
}

/// What is done again and again on a pair.
protocol SteppedWork: ~Copyable {
  /// Turns that the time is told once in.
  static var turnsPerLook: Int { get }
  /// Does some, at most `limit` units; says how many.
  mutating func turn(limit: Int) throws(BenchmarkFailure) -> Int
}

extension SteppedPair {
  /// For as long, or as much, as the options say. `warm` units come before.
  func measure<Work: SteppedWork & ~Copyable>(
    _ work: inout Work, _ options: BenchmarkOptions, warm: Int
  ) throws(BenchmarkFailure) -> Measured {
    try run(&work, units: warm)
    let watch = Stopwatch(.thread)
    var units = 0
    if let count = options.count {
      units = try run(&work, units: count)
    } else {
      let end = real.now().adding(milliseconds: UInt64(options.seconds) * 1000)
      repeat {
        for _ in 0..<Work.turnsPerLook { units += try work.turn(limit: .max) }
        passTime(turns: Work.turnsPerLook)
      } while real.now() < end
    }
    let (wall, processor) = watch.read()
    return Measured(units: units, wall: wall, processor: processor)
  }

  @discardableResult
  private func run<Work: SteppedWork & ~Copyable>(
    _ work: inout Work, units: Int
  ) throws(BenchmarkFailure) -> Int {
    var done = 0
    var idle = 0
    var standing = real.now()
    while done < units {
      var turns = 0
      let before = done
      while turns < Work.turnsPerLook, done < units {
        done += try work.turn(limit: units - done)
        turns += 1
      }
      passTime(turns: turns)
      idle = done == before ? idle + 1 : 0
      if idle == 1 { standing = real.now() }
      // Timers may have to pass, in real time too; no honest one takes so long.
      if idle > 0, idle % 4096 == 0, real.now() > standing.adding(milliseconds: 20_000) {
        throw BenchmarkFailure("the stacks stand still.")
      }
    }
    return done
  }
}
