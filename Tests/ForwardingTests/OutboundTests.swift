import Devices
import Foundation
import Glibc
import Sluice
import Sockets
import Testing
import Wire

@testable import Forwarding

/// A guest behind a gateway, both stacks in memory, and servers of this machine, which the gateway's address leads to.
@Suite(.timeLimit(.minutes(5))) struct OutboundTests {
  private static let gateway = IPAddress("10.0.2.2")!
  private static let nameServer = IPAddress("10.0.2.3")!

  func withGuest(
    _ driver: Forwarder.Driver = .context, _ change: (inout OutboundPolicy) -> Void = { _ in },
    forwards: [PortForward] = [], limit: Int = 1024, control: ForwardControl? = nil,
    _ body: (Stack, Forwarder) async throws -> Void
  ) async throws {
    let pair = LinkPair(left: .ip, right: .ip)
    var configuration = StackConfiguration()
    configuration.interfaces = [
      StackInterface(
        pair.left, addresses: [IPPrefix("10.0.2.100/24")!],
        routes: [(destination: IPPrefix("0.0.0.0/0")!, gateway: Self.gateway)])
    ]
    let guest = try Stack(configuration)
    configuration.interfaces = [
      StackInterface(
        pair.right, addresses: [IPPrefix("10.0.2.2/24")!, IPPrefix("10.0.2.3/24")!],
        acceptsForeignDestinations: true)
    ]
    configuration.sockets.transparent = TransparentConfiguration()
    let stack = try Stack(configuration)
    try guest.start()
    if driver == .thread { try stack.start() }
    var policy = OutboundPolicy()
    policy.gateway = [Self.gateway]
    policy.nameServers = [Self.nameServer]
    policy.reachesHostLoopback = true
    change(&policy)
    let forwarder = try Forwarder(
      forwards, to: ForwardGuest(ipv4: IPAddress("10.0.2.100")!), on: stack, limit: limit, outbound: policy,
      control: control, driver: driver)
    if driver == .context { try stack.start() }
    try await body(guest, forwarder)
    guest.shutdown()
    forwarder.stop()
    #expect(forwarder.outboundStatistics.open == 0 && forwarder.datagramStatistics.open == 0)
    #expect(forwarder.inboundDatagramStatistics.open == 0 && forwarder.statistics.listeners == 0)
    #expect(stack.layer.requestsHeld == 0)
    stack.shutdown()
    // What was on its way to the guest when that went away is the stack's until then.
    pair.loseFrames()
    #expect(stack.remains().isEmpty, "\(stack.remains())")
    #expect(stack.statistics().wakeups.wasted == 0)
    withExtendedLifetime((guest, stack)) {}
  }
  func until(_ isSo: () -> Bool) async { while !isSo() { await Task.yield() } }
  private func host(_ server: HostServer) -> SocketAddress {
    SocketAddress(Self.gateway, port: server.port)
  }

  @Test(arguments: [Forwarder.Driver.thread, .context])
  func bytesAndEndsPassBothWays(driver: Forwarder.Driver) async throws {
    try await withGuest(driver) { guest, forwarder in
      let server = try HostServer()
      let stream = try await guest.connect(to: host(server))
      let client = try server.accept()
      try client.send(Array("first".utf8))
      #expect(try await stream.read(atMost: 5) == Array("first".utf8))
      try await stream.write("question")
      stream.shutdownSend()
      #expect(try client.receiveAll() == Array("question".utf8))
      // The other half is open still.
      try client.send(Array("answer".utf8))
      client.finish()
      #expect(try await stream.read(atMost: 16) == Array("answer".utf8))
      #expect(try await stream.read() == nil)
      stream.close()
      await until { forwarder.outboundStatistics.finished == 1 }
      let counts = forwarder.outboundStatistics
      #expect(counts.accepted == 1 && counts.connected == 1 && counts.bytesToHost == 8)
      #expect(counts.bytesToGuest == 11)
    }
  }

  /// The handshake is complete when the host's is, and what the host meets the guest meets.
  @Test func refusalsAndDenialsAreTheGuests() async throws {
    try await withGuest(.context, { $0.rules = [OutboundRule.parse("192.0.2.0/24:80-90", allows: false)!] }) {
      guest, forwarder in
      let port = try HostServer().port  // closed by now
      await #expect(throws: SocketError.connectionRefused) {
        _ = try await guest.connect(to: SocketAddress(Self.gateway, port: port))
      }
      #expect(forwarder.outboundStatistics.refusedByHost == 1)
      // Nobody but the resolvers is there.
      await #expect(throws: SocketError.connectionRefused) {
        _ = try await guest.connect(to: SocketAddress(Self.nameServer, port: 80))
      }
      let denied = Task { _ = try await guest.connect(to: SocketAddress("192.0.2.1:80")!) }
      await until { forwarder.outboundStatistics.denied == 2 }
      denied.cancel()
      _ = await denied.result
      #expect(forwarder.outboundStatistics.connected == 0)
    }
  }

  @Test func resetsPassBothWays() async throws {
    try await withGuest { guest, forwarder in
      let server = try HostServer()
      let first = try await guest.connect(to: host(server))
      try server.accept().reset()
      await #expect(throws: SocketError.connectionReset) { _ = try await first.read() }
      await until { forwarder.outboundStatistics.open == 0 }
      let before = forwarder.outboundStatistics.connected
      let second = try await guest.connect(to: host(server))
      let client = try server.accept()
      // Until the carrier has seen the handshake's end the guest would have refused the connection.
      await until { forwarder.outboundStatistics.connected > before }
      second.abort()
      #expect(throws: HostClient.Failure(errno: ECONNRESET)) { try client.receive() }
      await until { forwarder.outboundStatistics.open == 0 }
      let counts = forwarder.outboundStatistics
      #expect(counts.resetByHost == 1 && counts.resetByGuest == 1)
    }
  }

  @Test(arguments: [Forwarder.Driver.thread, .context])
  func aSideThatTakesNothingStopsTheOther(driver: Forwarder.Driver) async throws {
    try await withGuest(driver) { guest, forwarder in
      let server = try HostServer()
      let stream = try await guest.connect(to: host(server))
      let client = try server.accept()
      let bytes = pattern(4 << 20)
      async let sent: Void = Self.onThread {
        try client.send(bytes)
        client.finish()
      }
      await until { forwarder.outboundStatistics.bytesToGuest > 65_536 }
      // Others are served meanwhile.
      let other = try await guest.connect(to: host(server))
      try server.accept().send([1])
      #expect(try await other.read(atMost: 1) == [1])
      other.abort()
      let most = UInt64(Forwarder.buffers.sendMaximum + 65_536)
      #expect(forwarder.outboundStatistics.bytesToGuest <= most)
      var all: [UInt8] = []
      for try await piece in stream.chunks() { all += piece }
      #expect(all == bytes)
      stream.close()
      try await sent
    }
  }

  private static func onThread(_ body: @escaping @Sendable () throws -> Void) async throws {
    try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
      Thread.detachNewThread { done.resume(with: Result { try body() }) }
    }
  }

  @Test func manyAtOnceAndThoseBeyondTheLimit() async throws {
    try await withGuest(.context, { $0.limit = 300 }) { guest, forwarder in
      let server = try HostServer()
      var streams: [TCPStream] = []
      var clients: [HostClient] = []
      for _ in 0..<300 {
        streams.append(try await guest.connect(to: host(server)))
        clients.append(try server.accept())
      }
      await #expect(throws: SocketError.connectionRefused) { _ = try await guest.connect(to: host(server)) }
      for (number, client) in clients.enumerated() {
        try client.send([UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 100))
        client.finish()
      }
      for (number, stream) in streams.enumerated() {
        var all: [UInt8] = []
        for try await piece in stream.chunks() { all += piece }
        #expect(all == [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 100))
        stream.close()
      }
      await until { forwarder.outboundStatistics.finished == 300 }
      let counts = forwarder.outboundStatistics
      #expect(counts.refusedAtLimit == 1 && counts.peak == 300)
    }
  }

  // MARK: Datagrams

  @Test func datagramsAndTheirAnswersPass() async throws {
    try await withGuest { guest, forwarder in
      let server = try HostServer(isDatagram: true)
      let socket = try await guest.bind(to: SocketAddress("[::]:0")!)
      for round in 1...3 {
        try await socket.send([UInt8](repeating: UInt8(round), count: 100 * round), to: host(server))
        try server.answerTwice()
        let answer = try await socket.receive()
        #expect(answer.bytes == [UInt8](repeating: UInt8(round), count: 200 * round))
        #expect(answer.source == host(server))
      }
      let counts = forwarder.datagramStatistics
      #expect(counts.open == 1 && counts.flowsOpened == 1 && counts.toHost == 3 && counts.toGuest == 3)
      socket.close()
    }
  }

  @Test func aPortThatNobodyHasIsToldByICMP() async throws {
    try await withGuest { guest, forwarder in
      let port = try HostServer(isDatagram: true).port  // closed by now
      let peer = SocketAddress(Self.gateway, port: port)
      let socket = try await guest.bind(to: SocketAddress("[::]:0")!, peer: peer)
      try await socket.send([1], to: nil)
      await #expect(throws: SocketError.connectionRefused) { _ = try await socket.receive() }
      #expect(forwarder.datagramStatistics.unreachable >= 1)
      socket.close()
    }
  }

  /// In fragments over the guest's link, both ways, up to the largest that there is.
  @Test(arguments: [1472, 1473, 9000, 65_507]) func largeDatagramsPass(size: Int) async throws {
    try await withGuest { guest, forwarder in
      let server = try HostServer(isDatagram: true)
      let socket = try await guest.bind(to: SocketAddress("[::]:0")!)
      let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
      for _ in 0..<2 {
        try await socket.send(bytes, to: host(server))
        try server.answer { $0.reversed() }
        #expect(try await socket.receive().bytes == bytes.reversed())
      }
      #expect(forwarder.datagramStatistics.toHost == 2 && forwarder.datagramStatistics.toGuest == 2)
      socket.close()
    }
  }

  @Test func flowsBeyondTheLimitGiveWay() async throws {
    try await withGuest(.context, { $0.datagramLimit = 2 }) { guest, forwarder in
      let server = try HostServer(isDatagram: true)
      var sockets: [UDPSocket] = []
      for _ in 0..<4 {
        let socket = try await guest.bind(to: SocketAddress("[::]:0")!)
        try await socket.send([7], to: host(server))
        try server.answerTwice()
        #expect(try await socket.receive().bytes == [7, 7])
        sockets.append(socket)
      }
      let counts = forwarder.datagramStatistics
      #expect(counts.open == 2 && counts.flowsEvicted == 2)
      for socket in sockets { socket.close() }
    }
  }

  @Test func namesThatWereGivenAreAnsweredHere() async throws {
    try await withGuest(.context, { _ = $0.names.add("Db.Test", IPAddress("192.0.2.7")!) }) {
      guest, forwarder in
      let socket = try await guest.bind(to: SocketAddress("[::]:0")!)
      let question = NameTableTests.question("dB.test", kind: 1)
      try await socket.send(question, to: SocketAddress(Self.nameServer, port: 53))
      let answer = try await socket.receive()
      #expect(Array(answer.bytes.suffix(4)) == [192, 0, 2, 7])
      #expect(answer.source == SocketAddress(Self.nameServer, port: 53))
      #expect(forwarder.datagramStatistics.namesAnswered == 1 && forwarder.datagramStatistics.open == 0)
      socket.close()
    }
  }
}

