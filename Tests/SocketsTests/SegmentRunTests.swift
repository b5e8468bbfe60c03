import SoftInterrupts
import Sockets
import Testing
import Wire

/// Segments that come in a row enter their connection once. What that saves, and what it must not change.
@Suite struct SegmentRunTests {
  /// Fourteen segments of a write come in a few batches: one of every second is not acknowledged, and the gate is entered
  /// for a fraction of them.
  @Test func aBatchIsAcknowledgedAsOne() throws {
    let network = try Network()
    do {
      let (listener, client, server) = try network.connect()
      for _ in 0..<10 { try network.exchange(client, server, 20_000) }
      let before = (network.link.left.counters(queue: 0).framesSent.value, acknowledgments(network))
      for _ in 0..<40 { try network.exchange(client, server, 20_000) }
      let segments = network.link.left.counters(queue: 0).framesSent.value - before.0
      #expect(segments >= 40 * 14)
      #expect((acknowledgments(network) - before.1) * 3 < segments)
      withExtendedLifetime(listener) {}
      close([client, server])
      listener.close()
    }
    network.expectNothingLeft()
  }
  private func acknowledgments(_ network: Network) -> UInt64 {
    network.link.right.counters(queue: 0).framesSent.value
  }

  /// A run ends where a segment of another connection comes: each gets its own, whole and in order.
  @Test(arguments: [1, 3]) func RX_ORDER_connectionsTakeTurnsInABatch(contexts: Int) throws {
    let network = try Network(contexts: contexts, steering: contexts > 1 ? .home : .none)
    do {
      let (listener, first, peer) = try network.connect()
      var pairs = [(first, peer)]
      for _ in 0..<3 {
        let client = try network.wait(
          network.left.sockets.connect(to: network.address(of: network.right, 7, isIPv4: true)))
        pairs.append((client, try network.accept(listener)))
      }
      for round in 0..<30 {
        // Little pieces of all of them, in one batch.
        for piece in 0..<4 {
          for (number, pair) in pairs.enumerated() {
            #expect(pair.0.writeAll(text(number, round * 4 + piece)) == .bytes(1000))
          }
        }
        network.scheduler.settle()
        for (number, pair) in pairs.enumerated() {
          var received: [UInt8] = []
          while received.count < 4000 {
            try #require(network.scheduler.run { pair.1.isReadable(need: 1) })
            received += pair.1.readSome().1
          }
          #expect(received == (0..<4).flatMap { text(number, round * 4 + $0) })
        }
      }
      close(pairs.flatMap { [$0.0, $0.1] })
      listener.close()
    }
    network.expectNothingLeft()
  }
  private func text(_ number: Int, _ piece: Int) -> [UInt8] {
    (0..<1000).map { UInt8(truncatingIfNeeded: $0 * 7 + number * 31 + piece * 11) }
  }

  /// What ends a connection in the middle of a run ends it there: the segments behind it meet what they would have met.
  @Test func aResetEndsTheRun() throws {
    let network = try Network()
    do {
      let (listener, client, server) = try network.connect()
      try network.exchange(client, server, 20_000)
      #expect(client.writeAll([UInt8](repeating: 1, count: 5000)) == .bytes(5000))
      client.abort()
      #expect(network.scheduler.run { server.failure != nil })
      #expect(server.failure == .connectionReset)
      close([client, server])
      listener.close()
    }
    network.expectNothingLeft()
  }

  private func close(_ streams: [StreamSocket]) { for stream in streams { stream.close() } }
}
