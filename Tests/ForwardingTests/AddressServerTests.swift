import Devices
import Sluice
import Sockets
import Testing
import Timing
import Wire

@testable import Forwarding

/// What the DHCP server says (RFC 2131), message by message, and over a link.
@Suite(.timeLimit(.minutes(5))) struct AddressServerTests {
  private static let guest = MACAddress(0x0200_0000_0001)
  private static let other = MACAddress(0x0200_0000_0002)
  private static let server = IPv4Address(10, 0, 2, 2)

  private static var configuration: AddressServerConfiguration {
    var configuration = AddressServerConfiguration(
      server: server, prefixLength: 24, pool: IPv4Address(10, 0, 2, 15)...IPv4Address(10, 0, 2, 16))
    configuration.router = server
    configuration.nameServers = [IPv4Address(10, 0, 2, 3)]
    configuration.searchDomains = ["example.test", "not a name"]
    configuration.mtu = 1400
    configuration.leaseSeconds = 600
    return configuration
  }

  private static func read(_ bytes: [UInt8]) throws -> DHCPMessage {
    try DHCPMessage.parse(unsafe bytes.span.bytes)  // bytes have no padding
  }

  /// A desk, what it counts, and the time.
  private struct Desk: ~Copyable {
    var desk: AddressDesk
    let counters = AddressCounters()
    var now = Instant(milliseconds: 1000)
    init(_ change: (inout AddressServerConfiguration) -> Void = { _ in }) {
      var configuration = AddressServerTests.configuration
      change(&configuration)
      desk = AddressDesk(configuration, counters)
    }
    /// By the wire, as it would come.
    mutating func ask(
      _ kind: DHCPMessage.Kind, _ hardware: MACAddress = AddressServerTests.guest,
      client: IPv4Address = IPv4Address(0), saying options: [DHCPOption] = []
    ) throws -> AddressDesk.Answer? {
      var message = DHCPMessage(
        kind, isReply: false, transaction: 77, hardware: hardware, options: options)
      message.clientAddress = client
      guard let answer = desk.answer(try AddressServerTests.read(message.encoded), now) else {
        return nil
      }
      #expect(answer.message == (try AddressServerTests.read(answer.message.encoded)))
      #expect(answer.message.transaction == 77 && answer.message.hardware == hardware)
      return answer
    }
  }

  @Test func aGuestGetsAnAddressAndAllThatBelongsToIt() throws {
    var desk = Desk()
    let offer = try #require(try desk.ask(.discover))
    #expect(offer.message.kind == .offer && offer.message.yourAddress == IPv4Address(10, 0, 2, 15))
    #expect(offer.destination == nil)
    let answer = try #require(
      try desk.ask(.request, saying: [.server(Self.server), .requestedAddress(offer.message.yourAddress)]))
    #expect(answer.message.kind == .acknowledge && answer.message.yourAddress == IPv4Address(10, 0, 2, 15))
    let search = [7] + Array("example".utf8) + [4] + Array("test".utf8) + [0]
    #expect(
      answer.message.options == [
        .server(Self.server), .leaseSeconds(600), .renewalSeconds(300), .rebindingSeconds(525),
        .subnetMask(IPv4Address(255, 255, 255, 0)), .routers([Self.server]),
        .nameServers([IPv4Address(10, 0, 2, 3)]), .domainName(Array("example.test".utf8)),
        .domainSearch(search), .mtu(1400),
      ])
    #expect(desk.counters.taken.value == 1)
    // It keeps it, and is answered where it is.
    let renewed = try #require(try desk.ask(.request, client: IPv4Address(10, 0, 2, 15)))
    #expect(renewed.message.kind == .acknowledge && renewed.destination == IPv4Address(10, 0, 2, 15))
    // It asks again from the beginning, and gets the same.
    #expect(try desk.ask(.discover)?.message.yourAddress == IPv4Address(10, 0, 2, 15))
  }

  @Test func eachHasItsOwnAndThePoolHasAnEnd() throws {
    var desk = Desk()
    let first = try desk.ask(.discover)?.message.yourAddress
    let second = try desk.ask(.discover, Self.other)?.message.yourAddress
    #expect(first == IPv4Address(10, 0, 2, 15) && second == IPv4Address(10, 0, 2, 16))
    let third = MACAddress(0x0200_0000_0003)
    #expect(try desk.ask(.discover, third) == nil)
    #expect(desk.counters.exhausted.value == 1)
    // What was offered and not taken comes back.
    desk.now = desk.now + AddressPool.offerPatience
    #expect(try desk.ask(.discover, third)?.message.kind == .offer)
  }

  /// Where ever new stations ask, who has an address keeps it, and what they leave comes back soon.
  @Test func leasesAreShortWhereAddressesAreScarce() throws {
    var desk = Desk {
      $0.pool = IPv4Address(10, 0, 2, 15)...IPv4Address(10, 0, 2, 24)
      $0.scarceLeaseSeconds = 130
    }
    func take(_ number: UInt64) throws -> UInt32? {
      let station = MACAddress(0x0200_0000_0100 + number)
      guard let offer = try desk.ask(.discover, station)?.message.yourAddress else { return nil }
      let answer = try desk.ask(.request, station, saying: [.server(Self.server), .requestedAddress(offer)])
      for option in answer?.message.options ?? [] {
        if case .leaseSeconds(let seconds) = option { return seconds }
      }
      return nil
    }
    for number in 0..<200 as Range<UInt64> {
      let expected: UInt32? = number < 5 ? 600 : number < 10 ? 130 : nil
      #expect(try take(number) == expected, "\(number)")
    }
    #expect(desk.counters.exhausted.value == 190 && desk.counters.taken.value == 10)
    #expect(desk.counters.pool.value == 10)
    // Those of the first five are theirs still, the others' are free again.
    desk.now = desk.now + .seconds(130)
    #expect(
      try desk.ask(.discover, MACAddress(0x0200_0000_0100))?.message.yourAddress == IPv4Address(10, 0, 2, 15))
    #expect(try take(300) == 130 && desk.counters.taken.value == 6)
  }

  @Test func nobodyTakesWhatAnotherHas() throws {
    var desk = Desk()
    _ = try desk.ask(.discover)
    let mine: [DHCPOption] = [.requestedAddress(IPv4Address(10, 0, 2, 15))]
    #expect(try desk.ask(.request, saying: [.server(Self.server)] + mine)?.message.kind == .acknowledge)
    let answer = try #require(try desk.ask(.request, Self.other, saying: mine))
    #expect(answer.message.kind == .refuse && answer.destination == nil)
    #expect(answer.message.yourAddress.isUnspecified)
    // Nor gives it back for another.
    #expect(try desk.ask(.release, Self.other, client: IPv4Address(10, 0, 2, 15)) == nil)
    #expect(desk.counters.taken.value == 1 && desk.counters.refusals.value == 1)
    #expect(try desk.ask(.release, client: IPv4Address(10, 0, 2, 15)) == nil)
    #expect(desk.counters.taken.value == 0)
    // An address of another link, and ours, are nobody's.
    for address in [IPv4Address(192, 0, 2, 1), Self.server] {
      #expect(try desk.ask(.request, saying: [.requestedAddress(address)])?.message.kind == .refuse)
    }
  }

  @Test func whatIsNotForUsIsIgnored() throws {
    var desk = Desk()
    // It took another server's offer.
    #expect(try desk.ask(.request, saying: [.server(IPv4Address(10, 0, 2, 9))]) == nil)
    #expect(try desk.ask(.offer) == nil)
    #expect(try desk.ask(.acknowledge) == nil)
    #expect(try desk.ask(.request) == nil)
    var relayed = DHCPMessage(.discover, isReply: false, transaction: 1, hardware: Self.guest)
    relayed.relay = IPv4Address(10, 0, 2, 9)
    #expect(desk.desk.answer(relayed, desk.now) == nil)
    #expect(desk.counters.ignored.value == 4)
  }

  @Test func aDeclinedAddressIsLeftAloneForAWhile() throws {
    var desk = Desk()
    let first = try #require(try desk.ask(.discover)?.message.yourAddress)
    #expect(try desk.ask(.decline, saying: [.requestedAddress(first), .server(Self.server)]) == nil)
    #expect(try desk.ask(.discover)?.message.yourAddress == IPv4Address(10, 0, 2, 16))
    #expect(try desk.ask(.discover, Self.other) == nil)
    desk.now = desk.now + AddressPool.declinedPatience
    #expect(try desk.ask(.discover, Self.other)?.message.kind == .offer)
  }

  @Test func aReservedAddressIsItsGuestsAlone() throws {
    var desk = Desk { $0.reserved = [Self.other: IPv4Address(10, 0, 2, 15)] }
    #expect(try desk.ask(.discover)?.message.yourAddress == IPv4Address(10, 0, 2, 16))
    #expect(try desk.ask(.discover, Self.other)?.message.yourAddress == IPv4Address(10, 0, 2, 15))
  }

  @Test func whoHasAnAddressIsToldTheRest() throws {
    var desk = Desk()
    let address = IPv4Address(10, 0, 2, 77)
    let answer = try #require(try desk.ask(.inform, client: address))
    #expect(answer.destination == address && answer.message.kind == .acknowledge)
    #expect(answer.message.yourAddress.isUnspecified)
    #expect(answer.message.options.contains(.mtu(1400)))
    #expect(!answer.message.options.contains { $0.code == 51 })
  }

  /// A stack that has no address yet asks another over a link, and hears it by broadcast.
  @Test func itServesOnALink() async throws {
    let pair = LinkPair(left: .ethernet(Self.guest), right: .ethernet(Self.other))
    var configuration = StackConfiguration()
    configuration.interfaces = [StackInterface(pair.left, addresses: [IPPrefix("10.0.2.99/24")!])]
    let client = try Stack(configuration)
    configuration.interfaces = [
      StackInterface(
        pair.right, addresses: [IPPrefix("10.0.2.2/24")!], acceptsForeignDestinations: true, isGuarded: true)
    ]
    configuration.sockets.transparent = TransparentConfiguration()
    let stack = try Stack(configuration)
    try client.start()
    try stack.start()
    let server = try AddressServer(Self.configuration, on: stack)
    do {
      let socket = try await client.bind(to: SocketAddress("0.0.0.0:68")!)
      func ask(_ kind: DHCPMessage.Kind, _ options: [DHCPOption] = []) async throws -> DHCPMessage {
        let message = DHCPMessage(
          kind, isReply: false, transaction: 5, hardware: Self.guest, options: options)
        try await socket.send(
          message.encoded, to: SocketAddress("255.255.255.255:67")!, from: IPAddress("10.0.2.99")!)
        let answer = try await socket.receive()
        #expect(answer.source == SocketAddress("10.0.2.2:67")!)
        return try Self.read(answer.bytes)
      }
      let offer = try await ask(.discover)
      #expect(offer.kind == .offer)
      let answer = try await ask(.request, [.server(Self.server), .requestedAddress(offer.yourAddress)])
      #expect(answer.kind == .acknowledge && answer.yourAddress == offer.yourAddress)
      socket.close()
    }
    #expect(server.statistics.taken == 1 && server.statistics.received == 2)
    server.stop()
    client.shutdown()
    stack.shutdown()
    pair.loseFrames()
    #expect(stack.remains().isEmpty, "\(stack.remains())")
  }
}
