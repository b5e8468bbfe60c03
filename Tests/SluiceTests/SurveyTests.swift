import Sluice
import Testing

/// What a stack tells of its connections while it runs.
@Suite(.timeLimit(.minutes(5))) struct SurveyTests {
  @Test(arguments: [1, 3]) func connectionsTellWhatTheirEnginesKnow(contexts: Int) throws {
    let world = try World(contexts: contexts)
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 7))
    try world.run {
      let listener = try await right.listen(on: address)
      var streams: [TCPStream] = []
      for number in 1...20 {
        async let accepted = listener.accept()
        let client = try await left.connect(to: address)
        let server = try await accepted
        try await client.write([UInt8](repeating: 1, count: number * 100))
        var read = 0
        while read < number * 100 { read += try await server.read(atMost: 10_000)?.count ?? 0 }
        streams += [client, server]
      }
      // What nobody has read is there to be seen.
      try await streams[1].write([1, 2, 3])
      let reports = try await left.contextReports()
      #expect(reports.count == contexts)
      let found = reports.flatMap(\.connections)
      #expect(
        Set(found.map(\.summary.local))
          == Set(stride(from: 0, to: 40, by: 2).map { streams[$0].localAddress }))
      #expect(found.count == 20 && found.allSatisfy { $0.summary.state == .established })
      for report in found {
        let info = try #require(report.info)
        let number = (streams.firstIndex { $0.localAddress == report.summary.local } ?? 0) / 2 + 1
        #expect(info.counters.bytesSent == UInt64(number * 100) && info.congestionWindow > 0)
      }
      #expect(left.connectionCount == 20)
      // So many of each context, and no more; none at all is no mistake.
      #expect(try await left.contextReports(limit: 2).allSatisfy { $0.connections.count <= 2 })
      #expect(try await left.contextReports(limit: 0).allSatisfy { $0.connections.isEmpty })
      for stream in streams { stream.abort() }
      listener.close()
    }
    world.end()
    #expect(throws: SocketError.networkDown) { _ = try left.blocking.contextReports() }
  }

  /// More than one pass's worth, some of them at rest, which they stay.
  @Test func connectionsAtRestTellToo() throws {
    let world = try World { $0.sockets.rest.after = .zero }
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 7))
    try world.run {
      let listener = try await right.listen(on: address)
      var streams: [TCPStream] = []
      for _ in 0..<300 {
        async let accepted = listener.accept()
        streams.append(try await left.connect(to: address))
        streams.append(try await accepted)
      }
      let ended = left.statistics().sockets.first { $0.name == "restsEnded" }?.count
      let found = try await left.contextReports().flatMap(\.connections)
      #expect(found.count == 300 && found.allSatisfy { $0.info?.state == .established })
      #expect(left.statistics().sockets.first { $0.name == "restsEnded" }?.count == ended)
      for stream in streams { stream.abort() }
      listener.close()
    }
    world.end()
  }
}
