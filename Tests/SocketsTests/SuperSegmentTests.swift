import Devices
import Testing

@testable import Sockets

/// Segments that pass a link as one.
@Suite struct SuperSegmentTests {
  private func transfer(_ network: Network, isIPv4: Bool, writes: Int) throws {
    let (listener, client, server) = try network.connect(isIPv4: isIPv4)
    let data = Network.pattern(1 << 20)
    var (sent, received) = (0, [UInt8]())
    while received.count < data.count {
      while sent < data.count,
        case .bytes(let count) = client.writeAll(Array(data[sent..<min(sent + writes, data.count)]))
      {
        sent += count
      }
      try #require(network.scheduler.run { server.isReadable(need: 1) })
      received += server.readSome(30_000).1
    }
    #expect(received == data)
    client.close()
    server.close()
    listener.close()
  }

  @Test(arguments: [true, false], [50_000, 1300])
  func aMegabyteArrivesInFewFrames(isIPv4: Bool, writes: Int) throws {
    let network = try Network(offloads: .inMemory)
    try transfer(network, isIPv4: isIPv4, writes: writes)
    let frames = network.link.left.counters(queue: 0).framesSent.value
    #expect(frames < 300)
    #expect(network.link.left.counters(queue: 0).bytesSent.value > 1 << 20)
    #expect(network.left.sockets.withCounters(0) { $0.segmentsSent.value } > 718, "each segment counts")
    #expect(network.right.sockets.withCounters(0) { $0.segmentsReceived.value } > 718)
    network.expectNothingLeft()
  }

  /// Those that came in one batch are here: one acknowledgment for four of them, though each would be worth one alone.
  @Test func superSegmentsThatComeTogetherAreAcknowledgedTogether() throws {
    let network = try Network(offloads: .inMemory)
    do {
      let (listener, client, server) = try network.connect()
      for _ in 0..<30 { try network.exchange(client, server, 200_000) }
      let counters = (network.link.left.counters(queue: 0), network.link.right.counters(queue: 0))
      var (text, answers) = (UInt64(0), UInt64(0))
      for _ in 0..<10 {
        let before = (counters.0.framesSent.value, counters.1.framesSent.value)
        #expect(client.writeAll([UInt8](repeating: 7, count: 200_000)) == .bytes(200_000))
        network.scheduler.settle()
        // Before anything is read, which may be worth a segment of its own.
        text += counters.0.framesSent.value - before.0
        answers += counters.1.framesSent.value - before.1
        while server.isReadable(need: 1) { _ = server.readSome(200_000) }
        network.scheduler.settle()
      }
      #expect(text >= 10 * 4)
      #expect(answers * 2 <= text)
      client.close()
      server.close()
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// Segments that do not lie in a packet's slot: whole over a link that gathers, also where their bytes were written
  /// in so many pieces that a packet does not take them; each is smaller than the link's largest where it does not.
  @Test(arguments: [true, false], [9000, 65_520])
  func aLargeLinkCarriesLargeSegments(isIPv4: Bool, mtu: Int) throws {
    for (offloads, writes) in [
      (DeviceOffloads.gathering, 50_000), (.gathering, 700), ([.inMemory, .gathering], 50_000),
    ] {
      let network = try Network(offloads: offloads, mtu: mtu)
      try transfer(network, isIPv4: isIPv4, writes: writes)
      let sent = network.link.left.counters(queue: 0)
      #expect(sent.bytesSent.value > 1 << 20)
      if writes == 50_000 { #expect(sent.framesSent.value < 2 * (1 << 20) / UInt64(min(mtu, 50_000))) }
      network.expectNothingLeft()
    }
    let network = try Network(mtu: mtu)
    try transfer(network, isIPv4: isIPv4, writes: 50_000)
    #expect(network.link.left.counters(queue: 0).framesSent.value > (1 << 20) / 1856)
    network.expectNothingLeft()
  }

  @Test func aLinkWithoutOffloadsCarriesSegments() throws {
    let network = try Network()
    try transfer(network, isIPv4: true, writes: 50_000)
    #expect(network.link.left.counters(queue: 0).framesSent.value > 718)
    network.expectNothingLeft()
  }
}
