// Memory that sockets occupy: bounded for each, accounted for all, and what shortage of it changes.

import Buffers
import Exclusion
import Testing
import Timing
import Wire

@testable import Sockets

extension Network {
  /// Only the right host has little memory.
  convenience init(
    memoryOfRight hard: Int, contexts: Int = 1,
    _ adjust: @escaping (inout SocketConfiguration) -> Void = { _ in }
  )
    throws
  {
    var isRight = false
    try self.init(contexts: contexts) { configuration in
      if isRight { configuration.memory = MemoryLimits(hard: hard) }
      isRight = true
      adjust(&configuration)
    }
  }

  /// Another connection to a listener.
  func another(to listener: ListeningSocket, limits: BufferLimits = BufferLimits()) throws -> (
    client: StreamSocket, server: StreamSocket
  ) {
    let client = try wait(left.sockets.connect(to: listener.address, limits: limits))
    #expect(scheduler.run { client.isWritable(need: 0) })
    try #require(client.failure == nil)
    return (client, try accept(listener))
  }

  /// Writes as much of `data` from `sent` on as the socket takes.
  func push(_ socket: StreamSocket, _ data: [UInt8], from sent: inout Int) {
    while sent < data.count,
      case .bytes(let count) = socket.writeAll(Array(data[sent..<min(sent + 60_000, data.count)]))
    {
      sent += count
    }
  }

  /// Moves `data` from one socket to the other; returns how long that took.
  func transfer(_ data: [UInt8], from client: StreamSocket, to server: StreamSocket, limit: UInt64 = 600_000)
    -> Nanoseconds
  {
    let begin = clock.now()
    var (sent, received) = (0, [UInt8]())
    while received.count < data.count {
      push(client, data, from: &sent)
      guard scheduler.run(limit: limit, until: { server.isReadable(need: 1) }) else {
        Issue.record("the transfer stands still at \(received.count) bytes")
        break
      }
      let (outcome, bytes) = server.readSome()
      guard case .bytes = outcome else {
        Issue.record("\(outcome)")
        break
      }
      received += bytes
    }
    #expect(received == data)
    return clock.now() - begin
  }

  /// Bytes that tell where they stand.
  static func pattern(_ count: Int, _ seed: Int = 1) -> [UInt8] {
    unsafe [UInt8](unsafeUninitializedCapacity: count) { bytes, filled in
      // A closure for each byte takes half a second for a megabyte without optimisation.
      while filled < count {
        unsafe bytes[filled] = UInt8(truncatingIfNeeded: filled &* 31 &+ (filled &>> 8) &* 7 &+ seed)
        filled &+= 1
      }
    }
  }
}

extension Host {
  func count(_ counter: (borrowing SocketCounters) -> UInt64) -> UInt64 {
    (0..<contexts.count).reduce(0) { sum, index in sum + sockets.withCounters(index) { counter($0) }
    }
  }
}

