import Buffers
import Exclusion
import Internet
import SoftInterrupts
import Testing
import Timing
import Wire

@testable import Sockets

/// Echo requests to the outside that a gateway carries on, and what it tells of datagrams and requests that did not arrive.
@Suite struct EchoTests {
  private static let outside4 = IPAddress("192.0.2.80")!
  private static let outside6 = IPAddress("2001:db8::80")!

  /// What came back to who asked. One thread.
  private final class Heard: @unchecked Sendable {
    var messages: [(source: IPAddress, bytes: [UInt8])] = []
  }

  private func makeNetwork(_ heard: Heard) throws -> Network {
    let network = try Network(rightIsGateway: true) { $0.transparent = TransparentConfiguration() }
    let (ipv4, ipv6) = (network.right.ipv4, network.right.ipv6)
    try network.left.internet.configure { tables in
      try tables.addRoute(Route(to: IPPrefix("0.0.0.0/0")!, interface: 2, gateway: ipv4))
      try tables.addRoute(Route(to: IPPrefix("::/0")!, interface: 2, gateway: ipv6))
    }
    for number in [IPProtocol.icmpv4, .icmpv6] {
      network.left.internet.setTransport(
        TransportHandler(receive: { packet, _ in
          var bytes = [UInt8](repeating: 0, count: packet.totalCount)
          var elements = bytes.mutableSpan
          var span = unsafe elements.mutableBytes  // bytes have no padding
          packet.copyBytes(from: 0, into: &span)
          heard.messages.append((packet.metadata.source, bytes))
        }), for: number)
    }
    return network
  }
  /// The left host asks.
  private func ask(
    _ network: Network, _ destination: IPAddress, sequence: UInt16, data: [UInt8], hopLimit: UInt8 = 64
  ) {
    let host = network.left
    let (internet, source) = (host.internet, destination.isIPv4 ? host.ipv4 : host.ipv6)
    host.contexts.perform(on: 0) { cx in
      guard var packet = cx.pool.allocate() else { return }
      packet.append(data.count)
      var span = packet.mutableBytes
      for (index, byte) in data.enumerated() { span.set(byte, at: index) }
      TransparentInput.finishEcho(
        &packet, isRequest: true, identifier: 0x1234, sequence: sequence, from: source, to: destination)
      internet.send(
        packet, from: source, to: destination, protocol: destination.isIPv4 ? .icmpv4 : .icmpv6,
        hopLimit: hopLimit, &cx)
    }
    network.scheduler.settle()
  }
  private func receive(_ echoes: TransparentEchoes) -> Result<(ReceivedEcho, [UInt8]), SocketError> {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    return unsafe buffer.withUnsafeMutableBytes { unsafe echoes.tryReceive(into: $0) }.map {
      ($0, Array(buffer[..<$0.count]))
    }
  }

  @Test(arguments: [true, false]) func aRequestIsHeardAndAnsweredInItsDestinationsName(isIPv4: Bool) throws {
    let heard = Heard()
    let network = try makeNetwork(heard)
    let outside = isIPv4 ? Self.outside4 : Self.outside6
    do {
      let echoes = try #require(network.right.sockets.openTransparentEchoes())
      #expect(network.right.sockets.openTransparentEchoes() == nil)
      ask(network, outside, sequence: 9, data: Array(0..<100), hopLimit: 17)
      let (echo, data) = try receive(echoes).get()
      #expect(data == Array(0..<100) && echo.identifier == 0x1234 && echo.sequence == 9)
      #expect(echo.destination == outside && echo.hopLimit == 17 && !echo.mayBeFragmented)
      #expect(echo.source == (isIPv4 ? network.left.ipv4 : network.left.ipv6))
      // Also what its link carries in fragments only.
      for data in [data, (0..<5000).map { UInt8(truncatingIfNeeded: $0) }] {
        let result = unsafe data.withUnsafeBytes {
          unsafe echoes.tryReply(
            $0, identifier: echo.identifier, sequence: echo.sequence, to: echo.source, from: outside)
        }
        #expect(throws: Never.self) { try result.get() }
        network.scheduler.settle()
        let last = heard.messages.popLast()
        let (source, message) = try #require(last)
        #expect(source == outside && Array(message[8...]) == data)
        #expect(message[0] == (isIPv4 ? 0 : 129) && Array(message[4..<8]) == [0x12, 0x34, 0, 9])
      }
      // The gateway's own addresses answer for themselves.
      ask(network, isIPv4 ? network.right.ipv4 : network.right.ipv6, sequence: 10, data: [1])
      #expect(heard.messages.count == 1)
      #expect(receive(echoes).map { $0.1 } == .failure(.wouldBlock))
      echoes.close()
      ask(network, outside, sequence: 11, data: [1])
      #expect(network.counted("transparent_echoes") == 1)
      #expect(network.counted("transparent_echoes_ignored") == 1)
    }
    network.expectNothingLeft()
  }

