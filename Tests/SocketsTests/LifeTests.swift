import Exclusion
import Testing
import Timing
import Wire

@testable import Sockets

/// From the first reference to the last: who may find a connection, who may use it, and when it goes.
@Suite struct LifeTests {
  private func inUse(_ host: Host) -> Int {
    (0..<host.contexts.count).reduce(0) { $0 + host.sockets.connectionsInUse($1) }
  }
  private func findable(_ host: Host) -> Int {
    (0..<host.contexts.count).reduce(0) { $0 + host.sockets.connectionsFindable($1) }
  }
  private func sent(_ host: Host) -> UInt64 {
    (0..<host.contexts.count).reduce(0) { sum, index in
      sum + host.sockets.withCounters(index) { $0.segmentsSent.value }
    }
  }

  /// A connection that was reset is not findable, and its name is free; its block is as valid as ever until the
  /// handle goes, which detaches it, once.
  @Test(arguments: [1, 3]) func SO_REF_SO_PCB_PCB_DROP_droppedIsNotGone(contexts: Int) throws {
    let network = try Network(contexts: contexts)
    do {
      let (listener, client, server) = try network.connect()
      let (local, remote) = (client.localAddress, client.remoteAddress)
      server.abort()
      network.scheduler.run(milliseconds: 10)
      #expect(findable(network.left) == 0 && inUse(network.left) == 1)
      #expect(client.failure == .connectionReset)
      #expect(client.localAddress == local && client.remoteAddress == remote)
      #expect(client.readSome().0 == .failed(.connectionReset))
      #expect(client.writeAll([1]) == .failed(.connectionReset))
      client.setNoDelay(true)
      client.shutdownReceive()
      // Its name is another's now.
      let heir = try network.wait(network.left.sockets.connect(to: remote, from: local))
      #expect(network.scheduler.run { heir.isConnected })
      let child = try network.accept(listener)
      client.close()
      client.abort()  // SO-NOFAIL: again, and too late, changes nothing
      network.scheduler.run(milliseconds: 10)
      #expect(heir.writeAll([7]) == .bytes(1))
      #expect(network.scheduler.run { child.isReadable(need: 1) })
      #expect(child.readSome().1 == [7])
      #expect(findable(network.left) == 1)
    }
    network.expectNothingLeft()
  }

  /// A segment found its connection, and waits at the gate while the connection ends: what runs it looks again.
  @Test(arguments: 0..<6) func L4_PCB_MATCH_aSegmentThatCameTooLateMeetsNobody(steps: Int) throws {
    let network = try Network(contexts: 2)
    do {
      let (listener, client, server) = try network.connect()
      let (local, remote) = (client.localAddress, client.remoteAddress)
      #expect(client.writeAll([UInt8](repeating: 1, count: 5000)) == .bytes(5000))
      for _ in 0..<steps {
        for host in [network.left, network.right] {
          for context in 0..<2 { network.scheduler.step(host.contexts, context: context) }
        }
      }
      server.abort()
      network.scheduler.run(milliseconds: 50)
      #expect(client.failure == .connectionReset)
      // The next connection of the same name gets its own bytes, and no others.
      let heir = try network.wait(network.left.sockets.connect(to: remote, from: local))
      #expect(network.scheduler.run { heir.isConnected })
      let child = try network.accept(listener)
      #expect(heir.writeAll([9, 9]) == .bytes(2))
      #expect(network.scheduler.run { child.isReadable(need: 2) })
      #expect(child.readSome().1 == [9, 9])
    }
    network.expectNothingLeft()
  }

