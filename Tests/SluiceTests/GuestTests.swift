import Sluice
import Sockets
import Testing

/// Programs that enter their connections themselves (DESIGN section 2).
@Suite(.timeLimit(.minutes(5))) struct GuestTests {
  /// What is written is with the device when the call returns, and no context has run.
  @Test func aProgramSendsByItself() throws {
    let world = try World { $0.entry = .enterFree }
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 7))
    try world.run {
      let (client, server) = try await connected(left, right, address)
      let before = left.statistics()
      try await client.write("now")
      let after = left.statistics()
      #expect(after.links[1].framesSent == before.links[1].framesSent + 1)
      #expect(after.total(\.guestEntries) == before.total(\.guestEntries) + 1)
      #expect(after.total(\.entries) == before.total(\.entries), "no context has run")
      #expect(try await server.read(exactly: 3) == Array("now".utf8))
    }
    world.end()
  }

  /// The same where the program drives the context: stepped by hand, it sleeps between its steps.
  @Test func aProgramDrivesWhatItSteps() throws {
    let world = try World { $0.entry = .drive }
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 7))
    try world.run {
      let (client, server) = try await connected(left, right, address)
      let before = left.statistics()
      try await client.write("now")
      let after = left.statistics()
      #expect(after.links[1].framesSent == before.links[1].framesSent + 1)
      #expect(after.total(\.borrows) == before.total(\.borrows) + 1)
      #expect(try await server.read(exactly: 3) == Array("now".utf8))
    }
    world.end()
  }

  /// A request is written under the gate, into memory of the context's; what follows while it is out goes as ever, behind it.
  @Test func aProgramThatDrivesWritesARequestWhereItIs() throws {
    let world = try World { $0.entry = .drive }
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 7))
    @Sendable func mostChunks() -> Int {
      left.statistics().pools.first { $0.name == "applicationChunks" }?.highWater ?? -1
    }
    try world.run {
      let (client, server) = try await connected(left, right, address)
      let before = left.statistics()
      try await client.write("a")
      #expect(mostChunks() == 0, "nothing was taken from the program's memory")
      #expect(left.statistics().memory.used.reduce(0, +) == 4096, "but it is accounted for")
      try await client.write("b")
      try await client.write(String(repeating: "c", count: 1000))
      #expect(mostChunks() > 0)
      #expect(left.statistics().links[1].framesSent > before.links[1].framesSent)
      #expect(try await server.read(exactly: 3) == Array("abc".utf8))
      #expect(try await server.read(exactly: 999) == Array(repeating: UInt8(ascii: "c"), count: 999))
      try await server.write("d")
      #expect(try await client.read(exactly: 1) == Array("d".utf8))
      #expect(left.statistics().memory.used.reduce(0, +) == 0)
    }
    world.end()
  }

  /// A context that is stepped by hand never sleeps; with the default nobody enters anyhow.
  @Test(arguments: [BlockEntry.post, .enterIdle]) func othersPost(entry: BlockEntry) throws {
    let world = try World { $0.entry = entry }
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 7))
    try world.run {
      let (client, server) = try await connected(left, right, address)
      try await client.write("later")
      #expect(left.statistics().total(\.guestEntries) == 0)
      #expect(try await server.read(exactly: 5) == Array("later".utf8))
    }
    world.end()
  }

  /// Much, both ways, and the end: bytes, timers and memory are where they belong.
  @Test(arguments: [1, 3]) func whatGoesOutComesBack(contexts: Int) throws {
    let world = try World(contexts: contexts) { $0.entry = .enterFree }
    let (left, right, address) = (world.left, world.right, world.address("fd00::2", 7))
    try world.run {
      let listener = try await right.listen(on: address)
      async let serving: Void = serveEcho(listener)
      let bytes = pattern(60_000)
      let stream = try await left.connect(to: address)
      async let writing: Void = {
        for start in stride(from: 0, to: bytes.count, by: 1000) {
          try await stream.write(Array(bytes[start..<min(start + 1000, bytes.count)]))
        }
        stream.shutdownSend()
      }()
      #expect(try await stream.readAll() == bytes)
      try await writing
      stream.close()
      listener.close()
      try await serving
    }
    #expect(left.statistics().total(\.guestEntries) > 0)
    world.end()
  }

  /// On threads: contexts sleep and wake, programs enter when they sleep.
  @Test(arguments: [true, false], [BlockEntry.enterIdle, .enterFree])
  func exchangesOnThreads(overLoopback: Bool, entry: BlockEntry) throws {
    let running = try ThreadTests.Running(overLoopback: overLoopback) { $0.entry = entry }
    let crew = ThreadTests.Crew()
    do {
      let listener = try running.server.blocking.listen(on: SocketAddress(running.host, port: 7))
      for number in 0..<2 {
        let near = try running.client.blocking.connect(to: listener.address)
        let far = try listener.acceptBlocking()
        crew.start {
          var byte: [UInt8] = [0]
          while try far.blocking.read(into: &byte) == 1 { try far.blocking.write(byte) }
        }
        crew.start {
          var byte: [UInt8] = [0]
          for step in 0..<100 {
            let value = UInt8(truncatingIfNeeded: step &* 7 &+ number)
            try near.blocking.write([value])
            #expect(try near.blocking.read(into: &byte) == 1 && byte[0] == value)
          }
          near.close()
        }
      }
      crew.join()
      #expect(running.client.statistics().total(\.guestEntries) > 0)
    }
    running.end()
  }

  /// On threads that drive a context while it sleeps: beside it, beside one another, and with nobody spinning.
  @Test(arguments: [true, false], [0, 20])
  func exchangesByDriving(overLoopback: Bool, spin: Int) throws {
    let running = try ThreadTests.Running(overLoopback: overLoopback, contexts: 1) {
      $0.entry = .drive
      $0.spin = .microseconds(spin)
    }
    let crew = ThreadTests.Crew()
    do {
      let listener = try running.server.blocking.listen(on: SocketAddress(running.host, port: 7))
      for number in 0..<3 {
        let near = try running.client.blocking.connect(to: listener.address)
        let far = try listener.acceptBlocking()
        crew.start {
          var byte: [UInt8] = [0]
          while try far.blocking.read(into: &byte) == 1 { try far.blocking.write(byte) }
        }
        crew.start {
          var byte: [UInt8] = [0]
          for step in 0..<100 {
            let value = UInt8(truncatingIfNeeded: step &* 7 &+ number)
            try near.blocking.write([value])
            #expect(try near.blocking.read(into: &byte) == 1 && byte[0] == value)
          }
          near.close()
        }
      }
      crew.join()
      let statistics = running.client.statistics()
      #expect(statistics.total(\.borrows) > 0 && statistics.wakeups.wasted == 0)
    }
    running.end()
  }
}
