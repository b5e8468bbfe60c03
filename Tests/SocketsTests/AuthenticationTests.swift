import TCP
import Testing
import Timing
import Wire

@testable import Sockets

/// Segments authenticated with keys from socket to socket: RFC 5925.
@Suite struct AuthenticationTests {
  private func key(
    _ send: UInt8, _ receive: UInt8, _ secret: String = "secret",
    _ algorithm: TCPAuthenticationAlgorithm = .sha1,
    network: String = "0.0.0.0", prefix: UInt8 = 0, coversOptions: Bool = true
  ) throws -> TCPAuthenticationKey {
    TCPAuthenticationKey(
      network: IPAddress(network)!, prefixLength: prefix, sendID: send, receiveID: receive,
      algorithm: algorithm,
      coversOptions: coversOptions, master: try #require(TCPMasterKey(Array(secret.utf8))))
  }
  private func settings(
    _ keys: [TCPAuthenticationKey], _ change: (inout TCPAuthenticationSettings) -> Void = { _ in }
  ) throws -> TCPAuthenticationSettings {
    var settings = TCPAuthenticationSettings()
    for key in keys { try settings.keys.add(key) }
    change(&settings)
    return settings
  }
  private func listen(
    _ network: Network, _ settings: TCPAuthenticationSettings, signatures: [TCPSignatureKey] = [],
    isIPv4: Bool = true
  ) throws -> ListeningSocket {
    try network.listen(isIPv4: isIPv4) { ($0.authentication, $0.signatures) = (settings, signatures) }
  }
  private func connect(
    _ network: Network, _ settings: TCPAuthenticationSettings, signatures: [TCPSignatureKey] = [],
    isIPv4: Bool = true
  ) throws -> StreamSocket {
    try network.connect(isIPv4: isIPv4) { ($0.authentication, $0.signatures) = (settings, signatures) }
  }
  private func change(
    _ network: Network, _ stream: StreamSocket, _ change: TCPAuthenticationChange
  ) throws -> TCPAuthenticationError? {
    let answer = stream.changeAuthentication(change)
    try #require(network.scheduler.run { answer.isReady })
    return try #require(answer.take())
  }
  private func info(_ network: Network, _ stream: StreamSocket) throws -> TCPAuthenticationInfo {
    let answer = stream.authentication()
    try #require(network.scheduler.run { answer.isReady })
    let told = try #require(answer.take())
    return try #require(told)
  }
  private let bad = [
    "authentication_bad", "authentication_key_not_found", "authentication_required", "authentication_unknown",
  ]

  /// Rules: RFC 5925 5.2-1, 7.1-1, 7.3-1; RFC 5926 2.2-1, 2.2-2
  @Test(arguments: [true, false], TCPAuthenticationAlgorithm.allCases)
  func bothWaysToTheEnd(isIPv4: Bool, algorithm: TCPAuthenticationAlgorithm) throws {
    let network = try Network()
    do {
      let any = isIPv4 ? "0.0.0.0" : "::"
      let listener = try listen(
        network, settings([key(1, 2, "a", algorithm, network: any, coversOptions: isIPv4)]), isIPv4: isIPv4)
      let client = try connect(
        network, settings([key(2, 1, "a", algorithm, network: any, coversOptions: isIPv4)]), isIPv4: isIPv4)
      let server = try network.accept(listener)
      #expect(client.isConnected)
      try network.exchange(client, server, 100_000)
      try network.exchange(server, client, 3)
      server.shutdownSend()
      network.scheduler.run(milliseconds: 50)
      let told = try info(network, client)
      #expect(told.current == 2 && told.next == 1 && told.counters.good > 30 && told.keys.count == 1)
      let received = try #require(told.received)
      #expect(received == (1, 2))
      client.close()
      server.close()
      listener.close()
      for name in bad { #expect(network.counted(name) == 0, "\(name)") }
      #expect(network.counted("authentication_good") > 50)
    }
    network.expectNothingLeft()
  }

  /// Wrong, unknown or missing: no connection, nobody answers, and what was wrong is counted.
  ///
  /// Rules: RFC 5925 7.3-2, 7.5-2
  @Test func withoutTheSameKeyThereIsNothing() throws {
    for (left, right, name) in [
      ([try key(2, 1, "other")], [try key(1, 2)], "authentication_bad"),
      ([try key(3, 1)], [try key(1, 2)], "authentication_key_not_found"),
      ([], [try key(1, 2)], "authentication_required"),
    ] as [([TCPAuthenticationKey], [TCPAuthenticationKey], String)] {
      let network = try Network()
      do {
        let listener = try listen(network, settings(right))
        let client = try connect(network, settings(left))
        network.scheduler.run(milliseconds: 5000)
        #expect(!client.isConnected && network.counted(name) > 1, "\(name)")
        #expect(network.counted("syns_kept") == 0 && network.counted("resets_sent") == 0)
        client.abort()
        listener.close()
      }
      network.expectNothingLeft()
    }
  }

  /// Rules: RFC 5925 7.3-3, 7.3-4
  @Test func whoHasNoKeyTakesOrRefusesWhatIsSigned() throws {
    for refuses in [false, true] {
      let network = try Network()
      do {
        let listener = try listen(network, settings([]) { $0.refusesUnknown = refuses })
        let client = try connect(network, settings([key(2, 1)]))
        network.scheduler.run(milliseconds: 5000)
        // The SYN is taken as any other; the answer is of no use to who wants a code.
        #expect(!client.isConnected && network.counted("authentication_unknown") > 1)
        #expect((network.counted("syns_kept") > 0) == !refuses)
        #expect((try info(network, client).counters.required > 0) == !refuses)
        client.abort()
        listener.close()
      }
      network.expectNothingLeft()
    }
  }

  /// Keys that are required and not there: nobody is spoken with.
  @Test func keysMayBeRequired() throws {
    let network = try Network()
    do {
      let listener = try listen(
        network, settings([key(1, 2, network: "192.0.2.0", prefix: 24)]) { $0.isRequired = true })
      let plain = try connect(network, settings([]))
      network.scheduler.run(milliseconds: 5000)
      #expect(!plain.isConnected && network.counted("authentication_required") > 1)
      let refused = try connect(network, settings([]) { $0.isRequired = true })
      network.scheduler.run(milliseconds: 1)
      #expect(refused.failure == .keyRejected)
      plain.abort()
      refused.close()
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// New keys are added, asked for, and used; the old ones go, and no segment is lost.
  ///
  /// Rules: RFC 5925 3.1-4, 6.1-1, 7.1-2, 7.1-3, 7.1-4, 7.1-5
  @Test func keysRollOver() throws {
    let network = try Network()
    do {
      let listener = try listen(network, settings([key(1, 2)]))
      let client = try connect(network, settings([key(2, 1)]))
      let server = try network.accept(listener)
      try network.exchange(client, server, 5000)
      #expect(try change(network, server, .add(key(11, 12, "new", .aes128))) == nil)
      #expect(try change(network, client, .add(key(12, 11, "new", .aes128))) == nil)
      #expect(try change(network, client, .add(key(12, 99))) == .duplicate)
      #expect(
        try change(network, server, .remove(sendID: 1, receiveID: 2, current: nil, next: nil)) == .inUse)
      // The server asks for the new one, and learns that it is sent with.
      #expect(try change(network, server, .choose(current: nil, next: 12)) == nil)
      try network.exchange(server, client, 5000)
      network.scheduler.run(milliseconds: 100)
      #expect(try info(network, client).current == 12 && info(network, server).current == 1)
      try network.exchange(client, server, 5000)
      let heard = try info(network, server).received
      let received = try #require(heard)
      #expect(received == (12, 1))
      #expect(try change(network, client, .choose(current: nil, next: 11)) == nil)
      try network.exchange(client, server, 10)
      network.scheduler.run(milliseconds: 100)
      #expect(try change(network, server, .remove(sendID: 1, receiveID: 2, current: nil, next: nil)) == nil)
      #expect(try change(network, client, .remove(sendID: 2, receiveID: 1, current: nil, next: nil)) == nil)
      #expect(
        try change(network, client, .remove(sendID: 2, receiveID: 1, current: nil, next: nil)) == .notFound)
      try network.exchange(client, server, 5000)
      try network.exchange(server, client, 5000)
      #expect(try info(network, server).keys.map(\.sendID) == [11])
      for name in bad { #expect(network.counted(name) == 0, "\(name)") }
      client.close()
      server.close()
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// A connection that began without keys goes on without.
  @Test func keysAreNotAddedToAPlainConnection() throws {
    let network = try Network()
    do {
      let listener = try listen(network, settings([]))
      let client = try connect(network, settings([]))
      let server = try network.accept(listener)
      #expect(try change(network, client, .add(key(1, 1))) == .notAuthenticated)
      let answer = client.authentication()
      #expect(network.scheduler.run { answer.isReady })
      let told = try #require(answer.take())
      #expect(told == nil)
      client.close()
      server.close()
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// Resets and SYNs without a code do nothing, also when the connection is over and waits.
  ///
  /// Rules: RFC 5925 7.3-1, 7.3-2
  @Test func resetsAndOldConnectionsAreProtected() throws {
    let network = try Network()
    do {
      let listener = try listen(network, settings([key(1, 2)]))
      let client = try connect(network, settings([key(2, 1)]))
      let server = try network.accept(listener)
      let peer = Stranger("\(client.localAddress.address)", port: client.localAddress.port)
      for sequence in [UInt32(1), 0x8000_0000] {
        network.inject(peer, to: 80, [.rst, .ack], sequence: sequence)
        network.inject(peer, to: 80, .syn, sequence: sequence)
      }
      #expect(network.counted("authentication_required") == 4)
      #expect(server.failure == nil)
      try network.exchange(client, server, 1)
      server.close()
      client.close()
      network.scheduler.run(milliseconds: 100)
      network.inject(peer, to: 80, .syn, sequence: 0x9000_0000)
      #expect(network.counted("authentication_required") == 5 && network.counted("syns_kept") == 1)
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// Rules: RFC 5925 2.2-1, 8-1, 8-3, 8-4
  @Test func keysComeBeforeSignatures() throws {
    let network = try Network()
    do {
      let secret = try #require(TCPSecret("md5".utf8))
      let signatures = [TCPSignatureKey(network: IPAddress("0.0.0.0")!, prefixLength: 0, secret: secret)]
      let listener = try listen(network, settings([key(1, 2)]), signatures: signatures)
      let client = try connect(network, settings([key(2, 1)]), signatures: signatures)
      let server = try network.accept(listener)
      try network.exchange(client, server, 1000)
      let old = try connect(network, settings([]), signatures: signatures)
      network.scheduler.run(milliseconds: 3000)
      #expect(!old.isConnected && network.counted("authentication_required") > 0)
      old.abort()
      client.close()
      server.close()
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// Under a flood a peer with a key gets through by a cookie: its ACK has both initial numbers in it.
  @Test func cookiesAndKeysGoTogether() throws {
    let network = try Network()
    do {
      let client = network.address(of: network.left, 0, isIPv4: true).address
      let listener = try network.wait(
        network.right.sockets.listen(on: network.address(of: network.right, 80, isIPv4: true), backlog: 200))
      var options = network.right.sockets.options()
      options.authentication = try settings([key(1, 2, network: "\(client)", prefix: 32)])
      listener.setOptions(options)
      network.scheduler.run(milliseconds: 1)
      for number in 1...203 { network.syn(Stranger("192.0.2.\(number)"), to: 80) }
      #expect(network.counted("half_open") == 200 && network.counted("cookies_sent") == 3)
      let stream = try connect(network, settings([key(2, 1)]))
      let server = try network.accept(listener)
      #expect(network.counted("cookies_accepted") == 1)
      try network.exchange(stream, server, 3000)
      try network.exchange(server, stream, 3000)
      // An ACK without a code is no cookie's, and is not answered.
      network.inject(Stranger("\(client)", port: 9), to: 80, .ack, sequence: 5, ack: 0x1234_5678)
      #expect(network.counted("cookies_refused") == 0 && network.counted("resets_sent") == 0)
      #expect(network.counted("authentication_required") == 1)
      stream.close()
      server.close()
      listener.close()
    }
    network.expectNothingLeft()
  }

  /// Others than the keys' peers are not concerned, and may have signatures.
  ///
  /// Rules: RFC 5925 8-5
  @Test func othersAreNotConcerned() throws {
    let network = try Network()
    do {
      let secret = try #require(TCPSecret("md5".utf8))
      let signatures = [TCPSignatureKey(network: IPAddress("0.0.0.0")!, prefixLength: 0, secret: secret)]
      let listener = try listen(
        network, settings([key(1, 2, network: "192.0.2.0", prefix: 24)]), signatures: signatures)
      let client = try connect(network, settings([]), signatures: signatures)
      let server = try network.accept(listener)
      try network.exchange(client, server, 1000)
      network.syn(Stranger("192.0.2.7"), to: 80)
      #expect(network.counted("authentication_required") == 1 && network.counted("half_open") == 0)
      client.close()
      server.close()
      listener.close()
    }
    network.expectNothingLeft()
  }
}
