import Exclusion
@testable import Internet
import TCP
import Testing
import Timing
import Wire

@testable import Sockets

@Suite struct HandshakeTests {
  private func listen(
    _ network: Network, _ port: UInt16 = 80, backlog: Int = 128
  ) throws -> ListeningSocket {
    try network.wait(
      network.right.sockets.listen(
        on: network.address(of: network.right, port, isIPv4: true), backlog: backlog))
  }

  /// Q6, AQ-DUP: whichever contexts the copies of a SYN and of the last ACK come by, there is one connection.
  @Test func Q6_AQ_DUP_theSameSynAndTheSameAckGiveOneConnection() throws {
    let network = try Network(contexts: 3)
    do {
      let listener = try listen(network)
      let peer = Stranger("192.0.2.7")
      for context in [0, 1, 2, 1] { network.syn(peer, to: 80, context: context) }
      #expect(network.counted("half_open") == 1 && network.counted("syns_kept") == 1)
      #expect(network.connectionsInUse == 0, "a SYN makes no control block")
      let iss = try #require(network.synAckSequence(peer, 80))
      for context in [2, 0, 1] {
        network.inject(peer, to: 80, .ack, sequence: peer.irs + 1, ack: iss + 1, context: context)
      }
      #expect(network.counted("half_open") == 0 && network.counted("handshakes_completed") == 1)
      let child = try listener.tryAccept().get()
      #expect(throws: SocketError.wouldBlock) { try listener.tryAccept().get() }
      child.abort()
    }
    network.expectNothingLeft()
  }

  /// Q1: the ACK that makes the child is its first segment, with what it carries.
  @Test(arguments: [0, 1]) func Q1_dataAndEndOnTheLastAckAreKept(context: Int) throws {
    let network = try Network(contexts: 2)
    do {
      let listener = try listen(network)
      let peer = Stranger("192.0.2.7")
      network.syn(peer, to: 80)
      let iss = try #require(network.synAckSequence(peer, 80))
      network.inject(
        peer, to: 80, [.ack, .fin], sequence: peer.irs + 1, ack: iss + 1, Array("early".utf8),
        context: context)
      let server = try listener.tryAccept().get()
      #expect(server.readSome().1 == Array("early".utf8))
      #expect(server.readSome().0 == .endOfStream)
      server.abort()
    }
    network.expectNothingLeft()
  }

  /// Q1: while somebody else owns the shard of the connection table, the child waits for it, and so does what
  /// arrives for it: nothing is lost, and nobody is reset.
  @Test func Q1_SO_PUBLISH_L5_segmentsThatComeBeforeTheTableHasTheChildAreKept() throws {
    let network = try Network()
    do {
      let listener = try listen(network)
      let peer = Stranger("192.0.2.7")
      network.syn(peer, to: 80)
      let iss = try #require(network.synAckSequence(peer, 80))
      let shard = network.right.sockets.shard(0).gate
      // The gate is taken, and given back later: its owner was descheduled inside.
      #expect(shard.post(events: .window) == .posted)
      let key = network.key(peer, 80)
      let taken = network.right.contexts.port(0).takeAll()
      _ = consume taken
      network.inject(peer, to: 80, .ack, sequence: peer.irs + 1, ack: iss + 1, [1, 2])
      network.inject(peer, to: 80, .ack, sequence: peer.irs + 3, ack: iss + 1, [3])
      #expect(network.counted("half_open") == 1, "the entry finds the child")
      #expect(network.right.sockets.shard(0).find(hash: key.hash(HashKey(seed: 2)), key) == nil)
      #expect(throws: SocketError.wouldBlock) { try listener.tryAccept().get() }
      network.right.contexts.port(0).post(shard.item)
      network.scheduler.settle()
      let server = try listener.tryAccept().get()
      #expect(server.readSome().1 == [1, 2, 3])
      #expect(network.counted("resets_sent") == 0)
      network.scheduler.run(milliseconds: 2000)
      #expect(network.counted("half_open") == 0)
      server.abort()
    }
    network.expectNothingLeft()
  }

