import Sluice
import Testing

/// C7: who dies in the middle of a call leaves nothing half made, and nothing behind.
@Suite struct DyingTests {
  /// The writer's task ends within a write, and its handle goes: the peer reads a beginning of what was written,
  /// then the end.
  @Test(arguments: 0..<6) func C7_aWriterThatDiesLeavesABeginningAndAnEnd(yields: Int) throws {
    let world = try World { $0.buffers = BufferLimits(send: 16 << 10, receive: 16 << 10) }
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 80))
    try world.run {
      let listener = try await right.listen(on: address)
      async let accepted = listener.accept()
      async let dying: Void = Self.dieWriting(left, address, yields)
      let server = try await accepted
      let bytes = try await server.readAll()
      try await dying
      #expect(bytes.count < 400_000 && bytes == Array(pattern(400_000).prefix(bytes.count)))
    }
    world.end()
  }

  /// The last reference to the stream goes with this call.
  private static func dieWriting(_ stack: Stack, _ address: SocketAddress, _ yields: Int) async throws {
    let stream = try await stack.connect(to: address)
    await withTaskGroup { group in
      group.addTask { try? await stream.write(pattern(400_000)) }
      for _ in 0..<(yields * yields * 10) { await Task.yield() }
      group.cancelAll()
    }
  }

  /// Everything that a program holds goes at once, in the middle of everything.
  @Test func C7_L3_whatADeadProgramHeldIsClosed() throws {
    let world = try World(contexts: 2)
    let (left, right, address) = (world.left, world.right, world.address("fd00::2", 80))
    try world.run {
      let survivor = try await left.bind(to: SocketAddress("[::]:9")!)
      do {
        let listener = try await right.listen(on: address)
        let socket = try await right.bind(to: address)
        let waiting = try await left.connect(to: address)
        let (client, server) = try await (left.connect(to: address), listener.accept())
        await withTaskGroup { group in
          group.addTask { _ = try? await listener.accept() }
          group.addTask { _ = try? await socket.receive() }
          group.addTask { _ = try? await server.read() }
          group.addTask { try? await server.write(pattern(2_000_000)) }
          for _ in 0..<30 { await Task.yield() }
          group.cancelAll()
        }
        _ = (waiting, client)
      }
      // The names are free again, and the other program's socket is as it was.
      let again = try await right.listen(on: address)
      again.close()
      #expect(survivor.localAddress.port == 9)
    }
    world.end()
  }
}