  /// RFC 1812 section 5.3.1: a request that may go no further is told of here, whoever carries the others.
  @Test(arguments: [true, false]) func aHopLimitEndsAtTheGateway(isIPv4: Bool) throws {
    let network = try makeNetwork(Heard())
    do {
      let echoes = try #require(network.right.sockets.openTransparentEchoes())
      ask(network, isIPv4 ? Self.outside4 : Self.outside6, sequence: 1, data: [1], hopLimit: 1)
      #expect(receive(echoes).map { $0.1 } == .failure(.wouldBlock))
      #expect(network.counted("transparent_hops_exceeded") == 1)
      #expect(network.right.internet.statistics()[.icmpErrorsSent] == 1)
      echoes.close()
    }
    network.expectNothingLeft()
  }

  @Test(arguments: [true, false]) func whatTheNetworkSaidOfADatagramIsPassedOnWithItsReporter(
    isIPv4: Bool
  ) throws {
    let network = try makeNetwork(Heard())
    let outside = SocketAddress(isIPv4 ? Self.outside4 : Self.outside6, port: 7)
    let router = IPAddress(isIPv4 ? "198.51.100.1" : "2001:db8:1::1")!
    do {
      let hearer = try #require(network.right.sockets.openTransparentDatagrams())
      let client = try network.wait(
        network.left.sockets.bindDatagram(to: network.address(of: network.left, 0, isIPv4: isIPv4)))
      client.setReceivesErrors(true)
      #expect(throws: Never.self) { try client.send([1], to: outside).get() }
      #expect(network.scheduler.run { hearer.isReadable })
      let (datagram, _) = try hearer.receive().get()
      #expect(datagram.hopLimit == 64 && !datagram.mayBeFragmented)
      #expect(throws: Never.self) { try client.send([UInt8](repeating: 1, count: 3000), to: outside).get() }
      #expect(network.scheduler.run { hearer.isReadable })
      #expect(try hearer.receive().get().0.mayBeFragmented)
      let told: [(DatagramRefusal, SocketError, Int)] = [
        (.portUnreachable, .connectionRefused, 0), (.hostUnreachable, .hostUnreachable, 0),
        (.timeExceeded, .hostUnreachable, 0), (.tooBig(mtu: 1400), .messageTooLarge, 1400),
      ]
      for (refusal, error, mtu) in told {
        #expect(throws: Never.self) {
          try hearer.tryRefuse(refusal, from: datagram.source, to: outside, reporter: router).get()
        }
        network.scheduler.settle()
        let report = try #require(client.takeDatagramError())
        #expect(report.error == error && report.destination == outside && report.mtu == mtu)
        #expect(report.reporter == router)
        _ = client.receive()
      }
      // The gateway's own word.
      _ = hearer.tryRefuse(.prohibited, from: datagram.source, to: outside)
      network.scheduler.settle()
      #expect(client.takeDatagramError()?.reporter == (isIPv4 ? network.right.ipv4 : network.right.ipv6))
      _ = client.receive()
      hearer.close()
    }
    network.expectNothingLeft()
  }
}
