import Exclusion
import TCP
import Testing
import Wire

@testable import Sockets

@Suite struct BindingTests {
  /// A socket that binds, or listens, in the table of the rules.
  private struct Party: CustomTestStringConvertible {
    let name: String
    let options: BindOptions
    let listens: Bool
    init(_ name: String, _ options: BindOptions = [], listens: Bool = true) {
      (self.name, self.options, self.listens) = (name, options, listens)
    }
    var address: SocketAddress { SocketAddress(IPAddress(name)!, port: 80) }
    var testDescription: String { "\(name) \(options.rawValue) \(listens ? "listens" : "is bound")" }
  }

  /// Binds, and listens if the party does.
  private func place(_ network: Network, _ party: Party) throws -> any AnySocket {
    if party.listens {
      return try network.wait(network.right.sockets.listen(on: party.address, options: party.options))
    }
    let socket = try network.wait(network.right.sockets.makeStream())
    _ = try network.wait(socket.bind(to: party.address, options: party.options))
    return socket
  }

  /// P6: bind is address and port; the rules are those of the table.
  @Test func P6_whoMayBindBesideWhom() throws {
    let network = try Network()
    do {
      let (specific, other, any4) = ("10.0.0.2", "127.0.0.1", "0.0.0.0")
      let (specific6, any6) = ("fd00::2", "::")
      let cases: [(Party, Party, Bool)] = [
        // Names that do not meet.
        (Party(specific), Party(other), true),
        (Party(specific), Party(specific6), true),
        (Party(any4), Party(specific6), true),
        (Party(any4), Party(any6, .isIPv6Only), true),
        (Party(specific), Party(any6, .isIPv6Only), true),
        // Names that do, without an option.
        (Party(specific), Party(specific), false),
        (Party(any4), Party(specific), false),
        (Party(specific), Party(any4), false),
        (Party(any6), Party(specific6), false),
        (Party(any6), Party(specific), false),
        (Party(any6), Party(any4), false),
        (Party(any6, .isIPv6Only), Party(specific6), false),
        (Party(specific, listens: false), Party(specific, listens: false), false),
        // SO_REUSEADDR: as long as nobody listens.
        (
          Party(specific, .reuseAddress, listens: false), Party(specific, .reuseAddress, listens: false), true
        ),
        (Party(any4, .reuseAddress, listens: false), Party(specific, .reuseAddress, listens: false), true),
        (Party(specific, .reuseAddress, listens: false), Party(specific, listens: false), false),
        (Party(specific, listens: false), Party(specific, .reuseAddress, listens: false), false),
        (Party(any4, .reuseAddress), Party(specific, .reuseAddress), false),
        (Party(any4, .reuseAddress), Party(specific, .reuseAddress, listens: false), false),
        (Party(specific, .reuseAddress, listens: false), Party(specific, .reuseAddress), true),
        // SO_REUSEPORT: if both have it.
        (Party(specific, .reusePort), Party(specific, .reusePort), true),
        (Party(any4, .reusePort), Party(specific, .reusePort), true),
        (Party(specific, .reusePort), Party(specific, .reuseAddress), false),
        (Party(specific), Party(specific, .reusePort), false),
      ]
      for (first, second, works) in cases {
        let one = try place(network, first)
        if works {
          #expect(throws: Never.self, "\(first) \(second)") { try place(network, second).close() }
        } else {
          #expect(throws: SocketError.addressInUse, "\(first) \(second)") { _ = try place(network, second) }
        }
        one.close()
        network.scheduler.settle()
        #expect(throws: Never.self, "the name is free again") { try place(network, second).close() }
        network.scheduler.settle()
        #expect(network.right.sockets.bindingCount == 0)
      }
    }
    network.expectNothingLeft()
  }

