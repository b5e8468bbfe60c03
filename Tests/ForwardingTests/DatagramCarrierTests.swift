import CLinux
import Glibc
import Testing
import Timing
import Wire

@testable import Forwarding
@testable import Sockets

/// Datagrams to a server of this machine, which the gateway's address leads to, in virtual time.
@Suite struct DatagramCarrierTests {
  private final class Desk {
    let world: CarrierWorld
    let server: HostServer
    let carrier: DatagramCarrier
    let counters = DatagramCounters()

    init(_ change: (inout OutboundPolicy) -> Void = { _ in }) throws {
      world = try CarrierWorld()
      server = try HostServer(isDatagram: true)
      var policy = OutboundPolicy()
      policy.gateway = [CarrierWorld.gatewayAddress]
      policy.reachesHostLoopback = true
      change(&policy)
      let socket = try #require(world.gateway.layer.openTransparentDatagrams())
      carrier = DatagramCarrier(
        socket, policy, epoll: world.epoll, firstToken: 0, counters,
        inbound: InboundDatagrams(socket, policy, limit: 1, DatagramCounters()))
    }
    var destination: SocketAddress { SocketAddress(CarrierWorld.gatewayAddress, port: server.port) }

    func open() throws -> DatagramSocket {
      let answer = world.guest.layer.bindDatagram(to: SocketAddress("0.0.0.0:0")!, peer: nil, options: [])
      world.scheduler.settle()
      return try #require(answer.take()).get()
    }
    func send(_ bytes: [UInt8], by socket: DatagramSocket, to other: SocketAddress? = nil) throws {
      try unsafe bytes.withUnsafeBytes { unsafe socket.trySend($0, to: other ?? destination) }.get()
      world.scheduler.settle()
    }
    func receive(_ socket: DatagramSocket) throws -> [UInt8] {
      var bytes = [UInt8](repeating: 0, count: 65_536)
      let datagram = try unsafe bytes.withUnsafeMutableBytes { unsafe socket.tryReceive(into: $0) }.get()
      return Array(bytes[..<datagram.count])
    }
    /// A turn, after what the guest sent has come.
    func turn() {
      carrier.hear(SocketEvent(token: 0, events: .readable, available: 1, space: 0))
      unsafe carrier.advance(world.scratch, now: world.now)
      world.scheduler.settle()
    }
    func end(_ sockets: [DatagramSocket]) {
      for socket in sockets { socket.close() }
      carrier.end()
      #expect(counters.open.value == 0)
      world.end()
    }
  }

