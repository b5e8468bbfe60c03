import TCP
import Testing
import Timing
import Wire

@testable import Sockets

/// Signed segments from socket to socket: RFC 2385.
@Suite struct SignatureTests {
  private func key(_ network: String, _ length: UInt8, _ text: String) throws -> TCPSignatureKey {
    let secret = try #require(TCPSecret(text.utf8))
    return TCPSignatureKey(network: IPAddress(network)!, prefixLength: length, secret: secret)
  }
  private func listen(_ network: Network, _ keys: [TCPSignatureKey]) throws -> ListeningSocket {
    try network.listen { $0.signatures = keys }
  }
  private func connect(_ network: Network, _ keys: [TCPSignatureKey]) throws -> StreamSocket {
    try network.connect { $0.signatures = keys }
  }

  // Rules: RFC 2385 2-1, 2-2; RFC 5925 8-2
  @Test func bothWaysToTheEnd() throws {
    let network = try Network()
    do {
      let listener = try listen(network, [key("0.0.0.0", 0, "secret")])
      let client = try connect(network, [key("0.0.0.0", 0, "secret")])
      let server = try network.accept(listener)
      #expect(client.isConnected)
      try network.exchange(client, server, 100_000)
      #expect(server.writeAll(Array("bye".utf8)) == .bytes(3))
      server.shutdownSend()
      #expect(network.scheduler.run { client.isReadable(need: 3) })
      #expect(client.readSome().1 == Array("bye".utf8))
      client.close()
      server.close()
      listener.close()
      for name in ["signatures_missing", "signatures_unexpected", "signatures_wrong"] {
        #expect(network.counted(name) == 0)
      }
    }
    network.expectNothingLeft()
  }

  /// Wrong, missing or unexpected: no connection, and what was wrong is counted.
  // Rules: RFC 2385 2-2, 2-3, 2-4
  @Test func withoutTheSameSecretThereIsNothing() throws {
    for (left, right, name): (String?, String?, String) in [
      ("secret", "another", "signatures_wrong"), (nil, "secret", "signatures_missing"),
      ("secret", nil, "signatures_unexpected"),
    ] {
      let network = try Network()
      do {
        let listener = try listen(network, right.map { [try key("0.0.0.0", 0, $0)] } ?? [])
        let client = try connect(network, left.map { [try key("0.0.0.0", 0, $0)] } ?? [])
        network.scheduler.run(milliseconds: 5000)
        #expect(!client.isConnected && network.counted(name) > 1, "\(name)")
        #expect(network.counted("syns_kept") == 0 && network.counted("resets_sent") == 0)
        client.abort()
        listener.close()
      }
      network.expectNothingLeft()
    }
  }

  /// A reset counts only with the signature, also when the connection is over and waits.
  // Rules: RFC 2385 2-3, 4.1-1
  @Test func resetsAndOldConnectionsAreProtected() throws {
    let network = try Network()
    do {
      let listener = try listen(network, [key("0.0.0.0", 0, "secret")])
      let client = try connect(network, [key("0.0.0.0", 0, "secret")])
      let server = try network.accept(listener)
      let peer = Stranger("\(client.localAddress.address)", port: client.localAddress.port)
      // Whatever number it has: it is not looked at.
      for sequence in [UInt32(1), 0x8000_0000] {
        network.inject(peer, to: 80, [.rst, .ack], sequence: sequence)
        network.inject(peer, to: 80, .syn, sequence: sequence)
      }
      #expect(network.counted("signatures_missing") == 4)
      #expect(server.failure == nil && client.writeAll([1]) == .bytes(1))
      #expect(network.scheduler.run { server.isReadable(need: 1) })
      client.close()
      server.close()
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// Others than the listener's peers are not asked for signatures.
  @Test func othersAreNotConcerned() throws {
    let network = try Network()
    do {
      let listener = try listen(network, [key("192.0.2.0", 24, "secret")])
      let client = try connect(network, [])
      let server = try network.accept(listener)
      let peer = Stranger("192.0.2.7")
      network.syn(peer, to: 80)
      #expect(network.counted("signatures_missing") == 1 && network.counted("half_open") == 0)
      client.close()
      server.close()
      listener.close()
    }
    network.expectNothingLeft()
  }
}