  /// A name whose connections are in TIME-WAIT is refused to whoever does not ask for it with SO_REUSEADDR.
  @Test func aNameInTimeWaitNeedsReuseAddress() throws {
    let network = try Network()
    do {
      let address = network.address(of: network.right, 80, isIPv4: true)
      let (listener, client, server) = try network.connect(port: 80)
      server.close()
      network.scheduler.run(milliseconds: 10)
      client.close()
      network.scheduler.run(milliseconds: 100)
      #expect(network.right.sockets.inventory(limit: 1).connections.first?.state == .timeWait)
      listener.close()
      for name in ["10.0.0.2:80", "0.0.0.0:80", "[::]:80"] {
        let plain = network.right.sockets.listen(on: SocketAddress(name)!, options: [])
        #expect(network.scheduler.run { plain.isReady })
        #expect(throws: SocketError.addressInUse) { try plain.take()!.get() }
      }
      try network.wait(network.right.sockets.listen(on: SocketAddress("127.0.0.1:80")!, options: [])).close()
      try network.wait(network.right.sockets.listen(on: address, options: .reuseAddress)).close()
      network.scheduler.run(milliseconds: 61_000)
      try network.wait(network.right.sockets.listen(on: address, options: [])).close()
    }
    network.expectNothingLeft()
  }

  @Test func IPv6OnlyListenersHearNoIPv4() throws {
    let network = try Network()
    do {
      let listener = try network.wait(
        network.right.sockets.listen(on: SocketAddress("[::]:80")!, options: .isIPv6Only))
      let four = try network.wait(
        network.left.sockets.connect(to: network.address(of: network.right, 80, isIPv4: true)))
      let six = try network.wait(
        network.left.sockets.connect(to: network.address(of: network.right, 80, isIPv4: false)))
      #expect(network.scheduler.run { four.isWritable(need: 0) && six.isWritable(need: 0) })
      #expect(four.failure == .connectionRefused && six.failure == nil)
      _ = try network.accept(listener)
    }
    network.expectNothingLeft()
  }

  /// connect() chooses none of the ports that somebody has bound; who insists on one is refused.
  @Test func connectKeepsAwayFromBoundPorts() throws {
    let network = try Network { $0.ephemeralPorts = 50_000...50_003 }
    do {
      let address = network.address(of: network.right, 80, isIPv4: true)
      let listener = try network.wait(network.right.sockets.listen(on: address))
      let bound = try network.wait(network.left.sockets.makeStream())
      _ = try network.wait(bound.bind(to: SocketAddress("10.0.0.1:50002")!))
      let clients = try (0..<3).map { _ in try network.wait(network.left.sockets.connect(to: address)) }
      #expect(Set(clients.map(\.localAddress.port)) == [50_000, 50_001, 50_003])
      let fourth = network.left.sockets.connect(to: address)
      #expect(network.scheduler.run { fourth.isReady })
      #expect(throws: SocketError.addressNotAvailable) { try fourth.take()!.get() }
      let insisting = network.left.sockets.connect(to: address, from: SocketAddress("10.0.0.1:50002")!)
      #expect(network.scheduler.run { insisting.isReady })
      #expect(throws: SocketError.addressInUse) { try insisting.take()!.get() }
      bound.close()
      network.scheduler.settle()
      let late = try network.wait(network.left.sockets.connect(to: address))
      #expect(network.scheduler.run { late.isConnected })
      #expect(late.localAddress.port == 50_002)
      listener.close()
    }
    network.expectNothingLeft()
  }

  // MARK: Groups

  private func group(
    _ network: Network, _ count: Int, _ address: SocketAddress
  ) throws -> [ListeningSocket] {
    try (0..<count).map { _ in
      try network.wait(network.right.sockets.listen(on: address, options: .reusePort))
    }
  }

  /// SO_REUSEPORT: the flows are spread over the members; one that leaves takes its own children along, and
  /// nobody else's (AQ-CLOSE).
  @Test(arguments: [1, 3]) func aGroupSharesItsFlows(contexts: Int) throws {
    let network = try Network(contexts: contexts)
    do {
      let address = network.address(of: network.right, 80, isIPv4: true)
      let members = try group(network, 4, address)
      #expect(network.right.sockets.bindingCount == 4)
      let clients = try (0..<80).map { _ in try network.wait(network.left.sockets.connect(to: address)) }
      #expect(network.scheduler.run { clients.allSatisfy(\.isConnected) })
      let waiting = members.map { unsafe Int($0.listener.state.pointee.places.load()) }
      #expect(waiting.reduce(0, +) == 80 && waiting.allSatisfy { $0 > 5 }, "\(waiting)")

      members[1].close()
      network.scheduler.run(milliseconds: 10)
      #expect(clients.count { $0.failure == .connectionReset } == waiting[1])
      #expect(network.right.sockets.bindingCount == 3)
      for (index, member) in members.enumerated() where index != 1 {
        var children: [StreamSocket] = []
        while case .success(let child) = member.tryAccept() { children.append(child) }
        #expect(children.count == waiting[index])
        children.forEach { $0.abort() }
      }
      let late = try (0..<30).map { _ in try network.wait(network.left.sockets.connect(to: address)) }
      #expect(network.scheduler.run { late.allSatisfy(\.isConnected) })
      #expect(late.allSatisfy { $0.failure == nil })
    }
    network.expectNothingLeft()
  }

