import Sluice
import Testing

/// TCP in UDP by the interface of tasks.
@Suite struct EncapsulationTests {
  @Test func tasksConnectInUDP() throws {
    let world = try World()
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 7))
    let other = world.address("10.0.0.2", 5000)
    try world.run {
      let listener = try await right.listen(on: address)
      await #expect(throws: SocketError.protocolNotSupported) {
        _ = try await left.connect(to: address, encapsulationPort: 9899)
      }
      try await left.setEncapsulation(TCPEncapsulation(port: 9811))
      try await right.setEncapsulation(TCPEncapsulation(port: 9899))
      let client = try await left.connect(to: address, encapsulationPort: 9899)
      let server = try await listener.accept()
      #expect(client.encapsulationPort == 9899 && server.encapsulationPort == 9811)
      async let reading = server.readAll()
      try await client.write(pattern(100_000))
      client.shutdownSend()
      #expect(try await reading == pattern(100_000))
      let datagram = try await right.bind(to: other)
      await #expect(throws: SocketError.addressInUse) {
        try await right.setEncapsulation(TCPEncapsulation(port: 5000))
      }
      datagram.close()
      server.close()
      client.close()
      listener.close()
    }
    let sent = right.statistics().sockets.first { $0.name == "encapsulatedSent" }
    #expect(sent.map { $0.count > 2 } == true)
    world.end()
  }
}
