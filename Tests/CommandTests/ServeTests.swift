import Sluice
import Testing

@testable import SluiceCommand

@Suite struct ServeOptionTests {
  private func serve(_ arguments: String...) throws -> ServeCommand { try ServeCommand.parse(arguments) }
  private func refusal(_ arguments: String...) -> String {
    do {
      _ = try ServeCommand.parse(arguments)
      return ""
    } catch {
      return ServeCommand.message(for: error)
    }
  }

  @Test func aLinkHasAddressesOfBothFamiliesAndRouters() throws {
    let options = try serve(
      "--tap", "tap0", "--address", "10.0.5.2/24", "--address", "fd00:5::2/64", "--gateway", "10.0.5.1",
      "--gateway", "fe80::1", "--contexts", "2")
    #expect(try options.link() == .tap("tap0") && options.queueCount == 2)
    let addresses = try options.addresses()
    #expect(addresses.map(\.description) == ["10.0.5.2/24", "fd00:5::2/64"])
    #expect(try options.routes(addresses).map(\.destination.description) == ["0.0.0.0/0", "::/0"])
    #expect(try options.station(addresses) == MACAddress("02:00:0a:00:05:02"))
    #expect(try serve("--interface", "eth1", "--address", "fd00:5::102/64").link() == .interface("eth1"))
    #expect(try serve("--xdp", "eth1", "--address", "fd00:5::102/64").link() == .xdp("eth1"))
    let other = try serve("--tap", "t", "--address", "fd00:5::102/64", "--queues", "3", "--contexts", "2")
    #expect(try other.station(other.addresses()) == MACAddress("02:00:00:00:01:02") && other.queueCount == 3)
  }

  @Test func segmentsInARowAreJoined() throws {
    let link = ["--tap", "t", "--address", "10.0.0.1/8"]
    #expect(try ServeCommand.parse(link).join == .none)
    #expect(try ServeCommand.parse(link + ["--join", "threaded"]).join == .threaded)
    #expect(refusal("--tap", "t", "--address", "10.0.0.1/8", "--join", "some").contains("held"))
  }

  @Test func servicesHaveTheirPorts() throws {
    let link = ["--tap", "t", "--address", "10.0.0.1/8"]
    #expect(try ServeCommand.parse(link).ports() == StreamServicePort.usual)
    #expect(
      try ServeCommand.parse(link + ["--services", "echo=1,source=65535"]).ports()
        == [.init(service: .echo, port: 1), .init(service: .source, port: 65535)])
    for wrong in ["", "echo", "echo=", "echo=0", "echo=65536", "tea=1", "echo=1,sink=1", "echo=1,"] {
      #expect(
        refusal("--tap", "t", "--address", "10.0.0.1/8", "--services", wrong).contains("chargen"), "\(wrong)")
    }
  }

  @Test(arguments: [
    ([], "no link"), (["--tap", "t", "--interface", "e"], "there is one"),
    (["--tap", "t", "--xdp", "e"], "there is one"), (["--tap", "t"], "no address"),
    (["--tap", "t", "--address", "10.0.0.1"], "10.0.5.2/24"),
    (["--tap", "t", "--address", "224.0.0.1/4"], "10.0.5.2/24"),
    (["--tap", "t", "--address", "10.0.0.1/8", "--gateway", "11.0.0.1"], "on no link"),
    (["--tap", "t", "--address", "10.0.0.1/8", "--mac", "01:00:00:00:00:01"], "station"),
    (["--tap", "t", "--address", "10.0.0.1/8", "--mtu", "100"], "576"),
    (["--tap", "t", "--address", "10.0.0.1/8", "--queues", "17"], "1 to 16"),
    (["--tap", "t", "--address", "10.0.0.1/8", "--limit", "0"], "1 to 1000000"),
    (["--tap", "t", "--address", "10.0.0.1/8", "--sysctl", "no=1"], "not a setting"),
  ])
  func whatMakesNoSenseIsRefused(_ arguments: [String], _ words: String) {
    do {
      _ = try ServeCommand.parse(arguments)
      Issue.record("taken: \(arguments)")
    } catch {
      #expect(ServeCommand.message(for: error).contains(words))
    }
  }
}

