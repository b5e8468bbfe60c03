import Chance
import Devices
import Exclusion
import Internet
import SoftInterrupts
import Testing
import Timing

@testable import Sluice
@testable import Sockets

/// Threads that do at random what programs do to sockets, on two stacks with a wire between them. Every byte that
/// is read is checked; whoever waits for what is there is found; and in the end nothing is left.
final class Storm: Sendable {
  static let buffer = 16 << 10

  let plan: StormPlan
  let stacks: [Stack]
  private let wire: LinkPair
  /// Where the threads' tasks run.
  let executor: ThreadExecutor
  let ends: Places<StormEnd>
  let listeners = Places<TCPListener>(limit: 12)
  let queues = Places<StormQueue>(limit: 6)
  let pairings = PairingTable()
  let watches: [StormWatch]
  let bytesRead = SharedCounter()
  let bytesWritten = SharedCounter()
  let operations = SharedCounter()
  private let finished = SharedCounter()
  private let isOver = AtomicWord(0)
  private let complaints = Box<[String]>([])
  private let tally = Box<[String: Int]>([:])

  init(_ plan: StormPlan) throws {
    self.plan = plan
    executor = try ThreadExecutor()
    wire = LinkPair(
      left: .ethernet(MACAddress(0x02_0000_0000_01)), right: .ethernet(MACAddress(0x02_0000_0000_02)),
      queues: plan.contexts, ringSlots: 64)
    ends = Places(limit: plan.connections * 2)
    watches = (0..<plan.threads).map { _ in StormWatch() }
    func stack(_ end: LinkEnd, _ host: Int) throws -> Stack {
      var configuration = StackConfiguration()
      configuration.contexts = plan.contexts
      configuration.packetLimit = 4096
      configuration.entry = plan.entry
      configuration.buffers = BufferLimits(send: Self.buffer, receive: Self.buffer)
      configuration.sockets.seed = plan.seed &+ UInt64(host)
      configuration.sockets.tcp.initialTimeout = .milliseconds(100)
      configuration.sockets.tcp.minimumTimeout = .milliseconds(20)
      configuration.sockets.tcp.maximumTimeout = .milliseconds(400)
      configuration.sockets.tcp.synAttempts = 3
      configuration.sockets.tcp.synAckAttempts = 3
      configuration.sockets.tcp.timeWait = .milliseconds(50)
      configuration.sockets.tcp.finWait2 = .milliseconds(500)
      configuration.interfaces = [
        StackInterface(end, addresses: [IPPrefix("10.0.0.\(host)/24")!, IPPrefix("fd00::\(host)/64")!])
      ]
      return try Stack(configuration)
    }
    stacks = [try stack(wire.left, 1), try stack(wire.right, 2)]
  }

  // MARK: What threads report

  func complain(_ what: String) {
    print("storm: \(what)")
    complaints.update { $0.append(what) }
  }
  func count(_ what: String) { tally.update { $0[what, default: 0] += 1 } }
  var mayGoOn: Bool { isOver.load() == 0 }

  // MARK: The course

  func run(_ location: SourceLocation = #_sourceLocation) throws {
    print(
      "storm: seed \(plan.seed), \(plan.threads) threads, \(plan.connections) connections,", plan.entry,
      plan.seconds, "s"
    )
    let before = stacks.map { $0.remains() }
    for stack in stacks { try stack.start() }
    let threads = try watches.indices.map { number in
      try WorkerThread(name: "storm-\(number)") { [self] in
        StormThread(self, number).run()
        finished.increment()
      }
    }
    watch()
    isOver.store(1)
    calm()
    waitForThreads()
    for thread in threads { thread.join() }
    executor.end()
    closeAll()
    report()
    for complaint in complaints.value {
      Issue.record("\(complaint), seed \(plan.seed)", sourceLocation: location)
    }
    expectRest(before, location)
    for stack in stacks { stack.shutdown() }
    wire.loseFrames()
    for stack in stacks {
      #expect(stack.remains().isEmpty, "RS-LEAK: \(stack.remains())", sourceLocation: location)
      stack.expectBalance(location)
    }
  }

  /// Until the end, disturbs who waits for nothing, and finds who waits for what is there.
  private func watch() {
    var random = SeededGenerator(seed: plan.seed ^ 0xDEAD)
    let start = RealClock().now()
    var seen = watches.map { _ in (serial: UInt64(0), since: start, readySince: Instant?.none) }
    while RealClock().now() - start < .milliseconds(Int64(plan.seconds * 1000)),
      operations.value < UInt64(plan.operations), complaints.value.isEmpty
    {
      Self.pause(milliseconds: 10)
      let now = RealClock().now()
      for index in watches.indices {
        let (serial, doing) = watches[index].now
        if serial != seen[index].serial {
          seen[index] = (serial, now, nil)
          continue
        }
        if doing.isReady {
          let since = seen[index].readySince ?? now
          seen[index].readySince = since
          if now - since > .seconds(10) {
            complain("thread \(index) \(doing.description), and nobody wakes it for what is there")
          }
          continue
        }
        seen[index].readySince = nil
        if now - seen[index].since > .milliseconds(50) { doing.disturb(&random) }
        if now - seen[index].since > .seconds(120) {
          complain("thread \(index) \(doing.description), and does not go on though it is disturbed")
        }
      }
    }
  }

