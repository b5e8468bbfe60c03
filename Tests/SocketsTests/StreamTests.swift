import Testing

@testable import Sockets

@Suite struct StreamTests {
  @Test(arguments: [true, false]) func bytesArriveBothWaysAndBothSidesClose(isIPv4: Bool) throws {
    let network = try Network()
    do {
      let (listener, client, server) = try network.connect(isIPv4: isIPv4)
      #expect(client.writeAll(Array("hello".utf8)) == .bytes(5))
      #expect(network.scheduler.run { server.isReadable(need: 1) })
      #expect(server.readSome().1 == Array("hello".utf8))
      #expect(server.writeAll(Array("world!".utf8)) == .bytes(6))
      #expect(network.scheduler.run { client.isReadable(need: 1) })
      #expect(client.readSome().1 == Array("world!".utf8))
      client.shutdownSend()
      #expect(network.scheduler.run { server.isReadable(need: 1) })
      #expect(server.readSome().0 == .endOfStream)
      #expect(client.writeAll([1]) == .failed(.brokenPipe), "P3")
      server.close()
      #expect(network.scheduler.run { client.isReadable(need: 1) })
      #expect(client.readSome().0 == .endOfStream)
      listener.close()
    }
    network.expectNothingLeft()
  }

  @Test(arguments: [1, 2]) func aMegabyteArrivesInOrder(contexts: Int) throws {
    let network = try Network(contexts: contexts)
    do {
      let (listener, client, server) = try network.connect()
      let data = Network.pattern(1 << 20)
      var sent = 0
      var received: [UInt8] = []
      received.reserveCapacity(data.count)
      while received.count < data.count {
        while sent < data.count,
          case .bytes(let count) = client.writeAll(Array(data[sent..<min(sent + 50_000, data.count)]))
        {
          sent += count
        }
        #expect(network.scheduler.run { server.isReadable(need: 1) })
        let (outcome, bytes) = server.readSome()
        guard case .bytes = outcome else { Issue.record("read ended with \(outcome)"); break }
        received += bytes
      }
      #expect(received == data)
      client.close()
      server.close()
      listener.close()
    }
    network.expectNothingLeft()
  }
}
