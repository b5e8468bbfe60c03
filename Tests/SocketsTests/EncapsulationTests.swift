import Buffers
import Exclusion
import Internet
import SoftInterrupts
import TCP
import Testing
import Timing
import Wire

@testable import Sockets

/// TCP in UDP from socket to socket, and what comes otherwise than it should.
@Suite struct EncapsulationTests {
  private static let left: UInt16 = 9811, right: UInt16 = 9899

  /// Two hosts with a port for segments in UDP each.
  private func network(
    contexts: Int = 1, steering: ReceiveSteering = .none,
    _ adjust: (inout SocketConfiguration) -> Void = { _ in }
  ) throws -> Network {
    try Network(contexts: contexts, steering: steering) {
      $0.encapsulation = TCPEncapsulation(port: $0.seed == 1 ? Self.left : Self.right)
      adjust(&$0)
    }
  }
  private func connect(
    _ network: Network, isIPv4: Bool = true, port: UInt16 = right
  ) throws -> StreamSocket {
    try network.connect(isIPv4: isIPv4) { $0.encapsulationPort = port }
  }
  private func count(_ host: Host, _ name: String) -> UInt64 {
    (0..<host.contexts.count).reduce(0) { sum, index in
      sum + (host.sockets.withCounters(index) { $0.all }.first { $0.name == name }?.value ?? 0)
    }
  }

  @Test(arguments: [true, false]) func bothWaysToTheEnd(_ isIPv4: Bool) throws {
    let network = try network()
    do {
      let listener = try network.listen(isIPv4: isIPv4) { _ in }
      let client = try connect(network, isIPv4: isIPv4)
      let server = try network.accept(listener)
      #expect(client.isConnected)
      #expect(client.encapsulationPort == Self.right && server.encapsulationPort == Self.left)
      try network.exchange(client, server, 200_000)
      client.shutdownSend()
      #expect(network.scheduler.run { server.isReadable(need: 1) })
      try network.exchange(server, client, 200_000)
      // UDP's header takes eight bytes of each packet.
      #expect(client.informationAtRest.sendSegment == 1500 - (isIPv4 ? 40 : 60) - 12 - 8)
      server.close()
      client.close()
      listener.close()
      for host in [network.left, network.right] {
        #expect(count(host, "encapsulated_sent") == count(host, "segments_sent"))
        #expect(count(host, "encapsulated_received") == count(host, "segments_received"))
        for name in ["checksum_errors", "encapsulated_dropped", "encapsulation_mismatches", "resets_sent"] {
          #expect(count(host, name) == 0, "\(name)")
        }
      }
    }
    network.expectNothingLeft()
  }

  /// Where packets are steered segments in UDP come to their flow's home as others do.
  @Test func segmentsAreSteered() throws {
    let network = try network(contexts: 3, steering: .home)
    do {
      let listener = try network.listen { _ in }
      for _ in 0..<4 {
        let client = try connect(network)
        let server = try network.accept(listener)
        try network.exchange(client, server, 50_000)
        try network.exchange(server, client, 50_000)
        client.close()
        server.close()
      }
      listener.close()
      #expect(count(network.right, "encapsulation_mismatches") == 0)
    }
    network.expectNothingLeft()
  }

