import Buffers
import Exclusion
import Testing
import Wire

@testable import Internet
@testable import Sockets
@testable import TCP

@Suite struct ErrorTests {
  private static func failure(
    _ reason: DeliveryFailure.Reason, _ socket: StreamSocket, sequence: SequenceNumber?
  ) -> DeliveryFailure {
    DeliveryFailure(
      reason: reason, protocolNumber: .tcp, local: socket.localAddress, remote: socket.remoteAddress,
      sequence: sequence, reporter: IPAddress(IPv4Address(10, 0, 0, 254)), interface: 2)
  }
  /// SND.UNA, which whoever quotes a segment of ours knows.
  private static func unacknowledged(_ socket: StreamSocket) -> SequenceNumber {
    unsafe socket.connection.owned.pointee.engine.send.unacknowledged
  }

  /// L7: an error comes while the connection's gate is owned, even by who brings it: it is left at the gate, and
  /// becomes a failure and one wake-up afterwards.
  @Test func L7_anErrorForAConnectingSocketIsStateAndAWakeUp() throws {
    let network = try Network()
    do {
      let nobody = SocketAddress(IPAddress(IPv4Address(10, 0, 0, 99)), port: 80)
      let client = try network.wait(network.left.sockets.connect(to: nobody))
      network.scheduler.run(milliseconds: 10)
      #expect(!client.isWritable(need: 0))
      let wakeUps = UnsafeMutablePointer<Int>.allocate(capacity: 1)
      unsafe wakeUps.initialize(to: 0)
      defer { unsafe wakeUps.deallocate() }
      let target = unsafe WakeTarget(
        function: { unsafe $0.assumingMemoryBound(to: Int.self).pointee += 1 },
        context: UnsafeMutableRawPointer(wakeUps))
      let ticket = client.writePoint.waiter.publish(need: 0, target)
      let failure = Self.failure(.portUnreachable, client, sequence: Self.unacknowledged(client))
      let connection = client.connection
      network.left.contexts.perform(on: 0) { cx in
        _ = connection.gate.post(events: .options)  // owned from here on, until home has run it
        SocketErrors.tcp(failure, &cx)
        #expect(connection.status.isDisjoint(with: [.failed, .ended]), "nothing ran inside the call")
      }
      network.scheduler.settle()
      #expect(client.failure == .connectionRefused && client.isWritable(need: 0))
      #expect(unsafe wakeUps.pointee == 1)
      client.writePoint.waiter.finish(ticket)
      #expect(client.takeError() == .connectionRefused && client.takeError() == nil)
    }
    network.expectNothingLeft()
  }

