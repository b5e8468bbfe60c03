import Forwarding
import Foundation
import Glibc
import Sluice
import Testing
import Wire

/// Forwards to services on the loopback interface of a stack, whose clients are this machine's own sockets.
@Suite(.timeLimit(.minutes(5))) struct ForwarderTests {
  private static let guest = SocketAddress("127.0.0.1:7")!

  /// A stack that forwards a port of 127.0.0.1 to its own port 7; nothing is left of it afterwards.
  private func withForwarder(
    _ driver: Forwarder.Driver = .context, limit: Int = 2000,
    _ body: (Stack, Forwarder, UInt16) async throws -> Void
  ) async throws {
    let stack = try Stack(StackConfiguration())
    if driver == .thread { try stack.start() }
    let forward = PortForward(address: IPAddress("127.0.0.1")!, hostPort: 0, port: 7)
    let forwarder = try Forwarder(
      [forward], to: ForwardGuest(ipv4: Self.guest.address), on: stack, limit: limit, driver: driver)
    if driver == .context { try stack.start() }
    try await body(stack, forwarder, forwarder.port(0))
    forwarder.stop()
    #expect(forwarder.statistics.open == 0)
    #expect(stack.shutdown().isEmpty)
    #expect(stack.statistics().wakeups.wasted == 0)
  }
  /// Until it is so: what a context or the forwarder's thread does next.
  private func until(_ isSo: () -> Bool) async { while !isSo() { await Task.yield() } }

  @Test(arguments: [Forwarder.Driver.thread, .context])
  func bytesAndEndsPassBothWays(driver: Forwarder.Driver) async throws {
    try await withForwarder(driver) { stack, forwarder, port in
      let listener = try await stack.listen(on: Self.guest)
      let client = try HostClient(port: port)
      let server = try await listener.accept()
      #expect(server.remoteAddress.address == Self.guest.address)
      try await server.write("first")
      #expect(try client.receive(5) == Array("first".utf8))
      try client.send(Array("question".utf8))
      client.finish()
      var question: [UInt8] = []
      for try await piece in server.chunks() { question += piece }
      #expect(question == Array("question".utf8))
      // The other half is open still.
      try await server.write("answer")
      server.close()
      #expect(try client.receiveAll() == Array("answer".utf8))
      await until { forwarder.statistics.finished == 1 }
      let counts = forwarder.statistics
      #expect(counts.bytesToGuest == 8 && counts.bytesToHost == 11 && counts.accepted == 1)
    }
  }

  @Test func aRefusalIsAResetForTheClient() async throws {
    try await withForwarder { _, forwarder, port in
      let client = try HostClient(port: port)
      #expect(throws: HostClient.Failure(errno: ECONNRESET)) { try client.receive() }
      let counts = forwarder.statistics
      #expect(counts.refusedByGuest == 1 && counts.connected == 0 && counts.open == 0)
    }
  }

  @Test func resetsPassBothWays() async throws {
    try await withForwarder { stack, forwarder, port in
      let listener = try await stack.listen(on: Self.guest)
      let first = try HostClient(port: port)
      try await listener.accept().abort()
      #expect(throws: HostClient.Failure(errno: ECONNRESET)) { try first.receive() }
      let second = try HostClient(port: port)
      let server = try await listener.accept()
      await until { forwarder.statistics.connected == 2 }
      second.reset()
      await #expect(throws: SocketError.connectionReset) { _ = try await server.read() }
      #expect(forwarder.statistics.resetByHost == 1)
      // After both directions have ended but for what is under way: a reset is heard then, too.
      let third = try HostClient(port: port)
      let late = try await listener.accept()
      third.finish()
      #expect(try await late.read() == nil)
      third.reset()
      await #expect(throws: SocketError.self) {
        while true { try await late.write([UInt8](repeating: 0, count: 65_536)) }
      }
      #expect(forwarder.statistics.resetByGuest == 1)
    }
  }

  @Test(arguments: [Forwarder.Driver.thread, .context])
  func aSideThatTakesNothingStopsTheOther(driver: Forwarder.Driver) async throws {
    try await withForwarder(driver) { stack, forwarder, port in
      let listener = try await stack.listen(
        on: Self.guest, limits: BufferLimits(send: 65_536, receive: 65_536))
      let bytes = pattern(4 << 20)
      // Beside each other: the client ends when everything is under way, and others are served meanwhile.
      async let sent: Void = Self.onThread {
        let client = try HostClient(port: port)
        try client.send(bytes)
        client.finish()
        guard try client.receiveAll() == bytes else { throw HostClient.Failure(errno: EBADMSG) }
      }
      let server = try await listener.accept()
      // What the guest's window, our buffer and one piece take: then nothing more until it reads.
      await until { forwarder.statistics.bytesToGuest > 65_536 }
      let other = try HostClient(port: port)
      let second = try await listener.accept()
      try other.send([1])
      #expect(try await second.read() == [1])
      let most = UInt64(Forwarder.buffers.sendMaximum + 65_536)
      #expect(forwarder.statistics.bytesToGuest <= most)
      second.close()
      other.close()
      // Everything is read before anything is written back: the client's buffers are full then, and ours.
      var all: [UInt8] = []
      for try await piece in server.chunks() { all += piece }
      #expect(all == bytes)
      try await server.write(all)
      server.close()
      try await sent
    }
  }

  /// A thread that may block.
  private static func onThread(_ body: @escaping @Sendable () throws -> Void) async throws {
    try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
      Thread.detachNewThread { done.resume(with: Result { try body() }) }
    }
  }

  @Test func aThousandAtOnceAndThoseBeyondTheLimit() async throws {
    try await withForwarder(limit: 1000) { stack, forwarder, port in
      let listener = try await stack.listen(on: Self.guest, backlog: 2000)
      let echo = Task {
        await withDiscardingTaskGroup { group in
          for _ in 0..<1000 {
            guard let stream = try? await listener.accept() else { return }
            group.addTask {
              while let bytes = try? await stream.read() { try? await stream.write(bytes) }
              stream.close()
            }
          }
        }
      }
      try await Self.onThread {
        let wanted = (0..<1000).map { [UInt8](repeating: UInt8(truncatingIfNeeded: $0), count: 1000) }
        let clients = try wanted.map { bytes in
          let client = try HostClient(port: port)
          try client.send(bytes)
          return client
        }
        while forwarder.statistics.connected < 1000 { sched_yield() }
        let beyond = try HostClient(port: port)
        #expect(throws: HostClient.Failure(errno: ECONNRESET)) { try beyond.receive() }
        for (client, bytes) in zip(clients, wanted) {
          client.finish()
          #expect(try client.receiveAll() == bytes)
        }
      }
      await echo.value
      await until { forwarder.statistics.finished == 1000 }
      #expect(forwarder.statistics.refusedAtLimit == 1 && forwarder.statistics.peak == 1000)
    }
  }

  /// A stack that never starts gives back what the forwarder had of it and of the host.
  @Test func aForwarderOfAStackThatDoesNotStartIsStopped() throws {
    let stack = try Stack(StackConfiguration())
    let forward = PortForward(address: IPAddress("127.0.0.1")!, hostPort: 0, port: 7)
    let forwarder = try Forwarder(
      [forward], to: ForwardGuest(ipv4: Self.guest.address), on: stack, driver: .context)
    let port = forwarder.port(0)
    forwarder.stop()
    #expect(throws: HostClient.Failure(errno: ECONNREFUSED)) { _ = try HostClient(port: port) }
    #expect(stack.shutdown().isEmpty)
  }

  @Test func aPortThatSomebodyHasIsNamed() async throws {
    try await withForwarder { stack, _, port in
      let forward = PortForward(address: IPAddress("127.0.0.1")!, hostPort: port, port: 7)
      let guest = ForwardGuest(ipv4: Self.guest.address)
      #expect(throws: PortForwardError.listenRefused(forward, errno: EADDRINUSE)) {
        try Forwarder([forward], to: guest, on: stack)
      }
    }
  }
}