  /// Ends everything, so that the threads find out that it is over.
  private func calm() {
    for _ in 0..<3 {
      closeAll()
      for watch in watches {
        switch watch.now.doing {
        case .reading(let end), .writing(let end): end.close()
        case .accepting(let listener): listener.close()
        case .harvesting(let queue): queue.queue.close()
        case .working, .connecting: break
        }
      }
      Self.pause(milliseconds: 50)
    }
  }

  private func closeAll() {
    for listener in listeners.takeAll() { listener.close() }
    for end in ends.takeAll() { end.close() }
    for queue in queues.takeAll() { queue.queue.close() }
  }

  /// A thread that never comes back would let the test hang without a word: who it is, and what it does, is said
  /// by a trap.
  private func waitForThreads() {
    let limit = RealClock().now().adding(nanoseconds: UInt64(240_000_000_000))
    while finished.value < UInt64(plan.threads), RealClock().now() < limit { Self.pause(milliseconds: 10) }
    guard finished.value < UInt64(plan.threads) else { return }
    let left = watches.indices.map { "thread \($0) \(watches[$0].now.doing.description)" }
    fatalError("seed \(plan.seed): not all threads come back: \(left.joined(separator: "; "))")
  }

  /// Without a shutdown: what is open ends by itself, and all counts are as they were.
  private func expectRest(_ before: [StackRemains], _ location: SourceLocation) {
    let limit = RealClock().now().adding(nanoseconds: UInt64(120_000_000_000))
    func remains() -> [StackRemains] {
      stacks.map {
        var remains = $0.remains()
        remains.neighbors = 0  // known as long as they are used, and
        remains.timers = max(0, remains.timers - $0.neighborTimers)  // their timers
        return remains
      }
    }
    while remains() != before, RealClock().now() < limit { Self.pause(milliseconds: 20) }
    let after = remains()
    let left = stacks.flatMap(\.layer.descriptions)
    #expect(after == before, "L9: counts at rest: \(left)", sourceLocation: location)
  }

  private func report() {
    let counts = tally.value.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
    print("storm:", counts.joined(separator: ", "))
    let wakeups = stacks.map { $0.statistics().wakeups }
    print(
      "storm: \(operations.value) operations, \(ends.highWater) ends at once, \(bytesWritten.value) bytes written, \(bytesRead.value) read,",
      "wake-ups \(wakeups.map(\.delivered)), wasted \(wakeups.map(\.wasted)),",
      "overflowed \(wakeups.map(\.overflowed)),",
      "guests \(stacks.map { $0.statistics().total(\.guestEntries) })")
  }

  static func pause(milliseconds: UInt64) {
    let parker = Parker()
    let until = RealClock().now().nanoseconds + milliseconds * 1_000_000
    withApplication { held in _ = parker.park(untilNanoseconds: until, &held) }
  }
}

extension SocketLayer {
  /// The connections that can be found, with what is needed to find out why.
  fileprivate var descriptions: [String] {
    var all: [String] = []
    contexts.grace.withPin {
      for index in 0..<contexts.count {
        shard(index).forEach { all.append($0.description(on: self)) }
      }
    }
    return all
  }
}

extension ConnectionRef {
  /// Nobody is inside any more: at worst a look that races, where all is lost already.
  fileprivate func description(on layer: SocketLayer) -> String {
    let (key, status, home) = (unsafe shared.pointee.key, status, home)
    let (references, submitted) = unsafe (
      shared.pointee.references.load(), shared.pointee.submitted.load()
    )
    let owned = withOwnedAtRest(layer) { owned in
      "\(owned.engine.state), enqueued \(owned.enqueued), deferred \(owned.deferred.rawValue), "
        + "orphan \(owned.isOrphan), dropped \(owned.isDropped), held \(owned.isHeld), "
        + "armed \(String(describing: owned.armed)), due \(String(describing: owned.engine.nextDeadline))"
    }
    return "\(key.local) to \(key.remote) at \(home): status \(status.rawValue), references \(references), "
      + "submitted \(submitted), unread \(available), rests \(isAtRest), \(owned)"
  }
}

extension Stack {
  /// Neighbours that are known have a timer each, at most.
  fileprivate var neighborTimers: Int {
    internet.statistics().interfaces.reduce(0) { $0 + $1.neighbors.count }
  }
}

/// Connections by the number that their client sends first.
final class PairingTable: @unchecked Sendable {
  private let lock = TryLock()
  /// Guarded by `lock`.
  private var table: [UInt64: Pairing] = [:]

  func add(_ pairing: Pairing) { lock.locked { table[pairing.number] = pairing } }
  func find(_ number: UInt64) -> Pairing? { lock.locked { table[number] } }
}
