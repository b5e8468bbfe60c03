import Devices
import Sluice
import Testing

@Suite struct StreamTests {
  @Test(arguments: World.families, [1, 3]) func whatGoesOutComesBack(family: String, contexts: Int) throws {
    let world = try World(contexts: contexts)
    let (left, right, address) = (world.left, world.right, world.address(family, 7))
    try world.run {
      let listener = try await right.listen(on: address)
      async let serving: Void = serveEcho(listener)
      let bytes = pattern(1_000_000)
      let stream = try await left.connect(to: address)
      #expect(stream.remoteAddress == address)
      async let writing: Void = {
        try await stream.write(bytes)
        stream.shutdownSend()
      }()
      let back = try await stream.readAll()
      #expect(back == bytes)
      try await writing
      stream.close()
      listener.close()
      try await serving
    }
    world.end()
  }

  /// A stack that talks to itself has no wire to cut segments for, unless it is to look like one.
  @Test(arguments: [DeviceOffloads.inMemory, []], ["127.0.0.1", "::1"])
  func loopbackCarriesSuperSegments(offloads: DeviceOffloads, name: String) throws {
    let world = try World { $0.loopbackOffloads = offloads }
    let (left, address) = (world.left, world.address(name, 7))
    try world.run {
      let listener = try await left.listen(on: address)
      async let serving: Void = serveEcho(listener)
      let bytes = pattern(1_000_000)
      let stream = try await left.connect(to: address)
      async let writing: Void = {
        try await stream.write(bytes)
        stream.shutdownSend()
      }()
      let back = try await stream.readAll()
      #expect(back == bytes)
      try await writing
      stream.close()
      listener.close()
      try await serving
    }
    let frames = left.statistics().links[0].framesSent
    #expect(offloads.isEmpty ? frames > 1300 : frames < 700, "\(frames) frames")
    world.end()
  }