  /// RFC 5461 section 4.2, RFC 5927: in an open connection hard errors are hints, errors about segments that are not
  /// out are nobody's, and other connections do not hear of either.
  // Rules: RFC 5927 4.1-1, 5.2-1, 7.2-1
  @Test func errorsDoNotTearDownOpenConnections() throws {
    let network = try Network()
    do {
      let (listener, client, server) = try network.connect()
      let (other, _) = try network.another(to: listener)
      let sequence = Self.unacknowledged(client)
      for wrong in [nil, sequence + 1_000_000, sequence - 1] {
        for reason in [DeliveryFailure.Reason.portUnreachable, .hostUnreachable, .packetTooBig(mtu: 600)] {
          let failure = Self.failure(reason, client, sequence: wrong)
          network.left.contexts.perform(on: 0) { cx in SocketErrors.tcp(failure, &cx) }
        }
      }
      network.scheduler.run(milliseconds: 10)
      #expect(unsafe client.connection.owned.pointee.engine.softError == nil)
      #expect(client.writeAll([1, 2, 3]) == .bytes(3))
      let failure = Self.failure(.portUnreachable, client, sequence: sequence)
      network.left.contexts.perform(on: 0) { cx in SocketErrors.tcp(failure, &cx) }
      #expect(network.scheduler.run { server.isReadable(need: 3) })
      #expect(server.readSome().1 == [1, 2, 3])
      #expect(client.failure == nil && other.failure == nil)
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// Reports that come while the connection is owned: none makes another forgotten.
  @Test func reportsOfEachWeightAreKept() throws {
    let network = try Network()
    do {
      let (listener, client, server) = try network.connect()
      #expect(client.writeAll([UInt8](repeating: 1, count: 1400)) == .bytes(1400))
      let connection = client.connection
      network.left.contexts.perform(on: 0) { cx in
        _ = connection.gate.post(events: .options)  // owned from here on, until home has run it
        for reason in [DeliveryFailure.Reason.portUnreachable, .packetTooBig(mtu: 1300), .hostUnreachable] {
          SocketErrors.tcp(Self.failure(reason, client, sequence: Self.unacknowledged(client)), &cx)
        }
        func taken() -> ReportedError.Kind? { unsafe connection.shared.pointee.reports.take()?.kind }
        #expect([taken(), taken(), taken(), taken()] == [.port, .host, .tooBig, nil])
        for reason in [DeliveryFailure.Reason.packetTooBig(mtu: 1300), .hostUnreachable] {
          SocketErrors.tcp(Self.failure(reason, client, sequence: Self.unacknowledged(client)), &cx)
        }
      }
      network.scheduler.settle()
      #expect(unsafe connection.owned.pointee.engine.softError == .hostUnreachable)
      #expect(unsafe connection.owned.pointee.engine.send.segment < 1300)
      #expect(network.scheduler.run { server.isReadable(need: 3) })
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// A pending error is reported once, by whichever call comes next.
  @Test func aDatagramErrorIsToldOnceByTheNextCall() throws {
    let network = try Network()
    do {
      let address = network.address(of: network.right, 7, isIPv4: true)
      let client = try network.wait(
        network.left.sockets.bindDatagram(
          to: network.address(of: network.left, 0, isIPv4: true), peer: address))
      let other = try network.wait(
        network.left.sockets.bindDatagram(
          to: network.address(of: network.left, 0, isIPv4: true), peer: address))
      #expect(throws: Never.self) { try client.send([1], to: nil).get() }
      network.scheduler.run(milliseconds: 20)
      #expect(throws: SocketError.connectionRefused) { try client.send([2], to: nil).get() }
      #expect(throws: Never.self) { try client.send([3], to: nil).get() }
      network.scheduler.run(milliseconds: 20)
      #expect(throws: SocketError.connectionRefused) { try client.receive().get() }
      #expect(throws: SocketError.wouldBlock) { try client.receive().get() }
      #expect(!other.isReadable, "nobody else heard of it")
    }
    network.expectNothingLeft()
  }

  /// What a reader was woken for a sender does not take.
  @Test func SB_EXACT_aReaderIsPromisedTheErrorThatWokeIt() {
    let pending = PendingError()
    func sender() -> SocketError? { pending.takeForSender() }
    func reader() -> SocketError? { pending.takeForReader() }
    pending.raise(.connectionRefused) { true }
    #expect(sender() == nil)
    pending.raise(.hostUnreachable) { true }
    #expect(reader() == .connectionRefused, "the first stays")
    #expect(reader() == nil)
    pending.raise(.hostUnreachable) { false }
    #expect(sender() == .hostUnreachable)
    #expect(sender() == nil)
  }

  /// IP_RECVERR: each error with its destination and reporter, for sockets without a peer too; bounded, the oldest
  /// gives way.
  @Test func eachDatagramErrorIsKeptForWhoAsks() throws {
    let network = try Network()
    do {
      let client = try network.wait(
        network.left.sockets.bindDatagram(to: network.address(of: network.left, 0, isIPv4: true)))
      func send(_ port: UInt16) {
        let address = network.address(of: network.right, port, isIPv4: true)
        if case .failure = client.send([1], to: address) { _ = client.send([1], to: address) }
        network.scheduler.run(milliseconds: 20)
      }
      send(900)
      #expect(!client.isReadable && client.takeDatagramError() == nil, "nobody asked")
      client.setReceivesErrors(true)
      send(901)
      send(902)
      #expect(client.isReadable, "the error is pending as well")
      for port in [901, 902] as [UInt16] {
        let error = try #require(client.takeDatagramError())
        #expect(error.error == .connectionRefused)
        #expect(error.destination == network.address(of: network.right, port, isIPv4: true))
        #expect(error.source == client.localAddress && error.reporter == network.right.ipv4)
      }
      #expect(client.takeDatagramError() == nil)
      for port in 1000..<1020 as Range<UInt16> { send(port) }
      #expect(network.left.sockets.withCounters(0) { $0.datagramErrorsLost.value } == 4)
      #expect(network.left.sockets.memoryStatistics()[.datagram] == 16 * Packet.occupied)
      #expect(client.takeDatagramError()?.destination.port == 1004)
      // The rest goes with the socket.
    }
    network.expectNothingLeft()
  }
}