  /// What cannot be made leaves nothing that could be found, and what can be found is whole: the first segment may
  /// come in the very instant.
  @Test func L5_SO_PUBLISH_whatFailedLeavesNoTrace() throws {
    let network = try Network { $0.connectionLimit = 64 }
    do {
      let sockets = network.left.sockets
      func error(_ answer: Answer<Result<StreamSocket, SocketError>>) -> SocketError? {
        #expect(network.scheduler.run { answer.isReady })
        do { return try answer.take()?.get().failure } catch { return error }
      }
      #expect(error(sockets.connect(to: SocketAddress("192.168.99.1:80")!)) != nil)
      #expect(error(sockets.connect(to: SocketAddress("224.0.0.1:80")!)) == .invalidAddress)
      #expect(error(sockets.connect(to: SocketAddress("10.0.0.2:0")!)) == .invalidAddress)
      let foreign = SocketAddress("10.9.9.9:5000")!
      #expect(
        error(sockets.connect(to: SocketAddress("10.0.0.2:80")!, from: foreign)) == .addressNotAvailable)
      network.scheduler.run(milliseconds: 100)
      #expect(findable(network.left) == 0 && inUse(network.left) == 0 && sockets.bindingCount == 0)

      // Listening and the first SYN in one instant.
      let address = network.address(of: network.right, 80, isIPv4: true)
      let listening = network.right.sockets.listen(on: address)
      let connecting = sockets.connect(to: address)
      let (listener, client) = (try network.wait(listening), try network.wait(connecting))
      #expect(network.scheduler.run { client.isWritable(need: 0) })
      if client.isConnected { _ = try network.accept(listener) }
    }
    network.expectNothingLeft()
  }

  /// Everything that can end a connection comes in one batch: it ends once, and nothing follows.
  @Test func SO_TERM_SO_NOFAIL_nothingIsDoneAfterTheEnd() throws {
    let network = try Network()
    do {
      let (_, client, server) = try network.connect()
      network.scheduler.run(milliseconds: 500)
      let before = sent(network.left)
      client.setNoDelay(true)
      client.abort()
      client.shutdownSend()
      client.shutdownReceive()
      client.close()
      client.beginLinger(nanoseconds: 1_000_000)
      network.scheduler.run(milliseconds: 500)
      #expect(server.failure == .connectionReset)
      // Bits that overtook each other may have said the end as well; after the reset nobody says anything.
      let after = sent(network.left)
      #expect(after <= before + 3)
      network.scheduler.run(milliseconds: 10_000)
      #expect(sent(network.left) == after)
    }
    network.expectNothingLeft()
  }

  /// Readiness and accept are about complete connections: a SYN alone is nobody's news (Q5).
  @Test func Q5_aHalfOpenConnectionIsNotAcceptable() throws {
    let network = try Network()
    do {
      let address = network.address(of: network.right, 80, isIPv4: true)
      let listener = try network.wait(network.right.sockets.listen(on: address))
      // The neighbours know each other already.
      let first = try network.wait(network.left.sockets.connect(to: address))
      _ = try network.accept(listener)
      #expect(network.scheduler.run { first.isConnected })
      let answer = network.left.sockets.connect(to: address)
      for _ in 0..<8 { network.scheduler.step(network.left.contexts, context: 0) }
      for _ in 0..<8 { network.scheduler.step(network.right.contexts, context: 0) }
      // The SYN-ACK is on the wire; the last handshake segment is not yet sent.
      #expect(!listener.isAcceptable)
      #expect(throws: SocketError.wouldBlock) { try listener.tryAccept().get() }
      let client = try network.wait(answer)
      #expect(network.scheduler.run { listener.isAcceptable })
      #expect(throws: Never.self) { _ = try listener.tryAccept().get() }
      #expect(client.isConnected)
    }
    network.expectNothingLeft()
  }

  /// The accepter has the queue's reference: with the stream the connection goes, and nothing else holds it.
  @Test func AQ_XFER_AQ_RECHECK_acceptInheritsAndClosedIsClosed() throws {
    let network = try Network()
    do {
      let address = network.address(of: network.right, 80, isIPv4: true)
      let listener = try network.wait(network.right.sockets.listen(on: address))
      let clients = try (0..<3).map { _ in try network.wait(network.left.sockets.connect(to: address)) }
      #expect(network.scheduler.run { clients.allSatisfy(\.isConnected) })
      network.scheduler.run(milliseconds: 10)
      do {
        let accepted = try listener.tryAccept().get()
        accepted.abort()
      }
      network.scheduler.run(milliseconds: 100)
      #expect(inUse(network.right) == 2)
      #expect(clients.count { $0.failure == .connectionReset } == 1)
      // Looked at again by each accept: what waited is not given out any more.
      listener.close()
      #expect(throws: SocketError.closed) { _ = try listener.tryAccept().get() }
      network.scheduler.run(milliseconds: 100)
      #expect(inUse(network.right) == 0)
      #expect(clients.allSatisfy { $0.failure == .connectionReset })
    }
    network.expectNothingLeft()
  }

  /// What a write took is the stack's: the memory that it came from may change as soon as it returned.
  @Test func SB_NOCOPY_memoryOfTheCallerIsItsOwnAfterTheCall() throws {
    let network = try Network()
    do {
      let (_, client, server) = try network.connect()
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 30_000, alignment: 1)
      unsafe memory.initializeMemory(as: UInt8.self, repeating: 5)
      #expect(unsafe client.tryWrite(UnsafeRawBufferPointer(memory)) == .bytes(30_000))
      unsafe memory.initializeMemory(as: UInt8.self, repeating: 6)
      unsafe memory.deallocate()
      var received: [UInt8] = []
      while received.count < 30_000 {
        #expect(network.scheduler.run { server.isReadable(need: 1) })
        guard case (.bytes, let bytes) = server.readSome() else { break }
        received += bytes
      }
      #expect(received == [UInt8](repeating: 5, count: 30_000))
    }
    network.expectNothingLeft()
  }
}