  /// What is lent, and what is shared, waits as what is copied does.
  @Test func bytesGoAndComeWithoutACopy() throws {
    let world = try World()
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 80))
    try world.run {
      let listener = try await right.listen(on: address)
      async let accepted = listener.accept()
      let client = try await left.connect(to: address)
      let server = try await accepted
      let bytes = pattern(50_000)
      async let writing: Void = {
        let shared = try left.share(bytes)
        for _ in 0..<20 { try await client.write(shared) }
        client.shutdownSend()
      }()
      let taken = Box<[UInt8]>([])
      while try await server.consume(
        atMost: 10_000,
        { span in
          unsafe span.withUnsafeBytes { bytes in taken.update { all in unsafe all += bytes } }
          return span.byteCount
        }) != nil
      {}
      try await writing
      let all = taken.value
      #expect(all.count == 20 * bytes.count)
      #expect(
        stride(from: 0, to: all.count, by: bytes.count).allSatisfy {
          Array(all[$0..<$0 + bytes.count]) == bytes
        })
      client.close()
      server.close()
      listener.close()
    }
    world.end()
  }

  @Test(arguments: World.families) func halfAConnectionStaysOpen(family: String) throws {
    let world = try World()
    let (left, right, address) = (world.left, world.right, world.address(family, 80))
    try world.run {
      let listener = try await right.listen(on: address)
      async let accepted = listener.accept()
      let client = try await left.connect(to: address)
      let server = try await accepted
      try await client.write("question")
      client.shutdownSend()
      #expect(try await server.readAll() == Array("question".utf8))
      try await server.write(pattern(100_000))
      async let answer = client.readAll()
      server.close()
      #expect(try await answer == pattern(100_000))
      // P3: nothing after the end.
      await #expect(throws: SocketError.brokenPipe) { try await client.write("more") }
    }
    world.end()
  }

  /// SO_LINGER with a time, both ways that it can end.
  @Test func aLingeringCloseTellsWhetherEverythingArrived() throws {
    let world = try World()
    let (left, right) = (world.left, world.right)
    let (reading, silent) = (world.address("10.0.0.2", 80), world.address("10.0.0.2", 81))
    try world.run {
      let (client, server) = try await connected(left, right, reading)
      async let everything = server.readAll()
      try await client.write(pattern(200_000))
      #expect(try await client.close(lingering: .seconds(5)))
      #expect(try await everything == pattern(200_000))

      let (sender, sleeper) = try await connected(left, right, silent)
      // As much as the two buffers take, and no more: nobody reads it.
      try await sender.write(pattern(400_000))
      #expect(try await !sender.close(lingering: .seconds(2)))
      await #expect(throws: SocketError.connectionReset) { while try await sleeper.read() != nil {} }
    }
    world.end()
  }

  @Test func aReaderThatIsCancelledLeavesTheDataToTheNext() throws {
    let world = try World()
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 80))
    try world.run {
      let (client, server) = try await connected(left, right, address)
      await withTaskGroup { group in
        group.addTask {
          await #expect(throws: SocketError.cancelled) { _ = try await server.read() }
        }
        await Task.yield()
        group.cancelAll()
      }
      try await client.write("hello")
      #expect(try await server.read() == Array("hello".utf8))
      client.close()
      server.close()
    }
    world.end()
  }

  /// W12: two readers, one wake-up, and the one that it was for is being cancelled.
  @Test(arguments: 0..<4) func W12_aCancelledReaderPassesItsWakeUpOn(yields: Int) throws {
    let world = try World()
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 80))
    let executor = world.executor
    try world.run {
      let (client, server) = try await connected(left, right, address)
      let read = Box<[[UInt8]]>([])
      try await withThrowingTaskGroup { group in
        let first = Task(executorPreference: executor) {
          if let bytes = try? await server.read(atMost: 1) { read.update { $0.append(bytes) } }
        }
        await Task.yield()
        group.addTask {
          if let bytes = try await server.read(atMost: 1) { read.update { $0.append(bytes) } }
        }
        await Task.yield()
        try await client.write("ab")
        for _ in 0..<yields { await Task.yield() }
        first.cancel()
        await first.value
        try await group.waitForAll()
      }
      #expect(read.value.first == Array("a".utf8))
      // Whether the first was in time is open; the second always reads what is next.
      if read.value.count == 1 { #expect(try await server.read() == Array("b".utf8)) }
      client.close()
      server.close()
    }
    world.end()
  }

  @Test func readersAndWritersTakeTurnsInTheOrderOfTheirCalls() throws {
    let world = try World()
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 80))
    try world.run {
      let (client, server) = try await connected(left, right, address)
      let order = Box<[Int]>([])
      try await withThrowingTaskGroup { group in
        for number in 0..<5 {
          group.addTask {
            let bytes = try await server.read(atMost: 1)
            order.update { $0.append(number) }
            #expect(bytes == [UInt8(number)])
          }
          await Task.yield()
        }
        try await client.write([0, 1, 2, 3, 4])
        try await group.waitForAll()
      }
      #expect(order.value == [0, 1, 2, 3, 4])
      client.close()
      server.close()
    }
    world.end()
  }

  /// SB-WHOLE: each writer's bytes arrive in one piece, however often it had to wait.
  @Test func SB_WHOLE_concurrentWritersDoNotInterleave() throws {
    let world = try World { $0.buffers = BufferLimits(send: 8192, receive: 8192) }
    let (left, right, address) = (world.left, world.right, world.address("fd00::2", 80))
    try world.run {
      let (client, server) = try await connected(left, right, address)
      async let all = server.read(exactly: 400_000)
      try await withThrowingTaskGroup { group in
        for writer in 1...4 {
          group.addTask { try await client.write([UInt8](repeating: UInt8(writer), count: 100_000)) }
        }
        try await group.waitForAll()
      }
      let received = try await all
      let changes = zip(received, received.dropFirst()).count { $0 != $1 }
      #expect(received.count == 400_000 && changes == 3)
      client.close()
      server.close()
    }
    world.end()
  }

  /// SO-RESTART: close wakes everybody who waits on the socket, in both directions and in the queue.
  @Test func SO_RESTART_closeWakesReadersAndWriters() throws {
    let world = try World { $0.buffers = BufferLimits(send: 8192, receive: 8192) }
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 80))
    try world.run {
      let (client, server) = try await connected(left, right, address)
      try await withThrowingDiscardingTaskGroup { group in
        for _ in 0..<3 {
          group.addTask { await #expect(throws: SocketError.closed) { _ = try await client.read() } }
          group.addTask {
            await #expect(throws: SocketError.closed) { try await client.write(pattern(100_000)) }
          }
        }
        for _ in 0..<50 { await Task.yield() }
        client.close()
      }
      server.abort()
    }
    world.end()
  }

  @Test func aPeerThatGoesAwayEndsWaitsWithItsReset() throws {
    let world = try World { $0.buffers = BufferLimits(send: 8192, receive: 8192) }
    let (left, right, address) = (world.left, world.right, world.address("fd00::2", 80))
    try world.run {
      let (client, server) = try await connected(left, right, address)
      async let reading = #expect(throws: SocketError.connectionReset) { _ = try await client.read() }
      async let writing = #expect(throws: SocketError.connectionReset) {
        try await client.write(pattern(100_000))
      }
      for _ in 0..<10 { await Task.yield() }
      server.abort()
      _ = await (reading, writing)
    }
    world.end()
  }

  @Test(arguments: World.families) func connectingFailsAsItShould(family: String) throws {
    let world = try World()
    let (left, address) = (world.left, world.address(family, 9))
    try world.run {
      await #expect(throws: SocketError.connectionRefused) { _ = try await left.connect(to: address) }
      let nobody = SocketAddress(IPAddress(family == "10.0.0.2" ? "10.0.0.99" : "fd00::99")!, port: 9)
      await #expect(throws: SocketError.hostUnreachable) { _ = try await left.connect(to: nobody) }
      let elsewhere = SocketAddress(IPAddress(family == "10.0.0.2" ? "192.0.2.1" : "2001:db8::1")!, port: 9)
      await #expect(throws: SocketError.networkUnreachable) { _ = try await left.connect(to: elsewhere) }
      await #expect(throws: SocketError.invalidAddress) {
        _ = try await left.connect(to: SocketAddress(IPAddress(family)!, port: 0))
      }
    }
    world.end()
  }

  @Test func aConnectThatIsCancelledLeavesNothing() throws {
    let world = try World()
    let left = world.left
    try world.run {
      await withTaskGroup { group in
        group.addTask {
          await #expect(throws: SocketError.cancelled) {
            _ = try await left.connect(to: SocketAddress("10.0.0.99:80")!)
          }
        }
        for _ in 0..<5 { await Task.yield() }
        group.cancelAll()
      }
    }
    world.end()
  }
}

/// A connection, both ends of it.
func connected(
  _ client: Stack, _ server: Stack, _ address: SocketAddress
) async throws -> (client: TCPStream, server: TCPStream) {
  let listener = try await server.listen(on: address)
  defer { listener.close() }
  async let accepted = listener.accept()
  let stream = try await client.connect(to: address)
  return (stream, try await accepted)
}
