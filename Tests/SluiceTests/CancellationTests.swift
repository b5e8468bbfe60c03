import Sluice
import Testing

/// W12: a cancelled task takes nothing with it. Each story is told again and again, with the cancellation after
/// every step of a task and of the contexts, so that it meets every point of a wait: in the queue for the turn,
/// owning it and not running yet, waiting, woken and not running yet, and beyond.
@Suite struct CancellationTests {
  /// What a story has: two stacks, and the task that will be cancelled.
  struct Stage: Sendable {
    let left: Stack
    let right: Stack
    let executor: StepExecutor
    let address = SocketAddress("10.0.0.2:80")!
    fileprivate let victim = Box<Task<Void, Never>?>(nil)
    fileprivate let isDone = Box(false)

    /// Starts the victim. What it throws is `.cancelled`.
    func startVictim(_ body: @escaping @Sendable () async throws -> Void) -> Task<Void, Never> {
      let isDone = isDone
      let task = Task(executorPreference: executor) { () -> Void in
        do {
          try await body()
        } catch {
          #expect(error as? SocketError == .cancelled)
        }
        isDone.set(true)
      }
      victim.set(task)
      return task
    }
    func start(_ body: @escaping @Sendable () async throws -> Void) -> Task<Void, any Error> {
      Task(executorPreference: executor, operation: body)
    }
    /// Lets the others run until they wait.
    func settle() async { for _ in 0..<3 { await Task.yield() } }
  }