@Suite struct NameTableTests {
  static func question(_ name: String, kind: UInt16, flags: UInt16 = 0x0100) -> [UInt8] {
    var bytes: [UInt8] = [0x12, 0x34, UInt8(flags >> 8), UInt8(flags & 255), 0, 1, 0, 0, 0, 0, 0, 0]
    for label in name.split(separator: ".") { bytes += [UInt8(label.utf8.count)] + Array(label.utf8) }
    return bytes + [0, UInt8(kind >> 8), UInt8(kind & 255), 0, 1]
  }
  private func answer(_ table: NameTable, _ question: [UInt8]) -> [UInt8]? {
    unsafe question.withUnsafeBytes { unsafe table.answer($0) }
  }

  @Test func whatWasGivenIsAnsweredAndNothingElse() throws {
    var table = NameTable()
    #expect(answer(table, Self.question("db.test", kind: 1)) == nil)
    let added = [
      table.add("db.test", IPAddress("192.0.2.7")!), table.add("db.test.", IPAddress("2001:db8::7")!),
    ]
    #expect(added == [true, true])
    for name in ["", "-a.test", "a..b", "a b", String(repeating: "x", count: 64), "ü.test"] {
      let isAdded = table.add(name, IPAddress("192.0.2.8")!)
      #expect(!isAdded, "\(name)")
    }
    let ipv4 = try #require(answer(table, Self.question("DB.test", kind: 1)))
    #expect(ipv4[0..<2] == [0x12, 0x34] && ipv4[2] == 0x85 && ipv4[7] == 1)
    #expect(ipv4.suffix(6) == [0, 4, 192, 0, 2, 7])
    let ipv6 = try #require(answer(table, Self.question("db.test", kind: 28)))
    #expect(ipv6[7] == 1 && ipv6.suffix(18).prefix(2) == [0, 16])
    let both = try #require(answer(table, Self.question("db.test", kind: 255)))
    #expect(both[7] == 2)
    // The name is here, a mail exchanger of it is not, and nobody else is asked for one.
    let mail = try #require(answer(table, Self.question("db.test", kind: 15)))
    #expect(mail[7] == 0 && mail[3] & 15 == 0)
    let reverse = try #require(answer(table, Self.question("7.2.0.192.in-addr.arpa", kind: 12)))
    #expect(reverse.suffix(9) == [2, 100, 98, 4, 116, 101, 115, 116, 0])
    #expect(answer(table, Self.question("other.test", kind: 1)) == nil)
    #expect(answer(table, Self.question("db.test", kind: 1, flags: 0x8180)) == nil, "no question")
  }

