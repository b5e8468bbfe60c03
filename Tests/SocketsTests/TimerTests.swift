import SoftInterrupts
import Sockets
import Testing
import Timing
import Wire

/// Timers of connections: at home, as a posted bit, harmless when late.
@Suite struct ConnectionTimerTests {
  /// Somebody on the link who does not exist: the SYN's timer is armed.
  private func silent(_ network: Network) -> SocketAddress {
    SocketAddress(IPAddress(IPv4Address(10, 0, 0, 99)), port: 7)
  }
  private func fired(_ host: Host) -> [UInt64] {
    (0..<host.contexts.count).map { host.contexts.counters($0).timersFired.value }
  }

  /// T2: a timer expires in the very pass in which its connection is aborted and let go.
  @Test func T2_aTimerThatFiresForAnAbortedConnectionDoesNothing() throws {
    let network = try Network()
    do {
      let client = try network.wait(network.left.sockets.connect(to: silent(network)))
      network.scheduler.settle()
      #expect(network.left.contexts.counters(0).timersArmed.value > 0)
      client.abort()
      network.clock.advance(by: .milliseconds(1001))
      network.scheduler.settle()
    }
    network.expectNothingLeft()
    #expect(network.left.contexts.counters(0).timersArmed.value == 0, "TM-REF")
  }

  /// TM-STALE: the wheel is re-armed lazily, so timers of data that was acknowledged fire; nothing is sent again.
  @Test func TM_STALE_aLateFireOfAnOldArmingSendsNothing() throws {
    let network = try Network()
    do {
      let (listener, client, server) = try network.connect()
      for round in 0..<20 {
        #expect(client.writeAll([UInt8(round)]) == .bytes(1))
        network.scheduler.run(milliseconds: 150)
        #expect(server.readSome().1 == [UInt8(round)])
      }
      let before = fired(network.left)[0]
      network.scheduler.run(milliseconds: 5000)
      #expect(before > 0)
      for host in [network.left, network.right] {
        #expect(host.sockets.withCounters(0) { $0.segmentsRetransmitted.value } == 0)
      }
      client.close()
      server.close()
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// TM-OWNER: whoever entered the connection, its timer fires on the wheel of its home, and there the SYN is sent
  /// again.
  @Test func TM_OWNER_aTimerFiresAtHomeWhoeverEnteredTheConnection() throws {
    let network = try Network(contexts: 2)
    do {
      var port: UInt16 = 40_000
      var client: StreamSocket?
      repeat {
        client?.abort()
        port += 1
        client = try network.wait(
          network.left.sockets.connect(
            to: silent(network), from: SocketAddress(network.left.ipv4, port: port)))
        network.scheduler.settle()
      } while network.left.sockets.inventory(limit: 9).connections.first { $0.local.port == port }?.home != 1
      // The neighbour's timers are context 0's.
      let before = fired(network.left)[1]
      network.scheduler.run(milliseconds: 1100)
      #expect(fired(network.left)[1] > before)
      let again = (0..<2).map { index in
        network.left.sockets.withCounters(index) { $0.segmentsRetransmitted.value }
      }
      #expect(again[0] == 0 && again[1] > 0)
      client?.abort()
    }
    network.expectNothingLeft()
  }
}
