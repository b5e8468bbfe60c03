import Sluice
import Testing
import Timing

/// Event queues as tasks use them, in virtual time.
@Suite struct EventQueueTests {
  /// One task serves a listener and all of its connections.
  @Test(arguments: [EventTrigger.level, .edge, .oneShot], [1, 3])
  func oneTaskServesManyConnections(trigger: EventTrigger, contexts: Int) throws {
    let world = try World(contexts: contexts)
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 7))
    try world.run {
      let listener = try await right.listen(on: address)
      async let serving: Void = serveByEvents(right, listener, trigger, connections: 20)
      try await withThrowingDiscardingTaskGroup { group in
        for number in 0..<20 {
          group.addTask {
            let bytes = pattern(30_000, UInt8(number))
            let stream = try await left.connect(to: address)
            async let writing: Void = {
              try await stream.write(bytes)
              stream.shutdownSend()
            }()
            #expect(try await stream.readAll() == bytes)
            try await writing
          }
        }
      }
      try await serving
    }
    #expect(right.statistics().tables.contains { $0.name == "registrations" && $0.count == 0 })
    world.end()
  }

  @Test func aWaitEndsAtItsDeadline() throws {
    let world = try World()
    let (left, clock) = (world.left, world.clock)
    try world.run {
      let queue = try left.makeEventQueue()
      let start = clock.now()
      #expect(try await queue.wait(timeout: .milliseconds(70)).isEmpty)
      #expect((clock.now() - start).milliseconds >= 70 && (clock.now() - start).milliseconds < 80)
      // In time: the deadline is taken back.
      let event = try queue.addUserEvent(token: 5)
      async let waiting = queue.wait(timeout: .seconds(100))
      for _ in 0..<3 { await Task.yield() }
      try event.trigger()
      #expect(try await waiting.map(\.token) == [5])
      #expect((clock.now() - start).milliseconds < 1000)
    }
    world.end()
  }

  @Test func closeAndShutdownWakeThoseWhoWait() throws {
    let world = try World()
    let (left, right) = (world.left, world.right)
    try world.run {
      for stack in [left, right] {
        let queue = try stack.makeEventQueue()
        await withDiscardingTaskGroup { group in
          for _ in 0..<3 {
            group.addTask { await #expect(throws: SocketError.closed) { _ = try await queue.wait() } }
          }
          for _ in 0..<5 { await Task.yield() }
          if stack === left { queue.close() } else { _ = stack.quiesce() }
        }
        #expect(throws: SocketError.closed) { try queue.poll() }
      }
      #expect(throws: SocketError.networkDown) { try right.makeEventQueue() }
    }
    _ = left.quiesce()
    world.scheduler.settle()
    for stack in [left, right] { stack.expectBalance() }
  }

  /// Several wait on one queue: what one was told as an edge, or once, no other is told.
  @Test(arguments: [EventTrigger.edge, .oneShot])
  func whatOneWasToldNoOtherIs(trigger: EventTrigger) throws {
    let world = try World()
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 7))
    try world.run {
      let (client, server) = try await connected(left, right, address)
      let queue = try right.makeEventQueue()
      try queue.add(.stream(server), for: .readable, trigger: trigger, token: 9)
      let told = Box(0)
      try await withThrowingDiscardingTaskGroup { group in
        for _ in 0..<3 {
          group.addTask {
            let events = try await queue.wait(timeout: .seconds(1))
            told.update { $0 += events.count }
          }
        }
        for _ in 0..<5 { await Task.yield() }
        try await client.write("hello")
      }
      #expect(told.value == 1)
      #expect(try await server.read() == Array("hello".utf8))
    }
    world.end()
  }

  /// W8: one event reaches the blocked reader, and every queue that watches, by the same way.
  @Test func W8_aReaderAndSeveralQueuesAreWokenByOneSegment() throws {
    let world = try World()
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 7))
    try world.run {
      let (client, server) = try await connected(left, right, address)
      let queues = try (0..<3).map { _ in try right.makeEventQueue() }
      for (token, queue) in queues.enumerated() {
        try queue.add(.stream(server), for: .readable, trigger: .edge, token: UInt64(token))
      }
      try await withThrowingDiscardingTaskGroup { group in
        for (token, queue) in queues.enumerated() {
          group.addTask {
            let events = try await queue.wait()
            #expect(events.map(\.token) == [UInt64(token)])
          }
        }
        for _ in 0..<5 { await Task.yield() }
        async let reading = server.read(atMost: 2)
        for _ in 0..<5 { await Task.yield() }
        try await client.write("hello")
        #expect(try await reading == Array("he".utf8))
      }
      #expect(try await server.read() == Array("llo".utf8))
    }
    world.end()
  }

  @Test func socketsOfAnotherStackAreRefused() throws {
    let world = try World()
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 7))
    try world.run {
      let (client, server) = try await connected(left, right, address)
      let listener = try await right.listen(on: SocketAddress("10.0.0.2:8")!)
      let socket = try await right.bind(to: SocketAddress("10.0.0.2:9")!)
      let queue = try left.makeEventQueue()
      for source in [EventSource.stream(server), .listener(listener), .datagrams(socket)] {
        #expect(throws: SocketError.otherStack) { try queue.add(source, for: .readable, token: 1) }
        #expect(throws: SocketError.otherStack) { try queue.modify(source, for: .readable, token: 1) }
        #expect(throws: SocketError.otherStack) { try queue.remove(source) }
      }
      try queue.add(.stream(client), for: .writable, token: 2)
      #expect(try await queue.wait().map(\.token) == [2])
      #expect(queue.registrationCount == 1)
    }
    world.end()
  }

  /// SO-GEN: a socket that is closed while a task waits for it alone is not told; the wait goes on.
  @Test func SO_GEN_aClosedSocketIsNotTold() throws {
    let world = try World()
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 7))
    try world.run {
      let (client, server) = try await connected(left, right, address)
      let queue = try right.makeEventQueue()
      try queue.add(.stream(server), for: [.readable, .endOfStream], token: 1)
      async let waiting = queue.wait(timeout: .seconds(1))
      for _ in 0..<3 { await Task.yield() }
      server.close()
      client.close()
      #expect(try await waiting.isEmpty)
    }
    world.end()
  }
}

/// An echo server in one task: accepts, reads and writes without waiting for any one connection.
func serveByEvents(
  _ stack: Stack, _ listener: TCPListener, _ trigger: EventTrigger, connections: Int
) async throws {
  let queue = try stack.makeEventQueue()
  try queue.add(.listener(listener), for: .readable, token: 0)
  var streams: [UInt64: TCPStream] = [:]
  var accepted: UInt64 = 0
  while accepted < connections || !streams.isEmpty {
    for event in try await queue.wait(atMost: 4) {
      if event.token == 0 {
        accepted += 1
        let stream = try await listener.accept()
        streams[accepted] = stream
        try queue.add(.stream(stream), for: [.readable, .endOfStream], trigger: trigger, token: accepted)
        continue
      }
      let stream = try #require(streams[event.token])
      // All that is there: an edge is told once.
      var left = event.available
      while left > 0, let bytes = try await stream.read(atMost: left) {
        left -= bytes.count
        try await stream.write(bytes)
      }
      if event.events.contains(.endOfStream) {
        #expect(try await stream.read() == nil)
        stream.close()
        streams[event.token] = nil
      } else if trigger == .oneShot {
        try queue.modify(
          .stream(stream), for: [.readable, .endOfStream], trigger: trigger, token: event.token)
      }
    }
  }
  listener.close()
  queue.close()
}
