import Exclusion
import Testing

@testable import Sluice
@testable import Sockets

/// Who is woken, by what, and how often.
@Suite struct WakingTests {
  /// W1: a client that only receives is not told of send space, whatever it sent before and whatever the peer
  /// acknowledges.
  @Test func W1_receiveOnlyClientIsNotWokenBySendSpace() throws {
    let world = try World()
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 80))
    try world.run {
      let (client, server) = try await connected(left, right, address)
      async let reading = client.read()
      try await pause(right)
      let before = left.statistics().wakeups.delivered
      // Sent without a wait, while somebody waits for data; each is acknowledged before the next.
      for _ in 0..<20 {
        try await client.write("hello")
        try await pause(right)
      }
      #expect(left.statistics().wakeups.delivered == before)
      try await server.write("at last")
      #expect(try await reading == Array("at last".utf8))
      #expect(left.statistics().wakeups.delivered == before + 1)
      #expect(left.statistics().wakeups.wasted == 0)
    }
    world.end()
  }

  /// W3: every wake-up lets an operation go on, also with small buffers and many who wait.
  @Test func W3_noWakeUpIsWithoutProgress() throws {
    let world = try World { $0.buffers = BufferLimits(send: 4096, receive: 4096) }
    let (left, right, address) = (world.left, world.right, world.address("fd00::2", 80))
    try world.run {
      let (client, server) = try await connected(left, right, address)
      let read = Box(0)
      try await withThrowingDiscardingTaskGroup { group in
        for writer in 0..<4 {
          group.addTask { for _ in 0..<5 { try await client.write(pattern(20_000, UInt8(writer))) } }
        }
        for _ in 0..<4 {
          group.addTask {
            while read.value < 400_000 {
              let wanted = min(1500, 400_000 - read.value)
              read.update { $0 += wanted }
              let bytes = try await server.read(exactly: wanted)
              #expect(bytes.count == wanted)
            }
          }
        }
      }
    }
    // Each takes or frees at most a buffer and a little; what comes in a row wakes once.
    for stack in [left, right] {
      #expect(stack.statistics().wakeups.delivered > 20 && stack.statistics().wakeups.wasted == 0)
    }
    world.end()
  }

  /// W4: what wakes a writer is room for what it has to write, or for a third of the buffer; not the first byte.
  @Test(arguments: [1000, 200_000]) func W4_aWriterIsWokenForWhatItNeeds(bytes: Int) throws {
    let world = try World { $0.buffers = BufferLimits(send: 60_000, receive: 60_000) }
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 80))
    try world.run {
      let (client, server) = try await connected(left, right, address)
      // Both buffers are full.
      var written = 0
      while case .bytes(let count) = client.socket.writeNow([UInt8](repeating: 1, count: 10_000)) {
        written += count
        try await pause(right)
      }
      let before = left.statistics().wakeups.delivered
      async let writing: Void = client.write([UInt8](repeating: 2, count: bytes))
      try await pause(right)
      var read = 0
      while read < written + bytes { read += try await server.read(atMost: 500)?.count ?? 0 }
      try await writing
      let wakes = Int(left.statistics().wakeups.delivered - before)
      #expect(wakes >= 1 && wakes <= bytes / 20_000 + 1, "\(wakes) wake-ups")
    }
    world.end()
  }

  /// W10: a buffer that grows is space that is freed: for a writer that sleeps, and for an event queue.
  @Test func W10_aBufferThatGrowsWakesTheWriter() throws {
    let world = try World { $0.buffers = BufferLimits(send: 8192, receive: 8192) }
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 80))
    try world.run {
      let (client, server) = try await connected(left, right, address)
      let queue = try left.makeEventQueue()
      try queue.add(.stream(client), for: .writable, trigger: .edge, token: 1)
      #expect(try queue.poll().count == 1)
      while case .bytes = client.socket.writeNow([UInt8](repeating: 1, count: 10_000)) {
        try await pause(right)
      }
      // Nobody reads: room comes from nowhere else.
      async let writing: Void = client.write([UInt8](repeating: 2, count: 2000))
      try await pause(right)
      #expect(try queue.poll().isEmpty)
      client.socket.setSendLimit(64_000)
      try await writing
      #expect(try queue.poll().map(\.token) == [1])
      client.abort()
      server.abort()
    }
    world.end()
  }

  /// W5: room that a sender took and could not use is told like any other.
  @Test func W5_SB_SPACE_roomThatComesBackUnusedIsTold() throws {
    let world = try World { $0.sockets.applicationPackets = 1 }
    let left = world.left
    try world.run {
      let first = try await left.bind(to: SocketAddress("127.0.0.1:7")!)
      let second = try await left.bind(to: SocketAddress("127.0.0.1:8")!)
      let queue = try left.makeEventQueue()
      try queue.add(.datagrams(second), for: .writable, trigger: .edge, token: 1)
      #expect(try queue.poll().count == 1)
      // The one packet is on its way, and another thread met a full queue.
      #expect(throws: Never.self) { try first.socket.sendNow([1], to: first.localAddress).get() }
      second.socket.datagram.wantSpace()
      #expect(throws: SocketError.noBufferSpace) {
        try second.socket.sendNow([1], to: first.localAddress).get()
      }
      #expect(try queue.poll().map(\.token) == [1])
    }
    world.end()
  }

  /// W6, SB-EOF: whatever ends a wait comes between the look and the sleep, and is seen all the same.
  @Test(arguments: Interference.allCases)
  func W6_SB_EOF_whatComesBetweenCheckAndSleepWakesTheReader(what: Interference) throws {
    let world = try World()
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 80))
    let ends = Box<(TCPStream, TCPStream)?>(nil)
    try world.run { ends.set(try await connected(left, right, address)) }
    do {
      let (client, server) = try #require(ends.value)
      ends.set(nil)
      let parker = Parker()
      var reading = Interfered(ReadChunk(socket: server.socket, limit: 100)) {
        what.happen(client, server)
        world.scheduler.settle()
      }
      var machine = WaitMachine<Interfered<ReadChunk>>(waking: parker.wakeTarget)
      var step = machine.begin(&reading)
      // A close is woken while the publication can be seen: then the token is there.
      if case .sleep = step {
        #expect(withApplication { held in parker.park(untilNanoseconds: 0, &held) }, "nobody wakes it")
        step = machine.woken(&reading)
      }
      guard case .finished(let result) = step else {
        Issue.record("it goes to sleep for ever")
        return
      }
      switch what {
      case .data: #expect(try result.get() == [1, 2])
      case .dataAndEnd: #expect(try result.get() == [1, 2])
      case .end, .shutdownOfReading: #expect(try result.get() == nil)
      case .reset: #expect(throws: SocketError.connectionReset) { _ = try result.get() }
      case .close: #expect(throws: SocketError.closed) { _ = try result.get() }
      }
      #expect(reading.attempts == 2)
      client.abort()
    }
    world.end()
  }

  enum Interference: CaseIterable {
    case data, dataAndEnd, end, reset, close, shutdownOfReading

    func happen(_ client: TCPStream, _ server: TCPStream) {
      switch self {
      case .data: _ = client.socket.writeNow([1, 2])
      case .dataAndEnd:
        _ = client.socket.writeNow([1, 2])
        client.shutdownSend()
      case .end: client.shutdownSend()
      case .reset: client.abort()
      case .close: server.close()
      case .shutdownOfReading: server.shutdownReceive()
      }
    }
  }

  /// W11: whoever is woken may call in from inside its wake-up, in application context, as far as any thread may:
  /// nothing is held then. Waking with a lock held does not compile (`NegativeCompilationTests`).
  @Test func W11_wakeUpsRunWithNothingHeld() throws {
    let world = try World()
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 80))
    let ends = Box<(TCPStream, TCPStream)?>(nil)
    try world.run { ends.set(try await connected(left, right, address)) }
    do {
      let (client, server) = try #require(ends.value)
      ends.set(nil)
      let caller = CallerIn(server.socket)
      let pair = server.socket.readPoint
      var held = false
      withApplication { token in
        if case .taken = pair.turn.take(caller.target, &token) { held = true }
      }
      #expect(held)
      let ticket = pair.waiter.publish(need: 1, caller.target)
      _ = client.socket.writeNow([7])
      world.scheduler.settle()
      #expect(caller.wasReadable == true)
      pair.waiter.finish(ticket)
      withApplication { token in pair.turn.pass(&token) }
      client.abort()
    }
    world.end()
  }

  /// SB-ATOMIC, SO-RESTART for writers and accepters: what they wait for comes between the look and the sleep.
  @Test func SB_ATOMIC_roomThatComesBetweenCheckAndSleepWakesTheWriter() throws {
    let world = try World { $0.buffers = BufferLimits(send: 8192, receive: 8192) }
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 80))
    let ends = Box<(TCPStream, TCPStream)?>(nil)
    try world.run { ends.set(try await connected(left, right, address)) }
    do {
      let (client, server) = try #require(ends.value)
      ends.set(nil)
      while case .bytes = client.socket.writeNow([UInt8](repeating: 1, count: 1000)) {
        world.scheduler.settle()
      }
      let parker = Parker()
      var writing = Interfered(WriteAll(client.socket, [2, 2, 2])) {
        while case .bytes = server.socket.readNow(10_000) { world.scheduler.settle() }
      }
      var machine = WaitMachine<Interfered<WriteAll<[UInt8]>>>(waking: parker.wakeTarget)
      guard case .finished(.success) = machine.begin(&writing) else {
        Issue.record("it goes to sleep for ever")
        return
      }
      #expect(writing.attempts == 2)
      client.abort()
    }
    world.end()
  }
}