  /// Runs `story` with the cancellation after 0, 1, 2, … steps of its victim's life, until that ends before.
  private func everywhere(
    _ change: (inout StackConfiguration) -> Void = { _ in },
    _ story: @escaping @Sendable (Stage) async throws -> Void
  ) throws {
    for point in 0..<1000 {
      let world = try World(change)
      let stage = Stage(left: world.left, right: world.right, executor: world.executor)
      var steps = 0
      var wasInTime = false
      world.beforeStep = {
        guard let victim = stage.victim.value else { return }
        if steps == point, !stage.isDone.value {
          wasInTime = true
          victim.cancel()
        }
        steps += 1
      }
      try world.run { try await story(stage) }
      stage.victim.set(nil)
      world.end()
      if !wasInTime { return #expect(point >= 3, "a victim that waits lives for some steps") }
    }
    Issue.record("the victim never ends")
  }

  @Test func W12_readersPassOnWhatTheyWereWokenFor() throws {
    try everywhere { stage in
      let (client, server) = try await connected(stage.left, stage.right, stage.address)
      let read = Box<[UInt8]>([])
      let victim = stage.startVictim {
        let bytes = try await server.read(atMost: 1)
        read.update { $0 += bytes ?? [] }
      }
      let other = stage.start {
        let bytes = try await server.read(atMost: 1)
        read.update { $0 += bytes ?? [] }
      }
      await stage.settle()
      try await client.write("ab")
      await victim.value
      try await other.value
      if read.value.count == 1 {
        let rest = try await server.read()
        read.update { $0 += rest ?? [] }
      }
      #expect(read.value == Array("ab".utf8))
    }
  }

  /// SB-WHOLE: the bytes of the writer that goes on come in one piece, behind what the cancelled one was rid of.
  @Test func W12_writersPassOnTheSpaceTheyWereWokenFor() throws {
    try everywhere({ $0.buffers = BufferLimits(send: 8192, receive: 8192) }) { stage in
      let (client, server) = try await connected(stage.left, stage.right, stage.address)
      let victim = stage.startVictim { try await client.write([UInt8](repeating: 1, count: 20_000)) }
      let other = stage.start {
        try await client.write([UInt8](repeating: 2, count: 20_000))
        client.shutdownSend()
      }
      await stage.settle()
      let all = try await server.readAll()
      await victim.value
      try await other.value
      #expect(all.suffix(20_000).allSatisfy { $0 == 2 })
      #expect(all.count >= 20_000 && all.dropLast(20_000).allSatisfy { $0 == 1 })
    }
  }

  @Test func W12_acceptersPassOnTheConnectionTheyWereWokenFor() throws {
    try everywhere { stage in
      let listener = try await stage.right.listen(on: stage.address)
      let accepted = Box<[TCPStream]>([])
      let victim = stage.startVictim {
        let stream = try await listener.accept()
        accepted.update { $0.append(stream) }
      }
      let other = stage.start {
        let stream = try await listener.accept()
        accepted.update { $0.append(stream) }
      }
      await stage.settle()
      let clients = [
        try await stage.left.connect(to: stage.address), try await stage.left.connect(to: stage.address),
      ]
      await victim.value
      try await other.value
      if accepted.value.count == 1 {
        let stream = try await listener.accept()
        accepted.update { $0.append(stream) }
      }
      #expect(Set(accepted.value.map(\.remoteAddress)) == Set(clients.map(\.localAddress)))
      listener.close()
    }
  }

  /// A cancelled connect is aborted: its caller gets a stream or `.cancelled`, and nothing stays behind.
  @Test func W12_aCancelledConnectIsAborted() throws {
    try everywhere { stage in
      let listener = try await stage.right.listen(on: stage.address)
      let made = Box<TCPStream?>(nil)
      let victim = stage.startVictim {
        let stream = try await stage.left.connect(to: stage.address)
        made.set(stream)
      }
      await victim.value
      if let stream = made.value {
        let server = try await listener.accept()
        try await stream.write("hello")
        #expect(try await server.read() == Array("hello".utf8))
      }
      made.set(nil)
      listener.close()
    }
  }

  @Test func W12_receiversPassOnTheDatagramTheyWereWokenFor() throws {
    try everywhere { stage in
      let server = try await stage.right.bind(to: stage.address)
      let client = try await stage.left.bind(to: SocketAddress("10.0.0.1:0")!, peer: stage.address)
      let received = Box<[[UInt8]]>([])
      let victim = stage.startVictim {
        let datagram = try await server.receive()
        received.update { $0.append(datagram.bytes) }
      }
      let other = stage.start {
        let datagram = try await server.receive()
        received.update { $0.append(datagram.bytes) }
      }
      await stage.settle()
      try await client.send([1])
      try await client.send([2])
      await victim.value
      try await other.value
      if received.value.count == 1 {
        let datagram = try await server.receive()
        received.update { $0.append(datagram.bytes) }
      }
      #expect(received.value == [[1], [2]])
    }
  }

  @Test func W12_sendersPassOnTheRoomTheyWereWokenFor() throws {
    try everywhere({ $0.sockets.datagramSendLimit = 1 }) { stage in
      let server = try await stage.right.bind(to: stage.address)
      let client = try await stage.left.bind(to: SocketAddress("10.0.0.1:0")!, peer: stage.address)
      let isSent = Box(false)
      try await client.send([0])
      let victim = stage.startVictim {
        try await client.send([1])
        isSent.set(true)
      }
      let other = stage.start { try await client.send([2]) }
      await victim.value
      try await other.value
      for expected in isSent.value ? [0, 1, 2] : [0, 2] {
        #expect(try await server.receive().bytes == [UInt8(expected)])
      }
    }
  }

  /// Each edge is told once, to whoever is there.
  @Test func W12_waitersForEventsPassThemOn() throws {
    try everywhere { stage in
      let (client, server) = try await connected(stage.left, stage.right, stage.address)
      let queue = try stage.right.makeEventQueue()
      try queue.add(.stream(server), for: .readable, trigger: .edge, token: 1)
      let event = try queue.addUserEvent(token: 2)
      let told = Box<[UInt64]>([])
      let victim = stage.startVictim {
        let events = try await queue.wait(atMost: 1)
        told.update { $0 += events.map(\.token) }
      }
      let other = stage.start {
        let events = try await queue.wait(atMost: 1)
        told.update { $0 += events.map(\.token) }
      }
      await stage.settle()
      try await client.write("hello")
      try event.trigger()
      await victim.value
      try await other.value
      if told.value.count == 1 {
        let events = try await queue.wait(atMost: 1)
        told.update { $0 += events.map(\.token) }
      }
      #expect(told.value.sorted() == [1, 2])
    }
  }
}
