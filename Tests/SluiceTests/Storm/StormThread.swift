import Chance
import Exclusion
import Internet
import SoftInterrupts
import Sockets

@testable import Sluice

/// One application thread of the storm: takes any socket, and does anything to it.
final class StormThread {
  private let storm: Storm
  private let watch: StormWatch
  private var random: SeededGenerator

  init(_ storm: Storm, _ number: Int) {
    self.storm = storm
    watch = storm.watches[number]
    random = SeededGenerator(seed: storm.plan.seed &+ UInt64(number) &* 0x1234_5678_9ABC_DEF1)
  }

  func run() {
    while storm.mayGoOn {
      step()
      storm.operations.increment()
    }
    watch.begin(.working)
  }

  private func step() {
    switch random.below(1000) {
    case ..<180: connect()
    case ..<360: accept()
    case ..<600: write()
    case ..<880: read()
    case ..<884: withEnd("shutdownSend") { end in end.shutdownSend() }
    case ..<886: withEnd("shutdownReceive") { end in end.shutdownReceive() }
    case ..<899: end("close") { end in end.close() }
    case ..<903: end("abort") { end in end.abort() }
    case ..<907: end("drop") { _ in }
    case ..<911: linger()
    case ..<930: option()
    case ..<960: events()
    case ..<975: listen()
    case ..<977: closeListener()
    case ..<995: datagrams()
    default: changeAddress()
    }
  }

  // MARK: Blocking, or in a task that may be cancelled

  /// Runs an operation in a task and waits for it; often the task is cancelled on the way.
  private func asTask<Value: Sendable>(
    _ body: @escaping @Sendable () async throws -> Value
  ) throws -> Value {
    let result = TaskResult<Value>()
    let parker = Parker()
    let target = parker.wakeTarget
    let task = Task.detached(executorPreference: storm.executor) {
      do {
        result.value = .success(try await body())
      } catch {
        result.value = .failure(error)
      }
      withApplication { held in Exclusion.wake(target, &held) }
    }
    if random.chance(percent: 60) {
      for _ in 0..<random.below(2000) { spinHint() }
      if random.chance(percent: 30) { yieldProcessor() }
      task.cancel()
    }
    withApplication { held in
      while !parker.park(&held) {}
    }
    return try result.value!.get()
  }

  /// Counts how an operation ended. False: what it was done to is of no more use.
  @discardableResult
  private func attempt(_ what: String, _ body: () throws -> Bool) -> Bool {
    defer { watch.begin(.working) }
    do {
      if try body() { storm.count(what) }
      return true
    } catch {
      storm.count("\(what): \(error)")
      return error as? StormError == .cancelled || error as? SocketError == .cancelled
    }
  }

  // MARK: Making connections

  private func connect() {
    guard storm.ends.count < storm.ends.limit, let listener = storm.listeners.any(&random) else {
      return listen()
    }
    let pairing = Pairing(random.next() | 1)
    let isWild = random.chance(percent: 10)
    if !isWild { storm.pairings.add(pairing) }
    let stack = storm.stacks[random.below(2)]
    var address = listener.address
    if address.address.isUnspecified {
      // The listener's stack is not known here: whoever does not listen refuses.
      address = SocketAddress(Self.hosts.randomElement(using: &random)!, port: address.port)
    }
    attempt("connect") {
      watch.begin(.connecting)
      let stream: TCPStream
      if random.chance(percent: 50) {
        stream = try stack.blocking.connect(to: address)
      } else {
        stream = try asTask { [address] in try await stack.connect(to: address) }
      }
      if isWild {
        try stream.blocking.write(StormEnd.wildName)
      } else {
        try stream.blocking.write(pairing.name)
      }
      keep(StormEnd(stream, client: isWild ? nil : pairing))
      return true
    }
  }

  private static let hosts = ["10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2", "127.0.0.1", "::1"].map {
    IPAddress($0)!
  }