  /// A connection that has come to rest goes on in UDP.
  @Test func restingConnectionsKeepTheirPort() throws {
    let network = try network { $0.rest.after = .milliseconds(100) }
    do {
      let listener = try network.listen { _ in }
      let client = try connect(network)
      let server = try network.accept(listener)
      try network.exchange(client, server, 1000)
      network.scheduler.run(milliseconds: 2000)
      #expect(count(network.right, "rests") > 0)
      try network.exchange(server, client, 1000)
      try network.exchange(client, server, 1000)
      #expect(count(network.right, "encapsulated_sent") == count(network.right, "segments_sent"))
      client.close()
      server.close()
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// The port is no socket's, and a socket's port is not to be had for it.
  @Test func thePortIsClaimed() throws {
    let network = try network()
    do {
      let (sockets, scheduler) = (network.right.sockets, network.scheduler)
      for name in ["0.0.0.0", "[::]", "10.0.0.2"] {
        let answer = sockets.bindDatagram(to: SocketAddress("\(name):\(Self.right)")!)
        #expect(scheduler.run { answer.isReady })
        #expect(throws: SocketError.addressInUse) { _ = try answer.take()!.get() }
      }
      let datagram = try network.wait(sockets.bindDatagram(to: SocketAddress("0.0.0.0:5000")!))
      let refused = sockets.setEncapsulation(TCPEncapsulation(port: 5000))
      #expect(scheduler.run { refused.isReady })
      #expect(throws: SocketError.addressInUse) { try refused.take()!.get() }
      #expect(sockets.encapsulation?.port == Self.right)
      // TCP's ports are others.
      let listener = try network.wait(sockets.listen(on: SocketAddress("0.0.0.0:\(Self.right)")!))
      try network.wait(sockets.setEncapsulation(TCPEncapsulation(port: 5001, overhead: 40)))
      #expect(sockets.encapsulation == TCPEncapsulation(port: 5001, overhead: 40))
      let free = try network.wait(sockets.bindDatagram(to: SocketAddress("0.0.0.0:\(Self.right)")!))
      free.close()
      datagram.close()
      listener.close()
      #expect(TCPEncapsulation(port: 0) == nil && TCPEncapsulation(port: 1, overhead: 7) == nil)
      #expect(TCPEncapsulation(port: 1, overhead: 1025) == nil)
    }
    network.expectNothingLeft()
  }

  /// Without a port of one's own there is nothing to connect by, nor to go on by.
  @Test func withoutAPortThereIsNothing() throws {
    let network = try network()
    do {
      let listener = try network.listen { _ in }
      let client = try connect(network)
      let server = try network.accept(listener)
      try network.exchange(client, server, 10)
      try network.wait(network.left.sockets.setEncapsulation(nil))
      #expect(client.writeAll([1]) == .bytes(1))
      network.scheduler.run(milliseconds: 1000)
      #expect(count(network.left, "encapsulated_dropped") > 0 && !server.isReadable(need: 1))
      let late = try connect(network)
      #expect(network.scheduler.run { late.failure != nil })
      #expect(late.failure == .protocolNotSupported)
      let address = network.address(of: network.right, 80, isIPv4: true)
      let answer = network.left.sockets.connect(to: address, encapsulationPort: Self.right)
      #expect(network.scheduler.run { answer.isReady })
      #expect(throws: SocketError.protocolNotSupported) { _ = try answer.take()!.get() }
      // From another port: the peer refuses what it does not know from there.
      try network.wait(network.left.sockets.setEncapsulation(TCPEncapsulation(port: 4242)))
      network.scheduler.run(milliseconds: 10_000)
      #expect(count(network.right, "encapsulation_mismatches") > 0)
      #expect(client.failure == .connectionReset && server.failure == nil)
      for socket in [client, server, late] { socket.abort() }
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// Who listens for nothing refuses in UDP; a socket that connects in IP is not a peer's in UDP.
  @Test func nobodyIsThere() throws {
    let network = try network()
    do {
      let client = try connect(network)
      #expect(network.scheduler.run { client.failure != nil })
      #expect(client.failure == .connectionRefused)
      #expect(count(network.right, "encapsulated_sent") == 1)
      let listener = try network.listen { _ in }
      let plain = try network.connect { _ in }
      let server = try network.accept(listener)
      #expect(server.encapsulationPort == 0)
      try network.exchange(plain, server, 1000)
      #expect(count(network.right, "encapsulated_sent") == 1)
      plain.close()
      server.close()
      client.close()
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// Datagrams that carry no segment, or damaged ones.
  @Test func whatIsNoSegmentIsCounted() throws {
    let network = try network()
    do {
      let listener = try network.listen { _ in }
      let peer = Stranger("192.0.2.7")
      for (bytes, port, hasChecksum) in [
        ([UInt8](), UInt16(7), true), ([UInt8](repeating: 0, count: 19), 7, true),
        ([UInt8](repeating: 0xFF, count: 20), 7, true), ([UInt8](repeating: 0, count: 40), 0, true),
        ([UInt8](repeating: 0x50, count: 40), 7, false),
      ] { inject(network, peer, bytes, from: port, hasChecksum: hasChecksum) }
      #expect(network.counted("segments_malformed") == 3)
      #expect(network.counted("encapsulated_dropped") == 1)
      // Without UDP's checksum the segment's own counts.
      #expect(network.counted("checksum_errors") == 1)
      #expect(network.counted("syns_kept") == 0)
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// A datagram for the right host's port.
  private func inject(
    _ network: Network, _ peer: Stranger, _ bytes: [UInt8], from port: UInt16, hasChecksum: Bool
  ) {
    let (source, destination) = (peer.address, network.right.ipv4)
    network.right.contexts.perform(on: 0) { cx in
      guard var packet = cx.pool.allocate() else { return }
      packet.append(UDPHeader.byteCount + bytes.count)
      var span = packet.mutableBytes
      UDPHeader(sourcePort: port, destinationPort: Self.right, payloadByteCount: bytes.count)
        .emit(into: &span)
      for (offset, byte) in bytes.enumerated() { span.set(byte, at: UDPHeader.byteCount + offset) }
      if hasChecksum {
        InternetChecksum.seal(
          &span, at: UDPHeader.checksumOffset, source: source, destination: destination, protocol: .udp)
      }
      packet.metadata.source = source
      packet.metadata.destination = destination
      packet.metadata.arrival = cx.now
      packet.metadata.interface = 2
      SocketInput.udp(packet, &cx)
      SocketInput.finishRun(&cx)
    }
    network.scheduler.settle()
  }

  /// UDP's checksum from the segment's is the one that summing every byte gives, for each length and family.
  @Test func theChecksumIsWhatSummingGives() throws {
    let contexts = try ContextSet(ContextConfiguration(timeSource: VirtualClock()))
    let scheduler = ManualScheduler(clock: VirtualClock())
    scheduler.add(contexts)
    for (source, destination) in [("10.0.0.1", "192.0.2.77"), ("fd00::1", "2001:db8:ffff::2")] {
      for count in [0, 1, 2, 3, 57, 1400] {
        for seed in 0..<40 as Range<UInt32> {
          let key = FlowKey(
            localAddress: IPAddress(source)!, localPort: UInt16(truncatingIfNeeded: seed &* 7919),
            remoteAddress: IPAddress(destination)!, remotePort: 80,
            encapsulation: UInt16(truncatingIfNeeded: 1 + seed &* 40503))
          contexts.perform(on: 0) { cx in
            guard var packet = cx.pool.allocate() else { return }
            packet.append(count)
            var span = packet.mutableBytes
            for offset in 0..<count {
              span.set(UInt8(truncatingIfNeeded: seed &* 31 &+ UInt32(offset)), at: offset)
            }
            let header = TCPHeader(
              sourcePort: key.localPort, destinationPort: 80, sequence: SequenceNumber(seed &* 2_654_435_761),
              acknowledgment: SequenceNumber(9), flags: .ack, window: 1, options: TCPOptions())
            SegmentBuilder.finish(header, from: key.localAddress, to: key.remoteAddress, into: &packet)
            SegmentBuilder.encapsulate(&packet, key, from: 9811)
            let view = try? UDPView(packet.bytes)
            #expect(
              view?.isChecksumValid(source: key.localAddress, destination: key.remoteAddress) == true,
              "\(count) bytes, \(seed)")
            #expect(view?.checksum != 0 && packet.bytes.uint16(at: 24) == 0)
          }
          scheduler.settle()
        }
      }
    }
  }
}