/// Lets the contexts do what there is to do, and some virtual time pass.
private func pause(_ stack: Stack) async throws(SocketError) {
  _ = try await stack.makeEventQueue().wait(timeout: .milliseconds(300))
}

/// An operation that something happens to after its first try, before anybody can see that it waits.
private struct Interfered<Running: Operation>: Operation {
  private var running: Running
  private let interfere: () -> Void
  private(set) var attempts = 0

  init(_ running: Running, _ interfere: @escaping () -> Void) {
    self.running = running
    self.interfere = interfere
  }
  var point: WaitPoint { running.point }
  func isReady(need: UInt32) -> Bool { running.isReady(need: need) }
  mutating func attempt() -> Attempt<Running.Value> {
    let outcome = running.attempt()
    attempts += 1
    if attempts == 1 { interfere() }
    return outcome
  }
}

/// Calls into the stack from inside its wake-up.
@safe private final class CallerIn {
  private let socket: StreamSocket
  private(set) var wasReadable: Bool?
  init(_ socket: StreamSocket) { self.socket = socket }

  var target: WakeTarget {
    unsafe WakeTarget(
      function: { context in
        let caller = unsafe Unmanaged<CallerIn>.fromOpaque(context).takeUnretainedValue()
        caller.wasReadable = caller.socket.isReadable(need: 1)
      }, context: Unmanaged.passUnretained(self).toOpaque())
  }
}

extension StreamSocket {
  func writeNow(_ bytes: [UInt8]) -> WriteOutcome { unsafe bytes.withUnsafeBytes { unsafe tryWrite($0) } }
  func readNow(_ limit: Int) -> ReadOutcome {
    var bytes = [UInt8](repeating: 0, count: limit)
    return unsafe bytes.withUnsafeMutableBytes { unsafe tryRead(into: $0) }
  }
}
extension DatagramSocket {
  func sendNow(_ bytes: [UInt8], to address: SocketAddress) -> Result<Void, SocketError> {
    unsafe bytes.withUnsafeBytes { unsafe trySend($0, to: address) }
  }
}