  private func keep(_ end: StormEnd) {
    if !storm.ends.add(end) { end.close() }
  }

  private func accept() {
    guard let listener = storm.listeners.any(&random) else { return listen() }
    // Mostly where somebody waits, so that the thread does not wait long.
    if !listener.socket.isAcceptable, !random.chance(percent: 5) { return }
    let isOpen = attempt("accept") {
      watch.begin(.accepting(listener))
      let stream =
        random.chance(percent: 50)
        ? try listener.acceptBlocking() : try asTask { try await listener.accept() }
      keep(StormEnd(stream))
      return true
    }
    if !isOpen { storm.listeners.remove(listener) }
  }

  private func listen() {
    guard storm.listeners.count < storm.listeners.limit else { return }
    let stack = storm.stacks[random.below(2)]
    let own = stack === storm.stacks[0] ? ["10.0.0.1", "fd00::1"] : ["10.0.0.2", "fd00::2"]
    let host = (own + ["0.0.0.0", "::"])[random.below(4)]
    let port = UInt16(random.chance(percent: 20) ? 0 : 7000 + random.below(10))
    let backlog = 1 + random.below(64)
    let options: BindOptions = random.chance(percent: 40) ? [.reuseAddress, .reusePort] : .reuseAddress
    attempt("listen") {
      let listener = try stack.blocking.listen(
        on: SocketAddress(IPAddress(host)!, port: port), backlog: backlog, options: options)
      if !storm.listeners.add(listener) { listener.close() }
      return true
    }
  }

  private func closeListener() {
    guard let listener = storm.listeners.any(&random) else { return }
    storm.listeners.remove(listener)
    if random.chance(percent: 80) { listener.close() }
    storm.count("closeListener")
  }

  // MARK: Using connections

  private func withEnd(_ what: String, _ body: (StormEnd) -> Void) {
    guard let end = storm.ends.any(&random) else { return }
    body(end)
    storm.count(what)
  }
  private func end(_ what: String, _ body: (StormEnd) -> Void) {
    withEnd(what) { end in
      storm.ends.remove(end)
      end.beginEnding()
      body(end)
    }
  }

  private func write() {
    guard let end = storm.ends.any(&random) else { return }
    let count = random.chance(percent: 90) ? 1 + random.below(4000) : 1 + random.below(60_000)
    // Mostly where there is room, so that the thread does not wait long.
    if !end.stream.socket.isWritable(need: UInt32(min(count, Storm.buffer / 3))), !random.chance(percent: 5) {
      return
    }
    let isOpen = attempt("write") {
      watch.begin(.writing(end))
      return try end.write(
        storm,
        { bytes in
          if random.chance(percent: 60) { return try end.stream.blocking.write(bytes) }
          try asTask { try await end.stream.write(bytes) }
        }, count: count)
    }
    if !isOpen { storm.ends.remove(end) }
  }

  private func read() {
    guard let end = storm.ends.any(&random) else { return }
    if !end.hasUnread(), !random.chance(percent: 3) { return }
    let limit = random.chance(percent: 50) ? 65_536 : 1 + random.below(3000)
    let isOpen = attempt("read") {
      watch.begin(.reading(end))
      return try end.read(
        storm,
        { limit in
          if random.chance(percent: 60) { return try end.stream.blocking.read(atMost: limit) }
          do {
            return try asTask { try await end.stream.read(atMost: limit) }
          } catch SocketError.cancelled {
            throw StormError.cancelled
          }
        }, limit: limit)
    }
    if !isOpen { storm.ends.remove(end) }
  }

  private func linger() {
    guard let end = storm.ends.any(&random) else { return }
    storm.ends.remove(end)
    end.beginEnding()
    let limit = Duration.milliseconds(1 + random.below(100))
    attempt("linger") {
      watch.begin(.connecting)
      if random.chance(percent: 50) {
        try end.stream.blocking.close(lingering: limit)
      } else {
        _ = try asTask { try await end.stream.close(lingering: limit) }
      }
      return true
    }
  }

