import Exclusion
import LinuxDevices
import Sluice
import Testing

/// Two stacks on a serial line: served at the serial level, and TCP and UDP as on any link.
@Suite(.timeLimit(.minutes(5))) struct SerialStackTests {
  private func stack(_ device: SerialDevice, _ address: String) throws -> Stack {
    var configuration = StackConfiguration()
    configuration.interfaces = [StackInterface(device, addresses: [IPPrefix(address)!])]
    let stack = try Stack(configuration)
    try stack.start()
    return stack
  }

  @Test func twoStacksTalkOverAPseudoTerminal() async throws {
    let (left, right) = try SerialDevice.pair()
    let server = try stack(left, "10.1.0.1/30")
    let client = try stack(right, "10.1.0.2/30")
    do {
      let listener = try await server.listen(on: SocketAddress("10.1.0.1:7")!)
      let near = try await client.connect(to: SocketAddress("10.1.0.1:7")!)
      let far = try await listener.accept()
      let bytes = (0..<60_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
      async let sent: Void = near.write(bytes)
      var received: [UInt8] = []
      while received.count < bytes.count, let more = try await far.read() { received += more }
      try await sent
      #expect(received == bytes)
      let answering = try await server.bind(to: SocketAddress("10.1.0.1:9")!)
      let asking = try await client.bind(to: SocketAddress("10.1.0.2:9")!)
      try await asking.send([1, 2, 3], to: answering.localAddress)
      #expect(try await answering.receive().bytes == [1, 2, 3])
      near.close()
      far.close()
    }
    #expect(server.statistics().links.contains { $0.framesReceived > 40 && $0.receiveDrops == 0 })
    for stack in [client, server] {
      let remains = stack.shutdown()
      #expect(remains.isEmpty, "RS-LEAK: \(remains)")
    }
  }
}