  /// RX-TOTAL: any bytes are taken.
  @Test func anyBytesAreTaken() {
    var table = NameTable()
    _ = table.add("db.test", IPAddress("192.0.2.7")!)
    let question = Self.question("db.test", kind: 1)
    for count in 0..<question.count { #expect(answer(table, Array(question[..<count])) == nil) }
    for index in question.indices {
      for value in [0, 1, 63, 64, 192, 255] as [UInt8] {
        var changed = question
        changed[index] = value
        _ = answer(table, changed)
      }
    }
  }
}

@Suite struct OutboundPolicyTests {
  private func decide(_ policy: OutboundPolicy, _ text: String) -> OutboundPolicy.Decision {
    policy.decide(SocketAddress(text)!)
  }

  @Test func theFirstRuleThatNamesADestinationDecides() throws {
    var policy = OutboundPolicy()
    policy.rules = try [("10.1.0.0/16:443", true), ("10.0.0.0/8", false), ("[2001:db8::/32]:53-54", false)]
      .map { try #require(OutboundRule.parse($0.0, allows: $0.1)) }
    #expect(decide(policy, "10.1.2.3:443") == .carry(SocketAddress("10.1.2.3:443")!))
    #expect(decide(policy, "10.1.2.3:80") == .refuse(.prohibited))
    #expect(decide(policy, "192.0.2.1:80") == .carry(SocketAddress("192.0.2.1:80")!))
    #expect(decide(policy, "[2001:db8::1]:54") == .refuse(.prohibited))
    #expect(decide(policy, "[2001:db8::1]:55") == .carry(SocketAddress("[2001:db8::1]:55")!))
  }

  @Test func theHostsLoopbackIsReachedOnlyIfThatWasAskedFor() {
    var policy = OutboundPolicy()
    policy.gateway = [IPAddress("10.0.2.2")!, IPAddress("fd00:2::2")!]
    policy.nameServers = [IPAddress("10.0.2.3")!]
    policy.resolvers = [SocketAddress("192.0.2.53:53")!]
    #expect(decide(policy, "10.0.2.2:22") == .refuse(.reset))
    #expect(decide(policy, "127.0.0.1:22") == .refuse(.prohibited))
    #expect(decide(policy, "0.0.0.0:22") == .refuse(.prohibited))
    #expect(decide(policy, "0.1.2.3:22") == .refuse(.prohibited))
    for nobody in [
      "[::]:22", "[::1]:22", "[::ffff:127.0.0.1]:22", "169.254.169.254:80", "[fe80::1]:80", "224.0.0.1:9",
    ] {
      #expect(decide(policy, nobody) == .refuse(.prohibited), "\(nobody)")
    }
    #expect(decide(policy, "10.0.2.3:53") == .carry(SocketAddress("192.0.2.53:53")!))
    #expect(decide(policy, "10.0.2.3:80") == .refuse(.reset))
    policy.reachesHostLoopback = true
    #expect(decide(policy, "10.0.2.2:22") == .carry(SocketAddress("127.0.0.1:22")!))
    #expect(decide(policy, "[fd00:2::2]:22") == .carry(SocketAddress("[::1]:22")!))
    #expect(decide(policy, "127.0.0.1:22") == .refuse(.prohibited))
  }

  /// Where a packet may be taken out of IPv6 on its way, rules about IPv4 hold for it.
  @Test(arguments: [
    ("64:ff9b::", "64:ff9b::%@"), ("64:ff9b:1::", "64:ff9b:1::%@"), ("2002::", "2002:%@::1"),
    ("2001::", "2001:0:4136:e378:8000:63bf:%~"), ("::", "::%@"), ("::ffff:0:0:0", "::ffff:0:%@"),
  ]) func aDeniedNetworkHasNoOtherNames(name: String, form: String) throws {
    var policy = OutboundPolicy()
    policy.rules = [try #require(OutboundRule.parse("10.0.0.0/8", allows: false))]
    func within(_ text: String) throws -> SocketAddress {
      let word = try #require(IPv4Address(text)).rawValue
      func hex(_ word: UInt32) -> String {
        String(word >> 16, radix: 16) + ":" + String(word & 0xFFFF, radix: 16)
      }
      let address = form.replacingOccurrences(of: "%@", with: hex(word))
        .replacingOccurrences(of: "%~", with: hex(~word))
      return SocketAddress(try #require(IPAddress(address)), port: 80)
    }
    for denied in ["10.1.2.3", "127.0.0.1", "0.1.2.3", "169.254.169.254"] {
      #expect(policy.decide(try within(denied)) == .refuse(.prohibited), "\(denied)")
    }
    let fine = try within("192.0.2.1")
    #expect(policy.decide(fine) == .carry(fine))
  }

  @Test func prefixesOfANetworksChoiceAreLookedAtInEachLength() throws {
    var policy = OutboundPolicy()
    policy.rules = [try #require(OutboundRule.parse("10.1.2.3", allows: false))]
    // RFC 6052 section 2.2, with 48, 56 and 64 bits.
    for text in ["64:ff9b:1:a01:2:300::", "64:ff9b:1:0a:1:203::", "64:ff9b:1:0:a:102:300:0"] {
      #expect(decide(policy, "[\(text)]:80") == .refuse(.prohibited), "\(text)")
    }
    #expect(decide(policy, "[64:ff9b:1:a01:2:400::]:80") != .refuse(.prohibited))
  }

  @Test(arguments: [
    "", "10.0.0.0/33", "10.0.0.1:0", "10.0.0.1:9-8", "[10.0.0.1]:80", "[fd00::/8", "x:80", "1.2.3.4:1-2-3",
  ])
  func whatIsNoRuleIsRefused(text: String) { #expect(OutboundRule.parse(text, allows: true) == nil) }

  @Test func resolversAreReadAsLibcReadsThem() {
    let found = HostResolvers.parse(
      "# nameserver 192.0.2.9\nnameserver 192.0.2.1\n  nameserver\t2001:db8::1 \nnameserver fe80::1%eth0\nsearch x\n"
        + "nameserver 192.0.2.2\nnameserver 192.0.2.3\n")
    #expect(found.map(\.description) == ["192.0.2.1:53", "[2001:db8::1]:53", "192.0.2.2:53"])
  }
}