  private func option() {
    let (which, isOn) = (random.below(5), random.chance(percent: 50))
    let limit = Storm.buffer / 4 * (1 + random.below(4))
    withEnd("option") { end in
      switch which {
      case 0: end.stream.setNoDelay(isOn)
      case 1: end.stream.setKeepAlive(isOn)
      case 2: end.stream.setAbortOnClose(isOn)
      case 3: end.setSendLimit(limit)
      default: end.stream.setReceiveLimit(limit)
      }
    }
  }

  // MARK: Event queues

  private func events() {
    guard let queue = storm.queues.any(&random) else { return makeQueue() }
    attempt("events") {
      switch random.below(100) {
      case ..<4: makeQueue()
      case ..<6:
        storm.queues.remove(queue)
        queue.queue.close()
      case ..<30:
        if let end = storm.ends.any(&random) { try queue.add(end, &random) }
      case ..<40:
        if let listener = storm.listeners.any(&random) { try queue.add(listener, &random) }
      case ..<50:
        if let end = storm.ends.any(&random) { try queue.modify(end, &random) }
      case ..<56:
        if let end = storm.ends.any(&random) { try queue.queue.remove(.stream(end.stream)) }
      default: try harvest(queue)
      }
      return true
    }
    if queue.isClosed { storm.queues.remove(queue) }
  }

  private func makeQueue() {
    attempt("makeQueue") {
      let queue = try StormQueue(storm.stacks[random.below(2)].makeEventQueue(limit: 64))
      if !storm.queues.add(queue) { queue.queue.close() }
      return true
    }
  }

  private func harvest(_ queue: StormQueue) throws {
    let limit = 1 + random.below(20)
    let timeout: Duration? = random.chance(percent: 90) ? .milliseconds(random.below(20)) : nil
    watch.begin(.harvesting(queue))
    try queue.harvest(storm) {
      switch random.below(3) {
      case 0: return try queue.queue.poll(atMost: limit)
      case 1: return try queue.queue.waitBlocking(atMost: limit, timeout: timeout)
      default: return try asTask { try await queue.queue.wait(atMost: limit, timeout: timeout) }
      }
    }
  }

  // MARK: The rest

  /// A few datagrams to anybody, and perhaps a receiver who is called back.
  private func datagrams() {
    let stack = storm.stacks[random.below(2)]
    let target = SocketAddress(
      Self.hosts.randomElement(using: &random)!, port: UInt16(8000 + random.below(4)))
    let wanted = UInt16(8000 + random.below(4))
    attempt("datagrams") {
      let socket = try stack.blocking.bind(to: SocketAddress(IPAddress("::")!, port: wanted))
      for size in 0..<random.below(8) {
        try socket.blocking.send([UInt8](repeating: 7, count: size), to: target)
      }
      _ = try asTask {
        try await withThrowingTaskGroup(of: Void.self) { group in
          group.addTask { _ = try await socket.receive() }
          group.addTask {
            for _ in 0..<50 { await Task.yield() }
            socket.close()
          }
          while try await group.next() != nil {}
        }
      }
      return true
    }
  }

  /// An address of its own comes and goes while traffic flows; connections of others go on.
  private func changeAddress() {
    let stack = storm.stacks[random.below(2)]
    let prefix = IPPrefix("10.0.\(1 + random.below(3)).9/24")!
    let isAdding = random.chance(percent: 50)
    stack.contexts.perform(on: 0) { cx in
      try? cx.internet.change(&cx) { tables throws(NetworkChangeError) in
        if isAdding {
          try tables.addAddress(InterfaceAddress(prefix, interface: 2))
        } else {
          try tables.removeAddress(prefix.address, interface: 2)
        }
      }
    }
    storm.count("changeAddress")
  }
}

/// Handed from a task to the thread that waits for it, by the wake-up.
private final class TaskResult<Value: Sendable>: @unchecked Sendable {
  var value: Result<Value, any Error>?
}