@Suite struct MemoryTests {
  /// PCB-BOUND: a window of one-byte segments holds few slots, and nothing is lost or sent twice.
  @Test func PCB_BOUND_aWindowOfOneByteSegmentsHoldsFewSlots() throws {
    let network = try Network()
    do {
      let (listener, client, server) = try network.connect()
      client.setNoDelay(true)
      let data = Network.pattern(6000)
      for byte in data {
        #expect(client.writeAll([byte]) == .bytes(1))
        // The congestion window counts segments: each has to be acknowledged.
        network.scheduler.run(milliseconds: 50)
      }
      network.scheduler.run(milliseconds: 500)
      #expect(
        network.left.sockets.withCounters(0) { $0.segmentsSent.value } >= 6000, "each byte had a segment")
      #expect(server.memory.receive <= 5 * Packet.occupied)
      #expect(network.right.sockets.withCounters(0) { $0.slotsCollapsed.value } > 5900)
      #expect(network.left.sockets.withCounters(0) { $0.segmentsRetransmitted.value } == 0)
      network.right.expectExactAccount()
      #expect(network.right.sockets.memoryStatistics()[.receive] == server.memory.receive)
      #expect(server.readSome().1 == data)
      #expect(server.memory.total == 0)
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// C1: a client that stops reading costs its own buffers; another one keeps its speed.
  @Test func C1_aClientThatStopsReadingCostsOnlyItsOwnBuffers() throws {
    let data = Network.pattern(1 << 20)
    func speed(withSlow isSlow: Bool) throws -> Nanoseconds {
      let network = try Network()
      var took = Nanoseconds.zero
      do {
        let (listener, client, server) = try network.connect()
        let (slowClient, slowServer) = try network.another(to: listener)
        if isSlow {
          var sent = 0
          for _ in 0..<50 {
            network.push(slowClient, data, from: &sent)
            network.scheduler.run(milliseconds: 10)
          }
          #expect(slowServer.memory.total > 200 << 10, "its buffer is full")
          #expect(slowServer.memory.total <= SocketMemoryPolicy.receive(limit: 256 << 10))
        }
        took = network.transfer(data, from: client, to: server)
        #expect(server.memory.total == 0 && client.memory.total <= 2 * ByteChain.chunkOccupied)
        #expect(network.right.sockets.memory.state == .normal)
        network.right.expectExactAccount()
        listener.close()
      }
      network.expectNothingLeft()
      return took
    }
    #expect(try speed(withSlow: true) == speed(withSlow: false))
  }

  /// Under pressure a window is a few segments, whoever has it, and grows again afterwards.
  @Test func pressureKeepsWindowsSmallAndEnds() throws {
    let network = try Network(memoryOfRight: 512 << 10)
    do {
      let (listener, client, server) = try network.connect()
      let (polite, reader) = try network.another(to: listener)
      let data = Network.pattern(1 << 20)
      var sent = 0
      for _ in 0..<100 where network.right.sockets.memory.state == .normal {
        network.push(client, data, from: &sent)
        network.scheduler.run(milliseconds: 5)
      }
      #expect(network.right.sockets.memory.state == .pressure)
      network.scheduler.run(milliseconds: 2000)
      let held = network.right.sockets.memoryStatistics().total
      #expect(held < 512 << 10, "the window closes before the hard limit: \(held)")
      _ = network.transfer(Network.pattern(100_000), from: polite, to: reader)
      #expect(network.right.sockets.memory.state == .pressure)
      #expect(network.right.count({ $0.segmentsWithoutMemory.value }) == 0)
      var received = 0
      while received < sent {
        #expect(network.scheduler.run { server.isReadable(need: 1) })
        let (outcome, bytes) = server.readSome()
        guard case .bytes = outcome else { Issue.record("\(outcome)"); break }
        #expect(bytes == Array(data[received..<received + bytes.count]))
        received += bytes.count
      }
      #expect(network.right.sockets.memory.state == .normal)
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// What a need of memory allows, number by number: windows of a few segments, what is guaranteed and to whom.
  @Test func eachStateAllowsWhatTheDocumentationSays() throws {
    let network = try Network(memoryOfRight: 512 << 10)
    do {
      let (listener, client, server) = try network.connect()
      network.right.contexts.perform(on: 0) { cx in
        let sockets = SocketContextRef(cx)
        let connection = server.connection
        let limit = unsafe Int(connection.shared.pointee.receiveLimit.load())
        let segment = unsafe Int(connection.owned.pointee.engine.configuration.maximumSegment)
        var taken = 0
        func take(until state: MemoryState) {
          while sockets.memory.state < state, sockets.memory.take(1024, .send) { taken += 1024 }
          #expect(sockets.memory.state == state)
        }
        func admits(_ bytes: Int, isAhead: Bool = false) -> Bool {
          guard connection.admit(bytes, beside: 0, isAhead: isAhead, isPoolLow: cx.pool.isLow, sockets) else {
            return false
          }
          connection.settleReceived(bytes, sockets)
          return true
        }
        let most = SocketMemoryPolicy.receive(limit: limit)
        #expect(connection.freeReceiveSpace() == limit && limit > 4 * segment)
        #expect(admits(Packet.occupied, isAhead: true))
        #expect(!admits(most + 1) && sockets.counters.receiveQueueFull.value == 1)
        take(until: .pressure)
        #expect(connection.freeReceiveSpace() == 4 * segment)
        #expect(admits(Packet.occupied, isAhead: true))
        take(until: .exhausted)
        #expect(connection.freeReceiveSpace() == 2 * segment)
        let refused = sockets.counters.segmentsWithoutMemory.value
        #expect(admits(SocketMemoryPolicy.guaranteed))
        #expect(!admits(SocketMemoryPolicy.guaranteed + 1))
        #expect(!admits(1, isAhead: true), "behind a hole nothing is guaranteed")
        #expect(sockets.counters.segmentsWithoutMemory.value == refused + 2)
        sockets.memory.give(taken, .send)
        #expect(sockets.memory.state == .normal && connection.freeReceiveSpace() == limit)
      }
      network.scheduler.settle()
      #expect(client.failure == nil)
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// The hard limit: what is new is refused before it is acknowledged, with errors that say so; who reads at once
  /// goes on; and when the readers have drained, everybody does, and every byte is there.
  @Test func theHardLimitRefusesHonestlyAndIsRecoveredFrom() throws {
    let network = try Network(memoryOfRight: 128 << 10)
    do {
      let limits = BufferLimits(send: 256 << 10, receive: 256 << 10)
      let (listener, firstClient, firstServer) = try network.connect()
      var pairs = [(client: firstClient, server: firstServer, data: Network.pattern(80_000), sent: 0)]
      let (polite, reader) = try network.another(to: listener, limits: limits)
      for seed in 2..<6 {
        let (client, server) = try network.another(to: listener, limits: limits)
        pairs.append((client, server, Network.pattern(80_000, seed), 0))
      }
      // All at once, so that what is offered exceeds what there is.
      for index in pairs.indices {
        network.push(pairs[index].client, pairs[index].data, from: &pairs[index].sent)
      }
      network.scheduler.run(milliseconds: 3000)
      let memory = network.right.sockets.memory
      #expect(memory.state == .exhausted)
      #expect(network.right.count({ $0.segmentsWithoutMemory.value }) > 0)
      #expect(
        network.right.sockets.memoryStatistics().total
          <= memory.limits.hard + pairs.count * SocketMemoryPolicy.guaranteed)

      #expect(throws: SocketError.noBufferSpace) {
        _ = try network.wait(network.right.sockets.connect(to: SocketAddress(network.left.ipv4, port: 9)))
      }
      let datagrams = try network.wait(
        network.right.sockets.bindDatagram(to: SocketAddress(network.right.ipv4, port: 9)))
      #expect(throws: SocketError.noBufferSpace) {
        try datagrams.send([1], to: SocketAddress(network.left.ipv4, port: 9)).get()
      }
      #expect(network.right.count({ $0.connectionsWithoutMemory.value }) == 1)
      _ = network.transfer(Network.pattern(20_000, 9), from: polite, to: reader)

      for pair in pairs {
        var received = 0
        while received < pair.data.count {
          guard network.scheduler.run(limit: 300_000, until: { pair.server.isReadable(need: 1) }) else {
            Issue.record("a connection does not recover: \(received) bytes")
            break
          }
          let (outcome, bytes) = pair.server.readSome()
          guard case .bytes = outcome else { Issue.record("\(outcome)"); break }
          #expect(bytes == Array(pair.data[received..<received + bytes.count]))
          received += bytes.count
        }
      }
      #expect(memory.state == .normal)
      #expect(throws: Never.self) {
        try datagrams.send([1], to: SocketAddress(network.left.ipv4, port: 9)).get()
      }
      network.right.expectExactAccount()
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// A writer whose stack is out of memory waits, is woken by the acknowledgment of what it has out, and never in
  /// vain (W4).
  @Test func W4_aWriterWithoutMemoryWaitsForItsOwnAcknowledgment() throws {
    let network = try Network(memoryOfRight: 128 << 10)
    do {
      let (listener, client, server) = try network.connect()
      let (other, hog) = try network.another(to: listener)
      // The right host's memory is in the send queue of a connection whose peer does not read.
      var sent = 0
      for _ in 0..<20 {
        network.push(hog, Network.pattern(1 << 20), from: &sent)
        network.scheduler.run(milliseconds: 50)
      }
      #expect(network.right.sockets.memory.state == .exhausted)
      // The first write is guaranteed, further ones wait for it.
      #expect(server.writeAll(Network.pattern(100_000)) == .bytes(ByteChain.chunkCapacity))
      #expect(server.writeAll([1]) == .wouldBlock && !server.isWritable(need: 1))
      #expect(network.scheduler.run(limit: 10_000) { server.isWritable(need: 1) })
      #expect(client.readSome().1 == Array(Network.pattern(100_000)[..<ByteChain.chunkCapacity]))
      #expect(server.writeAll([2]) == .bytes(1))
      _ = other
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// Limits at run time: more room is space for a writer, less makes it wait for what is out; a lower limit is no
  /// trap for who fell asleep under the higher one.
  @Test func W4_limitsChangeWhileTheConnectionLives() throws {
    let network = try Network()
    do {
      let (listener, client, server) = try network.connect()
      client.setSendLimit(8 << 10)
      server.setReceiveLimit(4 << 10)
      network.scheduler.run(milliseconds: 10)
      #expect(client.limits == BufferLimits(send: 8 << 10, receive: 256 << 10))
      #expect(client.writeAll(Network.pattern(100_000)) == .bytes(8 << 10))
      #expect(client.writeAll([1]) == .wouldBlock && !client.isWritable(need: 1))
      client.setSendLimit(12 << 10)
      #expect(client.isWritable(need: 4096) && client.writeAll(Network.pattern(100_000)) == .bytes(4096))
      client.setSendLimit(4 << 10)
      #expect(
        !client.isWritable(need: 1) && client.isWritable(need: 0), "the connection is there all the same")
      let begin = Network.pattern(100_000)
      var received: [UInt8] = []
      while received.count < 12 << 10 {
        #expect(network.scheduler.run { server.isReadable(need: 1) })
        received += server.readSome().1
      }
      #expect(received == Array(begin[..<8192]) + Array(begin[..<4096]))
      network.scheduler.run(milliseconds: 500)
      #expect(client.isWritable(need: 60_000), "a need of earlier times counts as the lower limit's")
      #expect(client.writeAll(begin) == .bytes(4 << 10))
      network.scheduler.run(milliseconds: 500)
      #expect(server.readSome().1.count == 4 << 10)
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// C5: queues are independent. One socket's full receive queue leaves another's sending alone.
  @Test func C5_aFullReceiveQueueLeavesOtherSocketsAlone() throws {
    let network = try Network {
      $0.datagramReceiveLimit = 4 * 2048
      $0.datagramSendLimit = 4
    }
    do {
      let address = network.address(of: network.right, 7, isIPv4: true)
      let full = try network.wait(network.right.sockets.bindDatagram(to: address))
      let busy = try network.wait(
        network.right.sockets.bindDatagram(to: network.address(of: network.right, 8, isIPv4: true)))
      let client = try network.wait(
        network.left.sockets.bindDatagram(to: network.address(of: network.left, 0, isIPv4: true)))
      for number in 0..<20 {
        _ = client.send([UInt8(number)], to: address)
        network.scheduler.run(milliseconds: 5)
      }
      #expect(full.memory.receive == 4 * Packet.occupied)
      for _ in 0..<10 {
        for _ in 0..<4 {
          #expect(throws: Never.self) { try busy.send([1], to: client.localAddress).get() }
        }
        #expect(throws: SocketError.wouldBlock) { try busy.send([1], to: client.localAddress).get() }
        #expect(!busy.isWritable)
        #expect(network.scheduler.run { busy.isWritable })
        for _ in 0..<4 { #expect(throws: Never.self) { try client.receive().get() } }
      }
      // And a larger limit lets more wait.
      full.setReceiveLimit(8 * 2048)
      for number in 0..<20 {
        _ = client.send([UInt8(number)], to: address)
        network.scheduler.run(milliseconds: 5)
      }
      #expect(full.memory.receive == 8 * Packet.occupied)
      #expect(network.right.sockets.memoryStatistics()[.datagram] == full.memory.receive)
    }
    network.expectNothingLeft()
  }

  /// L9: after TIME-WAIT and the last reference everything is as it was: table, timers, pools and account.
  @Test(arguments: [1, 2]) func L9_afterTimeWaitEverythingIsBack(contexts: Int) throws {
    let network = try Network(contexts: contexts)
    do {
      let (listener, client, server) = try network.connect()
      var sent = 0
      network.push(client, Network.pattern(500_000), from: &sent)
      network.scheduler.run(milliseconds: 1000)
      #expect(network.right.sockets.memoryStatistics().total > 200 << 10)
      _ = server.readSome(1 << 20)
      network.scheduler.run(milliseconds: 1000)
      client.close()
      network.scheduler.run(milliseconds: 100)
      while case .bytes = server.readSome(1 << 20).0 { network.scheduler.run(milliseconds: 100) }
      server.close()
      network.scheduler.run(milliseconds: 100)
      let findable = (0..<contexts).map { network.left.sockets.connectionsFindable($0) }.reduce(0, +)
      #expect(findable == 1, "TIME-WAIT")
      listener.close()
    }
    network.expectNothingLeft()
    for host in [network.left, network.right] {
      for index in 0..<contexts {
        #expect(host.sockets.connectionsFindable(index) == 0)
        #expect(host.contexts.counters(index).timersArmed.value <= 2, "neighbours' only")
      }
    }
  }
}
