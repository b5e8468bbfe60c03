import Exclusion
import Testing
import Wire

@testable import Sockets

@Suite struct AcceptTests {
  /// What the accepting threads share.
  private final class Crew: Sendable {
    let accepted = SharedCounter()
    let isOver = AtomicWord(0)
    let ports = OrderedMutex<SocketLevel, [UInt16]>([])
  }

  /// AQ-ONE: several threads accept at once, from shards of several contexts: each child goes to one of them, none
  /// is left, and the backlog is kept throughout.
  @Test(arguments: [1, 4]) func AQ_ONE_AQ_BOUND_severalThreadsAcceptEachChildOnce(contexts: Int) throws {
    let network = try Network(contexts: contexts)
    do {
      let address = network.address(of: network.right, 80, isIPv4: true)
      let listener = try network.wait(network.right.sockets.listen(on: address, backlog: 20))
      let wanted: UInt64 = 300
      let crew = Crew()
      let threads = try (0..<4).map { number in
        try WorkerThread(name: "accept\(number)") {
          var ports: [UInt16] = []
          while crew.accepted.value < wanted, crew.isOver.load() == 0 {
            guard case .success(let child) = listener.tryAccept() else {
              yieldProcessor()
              continue
            }
            ports.append(child.remoteAddress.port)
            crew.accepted.increment()
            child.abort()
          }
          withApplication { held in crew.ports.withLock(&held) { all, _ in all += ports } }
        }
      }
      var open: [StreamSocket] = []
      for _ in 0..<wanted {
        open.append(try network.wait(network.left.sockets.connect(to: address)))
        #expect(unsafe listener.listener.state.pointee.places.load() <= 20, "AQ-BOUND")
      }
      // Threads work in real time, the network in virtual time.
      for _ in 0..<3_000 where crew.accepted.value < wanted {
        network.scheduler.run(milliseconds: 20)
        yieldProcessor()
      }
      crew.isOver.store(1)
      for thread in threads { thread.join() }
      let ports = withApplication { held in crew.ports.withLock(&held) { all, _ in all } }
      #expect(crew.accepted.value == wanted)
      #expect(ports.sorted() == open.map(\.localAddress.port).sorted(), "each once")
      #expect(unsafe listener.listener.state.pointee.places.load() == 0)
    }
    network.expectNothingLeft()
  }

  /// First in, first out within a shard; what another shard has is taken when the near one is empty.
  @Test func AQ_WAKE_childrenOfAShardAreAcceptedInTheirOrder() throws {
    let network = try Network(contexts: 2)
    do {
      let address = network.address(of: network.right, 80, isIPv4: true)
      let listener = try network.wait(network.right.sockets.listen(on: address))
      var orders: [[UInt16]] = [[], []]
      for number in 0..<40 {
        let peer = Stranger("192.0.2.7", port: 7000 + UInt16(number))
        network.syn(peer, to: 80)
        let iss = try #require(network.synAckSequence(peer, 80))
        network.inject(peer, to: 80, .ack, sequence: peer.irs + 1, ack: iss + 1)
        let key = network.key(peer, 80)
        orders[Int(key.hash(network.right.sockets.hashKey) >> 32) % 2].append(peer.port)
      }
      #expect(orders.allSatisfy { $0.count > 5 })
      var seen: [UInt16] = []
      while listener.isAcceptable {
        let child = try listener.tryAccept().get()
        seen.append(child.remoteAddress.port)
        child.abort()
      }
      #expect(throws: SocketError.wouldBlock) { try listener.tryAccept().get() }
      let near = Int(threadHash() % 2)
      #expect(seen == orders[near] + orders[1 - near])
    }
    network.expectNothingLeft()
  }

  /// AQ-CLOSE against accept: each child is accepted or aborted, never both, never neither.
  @Test func AQ_CLOSE_acceptAgainstCloseSharesTheChildren() throws {
    for round in 0..<30 {
      let network = try Network(contexts: 2)
      do {
        let address = network.address(of: network.right, 80, isIPv4: true)
        let listener = try network.wait(network.right.sockets.listen(on: address))
        let clients = try (0..<12).map { _ in try network.wait(network.left.sockets.connect(to: address)) }
        #expect(network.scheduler.run { clients.allSatisfy(\.isConnected) })
        let accepted = Box<[StreamSocket]>([])
        let threads = try [
          WorkerThread(name: "accept") {
            while case .success(let child) = listener.tryAccept() { accepted.value.append(child) }
          },
          WorkerThread(name: "close") {
            for _ in 0..<round { yieldProcessor() }
            listener.close()
          },
        ]
        for thread in threads { thread.join() }
        network.scheduler.run(milliseconds: 20)
        let reset = clients.filter { $0.failure == .connectionReset }
        let kept = clients.filter { $0.failure == nil }
        #expect(reset.count + kept.count == 12 && kept.count == accepted.value.count)
        #expect(
          Set(kept.map(\.localAddress.port)) == Set(accepted.value.map(\.remoteAddress.port)))
        #expect(unsafe listener.listener.state.pointee.places.load() == 0)
      }
      network.expectNothingLeft()
    }
  }
}
