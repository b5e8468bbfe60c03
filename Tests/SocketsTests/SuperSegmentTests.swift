import Devices
import Testing

@testable import Sockets

/// Segments that pass a link as one.
@Suite struct SuperSegmentTests {
  private func transfer(_ network: Network, isIPv4: Bool, writes: Int) throws {
    let (listener, client, server) = try network.connect(isIPv4: isIPv4)
    let data = (0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
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

  @Test func aLinkWithoutOffloadsCarriesSegments() throws {
    let network = try Network()
    try transfer(network, isIPv4: true, writes: 50_000)
    #expect(network.link.left.counters(queue: 0).framesSent.value > 718)
    network.expectNothingLeft()
  }
}
