import Exclusion
import Internet
import TCP
import Testing
import Timing
import Wire

@testable import Sockets

/// A host that ends its neighbour's connections to the outside.
@Suite struct TransparentTests {
  private static let outside = SocketAddress("192.0.2.80:80")!

  /// The left host's way out is the right one, which takes what is for others.
  private func makeNetwork(
    contexts: Int = 1, requests: Int = 1024, _ adjust: (inout SocketConfiguration) -> Void = { _ in }
  ) throws -> Network {
    let network = try Network(contexts: contexts, rightIsGateway: true) {
      $0.transparent = TransparentConfiguration(requestLimit: requests)
      adjust(&$0)
    }
    let gateway = network.right.ipv4
    try network.left.internet.configure { tables in
      try tables.addRoute(Route(to: IPPrefix("0.0.0.0/0")!, interface: 2, gateway: gateway))
    }
    return network
  }
  private func begin(_ network: Network, from port: UInt16 = 0) throws -> StreamSocket {
    let local = port == 0 ? nil : SocketAddress(network.left.ipv4, port: port)
    let client = try network.wait(network.left.sockets.connect(to: Self.outside, from: local))
    network.scheduler.settle()
    return client
  }
  private func take(_ network: Network, _ list: inout RequestList) throws -> ConnectionRequest {
    guard let request = network.right.sockets.takeRequest(&list) else { throw SocketError.wouldBlock }
    return request
  }

  /// Q8: nothing is said before the verdict, however often the SYN comes; then there is one connection.
  @Test(arguments: [1, 3]) func Q8_aSynWaitsForItsVerdictAndIsAnsweredOnce(contexts: Int) throws {
    let network = try makeNetwork(contexts: contexts)
    var list = RequestList()
    do {
      let client = try begin(network)
      network.scheduler.run(milliseconds: 3500)
      #expect(!client.isConnected && client.failure == nil)
      #expect(network.counted("transparent_requests") == 1 && network.counted("transparent_repeated") == 2)
      #expect(network.counted("segments_sent") == 0 && network.connectionsInUse == 0)
      let request = try take(network, &list)
      let (asked, asker) = (request.destination, request.source)
      #expect(asked == Self.outside && asker == client.localAddress)
      let answer = request.accept(network.right.sockets.options())
      let server = try network.wait(answer)
      #expect(server.localAddress == Self.outside)
      #expect(network.scheduler.run { client.isConnected && server.isConnected })
      #expect(network.right.sockets.requestsHeld == 0 && !network.right.sockets.hasRequests)
      try network.exchange(client, server, 100_000)
      try network.exchange(server, client, 100_000)
      client.close()
      server.close()
    }
    network.expectNothingLeft()
  }

  @Test(arguments: [
    (ConnectionVerdict.reset, SocketError?.some(.connectionRefused)), (.hostUnreachable, .hostUnreachable),
    (.networkUnreachable, .networkUnreachable), (.prohibited, .hostUnreachable), (.drop, nil),
  ]) func aRefusalIsCarriedAsItIs(verdict: ConnectionVerdict, failure: SocketError?) throws {
    let network = try makeNetwork()
    var list = RequestList()
    do {
      let client = try begin(network)
      try take(network, &list).refuse(verdict)
      network.scheduler.run(milliseconds: 10)
      #expect(client.failure == failure)
      #expect(network.counted("resets_sent") == (verdict == .reset ? 1 : 0))
      let said = network.right.internet.statistics()[.icmpErrorsSent]
      #expect(said == (verdict == .reset || verdict == .drop ? 0 : 1), "\(verdict)")
      #expect(network.right.sockets.requestsHeld == 0)
      // Decided, and forgotten: the SYN that comes again is a new one.
      if verdict == .drop {
        network.scheduler.run(milliseconds: 1100)
        #expect(network.counted("transparent_requests") == 2)
      }
      client.abort()
      network.right.sockets.closeRequests(&list)
    }
    network.expectNothingLeft()
  }

