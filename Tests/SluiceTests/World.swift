import Devices
import Sluice
import SoftInterrupts
import Testing
import Timing

/// Two stacks on a wire, stepped by hand in virtual time, and tasks that use them.
final class World {
  let clock = VirtualClock(start: Instant(nanoseconds: 1_000_000_000))
  let scheduler: ManualScheduler
  let executor = StepExecutor()
  let left: Stack
  let right: Stack
  /// Called before each step of a task, and each settling of the contexts; with it tasks run one job at a time.
  var beforeStep: (() -> Void)?

  /// The addresses of ``right``, as the test's arguments name the families.
  static let families = ["10.0.0.2", "fd00::2"]

  init(contexts: Int = 1, _ change: (inout StackConfiguration) -> Void = { _ in }) throws {
    let clock = clock
    scheduler = ManualScheduler(clock: clock)
    let pair = LinkPair(
      left: .ethernet(MACAddress(0x02_0000_0000_01)), right: .ethernet(MACAddress(0x02_0000_0000_02)),
      queues: contexts)
    func stack(_ end: LinkEnd, _ host: Int, seed: UInt64) throws -> Stack {
      var configuration = StackConfiguration()
      configuration.contexts = contexts
      configuration.time = clock
      configuration.isManual = true
      configuration.sockets.seed = seed
      configuration.interfaces = [
        StackInterface(end, addresses: [IPPrefix("10.0.0.\(host)/24")!, IPPrefix("fd00::\(host)/64")!])
      ]
      change(&configuration)
      return try Stack(configuration)
    }
    left = try stack(pair.left, 1, seed: 7)
    right = try stack(pair.right, 2, seed: 8)
    scheduler.add(left.contexts)
    scheduler.add(right.contexts)
  }

  func address(_ host: String, _ port: UInt16) -> SocketAddress {
    SocketAddress(IPAddress(host)!, port: port)
  }

  /// Runs a task, and all that it starts as children, to its end. Fails when everybody waits and nothing will
  /// ever happen: somebody missed a wake-up.
  func run(
    limit: UInt64 = 600_000, _ location: SourceLocation = #_sourceLocation,
    _ body: @escaping @Sendable () async throws -> Void
  ) throws {
    let result = Box<Result<Void, any Error>?>(nil)
    let task = Task(executorPreference: executor) {
      do {
        try await body()
        result.set(.success(()))
      } catch {
        result.set(.failure(error))
      }
    }
    let end = clock.now().adding(milliseconds: limit)
    while result.value == nil {
      beforeStep?()
      if step() { continue }
      beforeStep?()
      scheduler.settle()
      if step() || result.value != nil { continue }
      guard let deadline = scheduler.nextDeadline, deadline <= end else {
        task.cancel()
        Issue.record("nobody will ever wake the task", sourceLocation: location)
        return
      }
      clock.advance(to: max(deadline, clock.now()))
    }
    try result.value?.get()
  }

  private func step() -> Bool { beforeStep == nil ? executor.step() : executor.stepOnce() }

  /// Shuts both stacks down and looks at what is left: nothing (RS-LEAK), with balanced counters and no wake-up
  /// that was of no use (SB-EXACT).
  func end(_ location: SourceLocation = #_sourceLocation) {
    for stack in [left, right] {
      #expect(stack.quiesce(), sourceLocation: location)
    }
    scheduler.settle()
    for stack in [left, right] { stack.forget() }
    scheduler.settle()
    for stack in [left, right] {
      #expect(stack.remains().isEmpty, "RS-LEAK: \(stack.remains())", sourceLocation: location)
      stack.expectBalance(location)
      stack.finishCaptures()
    }
  }
}

extension Stack {
  func expectBalance(_ location: SourceLocation = #_sourceLocation) {
    let statistics = statistics()
    #expect(statistics.wakeups.wasted == 0, "SB-EXACT", sourceLocation: location)
    for context in statistics.contexts {
      #expect(context.entries == context.exits, "R1", sourceLocation: location)
    }
  }
}

/// Bytes that differ wherever two of them might be mixed up. A plain loop: without optimization `map` asks the
/// run-time library for the same type at every element, under a lock at which all threads of a test would meet.
func pattern(_ count: Int, _ seed: UInt8 = 1) -> [UInt8] {
  let shift = Int(seed) &* 13
  return unsafe [UInt8](unsafeUninitializedCapacity: count) { bytes, filled in
    while filled < count {
      unsafe bytes[filled] = UInt8(truncatingIfNeeded: filled &* 31 &+ (filled &>> 8) &* 7 &+ shift)
      filled &+= 1
    }
  }
}

extension TCPStream {
  /// Everything up to the end of the stream.
  func readAll() async throws(SocketError) -> [UInt8] {
    var all: [UInt8] = []
    for try await chunk in chunks() { all += chunk }
    return all
  }
  /// Exactly so many bytes, or fewer at the end of the stream.
  func read(exactly count: Int) async throws(SocketError) -> [UInt8] {
    var all: [UInt8] = []
    while all.count < count, let chunk = try await read(atMost: count - all.count) { all += chunk }
    return all
  }
}

/// Sends back what comes, on every connection, until the listener is closed.
func serveEcho(_ listener: TCPListener) async throws {
  try await withThrowingDiscardingTaskGroup { group in
    for try await stream in listener.connections {
      group.addTask {
        var buffer = [UInt8](repeating: 0, count: 5000)
        while case let count = try await stream.read(into: &buffer), count > 0 {
          try await stream.write(buffer[..<count])
        }
        stream.close()
      }
    }
  }
}
