import Devices
import Exclusion
import Sluice
import Testing

/// Stacks whose contexts run on threads of their own, used by blocked threads and by tasks.
@Suite(.timeLimit(.minutes(5))) struct ThreadTests {
  /// Two running stacks on a wire, or twice the same one on loopback.
  struct Running {
    let client: Stack
    let server: Stack
    let host: IPAddress
    private var wire: LinkPair?

    init(overLoopback: Bool, contexts: Int = 2, _ change: (inout StackConfiguration) -> Void = { _ in })
      throws
    {
      func stack(_ end: LinkEnd?, _ number: Int) throws -> Stack {
        var configuration = StackConfiguration()
        configuration.contexts = contexts
        if let end {
          configuration.interfaces = [StackInterface(end, addresses: [IPPrefix("fd00::\(number)/64")!])]
        }
        change(&configuration)
        let stack = try Stack(configuration)
        try stack.start()
        return stack
      }
      if overLoopback {
        client = try stack(nil, 1)
        server = client
        host = IPAddress("127.0.0.1")!
      } else {
        let pair = LinkPair(
          left: .ethernet(MACAddress(0x02_0000_0000_01)), right: .ethernet(MACAddress(0x02_0000_0000_02)),
          queues: contexts)
        wire = pair
        client = try stack(pair.left, 1)
        server = try stack(pair.right, 2)
        host = IPAddress("fd00::2")!
      }
    }

    func end(_ location: SourceLocation = #_sourceLocation) {
      for stack in [client, server] { stack.shutdown() }
      // Who stops first does not hear the other's last words: they are still on the wire.
      wire?.loseFrames()
      for left in [client.remains(), server.remains()] {
        #expect(left.isEmpty, "RS-LEAK: \(left)", sourceLocation: location)
      }
      client.expectBalance(location)
      server.expectBalance(location)
    }
  }

  /// Threads that are all joined at the end; a test's own.
  final class Crew {
    private var threads: [WorkerThread] = []
    func start(_ body: @escaping @Sendable () throws -> Void) {
      do {
        threads.append(
          try WorkerThread(name: "test") {
            #expect(throws: Never.self) { try body() }
          })
      } catch {
        Issue.record("no thread: \(error)")
      }
    }
    func join() {
      for thread in threads { thread.join() }
      threads = []
    }
  }

  /// Without a copy, and blocked where nothing can be lent or taken.
  @Test func blockedThreadsLendAndShare() throws {
    let running = try Running(overLoopback: true, contexts: 1)
    do {
      let address = SocketAddress(running.host, port: 80)
      let listener = try running.server.blocking.listen(on: address)
      let client = try running.client.blocking.connect(to: address)
      let server = try listener.acceptBlocking()
      let shared = try running.client.share([UInt8](repeating: 7, count: 30_000))
      let crew = Crew()
      crew.start {
        for _ in 0..<50 { try client.blocking.write(shared) }
        client.shutdownSend()
      }
      var (count, isRight) = (0, true)
      while let taken = try server.blocking.consume({ span in
        for place in 0..<span.byteCount {
          isRight = unsafe isRight && span.unsafeLoad(fromByteOffset: place, as: UInt8.self) == 7
        }
        return span.byteCount
      }) { count += taken }
      #expect(count == 50 * 30_000 && isRight)
      crew.join()
      client.close()
      server.close()
      listener.close()
    }
    running.end()
  }

  @Test(arguments: [true, false]) func blockedThreadsEcho(overLoopback: Bool) throws {
    let running = try Running(overLoopback: overLoopback)
    let crew = Crew()
    let listener = try running.server.blocking.listen(on: SocketAddress(running.host, port: 7))
    crew.start {
      let servers = Crew()
      defer { servers.join() }
      while let stream = try? listener.acceptBlocking() {
        servers.start {
          var buffer = [UInt8](repeating: 0, count: 5000)
          while case let count = try stream.blocking.read(into: &buffer), count > 0 {
            try stream.blocking.write(buffer[..<count])
          }
          stream.close()
        }
      }
    }
    let clients = Crew()
    for number in 0..<8 {
      let (stack, address) = (running.client, listener.address)
      clients.start {
        let bytes = pattern(200_000, UInt8(number))
        let stream = try stack.blocking.connect(to: address)
        let writer = Crew()
        writer.start {
          try stream.blocking.write(bytes)
          stream.blocking.shutdownSend()
        }
        var back: [UInt8] = []
        while let chunk = try stream.blocking.read() { back += chunk }
        writer.join()
        #expect(back == bytes)
      }
    }
    clients.join()
    listener.close()
    crew.join()
    running.end()
  }

  /// Tasks that do not share their threads with other tests.
  private func onOwnThreads(_ body: (ThreadExecutor) async throws -> Void) async throws {
    let executor = try ThreadExecutor()
    defer { executor.end() }
    try await withTaskExecutorPreference(executor) { try await body(executor) }
  }

  @Test(arguments: [true, false]) func tasksEcho(overLoopback: Bool) async throws {
    let running = try Running(overLoopback: overLoopback)
    let address = SocketAddress(running.host, port: 7)
    try await onOwnThreads { _ in
      let listener = try await running.server.listen(on: address)
      async let serving: Void = serveEcho(listener)
      try await withThrowingDiscardingTaskGroup { group in
        for number in 0..<50 {
          group.addTask {
            let bytes = pattern(50_000, UInt8(number))
            let stream = try await running.client.connect(to: address)
            async let writing: Void = {
              try await stream.write(bytes)
              stream.shutdownSend()
            }()
            #expect(try await stream.readAll() == bytes)
            try await writing
          }
        }
      }
      listener.close()
      try await serving
    }
    running.end()
  }

  /// A thread and tasks wait on the same socket; each read is one of theirs.
  @Test func threadsAndTasksTakeTurnsOnOneSocket() async throws {
    let running = try Running(overLoopback: true)
    try await onOwnThreads { _ in
      let (client, server) = try await connected(
        running.client, running.server, SocketAddress(running.host, port: 7))
      let sum = Box(0)
      let crew = Crew()
      for _ in 0..<3 {
        crew.start {
          while let bytes = try server.blocking.read(atMost: 10) { sum.update { $0 += bytes.count } }
        }
      }
      try await withThrowingDiscardingTaskGroup { group in
        for _ in 0..<3 {
          group.addTask {
            while let bytes = try await server.read(atMost: 10) { sum.update { $0 += bytes.count } }
          }
        }
        group.addTask {
          for _ in 0..<500 { try await client.write(pattern(7)) }
          client.shutdownSend()
        }
      }
      crew.join()
      #expect(sum.value == 3500)
    }
    running.end()
  }

  @Test func SO_RESTART_closeWakesABlockedThread() throws {
    let running = try Running(overLoopback: true)
    do {
      let listener = try running.server.blocking.listen(on: SocketAddress(running.host, port: 7))
      let stream = try running.client.blocking.connect(to: listener.address)
      let server = try listener.acceptBlocking()
      let socket = try running.server.blocking.bind(to: SocketAddress(running.host, port: 7))
      let crew = Crew()
      crew.start { #expect(throws: SocketError.closed) { _ = try server.blocking.read() } }
      crew.start { #expect(throws: SocketError.closed) { _ = try listener.acceptBlocking() } }
      crew.start { #expect(throws: SocketError.closed) { _ = try socket.blocking.receive() } }
      for close in [server.close, listener.close, socket.close] { close() }
      crew.join()
      #expect(throws: Never.self) { while try stream.blocking.read() != nil {} }
    }
    running.end()
  }

  /// Cancellation comes from another thread, at any moment of a wait.
  @Test func cancellationRacesWithData() async throws {
    let running = try Running(overLoopback: true)
    try await onOwnThreads { executor in
      let (client, server) = try await connected(
        running.client, running.server, SocketAddress(running.host, port: 7))
      var read = 0
      for number in 0..<300 {
        let task = Task(executorPreference: executor) { try await server.read(atMost: 1) }
        async let writing: Void = client.write([UInt8(truncatingIfNeeded: number)])
        task.cancel()
        do {
          read += try await task.value?.count ?? 0
        } catch SocketError.cancelled {}
        try await writing
      }
      client.shutdownSend()
      while let bytes = try await server.read() { read += bytes.count }
      #expect(read == 300)
    }
    running.end()
  }

  @Test func shutdownEndsBlockedThreads() throws {
    let running = try Running(overLoopback: false)
    let crew = Crew()
    do {
      let listener = try running.server.blocking.listen(on: SocketAddress(running.host, port: 7))
      let stream = try running.client.blocking.connect(to: listener.address)
      let accepted = try listener.acceptBlocking()
      crew.start { #expect(throws: SocketError.closed) { _ = try listener.acceptBlocking() } }
      crew.start { #expect(throws: SocketError.self) { while try accepted.blocking.read() != nil {} } }
      crew.start { #expect(throws: SocketError.self) { while try stream.blocking.read() != nil {} } }
    }
    running.server.shutdown()
    running.client.shutdown()
    crew.join()
    running.end()
  }
}
