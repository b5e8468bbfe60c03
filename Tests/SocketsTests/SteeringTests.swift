import Exclusion
import Internet
import SoftInterrupts
import Sockets
import Testing

/// Connections of hosts with several contexts: received at home, moved, drained.
@Suite struct ConnectionSteeringTests {
  private static func homes(_ host: Host) -> [Int] {
    host.sockets.inventory(limit: 100).connections.map(\.home)
  }

  /// Sends `count` bytes to the other end and expects them there in order.
  private func transfer(
    _ network: Network, _ from: StreamSocket, _ to: StreamSocket, count: Int,
    _ between: () throws -> Void = {}
  ) throws {
    let bytes = Network.pattern(count)
    var (sent, received) = (0, [UInt8]())
    let isDone = network.scheduler.run(limit: 60_000) {
      if sent < count, case .bytes(let taken) = from.writeAll(Array(bytes[sent...].prefix(9_000))) {
        sent += taken
      }
      received += to.readSome().1
      return received.count == count
    }
    try between()
    #expect(isDone)
    #expect(received == bytes)
  }

  /// RX-ORDER: data of flows that come in on either context arrives whole and in order, worked on at home.
  @Test func RX_ORDER_flowsAreWorkedOnAtHomeAndLoseNothing() throws {
    let network = try Network(contexts: 2, steering: .home)
    do {
      let address = network.address(of: network.right, 7, isIPv4: true)
      let listener = try network.wait(network.right.sockets.listen(on: address))
      for _ in 0..<8 {
        let client = try network.wait(network.left.sockets.connect(to: address))
        #expect(network.scheduler.run { client.isWritable(need: 0) })
        let server = try network.accept(listener)
        try transfer(network, client, server, count: 60_000)
        try transfer(network, server, client, count: 20_000)
        client.close()
        server.close()
      }
      let steered = (0..<2).map { network.right.contexts.counters($0).steered.value }
      #expect(steered.reduce(0, +) > 0, "some flows came in on the other context")
      #expect((0..<2).allSatisfy { network.right.contexts.counters($0).steeringDrops.value == 0 })
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// connect() picks a local port that makes the context it runs on the flow's home.
  @Test func connectTakesAPortWhoseHomeIsItsContext() throws {
    let network = try Network(contexts: 2, steering: .home)
    do {
      let address = network.address(of: network.right, 7, isIPv4: true)
      let listener = try network.wait(network.right.sockets.listen(on: address))
      var clients: [StreamSocket] = []
      for _ in 0..<10 {
        let client = try network.wait(network.left.sockets.connect(to: address))
        #expect(network.scheduler.run { client.isWritable(need: 0) })
        clients.append(client)
      }
      // Contexts take connects in turn.
      #expect(Self.homes(network.left).count { $0 == 0 } == 5)
      for client in clients { client.abort() }
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// PCB-MOVE: a connection that is at rest moves with its timers, and what follows goes to the new home.
  @Test func PCB_MOVE_aConnectionAtRestMovesAndGoesOn() throws {
    let network = try Network(contexts: 2, steering: .home)
    do {
      let (listener, client, server) = try network.connect()
      let before = try #require(Self.homes(network.right).first)
      for round in 1...5 {
        let target = (before + round) % 2
        try network.wait(network.right.sockets.move(server, to: target)) as Void
        #expect(Self.homes(network.right) == [target])
        try transfer(network, client, server, count: 50_000)
        try transfer(network, server, client, count: 50_000)
      }
      // The retransmission timer of what is lost now is the new home's.
      #expect(server.writeAll([1, 2, 3]) == .bytes(3))
      network.scheduler.settle()
      let armed = (0..<2).map { network.right.contexts.counters($0).timersArmed.value }
      #expect(armed[before] == 0 || armed[1 - before] > 0)
      client.close()
      server.close()
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// PCB-MOVE: refused while segments are on their way to the home, and when there is nothing to move.
  @Test func PCB_MOVE_isRefusedWhileAnythingIsUnderWay() throws {
    // One frame in each pass, so that some wait while the control plane has its turn.
    var budgets = LevelBudgets()
    budgets.net = LevelBudget(items: 2, time: 1_000_000)
    budgets.turn = 1
    let network = try Network(contexts: 2, budgets: budgets, steering: .home)
    do {
      let (listener, client, server) = try network.connect()
      let hashed = try #require(Self.homes(network.right).first)
      let sockets = network.right.sockets
      #expect(throws: MoveRefusal.noSuchContext) { try network.wait(sockets.move(server, to: 2)) }
      try network.wait(sockets.move(server, to: 1 - hashed)) as Void
      // Segments go from the context of the hash to the new home; before that runs, they are under way.
      #expect(client.writeAll([UInt8](repeating: 7, count: 20_000)) == .bytes(20_000))
      for _ in 0..<4 {
        for index in 0..<2 { network.scheduler.step(network.left.contexts, context: index) }
      }
      for _ in 0..<8 {
        for index in [hashed, hashed, 1 - hashed]
        where network.right.contexts.counters(hashed).steered.value < 6 {
          network.scheduler.step(network.right.contexts, context: index)
        }
      }
      let answer = sockets.move(server, to: hashed)
      #expect(throws: MoveRefusal.segmentsUnderWay) { try network.wait(answer) }
      network.scheduler.settle()
      try network.wait(sockets.move(server, to: hashed)) as Void
      client.abort()
      network.scheduler.settle()
      #expect(throws: MoveRefusal.notEstablished) { try network.wait(sockets.move(server, to: hashed)) }
      server.close()
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// RX-DRAIN through gates: the answer comes after what was left at an occupied one.
  @Test func RX_DRAIN_answersOnceEverythingReceivedIsDone() throws {
    let network = try Network(contexts: 2, steering: .home)
    do {
      let (listener, client, server) = try network.connect()
      #expect(client.writeAll([UInt8](repeating: 7, count: 100_000)) == .bytes(100_000))
      for _ in 0..<3 { for index in 0..<2 { network.scheduler.step(network.left.contexts, context: index) } }
      for index in 0..<2 { network.scheduler.step(network.right.contexts, context: index) }
      let answer = network.right.sockets.drainReceived()
      #expect(network.scheduler.run { answer.isReady })
      #expect(server.readSome().1.count > 0)
      client.abort()
      server.close()
      listener.close()
    }
    network.expectNothingLeft()
  }
}

extension Network {
  /// As ``wait(_:)``, for a move.
  func wait(_ answer: Answer<Result<Void, MoveRefusal>>) throws {
    #expect(scheduler.run { answer.isReady })
    try #require(answer.take()).get()
  }
}