  /// A half-open connection stays with its listener when the group changes.
  @Test func aHalfOpenConnectionRemembersItsListener() throws {
    let network = try Network()
    do {
      let address = network.address(of: network.right, 80, isIPv4: true)
      let first = try group(network, 1, address)[0]
      let peers = (0..<20).map { Stranger("192.0.2.7", port: 6000 + UInt16($0)) }
      for peer in peers { network.syn(peer, to: 80) }
      let numbers = peers.map { network.synAckSequence($0, 80)! }
      let others = try group(network, 3, address)
      for (peer, iss) in zip(peers, numbers) {
        network.inject(peer, to: 80, .ack, sequence: peer.irs + 1, ack: iss + 1)
      }
      #expect(unsafe first.listener.state.pointee.places.load() == 20)
      #expect(others.allSatisfy { !$0.isAcceptable })
    }
    network.expectNothingLeft()
  }

  @Test func datagramsOfAFlowAreHeardByOneMember() throws {
    let network = try Network()
    do {
      let address = network.address(of: network.right, 7, isIPv4: true)
      let members = try (0..<3).map { _ in
        try network.wait(network.right.sockets.bindDatagram(to: address, options: .reusePort))
      }
      let clients = try (0..<24).map { _ in
        try network.wait(network.left.sockets.bindDatagram(to: SocketAddress("10.0.0.1:0")!))
      }
      // The neighbour first: of those that wait for it only some are kept.
      _ = clients[0].send([], to: SocketAddress(network.right.ipv4, port: 9))
      network.scheduler.run(milliseconds: 20)
      for round in 0..<3 {
        for client in clients {
          #expect(throws: Never.self) { try client.send([UInt8(round)], to: address).get() }
        }
        network.scheduler.run(milliseconds: 20)
      }
      var heard: [UInt16: Set<Int>] = [:]
      var counts = [0, 0, 0]
      for (index, member) in members.enumerated() {
        while case .success(let (info, _)) = member.receive() {
          heard[info.source.port, default: []].insert(index)
          counts[index] += 1
        }
      }
      #expect(heard.count == 24 && heard.values.allSatisfy { $0.count == 1 })
      #expect(counts.reduce(0, +) == 72 && counts.allSatisfy { $0 > 0 })
      // Who is connected to the sender hears it, whatever the hash says.
      let connected = try network.wait(
        network.right.sockets.bindDatagram(to: address, peer: clients[5].localAddress, options: .reusePort))
      for client in clients { _ = client.send([9], to: address) }
      network.scheduler.run(milliseconds: 20)
      #expect(try connected.receive().get().1 == [9])
      #expect(throws: SocketError.wouldBlock) { try connected.receive().get() }
    }
    network.expectNothingLeft()
  }

  /// SO_REUSEADDR for datagrams: of equal names the newest hears.
  @Test func ofEqualDatagramNamesTheNewestHears() throws {
    let network = try Network()
    do {
      let address = network.address(of: network.right, 7, isIPv4: true)
      let old = try network.wait(network.right.sockets.bindDatagram(to: address, options: .reuseAddress))
      let new = try network.wait(network.right.sockets.bindDatagram(to: address, options: .reuseAddress))
      let client = try network.wait(network.left.sockets.bindDatagram(to: SocketAddress("10.0.0.1:0")!))
      _ = client.send([1], to: address)
      network.scheduler.run(milliseconds: 10)
      #expect(new.isReadable && !old.isReadable)
      new.close()
      network.scheduler.settle()
      _ = client.send([2], to: address)
      network.scheduler.run(milliseconds: 10)
      #expect(old.isReadable)
    }
    network.expectNothingLeft()
  }
}