  /// Q8: who gave up is not answered, and who begins anew has a verdict of its own.
  @Test func Q8_PCB_MATCH_aVerdictIsForItsSynAlone() throws {
    let network = try makeNetwork()
    var list = RequestList()
    do {
      var peer = Stranger("10.0.0.1", port: 5000)
      network.syn(peer, to: 80, address: Self.outside.address)
      let first = try take(network, &list)
      network.inject(peer, to: 80, .rst, sequence: peer.irs &+ 9, address: Self.outside.address)
      network.inject(peer, to: 80, .rst, sequence: peer.irs &+ 1, address: Self.outside.address)
      #expect(network.counted("handshakes_reset") == 1)
      peer.irs &+= 70_000
      network.syn(peer, to: 80, address: Self.outside.address)
      let second = try take(network, &list)
      #expect(network.right.sockets.requestsHeld == 2, "each keeps its place until it is decided")
      let late = first.accept(network.right.sockets.options())
      #expect(throws: SocketError.connectionAborted) { try network.wait(late) }
      #expect(network.counted("segments_sent") == 0 && network.counted("transparent_gone") == 1)
      let answer = second.accept(network.right.sockets.options())
      let server = try network.wait(answer)
      #expect(network.counted("segments_sent") == 1)
      server.abort()
    }
    network.expectNothingLeft()
  }

  /// Places are bounded, and who lets go of a request has decided it.
  @Test func placesAreBounded() throws {
    let network = try makeNetwork(requests: 2)
    var list = RequestList()
    do {
      for port in 5000..<5004 {
        network.syn(Stranger("10.0.0.1", port: UInt16(port)), to: 80, address: Self.outside.address)
      }
      #expect(network.right.sockets.requestsHeld == 2 && network.counted("transparent_overflows") == 2)
      _ = try take(network, &list)
      network.scheduler.settle()
      #expect(network.right.sockets.requestsHeld == 1)
      network.syn(Stranger("10.0.0.1", port: 5002), to: 80, address: Self.outside.address)
      #expect(network.right.sockets.requestsHeld == 2 && network.counted("resets_sent") == 0)
      // AQ-CLOSE: what nobody took is refused, and what comes later.
      network.right.sockets.closeRequests(&list)
      network.scheduler.settle()
      #expect(network.right.sockets.requestsHeld == 0 && network.counted("resets_sent") == 2)
      network.syn(Stranger("10.0.0.1", port: 5003), to: 80, address: Self.outside.address)
      #expect(network.counted("resets_sent") == 3)
    }
    network.expectNothingLeft()
  }

  /// A source that no neighbour has, or a destination that a neighbour has, is nobody's request; our own ports are.
  @Test func whatIsForgedIsCountedAndDropped() throws {
    let network = try makeNetwork()
    var list = RequestList()
    do {
      network.syn(Stranger("203.0.113.9"), to: 80, address: Self.outside.address)
      network.syn(Stranger("10.0.0.1"), to: 80, address: IPAddress("10.0.0.77")!)
      #expect(network.counted("transparent_forged") == 2 && network.counted("segments_sent") == 0)
      // A listener of ours hears what is for us, and nothing that is for others.
      let listener = try network.wait(network.right.sockets.listen(on: SocketAddress("[::]:80")!))
      network.syn(Stranger("10.0.0.1", port: 5000), to: 80)
      #expect(network.counted("syns_kept") == 1 && network.counted("transparent_requests") == 0)
      network.syn(Stranger("10.0.0.1", port: 5001), to: 80, address: Self.outside.address)
      network.syn(Stranger("10.0.0.1", port: 5002), to: 81)
      #expect(network.counted("syns_kept") == 1 && network.counted("transparent_requests") == 2)
      listener.close()
      network.right.sockets.closeRequests(&list)
    }
    network.expectNothingLeft()
  }

  /// A SYN in the place of a connection in TIME-WAIT waits as any other.
  @Test func aConnectionInTimeWaitGivesWay() throws {
    let network = try makeNetwork()
    var list = RequestList()
    do {
      for round in 0..<2 {
        let client = try begin(network, from: 5000)
        let answer = try take(network, &list).accept(network.right.sockets.options())
        let server = try network.wait(answer)
        #expect(network.scheduler.run { client.isConnected && server.isConnected }, "round \(round)")
        // The gateway's side ends first, and keeps TIME-WAIT.
        server.close()
        network.scheduler.settle()
        client.close()
        network.scheduler.run(milliseconds: 1500)
      }
      #expect(network.counted("transparent_requests") == 2 && network.counted("transparent_repeated") == 0)
    }
    network.expectNothingLeft()
  }
}
