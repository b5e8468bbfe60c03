import Sluice
import Testing

@Suite struct ListenerTests {
  @Test func manyConnectionsInARowLeaveNothing() throws {
    let world = try World(contexts: 2)
    let (left, right) = (world.left, world.right)
    try world.run {
      let address = SocketAddress("[::]:7")!
      let listener = try await right.listen(on: address)
      async let serving: Void = serveEcho(listener)
      for number in 0..<200 {
        let host = number % 2 == 0 ? "10.0.0.2" : "fd00::2"
        let stream = try await left.connect(to: SocketAddress(IPAddress(host)!, port: 7))
        try await stream.write(pattern(100, UInt8(truncatingIfNeeded: number)))
        stream.shutdownSend()
        #expect(try await stream.readAll() == pattern(100, UInt8(truncatingIfNeeded: number)))
      }
      listener.close()
      try await serving
    }
    world.end()
  }

  @Test func aHundredConnectionsAtOnce() throws {
    let world = try World(contexts: 2)
    let (left, right, address) = (world.left, world.right, world.address("fd00::2", 7))
    try world.run {
      let listener = try await right.listen(on: address)
      async let serving: Void = serveEcho(listener)
      try await withThrowingDiscardingTaskGroup { group in
        for number in 0..<100 {
          group.addTask {
            let bytes = pattern(20_000, UInt8(number))
            let stream = try await left.connect(to: address)
            async let writing: Void = stream.write(bytes)
            #expect(try await stream.read(exactly: bytes.count) == bytes)
            try await writing
          }
        }
      }
      listener.close()
      try await serving
    }
    world.end()
  }

  /// Q4: what does not fit into the backlog is not refused; it comes through when there is room.
  @Test func Q4_theBacklogIsBoundedAndNobodyIsLost() throws {
    let world = try World()
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 80))
    try world.run {
      let listener = try await right.listen(on: address, backlog: 4)
      try await withThrowingTaskGroup { group in
        for _ in 0..<12 {
          group.addTask {
            let stream = try await left.connect(to: address)
            #expect(try await stream.readAll() == Array("hello".utf8))
          }
        }
        for _ in 0..<100 { await Task.yield() }
        for _ in 0..<12 {
          let stream = try await listener.accept()
          try await stream.write("hello")
          stream.close()
        }
        try await group.waitForAll()
      }
      listener.close()
    }
    #expect(
      right.statistics().sockets.contains {
        ["listenOverflows", "acceptQueueFull"].contains($0.name) && $0.count > 0
      })
    world.end()
  }

  @Test func SO_RESTART_closeWakesThoseWhoAcceptAndEndsTheirSequence() throws {
    let world = try World()
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 80))
    try world.run {
      let listener = try await right.listen(on: address)
      await #expect(throws: SocketError.addressInUse) { _ = try await right.listen(on: address) }
      try await withThrowingDiscardingTaskGroup { group in
        for _ in 0..<3 {
          group.addTask { await #expect(throws: SocketError.closed) { _ = try await listener.accept() } }
        }
        group.addTask {
          for try await _ in listener.connections { Issue.record("nobody connected") }
        }
        for _ in 0..<10 { await Task.yield() }
        listener.close()
      }
      await #expect(throws: SocketError.connectionRefused) { _ = try await left.connect(to: address) }
      // The port is free again.
      try await right.listen(on: address).close()
    }
    world.end()
  }

  /// Q3, AQ-CLOSE: who connected and was never accepted is told.
  @Test func Q3_closeResetsThoseWhoWereNotAccepted() throws {
    let world = try World()
    let (left, right, address) = (world.left, world.right, world.address("fd00::2", 80))
    try world.run {
      let listener = try await right.listen(on: address)
      let stream = try await left.connect(to: address)
      listener.close()
      await #expect(throws: SocketError.connectionReset) { _ = try await stream.read() }
    }
    world.end()
  }

  @Test func addressesThatAreNotOursAreRefused() throws {
    let world = try World()
    let right = world.right
    try world.run {
      await #expect(throws: SocketError.addressNotAvailable) {
        _ = try await right.listen(on: SocketAddress("192.0.2.1:80")!)
      }
      await #expect(throws: SocketError.addressNotAvailable) {
        _ = try await right.bind(to: SocketAddress("[2001:db8::1]:80")!)
      }
      let anyPort = try await right.listen(on: SocketAddress("127.0.0.1:0")!)
      #expect(anyPort.address.port != 0)
    }
    world.end()
  }
}