  /// Q2: only an acceptable ACK completes a handshake.
  @Test func Q2_Q5_whatIsNotAcceptableCompletesNothing() throws {
    let network = try Network()
    do {
      let listener = try listen(network)
      let peer = Stranger("192.0.2.7")
      network.syn(peer, to: 80)
      let iss = try #require(network.synAckSequence(peer, 80))
      network.inject(peer, to: 80, .ack, sequence: peer.irs + 1, ack: iss + 2)
      #expect(network.counted("handshakes_refused") == 1 && network.counted("resets_sent") == 1)
      network.inject(peer, to: 80, .ack, sequence: peer.irs &- 70_000, ack: iss + 1)
      network.inject(peer, to: 80, .rst, sequence: peer.irs &- 1)
      network.inject(peer, to: 80, .fin, sequence: peer.irs + 1)
      #expect(network.synAckSequence(peer, 80) == iss, "the entry is still there")
      network.inject(peer, to: 80, .rst, sequence: peer.irs + 1)
      #expect(network.synAckSequence(peer, 80) == nil && network.counted("handshakes_reset") == 1)
      #expect(network.connectionsInUse == 0 && network.counted("handshakes_completed") == 0)
      #expect(!listener.isAcceptable)
    }
    network.expectNothingLeft()
  }