  /// What comes in a row passes the host's socket in few calls, either way, and in order.
  @Test func whatComesInARowPassesTogether() throws {
    let desk = try Desk()
    do {
      let socket = try desk.open()
      for number in 0..<40 as Range<UInt8> { try desk.send([number], by: socket) }
      desk.turn()
      #expect(desk.counters.toHost.value == 40 && desk.counters.sendCalls.value == 3)
      for number in 0..<40 as Range<UInt8> {
        try desk.server.answer { request in
          #expect(request == [number])
          return [number, number]
        }
      }
      desk.carrier.hear(token: 0, hasFailed: false)
      for _ in 0..<2 { desk.turn() }
      for number in 0..<40 as Range<UInt8> { #expect(try desk.receive(socket) == [number, number]) }
      // 16, 16, and 8, which are fewer than were asked for.
      #expect(desk.counters.toGuest.value == 40 && desk.counters.receiveCalls.value == 3)
      #expect(!desk.carrier.hasMore)
      desk.end([socket])
    }
  }

  /// Those of several flows do not mix, and large ones have room.
  @Test func flowsKeepTheirOwn() throws {
    let desk = try Desk()
    do {
      let sockets = [try desk.open(), try desk.open()]
      for number in 0..<6 as Range<UInt8> {
        try desk.send([UInt8](repeating: number, count: 20_000), by: sockets[Int(number) % 2])
      }
      desk.turn()
      #expect(desk.counters.toHost.value == 6 && desk.counters.sendCalls.value == 6)
      for _ in 0..<6 { try desk.server.answer { [$0[0], UInt8(truncatingIfNeeded: $0.count >> 8)] } }
      for slot in 0..<2 as Range<UInt32> { desk.carrier.hear(token: slot, hasFailed: false) }
      desk.turn()
      for number in 0..<6 as Range<UInt8> {
        #expect(try desk.receive(sockets[Int(number) % 2]) == [number, UInt8(20_000 >> 8)])
      }
      desk.end(sockets)
    }
  }

  /// Nobody is there: each datagram is tried, and the guest hears of it.
  @Test func whatTheNetworkSaysIsTold() throws {
    let desk = try Desk()
    do {
      let port = try HostServer(isDatagram: true).port  // closed by now
      let peer = SocketAddress(CarrierWorld.gatewayAddress, port: port)
      let socket = try desk.open()
      socket.setReceivesErrors(true)
      for number in 0..<3 as Range<UInt8> { try desk.send([number], by: socket, to: peer) }
      desk.turn()
      desk.carrier.hear(token: 0, hasFailed: true)
      desk.turn()
      #expect(socket.takeDatagramError()?.error == .connectionRefused)
      while socket.takeDatagramError() != nil {}
      #expect(desk.counters.unreachable.value >= 1)
      #expect(desk.counters.toHost.value + desk.counters.droppedToHost.value == 3 && !desk.carrier.hasMore)
      desk.end([socket])
    }
  }

  /// Two minutes after something passed, half a minute if it never had an answer (RFC 4787 section 4.3).
  @Test func flowsAreForgottenInTheirTime() throws {
    let desk = try Desk()
    do {
      let sockets = [try desk.open(), try desk.open()]
      for socket in sockets { try desk.send([1], by: socket) }
      desk.turn()
      try desk.server.answerTwice()
      desk.carrier.hear(token: 0, hasFailed: false)
      desk.turn()
      #expect(try desk.receive(sockets[0]) == [1, 1])
      #expect(desk.carrier.nextDeadline == desk.world.now + .seconds(30))
      desk.world.clock.advance(by: .seconds(29))
      desk.turn()
      #expect(desk.counters.open.value == 2)
      desk.world.clock.advance(by: .seconds(1))
      desk.turn()
      #expect(desk.counters.open.value == 1 && desk.counters.flowsExpired.value == 1)
      desk.world.clock.advance(by: .seconds(89))
      desk.turn()
      #expect(desk.counters.open.value == 1)
      desk.world.clock.advance(by: .seconds(1))
      desk.turn()
      #expect(desk.counters.open.value == 0 && desk.carrier.nextDeadline == nil)
      desk.end(sockets)
    }
  }

  /// The one that was silent for longest gives way, of those without an answer first; what it was sent is gone before.
  @Test func flowsBeyondTheLimitGiveWay() throws {
    let desk = try Desk { $0.datagramLimit = 2 }
    do {
      var sockets = [try desk.open()]
      try desk.send([0], by: sockets[0])
      desk.turn()
      try desk.server.answerTwice()
      desk.carrier.hear(token: 0, hasFailed: false)
      desk.turn()
      #expect(try desk.receive(sockets[0]) == [0, 0])
      // One turn for all: each opens a flow, and the one before it gives way.
      for number in 1..<6 as Range<UInt8> {
        sockets.append(try desk.open())
        try desk.send([number], by: sockets[Int(number)])
      }
      desk.turn()
      #expect(desk.counters.open.value == 2 && desk.counters.flowsEvicted.value == 4)
      #expect(desk.counters.toHost.value == 6)
      for number in 1..<6 as Range<UInt8> {
        try desk.server.answer { request in
          #expect(request == [number])
          return request
        }
      }
      desk.end(sockets)
    }
  }
}
