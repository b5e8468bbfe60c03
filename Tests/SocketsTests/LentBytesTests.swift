import Testing

@testable import Sockets

/// Reading without a copy, and writing without one.
@Suite struct LentBytesTests {
  private func pattern(_ count: Int) -> [UInt8] { Network.pattern(count) }

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

  /// All that is there, in one call; and what is taken ends within a piece, between two, or nowhere.
  @Test func manyPiecesAreLentAtOnce() throws {
    let network = try Network()
    do {
      let (listener, client, server) = try network.connect()
      let data = pattern(100_000)
      #expect(client.writeAll(data) == .bytes(data.count))
      var read: [UInt8] = []
      var (most, turn) = (0, 0)
      while read.count < data.count {
        turn += 1
        try #require(network.scheduler.run { server.isReadable(need: 1) })
        let limit = turn % 3 == 0 ? 1000 : Int.max
        let outcome = unsafe server.tryConsumePieces(atMost: limit) { pieces in
          most = max(most, pieces.count)
          var bytes: [UInt8] = []
          for index in pieces.indices { unsafe bytes += pieces[index] }
          #expect(bytes.count <= limit && pieces.count <= ReceiveQueue.lentPieces)
          let count = turn % 4 == 0 ? 0 : turn % 2 == 0 ? bytes.count : (bytes.count + 2) / 3
          read += bytes[..<count]
          return count
        }
        guard case .bytes = outcome else { Issue.record("ended with \(outcome)"); break }
      }
      #expect(read == data && most > 2)
      #expect(unsafe server.tryConsumePieces(atMost: 1) { _ in 1 } == .wouldBlock)
      #expect(server.memory.receive == 0)
      client.shutdownSend()
      #expect(network.scheduler.run { server.isReadable(need: 1) })
      #expect(unsafe server.tryConsumePieces(atMost: 1) { _ in 1 } == .endOfStream)
      server.close()
      #expect(unsafe server.tryConsumePieces(atMost: 1) { _ in 1 } == .failed(.closed))
      client.close()
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// Bytes are put where they are sent from; memory that was not filled is nobody's, and a full buffer is not asked.
  @Test func whatIsFilledIsSent() throws {
    let network = try Network()
    do {
      let (listener, client, server) = try network.connect()
      let data = pattern(40_000)
      let chunk = StreamSocket.filledAtLeast
      var written = 0
      func fill(_ wanted: Int, atMost limit: Int) -> WriteOutcome {
        unsafe client.tryWrite(filling: wanted) { places in
          var filled = 0
          for index in places.indices {
            let place = unsafe places[index]
            let count = min(place.count, limit - filled, data.count - written - filled)
            for byte in 0..<count { unsafe place[byte] = data[written + filled + byte] }
            filled += count
          }
          written += filled
          return filled
        }
      }
      #expect(fill(10 * chunk, atMost: 0) == .bytes(0))
      #expect(client.memory.send == 0)
      #expect(fill(10 * chunk, atMost: 5) == .bytes(5))
      #expect(client.memory.send == 4096)
      #expect(fill(10 * chunk, atMost: chunk + 1) == .bytes(chunk + 1))
      #expect(client.memory.send == 3 * 4096)
      var read: [UInt8] = []
      while written < data.count {
        switch fill(3 * chunk, atMost: .max) {
        case .bytes(let count): #expect(count > 0)
        case .wouldBlock: network.scheduler.run(milliseconds: 5)
        case .failed(let error): throw error
        }
        read += server.readSome().1
      }
      while read.count < data.count {
        #expect(network.scheduler.run { server.isReadable(need: 1) })
        read += server.readSome().1
      }
      #expect(read == data)
      network.scheduler.run(milliseconds: 500)
      #expect(client.memory.send == 0)
      // Nobody reads: the peer's window closes, and then the buffer is full.
      var (calls, rounds) = (0, 0)
      while rounds < 10_000 {
        let outcome = unsafe client.tryWrite(filling: 100_000) { places in
          calls += 1
          var count = 0
          for index in places.indices { count += unsafe places[index].count }
          return count
        }
        if outcome == .wouldBlock { break }
        rounds += 1
        network.scheduler.run(milliseconds: 1)
      }
      #expect(calls == rounds && rounds > 1)
      #expect(!client.isWritable(need: 1))
      client.abort()
      #expect(unsafe client.tryWrite(filling: 1) { _ in 1 } == .failed(.closed))
      server.close()
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