  /// RFC 6298 section 5: the SYN-ACK is sent again after 1, 2, 4, … seconds, and given up after five times.
  // Rules: RFC 4987 3.3-1
  @Test func theSynAckIsRepeatedAndGivenUp() throws {
    let network = try Network()
    do {
      let listener = try listen(network)
      network.syn(Stranger("192.0.2.7"), to: 80)
      for (seconds, count) in [(1, 1), (1, 1), (1, 2), (4, 3), (8, 4), (16, 5)] {
        network.scheduler.run(milliseconds: UInt64(seconds * 1000 + 10))
        #expect(network.counted("segments_retransmitted") == UInt64(count), "after \(seconds) more")
      }
      #expect(network.counted("half_open") == 1)
      network.scheduler.run(milliseconds: 33_000)
      #expect(network.counted("half_open") == 0 && network.counted("handshakes_timed_out") == 1)
      #expect(network.right.contexts.counters(0).timersArmed.value == 0)
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// Q4: a last ACK that finds no place is dropped, its entry stays, and the peer gets through later.
  @Test func Q4_AQ_BOUND_aFullQueueDropsTheLastAckAndKeepsTheEntry() throws {
    let network = try Network(contexts: 2)
    do {
      let listener = try listen(network, backlog: 3)
      let peers = (0..<8).map { Stranger("192.0.2.7", port: 5000 + UInt16($0)) }
      for peer in peers { network.syn(peer, to: 80) }
      let numbers = peers.map { network.synAckSequence($0, 80)! }
      func acknowledge() {
        for (peer, iss) in zip(peers, numbers) {
          network.inject(peer, to: 80, .ack, sequence: peer.irs + 1, ack: iss + 1)
        }
      }
      acknowledge()
      #expect(network.connectionsInUse == 3, "exactly the backlog")
      #expect(network.counted("accept_queue_full") == 5 && network.counted("half_open") == 5)
      var accepted: [StreamSocket] = []
      while accepted.count < 8 {
        while case .success(let child) = listener.tryAccept() { accepted.append(child) }
        acknowledge()
      }
      #expect(Set(accepted.map { $0.remoteAddress.port }).count == 8)
      #expect(network.counted("resets_sent") == 0)
      accepted.forEach { $0.abort() }
    }
    network.expectNothingLeft()
  }

  /// Q3, AQ-CLOSE: a listener takes its half-open connections with it, in every context; others keep theirs.
  @Test func Q3_AQ_CLOSE_closingRemovesHalfOpenConnectionsInEveryContext() throws {
    let network = try Network(contexts: 4)
    do {
      let (listener, other) = (try listen(network, 80), try listen(network, 81))
      for number in 0..<40 {
        network.syn(Stranger("192.0.2.7", port: 5000 + UInt16(number)), to: 80, context: number % 4)
        network.syn(Stranger("192.0.2.7", port: 5000 + UInt16(number)), to: 81, context: number % 4)
      }
      #expect(network.counted("half_open") == 80)
      listener.close()
      network.scheduler.settle()
      #expect(network.counted("half_open") == 40)
      let late = Stranger("192.0.2.7", port: 5003)
      #expect(network.synAckSequence(late, 80) == nil && network.synAckSequence(late, 81) != nil)
      other.close()
      network.scheduler.settle()
      #expect(network.counted("half_open") == 0)
    }
    network.expectNothingLeft()
  }

  /// RFC 5927: who does not know our sequence number ends nothing. Who does says that the peer cannot be reached, and
  /// Linux lets go of it; that the path is narrow, or a filter on it, is no such word.
  @Test(arguments: [DeliveryFailure.Reason.portUnreachable, .hostUnreachable, .networkUnreachable])
  func onlyAnErrorThatQuotesTheSynAckEndsAHalfOpenConnection(end: DeliveryFailure.Reason) throws {
    let network = try Network()
    do {
      let listener = try listen(network)
      let peer = Stranger("192.0.2.7")
      network.syn(peer, to: 80)
      let iss = try #require(network.synAckSequence(peer, 80))
      func report(_ reason: DeliveryFailure.Reason, _ sequence: UInt32) {
        let failure = DeliveryFailure(
          reason: reason, protocolNumber: .tcp, local: SocketAddress(network.right.ipv4, port: 80),
          remote: SocketAddress(peer.address, port: peer.port), sequence: SequenceNumber(sequence),
          reporter: nil, interface: 2)
        network.right.contexts.perform(on: 0) { cx in SocketErrors.tcp(failure, &cx) }
        network.scheduler.settle()
      }
      report(end, iss + 1)
      report(.prohibited, iss)
      report(.packetTooBig(mtu: 600), iss)
      #expect(network.synAckSequence(peer, 80) == iss)
      report(end, iss)
      #expect(network.synAckSequence(peer, 80) == nil)
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// L4, PCB-DROP: a segment waited at the gate of a connection that ended meanwhile. The owner looks again, and
  /// the segment is answered as if it had come after the end.
  @Test func L4_PCB_MATCH_PCB_DROP_aSegmentThatWaitedForADroppedConnectionIsAnsweredAnew() throws {
    let network = try Network()
    do {
      let listener = try listen(network)
      let peer = Stranger("192.0.2.7")
      network.syn(peer, to: 80)
      let iss = try #require(network.synAckSequence(peer, 80))
      network.inject(peer, to: 80, .ack, sequence: peer.irs + 1, ack: iss + 1)
      let server = try listener.tryAccept().get()
      // Somebody is inside, and descheduled.
      let gate = server.connection.gate
      #expect(gate.post(events: .window) == .posted)
      let taken = network.right.contexts.port(0).takeAll()
      _ = consume taken
      network.inject(peer, to: 80, .ack, sequence: peer.irs + 1, ack: iss + 1, [1])
      server.abort()
      #expect(network.counted("resets_sent") == 0)
      network.right.contexts.port(0).post(gate.item)
      network.scheduler.settle()
      #expect(network.counted("resets_sent") == 1, "beside the reset that ends the connection")
      #expect(network.right.sockets.connectionsFindable(0) == 0)
    }
    network.expectNothingLeft()
  }

  /// A listener that is closed while a child waits for the connection table: the child ends itself.
  @Test func Q3_AQ_RECHECK_aChildThatTheTableDoesNotHaveYetEndsWithItsListener() throws {
    let network = try Network()
    do {
      let listener = try listen(network)
      let peer = Stranger("192.0.2.7")
      network.syn(peer, to: 80)
      let iss = try #require(network.synAckSequence(peer, 80))
      let shard = network.right.sockets.shard(0).gate
      #expect(shard.post(events: .window) == .posted)
      let taken = network.right.contexts.port(0).takeAll()
      _ = consume taken
      network.inject(peer, to: 80, .ack, sequence: peer.irs + 1, ack: iss + 1, [1, 2])
      listener.close()
      network.scheduler.settle()
      network.right.contexts.port(0).post(shard.item)
      network.scheduler.settle()
      #expect(network.right.sockets.connectionsFindable(0) == 0)
    }
    network.expectNothingLeft()
  }
}
