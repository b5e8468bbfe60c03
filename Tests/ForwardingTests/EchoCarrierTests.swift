import CLinux
import Glibc
import Internet
import Testing
import Timing
import Wire

@testable import Forwarding
@testable import Sockets

/// Echo requests, carried by UDP sockets in the place of ICMP's, which not every user may have: a server of this machine
/// is whom they reach.
@Suite struct EchoCarrierTests {
  fileprivate static let outside = IPAddress("192.0.2.1")!

  /// A carrier in a world, and the server.
  private final class Desk {
    let world: CarrierWorld
    let server: HostServer
    let carrier: EchoCarrier
    let counters = EchoCounters()

    init(_ change: (inout OutboundPolicy) -> Void = { _ in }) throws {
      world = try CarrierWorld()
      server = try HostServer(isDatagram: true)
      var policy = OutboundPolicy()
      let port = server.port
      policy.openEchoSocket = { _ in
        let host: [UInt8] = [127, 0, 0, 1]
        return unsafe sluice_udp_connect(host, 4, port, nil)
      }
      change(&policy)
      let echoes = try #require(world.gateway.layer.openTransparentEchoes())
      carrier = EchoCarrier(echoes, policy, epoll: world.epoll, firstToken: 0, counters)
    }
    /// A turn, after the guest's requests have come.
    func turn() {
      world.scheduler.settle()
      carrier.hear(SocketEvent(token: 0, events: .readable, available: 1, space: 0))
      unsafe carrier.advance(world.scratch, now: world.now)
    }
    func ping(_ identifier: UInt16, sequence: UInt16 = 1, data: [UInt8] = [1], hopLimit: UInt8 = 64) {
      world.ping(
        EchoCarrierTests.outside, identifier: identifier, sequence: sequence, data: data, hopLimit: hopLimit)
      turn()
    }
    /// The server answers the oldest request, and the carrier of the slot hears of it.
    func answer(slot: UInt32, _ change: (inout [UInt8]) -> Void = { _ in }) throws {
      try server.answer { request in
        var reply = request
        reply[0] = 0
        change(&reply)
        return reply
      }
      carrier.hear(token: slot, hasFailed: false)
      turn()
    }
    func end() {
      carrier.end()
      #expect(counters.open.value == 0)
      world.end()
    }
  }

  @Test func aRequestAndItsAnswerPass() throws {
    let desk = try Desk()
    desk.ping(0x1234, sequence: 7, data: [5, 6, 7])
    #expect(desk.counters.toHost.value == 1 && desk.counters.open.value == 1)
    try desk.answer(slot: 0)
    let reply = try #require(desk.world.takeMessages().first)
    #expect(reply[0] == 0 && Array(reply[4...]) == [0x12, 0x34, 0, 7, 5, 6, 7])
    // The same sequence goes on by the same socket; what is no answer is lost.
    desk.ping(0x1234, sequence: 8)
    try desk.answer(slot: 0) { $0[0] = 13 }
    #expect(desk.world.takeMessages().isEmpty && desk.counters.dropped.value == 1)
    #expect(
      desk.counters.toHost.value == 2 && desk.counters.toGuest.value == 1 && desk.counters.open.value == 1)
    desk.end()
  }

  @Test func whatIsDeniedIsToldSo() throws {
    let desk = try Desk { $0.rules = [OutboundRule.parse("192.0.2.0/24", allows: false)!] }
    desk.ping(1)
    #expect(desk.world.takeFailures() == [.prohibited])
    #expect(
      desk.counters.denied.value == 1 && desk.counters.open.value == 0 && desk.counters.refused.value == 1)
    desk.end()
  }

  /// Where the host forbids ICMP sockets the guest is told so; where it has no room, a host is away.
  @Test(arguments: [
    (EACCES, DeliveryFailure.Reason.prohibited, 1, 0), (EPERM, .prohibited, 1, 0),
    (EHOSTUNREACH, .hostUnreachable, 0, 1), (EMFILE, .prohibited, 0, 1),
  ])
  func whatTheHostDoesNotLetUsSendIsToldSo(
    errno: Int32, reason: DeliveryFailure.Reason, unavailable: UInt64, dropped: UInt64
  ) throws {
    let desk = try Desk { $0.openEchoSocket = { _ in -errno } }
    desk.ping(1)
    #expect(desk.world.takeFailures() == [reason])
    #expect(desk.counters.unavailable.value == unavailable && desk.counters.dropped.value == dropped)
    #expect(desk.counters.open.value == 0)
    desk.end()
  }

  /// Of so many sequences the one that was silent for longest gives way, of those without an answer first.
  @Test func sequencesBeyondTheLimitGiveWay() throws {
    let desk = try Desk { $0.echoLimit = 2 }
    desk.ping(1)
    try desk.answer(slot: 0)
    for identifier in 2..<10 as Range<UInt16> { desk.ping(identifier) }
    #expect(desk.counters.open.value == 2 && desk.counters.evicted.value == 7)
    // The answered one is there still: it needs no other socket.
    desk.ping(1)
    #expect(desk.counters.evicted.value == 7)
    desk.end()
  }

  @Test func aSequenceIsForgottenWhenItWasSilent() throws {
    let desk = try Desk()
    desk.ping(1)
    #expect(desk.carrier.nextDeadline == desk.world.now + .seconds(30))
    desk.world.clock.advance(by: .seconds(29))
    desk.ping(2)
    desk.world.clock.advance(by: .seconds(1))
    desk.turn()
    #expect(desk.counters.open.value == 1)
    desk.world.clock.advance(by: .seconds(29))
    desk.turn()
    #expect(desk.counters.open.value == 0 && desk.carrier.nextDeadline == nil && !desk.carrier.hasMore)
    desk.end()
  }

  /// What the network said of a request is told with its number.
  @Test func whatTheNetworkSaysIsTold() throws {
    let desk = try Desk {
      // Nobody is at the discard port of this machine's loopback interface.
      $0.openEchoSocket = { _ in
        let host: [UInt8] = [127, 9, 9, 9]
        return unsafe sluice_udp_connect(host, 4, 9, nil)
      }
    }
    desk.ping(0x1234, sequence: 3)
    desk.carrier.hear(token: 0, hasFailed: true)
    desk.turn()
    #expect(desk.world.takeFailures() == [.portUnreachable])
    #expect(desk.counters.refused.value == 1)
    desk.end()
  }
}