/// The services on the loopback interface of a stack, on the threads of its contexts.
@Suite(.timeLimit(.minutes(5))) struct StreamServiceTests {
  private func withServices(
    limit: Int = 100,
    _ body: (Stack, StreamServices, _ connect: (UInt16) async throws -> TCPStream) async throws -> Void
  ) async throws {
    var configuration = StackConfiguration()
    configuration.contexts = 2
    let stack = try Stack(configuration)
    let services = StreamServices(StreamServicePort.usual, in: stack)
    try stack.start()
    try services.start(limit: limit)
    let outcome: Result<Void, any Error>
    do {
      outcome = .success(
        try await body(stack, services) { port in
          try await stack.connect(to: SocketAddress(IPAddress("::1")!, port: port))
        })
    } catch {
      outcome = .failure(error)
    }
    services.stop()
    #expect(stack.shutdown().isEmpty, "RS-LEAK")
    #expect(stack.statistics().wakeups.wasted == 0)
    try outcome.get()
  }
  private func total(_ services: StreamServices, _ field: KeyPath<StreamServices.Statistics, UInt64>)
    -> UInt64
  {
    services.statistics.reduce(0) { $0 + $1[keyPath: field] }
  }

  @Test(arguments: [7, 7007] as [UInt16]) func echoGivesBackEverything(port: UInt16) async throws {
    try await withServices { _, services, connect in
      let bytes = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
      let stream = try await connect(port)
      async let writing: Void = {
        try await stream.write(bytes)
        stream.shutdownSend()
      }()
      var back: [UInt8] = []
      for try await chunk in stream.chunks() { back += chunk }
      try await writing
      #expect(back == bytes)
      #expect(total(services, \.bytesTaken) == 2_000_000 && total(services, \.bytesGiven) == 2_000_000)
      stream.close()
    }
  }

  @Test func sinkTakesAndSourcesGive() async throws {
    try await withServices { _, services, connect in
      for port in [9, 7009] as [UInt16] {
        let sink = try await connect(port)
        try await sink.write([UInt8](repeating: 1, count: 3_000_000))
        sink.shutdownSend()
        #expect(try await sink.read() == nil)
      }
      #expect(total(services, \.bytesTaken) == 6_000_000 && total(services, \.finished) == 2)
      for (port, expected) in [(19, ChargenService.lines), (7019, [UInt8](repeating: 0x78, count: 100))] {
        let source = try await connect(UInt16(port))
        var read: [UInt8] = []
        while read.count < 1_000_000, let bytes = try await source.read() { read += bytes }
        let wrong = read.indices.first { read[$0] != expected[$0 % expected.count] }
        #expect(wrong == nil, "port \(port), of \(read.count)")
        source.abort()
      }
    }
  }

  /// What came and that nothing more will come is told once, together.
  @Test func theEndIsSeenBehindTheLastBytes() async throws {
    try await withServices { _, services, connect in
      for port in [7, 9] as [UInt16] {
        for size in 1...50 {
          let stream = try await connect(port)
          try await stream.write([UInt8](repeating: 1, count: size * 100))
          stream.shutdownSend()
          var back = 0
          while let bytes = try await stream.read() { back += bytes.count }
          #expect(back == (port == 7 ? size * 100 : 0))
          stream.close()
        }
      }
      #expect(total(services, \.finished) == 100)
    }
  }

  @Test func manyAtOnceAreAllServedAndThoseBeyondTheLimitAreReset() async throws {
    try await withServices(limit: 40) { _, services, connect in
      var streams: [TCPStream] = []
      var (served, reset) = (0, 0)
      for number in 0..<100 {
        do {
          let stream = try await connect(7007)
          streams.append(stream)
          try await stream.write([UInt8(number)])
          #expect(try await stream.read() == [UInt8(number)])
          served += 1
        } catch {
          // Told while it connects, writes or reads.
          reset += 1
        }
      }
      #expect(
        served + reset == 100 && (40...80).contains(served), "40 for each of two contexts, which share them")
      #expect(total(services, \.open) == UInt64(served) && total(services, \.refused) == UInt64(reset))
      streams = []
    }
  }

  /// A client of iperf3's, by hand: two streams, either way.
  @Test(arguments: [false, true]) func iperfIsServed(isReverse: Bool) async throws {
    try await withServices { _, services, connect in
      let cookie = [UInt8](repeating: 0x61, count: 36) + [0]
      func word(_ text: String) -> [UInt8] { [0, 0, 0, UInt8(text.utf8.count)] + Array(text.utf8) }
      func read(_ stream: TCPStream, _ count: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count, let more = try await stream.read(atMost: count - bytes.count) {
          bytes += more
        }
        return bytes
      }
      let control = try await connect(5201)
      try await control.write(cookie)
      #expect(try await read(control, 1) == [9], "parameters")
      let parameters = "{\"tcp\":true, \"parallel\": 2" + (isReverse ? ",\"reverse\":true}" : "}")
      try await control.write(word(parameters))
      #expect(try await read(control, 1) == [10], "streams")
      var streams: [TCPStream] = []
      for _ in 0..<2 {
        let stream = try await connect(5201)
        try await stream.write(cookie)
        streams.append(stream)
      }
      #expect(try await read(control, 2) == [1, 2], "start, running")
      for stream in streams {
        if isReverse {
          #expect(try await read(stream, 300_000).count == 300_000)
        } else {
          try await stream.write([UInt8](repeating: 1, count: 300_000))
          stream.shutdownSend()
          #expect(try await stream.read() == nil, "it has everything")
        }
      }
      try await control.write([4])
      #expect(try await read(control, 1) == [13], "results")
      try await control.write(word("{}"))
      let length = try await read(control, 4).reduce(0) { $0 << 8 | Int($1) }
      let results = String(decoding: try await read(control, length), as: UTF8.self)
      #expect(results.contains("\"id\": 1") && results.contains("\"id\": 3"))
      if !isReverse { #expect(results.split(separator: "300000").count == 3) }
      #expect(try await read(control, 1) == [14], "display")
      try await control.write([16])
      #expect(try await control.read() == nil)
      for stream in streams { stream.abort() }
      #expect(total(services, \.failed) == 0)
    }
  }

  /// What is not understood ends the connection.
  @Test(arguments: ["{}", "{\"tcp\":true,\"parallel\":1000}", "{\"tcp\":true,\"bidirectional\":true}"])
  func whatIperfIsNotServedIsEnded(parameters: String) async throws {
    try await withServices { _, services, connect in
      let control = try await connect(5201)
      try await control.write([UInt8](repeating: 0x62, count: 36) + [0])
      #expect(try await control.read(atMost: 1) == [9])
      try await control.write([0, 0, 0, UInt8(parameters.utf8.count)] + Array(parameters.utf8))
      #expect(try await control.read() == nil)
      #expect(total(services, \.failed) == 1)
    }
  }
}
