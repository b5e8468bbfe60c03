import Buffers
import Devices
import Exclusion
import SoftInterrupts
import Sockets
import Testing
import Timing
import Wire

/// What a connection may have below IP, and what becomes of it.
@Suite struct SmallQueueTests {
  static let segment = Packet.occupied

  private func queue(_ host: Host) -> TransmitQueueRef { host.contexts.transmitQueues(of: 2)[0] }

  /// Writes and reads until all bytes are there.
  private func transfer(_ count: Int, _ client: StreamSocket, _ server: StreamSocket, _ network: Network)
    -> [UInt8]
  {
    let bytes = Network.pattern(count)
    var (written, read) = (0, [UInt8]())
    _ = network.scheduler.run {
      if written < count, case .bytes(let taken) = client.writeAll(Array(bytes[written...])) {
        written += taken
      }
      read += server.readSome().1
      return read.count >= count
    }
    #expect(read == bytes)
    return read
  }

  /// X5: the link is narrower than the window, its queue holds one packet, and TCP loses nothing on its own host.
  @Test(arguments: [4096, 0]) func X5_aFullQueuePushesBackAndDropsNothing(limit: Int) throws {
    let network = try Network(ringSlots: 2) { $0.smallQueueLimit = limit }
    do {
      let (listener, client, server) = try network.connect()
      _ = transfer(400_000, client, server, network)
      for host in [network.left, network.right] {
        #expect(queue(host).counters.overflow == 0)
        host.sockets.withCounters(0) { #expect($0.segmentsRetransmitted.value == 0) }
        #expect(host.sockets.wakeAccount.counters.wasted.value == 0)
      }
      // Without small queues the link's queue is full, and pushes back by itself.
      let held = network.left.sockets.withCounters(0) { $0.outputHeld.value }
      #expect(limit == 0 ? queue(network.left).counters.stops.value > 0 : held > 0)
      client.close()
      server.close()
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// Not more than its credit is below IP, whatever the windows say; what the peer takes brings the rest.
  @Test func aConnectionHasOnlySoMuchBelow() throws {
    let network = try Network(ringSlots: 2) { $0.smallQueueLimit = 2 * Self.segment }
    do {
      let (listener, client, server) = try network.connect()
      #expect(client.writeAll([UInt8](repeating: 1, count: 100_000)) == .bytes(100_000))
      // Only the left side runs: nobody empties the ring.
      for _ in 0..<20 { network.scheduler.step(network.left.contexts, context: 0) }
      #expect(queue(network.left).isStopped)
      #expect((1...2).contains(queue(network.left).counters.discipline.backlogPackets.value))
      #expect(network.left.contexts.pool(0).inUse <= 2 + 2 + 1)
      var read = 0
      _ = network.scheduler.run {
        read += server.readSome().1.count
        return read == 100_000
      }
      #expect(read == 100_000)
      client.close()
      server.close()
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// A connection that ends while packets of it wait keeps their account until the last has left, and no longer.
  @Test func anAccountOutlivesItsConnection() throws {
    let network = try Network(ringSlots: 2)
    do {
      let (listener, client, server) = try network.connect()
      #expect(client.writeAll([UInt8](repeating: 1, count: 100_000)) == .bytes(100_000))
      for _ in 0..<20 { network.scheduler.step(network.left.contexts, context: 0) }
      #expect(queue(network.left).isWaiting)
      client.abort()
      for _ in 0..<20 { network.scheduler.step(network.left.contexts, context: 0) }
      #expect(network.left.sockets.connectionsFindable(0) == 0)
      #expect(network.left.sockets.connectionsInUse(0) == 1, "its packets are still under way")
      network.scheduler.settle()
      server.close()
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// X4: what waits for a neighbour waits there: nobody's queue is in its way, and the oldest gives way.
  @Test func X4_aSilentNeighbourStopsNobodyElse() throws {
    let network = try Network(ringSlots: 4)
    do {
      let socket = try network.wait(
        network.left.sockets.bindDatagram(to: SocketAddress(network.left.ipv4, port: 0)))
      let nobody = SocketAddress(IPAddress(IPv4Address(10, 0, 0, 99)), port: 9)
      for _ in 0..<60 {
        _ = unsafe [UInt8](repeating: 1, count: 100).withUnsafeBytes { unsafe socket.trySend($0, to: nobody) }
        network.scheduler.settle()
      }
      #expect(network.left.contexts.pool(0).inUse + network.left.sockets.buffers.packets.inUse <= 17)
      #expect(!queue(network.left).isWaiting)
      let (listener, client, server) = try network.connect()
      _ = transfer(50_000, client, server, network)
      socket.close()
      client.close()
      server.close()
      listener.close()
    }
    network.expectNothingLeft()
  }
}
