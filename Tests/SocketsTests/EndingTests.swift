import Timing
import Exclusion
import Testing
import Wire

@testable import Sockets

@Suite struct EndingTests {
  /// L2: data that was submitted before close is delivered after it; the protocol keeps the connection until
  /// its last ACK.
  @Test func L2_closeDeliversWhatWasSubmitted() throws {
    let network = try Network()
    do {
      let (_, client, server) = try network.connect()
      let data = [UInt8](repeating: 7, count: 200_000)
      #expect(client.writeAll(data) == .bytes(200_000))
      client.close()
      #expect(client.writeAll([1]) == .failed(.closed))
      #expect(client.readSome().0 == .failed(.closed))
      var received = 0
      while true {
        #expect(network.scheduler.run { server.isReadable(need: 1) })
        let (outcome, bytes) = server.readSome()
        received += bytes.count
        if outcome == .endOfStream { break }
        guard case .bytes = outcome else { Issue.record("\(outcome)"); break }
      }
      #expect(received == data.count)
    }
    network.expectNothingLeft()
  }

  /// RFC 2525 section 2.17: the peer learns that bytes were thrown away.
  @Test func closeWithUnreadDataResets() throws {
    let network = try Network()
    do {
      let (_, client, server) = try network.connect()
      _ = client.writeAll([1, 2, 3])
      #expect(network.scheduler.run { server.isReadable(need: 1) })
      server.close()
      #expect(network.scheduler.run { client.isReadable(need: 1) })
      #expect(client.readSome().0 == .failed(.connectionReset))
      #expect(client.takeError() == .connectionReset)
      #expect(client.takeError() == nil, "SO_ERROR is taken once")
    }
    network.expectNothingLeft()
  }

  /// Where a program drives the context that it sends by, its FIN, or its reset, is with the device when the call returns,
  /// and no context has run.
  @Test(arguments: [0, 1, 2]) func whoDrivesEndsAtOnce(_ how: Int) throws {
    let network = try Network { $0.entry = .drive }
    do {
      let (_, client, server) = try network.connect()
      network.scheduler.settle()
      let before = network.link.left.counters(queue: 0).framesSent.value
      switch how {
      case 0: client.close()
      case 1: client.shutdownSend()
      default: client.abort()
      }
      #expect(network.link.left.counters(queue: 0).framesSent.value == before + 1)
      #expect(network.scheduler.run { server.isReadable(need: 1) })
      #expect(server.readSome().0 == (how == 2 ? .failed(.connectionReset) : .endOfStream))
    }
    network.expectNothingLeft()
  }

  @Test func abortResetsTheOtherSide() throws {
    let network = try Network()
    do {
      let (_, client, server) = try network.connect(isIPv4: false)
      client.abort()
      #expect(network.scheduler.run { server.isReadable(need: 1) })
      #expect(server.readSome().0 == .failed(.connectionReset))
      #expect(server.writeAll([1]) == .failed(.connectionReset))
    }
    network.expectNothingLeft()
  }

  /// T3: deadlines are times. Nobody answers for the address: the neighbour fails first.
  @Test func T3_connectingToNobodyFailsInTime() throws {
    let network = try Network()
    do {
      let nobody = SocketAddress(IPAddress(IPv4Address(10, 0, 0, 99)), port: 80)
      let client = try network.wait(network.left.sockets.connect(to: nobody))
      #expect(network.scheduler.run(limit: 200_000) { client.isWritable(need: 0) })
      #expect(client.failure == .hostUnreachable || client.failure == .timedOut)
    }
    network.expectNothingLeft()
  }

  @Test func halfClosedConnectionsGoOnTheOtherWay() throws {
    let network = try Network()
    do {
      let (_, client, server) = try network.connect()
      client.shutdownSend()
      #expect(network.scheduler.run { server.isReadable(need: 1) })
      #expect(server.readSome().0 == .endOfStream)
      for round in 0..<10 {
        #expect(server.writeAll([UInt8](repeating: UInt8(round), count: 1000)) == .bytes(1000))
        #expect(network.scheduler.run { client.isReadable(need: 1000) })
        #expect(client.readSome().1.count == 1000)
      }
    }
    network.expectNothingLeft()
  }

  /// A reader that is gone does not stop the peer: what arrives after shutdown is thrown away, the window
  /// stays open.
  @Test func shutdownOfTheReceivingSideKeepsTheWindowOpen() throws {
    let network = try Network()
    do {
      let (_, client, server) = try network.connect()
      server.shutdownReceive()
      #expect(server.readSome().0 == .endOfStream)
      var sent = 0
      while sent < 2 << 20 {
        #expect(network.scheduler.run { client.isWritable(need: 1) })
        guard case .bytes(let count) = client.writeAll([UInt8](repeating: 0, count: 65536)) else { break }
        sent += count
      }
      #expect(sent >= 2 << 20)
    }
    network.expectNothingLeft()
  }

  /// The window closes when nobody reads and opens when somebody does; nothing is lost.
  @Test func aSlowReaderStopsTheSenderWithoutLoss() throws {
    let network = try Network()
    do {
      let (_, client, server) = try network.connect()
      var sent = 0
      for _ in 0..<100 {
        if case .bytes(let count) = client.writeAll([UInt8](repeating: 1, count: 65536)) { sent += count }
        network.scheduler.run(milliseconds: 20)
      }
      #expect(sent < 1 << 20, "two buffers' worth at most")
      var received = 0
      while received < sent {
        #expect(network.scheduler.run { server.isReadable(need: 1) })
        let (outcome, bytes) = server.readSome(3000)
        guard case .bytes = outcome else { Issue.record("\(outcome)"); break }
        received += bytes.count
      }
      #expect(received == sent)
    }
    network.expectNothingLeft()
  }

  /// SO_LINGER with a time: it ends when the peer has everything, and not before.
  @Test func aLingeringCloseWaitsForDelivery() throws {
    let network = try Network()
    do {
      let (_, client, server) = try network.connect()
      #expect(client.writeAll([UInt8](repeating: 3, count: 100_000)) == .bytes(100_000))
      client.beginLinger(nanoseconds: 5_000_000_000)
      #expect(!client.isWritable(need: StreamSocket.deliveryNeed))
      #expect(network.scheduler.run(limit: 1000) { client.isWritable(need: StreamSocket.deliveryNeed) })
      #expect(client.isDelivered && client.failure == nil)
      client.close()
      var received = 0
      while case (.bytes(let count), _) = server.readSome() { received += count }
      #expect(received == 100_000)
      network.scheduler.run(milliseconds: 6000)
      #expect(server.failure == nil, "the deadline went with the delivery")
    }
    network.expectNothingLeft()
  }

  /// And it ends in a reset when the time is over: the peer, which reads nothing, learns of it.
  @Test func aLingeringCloseGivesUpInTime() throws {
    let network = try Network()
    do {
      let (_, client, server) = try network.connect()
      for _ in 0..<40 {
        _ = client.writeAll([UInt8](repeating: 3, count: 65536))
        network.scheduler.run(milliseconds: 10)
      }
      client.beginLinger(nanoseconds: 2_000_000_000)
      let begin = network.clock.now()
      #expect(network.scheduler.run(limit: 10_000) { client.isWritable(need: StreamSocket.deliveryNeed) })
      #expect((network.clock.now() - begin).milliseconds >= 2000)
      #expect(!client.isDelivered && client.failure == .connectionAborted)
      client.close()
      network.scheduler.run(milliseconds: 10)
      #expect(server.failure == .connectionReset)
    }
    network.expectNothingLeft()
  }
}
