import Sluice
import Synchronization
import Testing

@Suite struct ShutdownTests {
  /// RS-QUIESCE: a shutdown ends every wait, and every later call.
  @Test func RS_QUIESCE_shutdownEndsEveryWait() throws {
    let world = try World { $0.buffers = BufferLimits(send: 8192, receive: 8192) }
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 80))
    try world.run {
      let (client, server) = try await connected(left, right, address)
      let listener = try await right.listen(on: address)
      let socket = try await right.bind(to: address)
      try await withThrowingDiscardingTaskGroup { group in
        group.addTask { await #expect(throws: SocketError.self) { _ = try await server.read() } }
        group.addTask { await #expect(throws: SocketError.self) { try await server.write(pattern(100_000)) } }
        group.addTask { await #expect(throws: SocketError.self) { _ = try await client.readAll() } }
        group.addTask { await #expect(throws: SocketError.closed) { _ = try await listener.accept() } }
        group.addTask { await #expect(throws: SocketError.closed) { _ = try await socket.receive() } }
        for _ in 0..<20 { await Task.yield() }
        #expect(right.quiesce() && !right.quiesce())
      }
      await #expect(throws: SocketError.networkDown) { _ = try await right.listen(on: address) }
      await #expect(throws: SocketError.networkDown) { _ = try await right.bind(to: address) }
      await #expect(throws: SocketError.networkDown) {
        _ = try await right.connect(to: SocketAddress("10.0.0.1:1")!)
      }
    }
    world.scheduler.settle()
    #expect(left.quiesce())
    world.scheduler.settle()
    for stack in [left, right] { stack.forget() }
    world.scheduler.settle()
    #expect(right.remains().isEmpty, "\(right.remains())")
    #expect(left.remains().isEmpty, "\(left.remains())")
    left.expectBalance()
    right.expectBalance()
  }

  @Test func aStackThatNeverRanEnds() throws {
    let stack = try Stack(StackConfiguration())
    #expect(stack.remains().isEmpty)
    #expect(stack.shutdown().isEmpty)
    #expect(stack.shutdown().isEmpty)
  }

  /// A stack that is let go of without a shutdown ends what lives on without a handle: RS-LEAK otherwise.
  @Test func whatIsOpenEndsWithAStackThatIsLetGoOf() async throws {
    let stack = try Stack(StackConfiguration())
    try stack.start()
    let listener = try await stack.listen(on: SocketAddress("127.0.0.1:0")!)
    let client = try await stack.connect(to: listener.address)
    let server = try await listener.accept()
    // In TIME-WAIT, which nobody has a handle to.
    client.close()
    #expect(try await server.read() == nil)
    server.close()
    // Nobody has taken it.
    _ = try await stack.connect(to: listener.address)
  }
}
