import Buffers
import Chance
import SoftInterrupts
import TCP
import Testing
import Timing
import Wire

@testable import Sockets

/// Connections with nothing to do take little memory and no time, and nobody can tell.
@Suite struct RestTests {
  private func network(_ rest: Nanoseconds?, working: Int = 8192, contexts: Int = 1) throws -> Network {
    try Network(contexts: contexts) {
      $0.rest.after = rest
      $0.rest.workingConnections = working
    }
  }
  private func atWork(_ host: Host) -> Int {
    (0..<host.contexts.count).reduce(0) { $0 + host.sockets.connectionsAtWork($1) }
  }

  @Test func PCB_REST_packingKeepsEveryBit() {
    var random = SeededGenerator(seed: 5)
    for density in [0, 1, 8, 64] as [UInt64] {
      let basis = (0..<100).map { _ in random.next() }
      let words = basis.map { basis -> UInt64 in
        guard random.next() % 64 < density else { return basis }
        return basis ^ random.next() & random.next() & random.next()
      }
      var bytes = [UInt8](repeating: 0xAA, count: 1000)
      var back = [UInt64](repeating: 7, count: 100)
      unsafe bytes.withUnsafeMutableBufferPointer { bytes in
        let target = bytes.baseAddress!
        let count = unsafe PackedState.pack(words, 100, against: basis, into: target, limit: 1000)
        #expect(count != nil)
        unsafe back.withUnsafeMutableBufferPointer {
          unsafe PackedState.unpack(target, 100, against: basis, into: $0.baseAddress!)
        }
        #expect(back == words)
        // Nothing is written beyond the limit.
        let less = count! / 2
        unsafe target[less] = 0x55
        #expect(
          unsafe PackedState.pack(words, 100, against: basis, into: target, limit: less) == nil
            || density == 0)
        #expect(unsafe target[less] == 0x55)
      }
    }
  }

  /// The block with all that a connection at rest has; the table adds at most 64 bytes.
  @Test func aConnectionAtRestIsSmall() {
    #expect(ConnectionBlock.bytes + 64 <= 1024 - 64)
    #expect(ConnectionBlock.packedBytes >= 256, "\(ConnectionBlock.packedBytes)")
  }

  @Test func anIdleConnectionRestsAndGoesOn() throws {
    let network = try network(.seconds(1))
    do {
      let (listener, client, server) = try network.connect()
      try network.exchange(client, server, 20_000)
      #expect(atWork(network.left) == 1 && atWork(network.right) == 1)
      network.scheduler.run(milliseconds: 3000)
      for host in [network.left, network.right] {
        #expect(atWork(host) == 0)
        #expect(host.count { $0.rests.value } == 1 && host.count { $0.restsRefused.value } == 0)
      }
      // Its timer is not armed, and nothing happens however long it takes.
      let fired = network.left.contexts.counters(0).timersFired.value
      network.scheduler.run(milliseconds: 1500)
      #expect(network.left.contexts.counters(0).timersFired.value == fired)
      // What is known at rest is what was known before, and what comes takes it up.
      #expect(client.informationAtRest.counters.segmentsSent > 10)
      #expect(client.localAddress == server.remoteAddress && client.isConnected)
      try network.exchange(server, client, 20_000)
      try network.exchange(client, server, 20_000)
      #expect(atWork(network.left) == 1 && atWork(network.right) == 1)
      network.scheduler.run(milliseconds: 3000)
      client.close()
      network.scheduler.run(milliseconds: 100)
      #expect(server.readSome().0 == .endOfStream)
      server.close()
      listener.close()
    }
    network.expectNothingLeft()
    for host in [network.left, network.right] {
      #expect(host.count { $0.rests.value } == host.count { $0.restsEnded.value })
      #expect(host.count { $0.segmentsRetransmitted.value } == 0)
    }
  }

  /// The same exchanges with and without rest: both engines know the same in the end, to the last counter.
  @Test(arguments: [1, 2] as [UInt64]) func PCB_REST_restChangesNothing(seed: UInt64) throws {
    func play(_ rest: Nanoseconds?) throws -> (String, rests: UInt64) {
      let network = try network(rest)
      var known = ""
      do {
        let (listener, client, server) = try network.connect(isIPv4: seed == 1)
        var random = SeededGenerator(seed: seed)
        for _ in 0..<30 {
          let count = Int(random.next() % 30_000) + 1
          if random.next() % 2 == 0 {
            try network.exchange(client, server, count)
          } else {
            try network.exchange(server, client, count)
          }
          network.scheduler.run(milliseconds: [0, 1, 50, 300, 3000][Int(random.next() % 5)])
          known += "\(client.informationAtRest)\n\(server.informationAtRest)\n"
        }
        client.setNoDelay(true)
        server.abort()
        network.scheduler.run(milliseconds: 1)
        #expect(client.failure == .connectionReset)
        listener.close()
      }
      network.expectNothingLeft()
      return (known, network.left.count { $0.rests.value })
    }
    let (never, none) = try play(nil)
    let (soon, some) = try play(.zero)
    let (later, few) = try play(.milliseconds(200))
    #expect(never == soon && never == later)
    #expect(none == 0)
    #expect(some > 30)
    #expect(few > 5)
    #expect(few < some)
  }

  /// Who has not been accepted has an item in a queue: its workspace stays.
  @Test func PCB_REST_aChildThatWaitsForAcceptDoesNotRest() throws {
    let network = try network(.seconds(1))
    do {
      let address = network.address(of: network.right, 7, isIPv4: true)
      let listener = try network.wait(network.right.sockets.listen(on: address))
      let client = try network.wait(network.left.sockets.connect(to: address))
      network.scheduler.run(milliseconds: 5000)
      #expect(atWork(network.left) == 0 && atWork(network.right) == 1)
      let server = try network.accept(listener)
      network.scheduler.run(milliseconds: 5000)
      #expect(atWork(network.right) == 0)
      try network.exchange(client, server, 100)
      client.abort()
      server.abort()
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// What is due later wakes a connection that rests: keep-alive probes, and the end of TIME-WAIT, in which connections
  /// rest if there are more than enough at work.
  @Test(arguments: [0, 2]) func timersReachConnectionsAtRest(working: Int) throws {
    let network = try network(.seconds(1), working: working)
    do {
      let (listener, client, server) = try network.connect()
      var options = network.left.sockets.options()
      options.tcp.keepaliveIdle = .seconds(20)
      client.setOptions(options)
      network.scheduler.run(milliseconds: 5000)
      #expect(atWork(network.left) == 0)
      let sent = client.informationAtRest.counters.segmentsSent
      network.scheduler.run(milliseconds: 22_000)
      #expect(client.informationAtRest.counters.segmentsSent > sent, "probed after 20 seconds of silence")
      #expect(atWork(network.left) == 0 && client.isConnected)
      client.close()
      server.close()
      listener.close()
      network.scheduler.run(milliseconds: 5000)
      #expect(network.left.sockets.inventory(limit: 9).connections.map(\.state) == [.timeWait])
      #expect(atWork(network.left) == (working == 0 ? 0 : 1))
    }
    network.expectNothingLeft()
  }

  /// With more at work than there should be, whoever has nothing to do rests at once.
  @Test func theNumberAtWorkIsBounded() throws {
    let network = try network(.seconds(100), working: 4)
    do {
      let (listener, client, server) = try network.connect()
      var others: [(client: StreamSocket, server: StreamSocket)] = []
      for _ in 0..<20 {
        others.append(try network.another(to: listener))
        network.scheduler.settle()
        #expect(atWork(network.right) <= 6, "who is accepted need not be used before it rests")
      }
      for pair in others { try network.exchange(pair.client, pair.server, 1000) }
      network.scheduler.run(milliseconds: 1000)
      #expect(atWork(network.left) <= 5 && atWork(network.right) <= 6)
      for pair in others { try network.exchange(pair.server, pair.client, 1000) }
      for pair in others + [(client, server)] {
        pair.client.abort()
        pair.server.abort()
      }
      listener.close()
    }
    network.expectNothingLeft()
  }
}
