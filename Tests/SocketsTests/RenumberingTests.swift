import Exclusion
import Internet
import SoftInterrupts
import Testing
import Wire

@testable import Sockets

/// Addresses and routes come and go while traffic flows.
@Suite struct RenumberingTests {
  private func change(
    _ host: Host, _ edit: @escaping @Sendable (inout NetworkTables) throws(NetworkChangeError) -> Void
  ) {
    host.contexts.perform(on: 0) { cx in try? cx.internet.change(&cx, edit) }
  }

  /// Sends a megabyte, with something done between its pieces; returns whether all of it arrived in order.
  private func transfer(
    _ network: Network, _ client: StreamSocket, _ server: StreamSocket, between: (Int) -> Void
  ) throws -> Bool {
    let data = Network.pattern(1 << 20)
    var (sent, received, round) = (0, [UInt8](), 0)
    while received.count < data.count {
      while sent < data.count,
        case .bytes(let count) = client.writeAll(Array(data[sent..<min(sent + 20_000, data.count)]))
      {
        sent += count
      }
      between(round)
      round += 1
      guard network.scheduler.run(limit: 100_000, until: { server.isReadable(need: 1) }) else { return false }
      guard case (.bytes, let bytes) = server.readSome(30_000) else { return false }
      received += bytes
    }
    return received == data
  }

  /// What does not concern a connection does not disturb it: its cached route is looked up again and is the same.
  @Test(arguments: [1, 3]) func RT_GEN_connectionsGoOnWhileAddressesComeAndGo(contexts: Int) throws {
    let network = try Network(contexts: contexts)
    do {
      let (listener, client, server) = try network.connect()
      let before = network.left.internet.generation
      var changes: UInt64 = 0
      let arrived = try transfer(network, client, server) { round in
        for host in [network.left, network.right] {
          change(host) { tables throws(NetworkChangeError) in
            let extra = IPPrefix("10.0.\(1 + round / 2 % 3).77/24")!
            if round % 2 == 0 {
              try tables.addAddress(InterfaceAddress(extra, interface: 2))
              try tables.addRoute(
                Route(to: IPPrefix("192.168.\(round / 2 % 3).0/24")!, interface: 2, gateway: extra.address))
            } else {
              try tables.removeAddress(extra.address, interface: 2)
            }
          }
        }
        changes += 1
      }
      #expect(arrived)
      #expect(client.failure == nil && server.failure == nil)
      #expect(changes > 20 && network.left.internet.generation == before + changes, "none was refused")
      for context in 0..<contexts {
        #expect(network.left.sockets.withCounters(context) { $0.segmentsUnroutable.value } == 0)
      }
      for socket in [client, server] { socket.close() }
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// A way that a context has kept is not used any more once the tables say another one, and neither is that one when
  /// they say the first again.
  @Test func RT_GEN_theNextConnectionSeesTheTables() throws {
    let network = try Network()
    do {
      let (listener, first, child) = try network.connect()
      #expect(first.localAddress.address == network.left.ipv4)
      let extra = IPAddress(IPv4Address(10, 0, 0, 77))
      let other = Route(
        to: IPPrefix(network.right.ipv4, length: 32)!, interface: 2, source: extra, mtu: 1200)
      change(network.left) { tables throws(NetworkChangeError) in
        try tables.addAddress(InterfaceAddress(IPPrefix(extra, length: 24)!, interface: 2))
        try tables.addRoute(other)
      }
      let second = try network.wait(network.left.sockets.connect(to: listener.address))
      #expect(second.localAddress.address == extra)
      change(network.left) { tables throws(NetworkChangeError) in try tables.removeRoute(other) }
      let third = try network.wait(network.left.sockets.connect(to: listener.address))
      #expect(third.localAddress.address == network.left.ipv4)
      for socket in [first, child, second, third] { socket.close() }
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// The connection's own address goes in the middle and comes back: nothing leaves without it, and then all does.
  @Test func RT_ORDER_aConnectionWaitsForItsAddressToComeBack() throws {
    let network = try Network()
    do {
      let (listener, client, server) = try network.connect()
      let own = IPPrefix(network.left.ipv4, length: 24)!
      let arrived = try transfer(network, client, server) { round in
        switch round {
        case 5:
          change(network.left) { tables throws(NetworkChangeError) in
            try tables.removeAddress(own.address, interface: 2)
          }
          network.scheduler.run(milliseconds: 3000)
        case 6:
          change(network.left) { tables throws(NetworkChangeError) in
            try tables.addAddress(InterfaceAddress(own, interface: 2))
          }
        default: break
        }
      }
      #expect(arrived)
      #expect(network.left.sockets.withCounters(0) { $0.segmentsUnroutable.value } > 0)
      for socket in [client, server] { socket.close() }
      listener.close()
    }
    network.expectNothingLeft()
  }
}
