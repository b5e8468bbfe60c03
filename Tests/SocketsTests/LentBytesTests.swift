import Testing

@testable import Sockets

/// Reading without a copy, and writing without one.
@Suite struct LentBytesTests {
  private func pattern(_ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
  }

  @Test func piecesAreLentInOrderAndStayUntilTheyAreTaken() throws {
    let network = try Network()
    do {
      let (listener, client, server) = try network.connect()
      let data = pattern(100_000)
      #expect(client.writeAll(data) == .bytes(data.count))
      var read: [UInt8] = []
      var turn = 0
      while read.count < data.count {
        #expect(network.scheduler.run { server.isReadable(need: 1) })
        turn += 1
        let limit = turn % 3 == 0 ? 1000 : Int.max
        var lent = 0
        let outcome = server.tryConsume(atMost: limit) { span in
          lent += span.byteCount
          // Not all of each: what is left is lent again.
          let count = turn % 2 == 0 ? span.byteCount : (span.byteCount + 1) / 2
          unsafe span.withUnsafeBytes { bytes in unsafe read += bytes[..<count] }
          return count
        }
        guard case .bytes(let count) = outcome else { Issue.record("ended with \(outcome)"); break }
        #expect(count > 0 && lent <= limit)
      }
      #expect(read == data)
      #expect(server.tryConsume { $0.byteCount } == .wouldBlock)
      client.shutdownSend()
      #expect(network.scheduler.run { server.isReadable(need: 1) })
      #expect(server.tryConsume { $0.byteCount } == .endOfStream)
      server.close()
      client.close()
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// A reader that takes nothing is not told of an end that has bytes in front of it.
  @Test func whatNobodyTookStaysInFrontOfTheEnd() throws {
    let network = try Network()
    do {
      let (listener, client, server) = try network.connect()
      #expect(client.writeAll(pattern(10)) == .bytes(10))
      client.shutdownSend()
      network.scheduler.run(milliseconds: 10)
      #expect(server.tryConsume { _ in 0 } == .bytes(0))
      #expect(server.tryConsume(atMost: 4) { $0.byteCount } == .bytes(4))
      #expect(server.readSome().1 == Array(pattern(10)[4...]))
      #expect(server.tryConsume { $0.byteCount } == .endOfStream)
      server.close()
      #expect(server.tryConsume { $0.byteCount } == .failed(.closed))
      client.close()
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// The echo of a service: the bytes are lent by the receive queue while they are written.
  @Test func whatIsLentCanBeWrittenBack() throws {
    let network = try Network()
    do {
      let (listener, client, server) = try network.connect()
      let data = pattern(30_000)
      #expect(client.writeAll(data) == .bytes(data.count))
      var back: [UInt8] = []
      while back.count < data.count {
        #expect(network.scheduler.run { server.isReadable(need: 1) || client.isReadable(need: 1) })
        _ = server.tryConsume { span in
          let written = unsafe span.withUnsafeBytes { unsafe server.tryWrite($0) }
          if case .bytes(let count) = written { return count }
          return 0
        }
        back += client.readSome().1
      }
      #expect(back == data)
      server.close()
      client.close()
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// One copy of the bytes is in memory, however often they are sent, and the account is exact.
  @Test func sharedBytesAreSentAgainAndAgainWithoutACopy() throws {
    let network = try Network()
    do {
      let (listener, client, server) = try network.connect()
      let data = pattern(10_000)
      let layer = network.left.sockets
      let shared = try unsafe data.withUnsafeBytes { try unsafe layer.share($0) }
      let chunks = layer.buffers.chunks.inUse
      #expect(shared.count == data.count && chunks == 3)
      var received: [UInt8] = []
      var sent = 0
      var views = 0
      while received.count < 20 * data.count {
        while sent < 20 * data.count,
          case .bytes(let count) = client.tryWrite(
            shared, from: sent % data.count, count: data.count - sent % data.count)
        {
          sent += count
          views = max(views, layer.buffers.views.inUse)
          #expect(layer.buffers.chunks.inUse == chunks)
        }
        #expect(network.scheduler.run { server.isReadable(need: 1) })
        received += server.readSome().1
      }
      #expect(sent == 20 * data.count && views > 0)
      #expect((0..<20).allSatisfy { Array(received[($0 * data.count)..<(($0 + 1) * data.count)]) == data })
      network.scheduler.run(milliseconds: 100)
      #expect(layer.buffers.views.inUse == 0)
      network.left.expectExactAccount()
      #expect(server.tryWrite(shared, count: 1) == .failed(.otherStack))
      client.close()
      server.close()
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// Who holds the bytes may let go of them while they are on their way.
  @Test func sharedBytesOutliveWhoSharedThem() throws {
    let network = try Network()
    do {
      let (listener, client, server) = try network.connect()
      let data = pattern(10_000)
      do {
        let shared = try unsafe data.withUnsafeBytes { try unsafe network.left.sockets.share($0) }
        #expect(client.tryWrite(shared, count: data.count) == .bytes(data.count))
      }
      var received: [UInt8] = []
      while received.count < data.count {
        #expect(network.scheduler.run { server.isReadable(need: 1) })
        received += server.readSome().1
      }
      #expect(received == data)
      client.close()
      server.close()
      listener.close()
    }
    network.expectNothingLeft()
  }
}
