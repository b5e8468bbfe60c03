import Exclusion
import Testing
import Wire

@testable import Sockets

/// Event queues, step by step, without waiting.
@Suite struct EventQueueTests {
  let bytes = Array("hello".utf8)

  // MARK: Level

  @Test func aLevelIsToldAtEachHarvestAsLongAsItIsTrue() throws {
    let network = try Network()
    do {
      let (_, client, server) = try network.connect()
      let queue = network.right.sockets.makeEventQueue()
      try queue.add(.stream(server), for: .readable, token: 7)
      #expect(try queue.poll(atMost: 10).isEmpty)
      #expect(client.writeAll(bytes) == .bytes(5))
      network.scheduler.settle()
      for _ in 0..<3 {
        #expect(
          try queue.poll(atMost: 10) == [
            SocketEvent(token: 7, events: .readable, available: 5, space: 256 << 10)
          ])
      }
      #expect(server.readSome(2).1.count == 2)
      #expect(try queue.poll(atMost: 10).first?.available == 3)
      #expect(server.readSome().1.count == 3)
      #expect(try queue.poll(atMost: 10).isEmpty)
      #expect(client.writeAll(bytes) == .bytes(5))
      network.scheduler.settle()
      #expect(try queue.poll(atMost: 10).count == 1)
      #expect(network.right.sockets.eventCounters.suppressed.value == 0)
      queue.close()
    }
    network.expectNothingLeft()
  }

  @Test func whatIsTrueAtRegistrationIsTold() throws {
    let network = try Network()
    do {
      let (_, client, server) = try network.connect()
      _ = client.writeAll(bytes)
      network.scheduler.settle()
      for trigger in EventTrigger.allCases {
        let queue = network.right.sockets.makeEventQueue()
        try queue.add(.stream(server), for: [.readable, .writable], trigger: trigger, token: 1)
        let events = try queue.poll(atMost: 10)
        #expect(events.map(\.events) == [[.readable, .writable]])
        #expect(events.first?.available == 5 && events.first?.space == 256 << 10)
      }
    }
    network.expectNothingLeft()
  }

  @Test func endAndErrorAreTold() throws {
    let network = try Network()
    do {
      let (_, client, server) = try network.connect()
      let queue = network.right.sockets.makeEventQueue()
      try queue.add(.stream(server), for: [.readable, .endOfStream, .error], trigger: .edge, token: 1)
      _ = client.writeAll(bytes)
      network.scheduler.settle()
      #expect(try queue.poll(atMost: 10).map(\.events) == [.readable])
      client.shutdownSend()
      network.scheduler.settle()
      #expect(try queue.poll(atMost: 10).map(\.events) == [[.readable, .endOfStream]])
      client.abort()
      network.scheduler.settle()
      let event = try #require(try queue.poll(atMost: 10).first)
      #expect(event.events == [.readable, .endOfStream, .error] && event.error == .connectionReset)
      #expect(try queue.poll(atMost: 10).isEmpty)
    }
    network.expectNothingLeft()
  }

  // MARK: Edge and once

  @Test func anEdgeIsToldOnceForWhatCameTogether() throws {
    let network = try Network()
    do {
      let (_, client, server) = try network.connect()
      let queue = network.right.sockets.makeEventQueue()
      try queue.add(.stream(server), for: .readable, trigger: .edge, token: 1)
      for _ in 0..<3 {
        _ = client.writeAll(bytes)
        network.scheduler.settle()
      }
      #expect(try queue.poll(atMost: 10).map(\.available) == [15])
      #expect(try queue.poll(atMost: 10).isEmpty)  // though nothing was read
      _ = client.writeAll(bytes)
      network.scheduler.settle()
      #expect(try queue.poll(atMost: 10).map(\.available) == [20])
    }
    network.expectNothingLeft()
  }

  @Test func whatIsToldOnceIsToldAgainOnlyWhenAskedFor() throws {
    let network = try Network()
    do {
      let (_, client, server) = try network.connect()
      let queue = network.right.sockets.makeEventQueue()
      try queue.add(.stream(server), for: .readable, trigger: .oneShot, token: 1)
      for _ in 0..<2 {
        _ = client.writeAll(bytes)
        network.scheduler.settle()
      }
      #expect(try queue.poll(atMost: 10).map(\.available) == [10])
      _ = client.writeAll(bytes)
      network.scheduler.settle()
      #expect(try queue.poll(atMost: 10).isEmpty)
      try queue.modify(.stream(server), for: .readable, trigger: .oneShot, token: 2)
      #expect(try queue.poll(atMost: 10).map(\.token) == [2])
      #expect(try queue.poll(atMost: 10).isEmpty)
    }
    network.expectNothingLeft()
  }

  // MARK: Space

  /// W1, DESIGN section 3 rule 3: whoever only receives is not told of send space, however much is acknowledged.
  @Test(arguments: EventTrigger.allCases)
  func W1_spaceIsToldOnlyToThoseWhoMetAFullBuffer(trigger: EventTrigger) throws {
    let network = try Network()
    do {
      let (_, client, server) = try network.connect()
      let queue = network.left.sockets.makeEventQueue()
      try queue.add(.stream(client), for: [.readable, .writable], trigger: .edge, token: 1)
      #expect(try queue.poll(atMost: 10).map(\.events) == [.writable])
      let told = network.left.sockets.eventCounters.raised.value
      for _ in 0..<20 {
        _ = client.writeAll(bytes)
        network.scheduler.settle()
        _ = server.readSome()
      }
      #expect(network.left.sockets.eventCounters.raised.value == told)
      #expect(try queue.poll(atMost: 10).isEmpty)
      try queue.modify(.stream(client), for: .writable, trigger: trigger, token: 1)
      #expect(try queue.poll(atMost: 10).map(\.events) == [.writable])
      // Full: the peer's buffer and our own, which do not grow by themselves.
      client.setSendLimit(256 << 10)
      server.setReceiveLimit(256 << 10)
      while case .bytes = client.writeAll([UInt8](repeating: 1, count: 100_000)) {
        network.scheduler.run(milliseconds: 500)
      }
      #expect(try queue.poll(atMost: 10).isEmpty)
      if trigger == .oneShot { try queue.modify(.stream(client), for: .writable, trigger: trigger, token: 1) }
      #expect(try queue.poll(atMost: 10).isEmpty)
      var read = 0
      var events: [SocketEvent] = []
      while events.isEmpty, case .bytes(let count) = server.readSome(10_000).0 {
        read += count
        network.scheduler.settle()
        events = try queue.poll(atMost: 10)
      }
      #expect(events.map(\.events) == [.writable])
      // Not for the first byte of it, but for a third of the buffer (W4).
      #expect(events.first?.space ?? 0 >= (256 << 10) / 3 && read >= (256 << 10) / 3)
    }
    network.expectNothingLeft()
  }

  /// A writer that got less than it asked for has met a full buffer, and need not try in vain to be told.
  @Test func aShortWriteMeetsAFullBuffer() throws {
    let network = try Network()
    do {
      let (_, client, server) = try network.connect()
      let queue = network.left.sockets.makeEventQueue()
      try queue.add(.stream(client), for: .writable, trigger: .edge, token: 1)
      #expect(try queue.poll(atMost: 10).count == 1)
      let much = [UInt8](repeating: 1, count: 1 << 20)
      #expect(client.writeAll(much) == .bytes(256 << 10))
      network.scheduler.settle()
      #expect(try queue.poll(atMost: 10).map(\.events) == [.writable])
      while case .bytes = server.readSome().0 { network.scheduler.settle() }
    }
    network.expectNothingLeft()
  }

  @Test func theEndOfConnectIsTold() throws {
    let network = try Network()
    do {
      let client = try network.wait(network.left.sockets.connect(to: SocketAddress("10.0.0.99:7")!))
      let queue = network.left.sockets.makeEventQueue()
      try queue.add(.stream(client), for: [.writable, .error], token: 1)
      #expect(try queue.poll(atMost: 10).isEmpty)
      network.scheduler.run(milliseconds: 60_000)
      let event = try #require(try queue.poll(atMost: 10).first)
      #expect(event.events == [.writable, .error] && event.error == .hostUnreachable)
    }
    network.expectNothingLeft()
  }

  // MARK: Listeners and datagrams

  /// AQ-WAKE: readable means that accept does not block.
  @Test func AQ_WAKE_aListenerIsReadableWhileSomebodyWaits() throws {
    let network = try Network()
    do {
      let address = network.address(of: network.right, 7, isIPv4: true)
      let listener = try network.wait(network.right.sockets.listen(on: address))
      let queue = network.right.sockets.makeEventQueue()
      try queue.add(.listener(listener), for: .readable, token: 1)
      #expect(try queue.poll(atMost: 10).isEmpty)
      let clients = try (0..<3).map { _ in try network.wait(network.left.sockets.connect(to: address)) }
      network.scheduler.settle()
      var accepted: [StreamSocket] = []
      for left in [3, 2, 1] {
        #expect(try queue.poll(atMost: 10).map(\.available) == [left])
        accepted.append(try listener.tryAccept().get())
      }
      #expect(try queue.poll(atMost: 10).isEmpty)
      #expect(clients.count == accepted.count)
    }
    network.expectNothingLeft()
  }

  @Test func datagramSocketsAreReadableAndWritable() throws {
    let network = try Network { $0.datagramSendLimit = 2 }
    do {
      let address = network.address(of: network.right, 7, isIPv4: true)
      let server = try network.wait(network.right.sockets.bindDatagram(to: address))
      let client = try network.wait(
        network.left.sockets.bindDatagram(
          to: network.address(of: network.left, 0, isIPv4: true), peer: address))
      let (ours, theirs) = (network.left.sockets.makeEventQueue(), network.right.sockets.makeEventQueue())
      try ours.add(.datagram(client), for: .all, trigger: .edge, token: 1)
      try theirs.add(.datagram(server), for: .readable, token: 2)
      #expect(try ours.poll(atMost: 10).map(\.space) == [2])
      for _ in 0..<2 { try client.send(bytes, to: nil).get() }
      #expect(throws: SocketError.wouldBlock) { try client.send(bytes, to: nil).get() }
      network.scheduler.settle()
      #expect(try ours.poll(atMost: 10).map(\.events) == [.writable])
      #expect(try theirs.poll(atMost: 10).map(\.available) == [2])
      server.close()
      network.scheduler.settle()
      try client.send(bytes, to: nil).get()
      network.scheduler.settle()
      let event = try #require(try ours.poll(atMost: 10).first)
      #expect(event.events.contains([.readable, .error]) && event.error == .connectionRefused)
      #expect(throws: SocketError.connectionRefused) { try client.receive().get() }
    }
    network.expectNothingLeft()
  }

  // MARK: Registrations

  @Test func registrationsAreAddedModifiedAndRemoved() throws {
    let network = try Network()
    do {
      let (listener, client, server) = try network.connect()
      let sockets = network.right.sockets
      let queue = sockets.makeEventQueue(limit: 2)
      #expect(throws: SocketError.notRegistered) { try queue.remove(.stream(server)) }
      #expect(throws: SocketError.notRegistered) {
        try queue.modify(.stream(server), for: .readable, token: 1)
      }
      try queue.add(.stream(server), for: .readable, token: 1)
      #expect(throws: SocketError.alreadyRegistered) {
        try queue.add(.stream(server), for: .writable, token: 2)
      }
      try queue.add(.listener(listener), for: .readable, token: 3)
      #expect(throws: SocketError.limitReached) { _ = try queue.addUserEvent(token: 4) }
      #expect(queue.registrationCount == 2 && sockets.eventCounters.refused.value == 1)
      _ = client.writeAll(bytes)
      network.scheduler.settle()
      try queue.modify(.stream(server), for: [], token: 5)
      #expect(try queue.poll(atMost: 10).isEmpty)
      try queue.modify(.stream(server), for: .readable, token: 6)
      try queue.remove(.stream(server))
      #expect(try queue.poll(atMost: 10).isEmpty)
      // A slot is used again, also when it was on the ready list: for ever.
      for token in 0..<100 {
        network.scheduler.settle()
        try queue.add(.stream(server), for: .readable, token: UInt64(token))
        if token % 2 == 0 { #expect(try queue.poll(atMost: 10).map(\.token) == [UInt64(token)]) }
        try queue.remove(.stream(server))
        _ = try queue.poll(atMost: 10)
      }
      queue.close()
      #expect(queue.registrationCount == 0)
      #expect(throws: SocketError.closed) { try queue.add(.stream(server), for: .readable, token: 1) }
      #expect(throws: SocketError.closed) { try queue.poll(atMost: 10) }
      queue.close()
      #expect(sockets.eventCounters.registrations == 0)
    }
    network.expectNothingLeft()
  }

  /// SO-GEN: after its close nothing is told of a socket, in any queue, and its registrations are gone, once.
  @Test func SO_GEN_closeEndsTheRegistrationsInEveryQueue() throws {
    let network = try Network()
    do {
      let address = network.address(of: network.right, 7, isIPv4: true)
      let (listener, client, server) = try network.connect()
      let socket = try network.wait(network.right.sockets.bindDatagram(to: address))
      let queues = (0..<3).map { _ in network.right.sockets.makeEventQueue() }
      for queue in queues {
        try queue.add(.stream(server), for: .all, token: 1)
        try queue.add(.listener(listener), for: .all, token: 2)
        try queue.add(.datagram(socket), for: .all, token: 3)
      }
      #expect(try queues[0].poll(atMost: 10).map(\.token) == [1, 3])  // writable, again at each harvest
      _ = client.writeAll(bytes)
      network.scheduler.settle()
      server.close()
      listener.close()
      socket.close()
      for queue in queues {
        #expect(queue.registrationCount == 0)
        #expect(try queue.poll(atMost: 10).isEmpty)
        #expect(throws: SocketError.closed) { try queue.add(.stream(server), for: .readable, token: 1) }
        #expect(throws: SocketError.notRegistered) { try queue.remove(.listener(listener)) }
      }
      #expect(network.right.sockets.eventCounters.registrations == 0)
    }
    network.expectNothingLeft()
  }

  /// Watching keeps nothing: the last reference to a socket closes it and ends its registrations.
  @Test func aRegistrationDoesNotKeepASocketOpen() throws {
    let network = try Network()
    let queue = network.left.sockets.makeEventQueue()
    do {
      let (_, client, _) = try network.connect()
      try queue.add(.stream(client), for: .all, token: 1)
      #expect(queue.registrationCount == 1)
    }
    #expect(queue.registrationCount == 0)
    #expect(try queue.poll(atMost: 10).isEmpty)
    network.expectNothingLeft()
  }

  @Test func aSocketIsWatchedByABoundedNumberOfQueues() throws {
    let network = try Network()
    do {
      let (_, client, server) = try network.connect()
      let queues = (0..<65).map { _ in network.right.sockets.makeEventQueue() }
      for queue in queues.prefix(64) { try queue.add(.stream(server), for: .readable, token: 1) }
      #expect(throws: SocketError.limitReached) {
        try queues[64].add(.stream(server), for: .readable, token: 1)
      }
      #expect(queues[64].registrationCount == 0)
      _ = client.writeAll(bytes)
      network.scheduler.settle()
      for queue in queues.prefix(64) { #expect(try queue.poll(atMost: 1).count == 1) }
    }
    network.expectNothingLeft()
  }

  /// A harvest that is smaller than what is ready leaves the rest to the next, and starves nobody.
  @Test func harvestsAreBoundedAndFair() throws {
    let network = try Network()
    do {
      let address = network.address(of: network.right, 7, isIPv4: true)
      let listener = try network.wait(network.right.sockets.listen(on: address, backlog: 16))
      let clients = try (0..<5).map { _ in try network.wait(network.left.sockets.connect(to: address)) }
      network.scheduler.settle()
      let queue = network.left.sockets.makeEventQueue()
      for (token, client) in clients.enumerated() {
        try queue.add(.stream(client), for: .writable, token: UInt64(token))
      }
      let told = try (0..<4).map { _ in try queue.poll(atMost: 2).map(\.token) }
      #expect(told == [[0, 1], [2, 3], [4, 0], [1, 2]])
      listener.close()
    }
    network.expectNothingLeft()
  }

  // MARK: What is not a socket

  @Test func userEventsAreToldForAllThatTriggeredThem() throws {
    let network = try Network()
    do {
      let queue = network.left.sockets.makeEventQueue()
      let edge = try queue.addUserEvent(token: 1)
      let level = try queue.addUserEvent(trigger: .level, token: 2)
      #expect(try queue.poll(atMost: 10).isEmpty)
      for _ in 0..<3 { try edge.trigger() }
      try level.trigger()
      #expect(try queue.poll(atMost: 10).map { [Int($0.token), $0.available] } == [[1, 3], [2, 1]])
      #expect(try queue.poll(atMost: 10).map(\.token) == [2])
      try level.clear()
      #expect(try queue.poll(atMost: 10).isEmpty)
      try queue.remove(edge)
      #expect(throws: SocketError.notRegistered) { try edge.trigger() }
      #expect(throws: SocketError.notRegistered) { try queue.remove(edge) }
      queue.close()
      #expect(throws: SocketError.notRegistered) { try level.trigger() }
    }
    network.expectNothingLeft()
  }

  @Test func timersExpireOnceOrAgainAndAgain() throws {
    let network = try Network()
    do {
      let queue = network.left.sockets.makeEventQueue()
      let once = try queue.addTimer(after: .milliseconds(50), token: 1)
      let often = try queue.addTimer(after: .milliseconds(10), every: .milliseconds(20), token: 2)
      #expect(try queue.poll(atMost: 10).isEmpty)
      network.scheduler.run(milliseconds: 12)
      #expect(try queue.poll(atMost: 10).map(\.token) == [2])
      network.scheduler.run(milliseconds: 60)
      #expect(Set(try queue.poll(atMost: 10).map { [Int($0.token), $0.available] }) == [[1, 1], [2, 3]])
      try queue.remove(once)
      try queue.remove(often)
      #expect(queue.registrationCount == 0)
      network.scheduler.run(milliseconds: 60)
      #expect(try queue.poll(atMost: 10).isEmpty)
      #expect(throws: SocketError.notRegistered) { try queue.remove(often) }
      // A queue that goes takes its timers off the wheel (TM-REF).
      _ = try queue.addTimer(after: .milliseconds(10), every: .milliseconds(20), token: 3)
      network.scheduler.run(milliseconds: 12)
    }
    network.scheduler.settle()
    #expect(network.left.contexts.counters(0).timersArmed.value == 0)
    network.expectNothingLeft()
  }
}
