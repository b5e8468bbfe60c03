import Sluice
import Testing

@Suite struct UDPSocketTests {
  @Test(arguments: World.families) func datagramsComeBack(family: String) throws {
    let world = try World(contexts: 2)
    let (left, right, address) = (world.left, world.right, world.address(family, 7))
    let own = family == "10.0.0.2" ? "10.0.0.1" : "fd00::1"
    try world.run {
      let server = try await right.bind(to: SocketAddress("[::]:7")!)
      async let serving: Void = {
        for try await datagram in server.datagrams {
          #expect(datagram.destination == address.address)
          try await server.send(datagram.bytes, to: datagram.source, from: datagram.destination)
        }
      }()
      let client = try await left.bind(to: SocketAddress(IPAddress(own)!, port: 0), peer: address)
      for size in [0, 1, 500, 1400] {
        try await client.send(pattern(size))
        let back = try await client.receive()
        #expect(back.bytes == pattern(size) && back.source == address)
      }
      await #expect(throws: SocketError.messageTooLarge) { try await client.send(pattern(65_528)) }
      server.close()
      try await serving
      try await client.send([1])
      await #expect(throws: SocketError.connectionRefused) { _ = try await client.receive() }
    }
    world.end()
  }

  @Test func SO_RESTART_closeAndCancellationWakeReceivers() throws {
    let world = try World()
    let right = world.right
    try world.run {
      let socket = try await right.bind(to: SocketAddress("0.0.0.0:0")!)
      await withTaskGroup { group in
        group.addTask { await #expect(throws: SocketError.cancelled) { _ = try await socket.receive() } }
        await Task.yield()
        group.cancelAll()
      }
      try await withThrowingDiscardingTaskGroup { group in
        for _ in 0..<3 {
          group.addTask { await #expect(throws: SocketError.closed) { _ = try await socket.receive() } }
        }
        for _ in 0..<5 { await Task.yield() }
        socket.close()
      }
      await #expect(throws: SocketError.closed) {
        try await socket.send([1], to: SocketAddress("10.0.0.1:1")!)
      }
    }
    world.end()
  }

  /// A sender that is faster than the stack waits for its credit; nothing is lost before the wire.
  @Test func sendersWaitWhileTooManyAreOnTheirWay() throws {
    let world = try World { $0.sockets.datagramSendLimit = 4 }
    let left = world.left
    try world.run {
      let server = try await left.bind(to: SocketAddress("127.0.0.1:7")!)
      let client = try await left.bind(to: SocketAddress("127.0.0.1:0")!)
      async let sending: Void = {
        for number in 0..<100 { try await client.send([UInt8(number)], to: server.localAddress) }
      }()
      for number in 0..<100 { #expect(try await server.receive().bytes == [UInt8(number)]) }
      try await sending
    }
    world.end()
  }
}
