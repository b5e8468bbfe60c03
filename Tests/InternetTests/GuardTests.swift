import Testing
import Timing
import Wire

@testable import Internet

/// What a host of a guarded link may try, and which counter moves: rows of Documentation/Security.md.
@Suite struct GuardTests {
  struct Attack: Sendable, CustomTestStringConvertible {
    var name: String
    var counter: InternetEvent
    var frame: [UInt8]
    var testDescription: String { name }
  }
  private static let stranger = MACAddress(0x0200_0000_0099)
  private static let far4 = IPAddress("192.0.2.1")!
  private static let far6 = IPAddress("2001:db8::1")!

  /// An option at the end of a neighbour discovery message.
  private static func option(_ option: NeighborDiscoveryOption) -> [UInt8] {
    Frame.bytes(8) { option.emit(into: &$0, at: 0) }
  }
  private static func discovery(
    _ message: ICMPv6Message, _ options: [UInt8] = [], to destination: IPAddress = Host.ipv6
  ) -> [UInt8] {
    Frame.ipv6(
      Frame.icmpv6(message, options, from: Host.peer6, to: destination), next: .icmpv6, from: Host.peer6,
      to: destination, hopLimit: 255)
  }
  private static func dhcp(_ hardware: MACAddress) -> [UInt8] {
    let message = DHCPMessage(.discover, isReply: false, transaction: 1, hardware: hardware)
    return Frame.udp(message.encoded, from: 68, to: 67)
  }
  /// A message behind a header of destination options, which is empty.
  private static func hidden(_ message: ICMPv6Message, _ options: [UInt8] = []) -> [UInt8] {
    let behind = Frame.icmpv6(message, options, from: Host.peer6, to: Host.ipv6)
    return Frame.ipv6(
      [IPProtocol.icmpv6.rawValue, 0, 1, 4, 0, 0, 0, 0] + behind, next: .destinationOptions, hopLimit: 255)
  }
  private static let router = ICMPv6Message.routerAdvertisement(
    RouterAdvertisement(
      currentHopLimit: 64, flags: 0, routerLifetimeSeconds: 1800, reachableMilliseconds: 0,
      retransmitMilliseconds: 0))

  static let attacks: [Attack] = [
    Attack(
      name: "a source of another network", counter: .ingressForgedSource,
      frame: Frame.ipv4(Frame.udp(), from: far4)),
    Attack(
      name: "a source of another network, IPv6", counter: .ingressForgedSource,
      frame: Frame.ipv6(Frame.udp(), from: far6)),
    Attack(
      name: "the gateway's own source", counter: .ipv4MartianSource,
      frame: Frame.ipv4(Frame.udp(), from: Host.ipv4)),
    Attack(
      name: "the gateway's own source, IPv6", counter: .ipv6MartianSource,
      frame: Frame.ipv6(Frame.udp(), from: Host.ipv6)),
    Attack(
      name: "ARP: the gateway's address is mine", counter: .ingressForgedNeighbor,
      frame: Frame.arpReply(Host.ipv4)),
    Attack(
      name: "ARP: an address of another network is mine", counter: .ingressForgedNeighbor,
      frame: Frame.arpReply(far4)),
    Attack(
      name: "ARP: an address is another station's", counter: .ingressForgedNeighbor,
      frame: Frame.ethernet(
        Frame.payload(Frame.arpReply(station: stranger)), type: .arp, from: Host.peerStation)),
    Attack(
      name: "ND: the gateway's address is mine", counter: .ingressForgedNeighbor,
      frame: Frame.neighborAdvertisement(Host.ipv6, to: Host.ipv6)),
    Attack(
      name: "ND: an address is another station's", counter: .ingressForgedNeighbor,
      frame: Frame.neighborAdvertisement(station: stranger)),
    Attack(
      name: "a router's advertisement", counter: .ingressRogueRouter,
      frame: discovery(router, to: IPAddress("ff02::1")!)),
    Attack(
      name: "a router's advertisement behind extension headers", counter: .ingressRogueRouter,
      frame: hidden(router)),
    Attack(
      name: "ND: another station's, behind extension headers", counter: .ndInvalid,
      frame: hidden(
        .neighborAdvertisement(flags: .override, target: IPv6Address("fd00:2::50")!),
        option(.targetLinkLayer(stranger)))),
    Attack(
      name: "ND: a solicitation behind extension headers", counter: .ndInvalid,
      frame: hidden(.neighborSolicitation(target: Host.ipv6.ipv6!), option(.sourceLinkLayer(stranger)))),
    Attack(
      name: "a redirect", counter: .ingressRogueRouter,
      frame: discovery(.redirect(target: Host.peer6.ipv6!, destination: far6.ipv6!))),
    Attack(
      name: "a DHCP server's answer", counter: .ingressRogueServer,
      frame: Frame.ipv4(
        Frame.udp([2], from: 67, to: 68), to: IPAddress("255.255.255.255")!, station: .broadcast)),
    Attack(
      name: "a DHCPv6 server's answer", counter: .ingressRogueServer,
      frame: Frame.ipv6(Frame.udp([2], from: 547, to: 546))),
    Attack(
      name: "DHCP in another station's name", counter: .ingressForgedNeighbor,
      frame: Frame.ipv4(dhcp(stranger), to: IPAddress("255.255.255.255")!, station: .broadcast)),
    Attack(
      name: "DHCP whose name is in another fragment", counter: .ingressForgedNeighbor,
      frame: Frame.ipv4(
        Array(dhcp(stranger)[..<16]), to: IPAddress("255.255.255.255")!, station: .broadcast
      ) { $0.moreFragments = true }),
    Attack(
      name: "a SYN from the gateway's address and port to itself", counter: .ipv4MartianSource,
      frame: Frame.ipv4(
        [0, 80, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xFF, 0xFF, 0, 0, 0, 0], protocol: .tcp,
        from: Host.ipv4)),
    Attack(
      name: "a source route", counter: .ipv4SourceRoute,
      frame: Frame.ipv4(Frame.udp(), options: [131, 7, 4, 10, 0, 2, 1, 0])),
    Attack(
      name: "the host's loopback address", counter: .ipv4MartianDestination,
      frame: Frame.ipv4(Frame.udp(), to: IPAddress("127.0.0.1")!)),
    Attack(
      name: "the host's loopback address, IPv6", counter: .ipv6MartianDestination,
      frame: Frame.ipv6(Frame.udp(), to: IPAddress("::1")!)),
    Attack(
      name: "an IPv4 address in an IPv6 packet", counter: .ipv6MartianDestination,
      frame: Frame.ipv6(Frame.udp(), to: IPAddress("::ffff:127.0.0.1")!)),
    Attack(
      name: "no address", counter: .ipv4MartianDestination,
      frame: Frame.ipv4(Frame.udp(), to: IPAddress("0.0.0.0")!)),
    Attack(
      name: "no address, IPv6", counter: .ipv6MartianDestination,
      frame: Frame.ipv6(Frame.udp(), to: IPAddress("::")!)),
    Attack(
      name: "a cloud's link-local address", counter: .ipv4NotForUs,
      frame: Frame.ipv4(Frame.udp(), to: IPAddress("169.254.169.254")!)),
    Attack(
      name: "a link-local address, IPv6", counter: .ipv6NotForUs,
      frame: Frame.ipv6(Frame.udp(), to: IPAddress("fe80::1234")!)),
    Attack(
      name: "a tag of another network", counter: .unknownVLAN,
      frame: Frame.ethernet(Frame.bareIPv4([]), type: .ipv4, vlan: VLANTag(identifier: 7))),
  ]

  @Test(arguments: attacks) func itIsDroppedAndCounted(attack: Attack) {
    let host = Host(acceptsForeign: true, isGuarded: true)
    host.introducePeer()
    let answer = host.exchange(attack.frame)
    #expect(answer.isEmpty)
    #expect(host.count(attack.counter) == 1)
    #expect(host.received.packets.isEmpty && host.packetsInUse == 0)
    let neighbors = host.layer.statistics().interfaces[Int(host.link) - 1].neighbors
    #expect(neighbors.allSatisfy { $0.station == nil || $0.station == Host.peerStation })
    // Honest frames still pass.
    host.exchange(Frame.ipv4(Frame.udp([1])), Frame.ipv6(Frame.udp([1])))
    #expect(host.received.packets.count == 2)
  }

  /// Chains of headers that make no sense go nowhere, whatever is behind them; who sent them is told (RFC 8200 section 4).
  @Test func chainsOfHeadersAreWalkedToTheirEndOrRefused() {
    let host = Host(acceptsForeign: true, isGuarded: true)
    host.introducePeer()
    let options: [UInt8] = [IPProtocol.destinationOptions.rawValue, 0, 1, 4, 0, 0, 0, 0]
    let source: [UInt8] = [IPProtocol.udp.rawValue, 0, 0, 1, 0, 0, 0, 0]
    let chains: [(IPProtocol, [UInt8])] = [
      (.destinationOptions, (0..<170).flatMap { _ in options }),  // to the packet's end
      (.destinationOptions, [17, 0, 0xC1, 4, 0, 0, 0, 0] + Frame.udp()),  // an option that must be known
      (.destinationOptions, [17, 200, 0, 0, 0, 0, 0, 0] + Frame.udp()),  // longer than the packet
      (.routing, source + Frame.udp()),  // a route of the sender's choice (RFC 5095)
      (.destinationOptions, options.dropLast(8) + [0, 0, 1, 4, 0, 0, 0, 0] + options),  // hop-by-hop behind
    ]
    for (number, (next, chain)) in chains.enumerated() {
      host.exchange(Frame.ipv6(chain, next: next))
      #expect(host.count(.ipv6BadExtension) == UInt64(number + 1), "\(number)")
    }
    #expect(host.received.packets.isEmpty && host.packetsInUse == 0)
  }

  /// Who has an address keeps it while it answers for it, also from a station that speaks for itself.
  @Test func anAddressIsNotTakenFromItsNeighbour() {
    let host = Host(isGuarded: true)
    host.introducePeer()
    host.exchange(Frame.arp(.request, sender: Host.peer4, station: Self.stranger))
    #expect(host.count(.neighborClaimsRefused) == 1)
    let neighbors = host.layer.statistics().interfaces[Int(host.link) - 1].neighbors
    #expect(neighbors.first { $0.address == Host.peer4 }?.station == Host.peerStation)
  }

  @Test func withoutAGuardALinkIsTrusted() {
    let host = Host(protocols: [.udp])
    host.exchange(Frame.ipv4(Frame.udp([1]), from: Self.far4))
    #expect(host.received.packets.count == 1)
  }

  // MARK: Router advertisements

  @Test func aRouterSaysAllThatAHostNeeds() throws {
    var advertising = RouterAdvertising(prefixes: [IPPrefix("fd00:2::/64")!])
    advertising.nameServers = [IPv6Address("fd00:2::3")!]
    advertising.searchDomains = ["example.test"]
    advertising.mtu = 1400
    let host = Host(isGuarded: true, advertising: advertising)
    host.scheduler.settle()
    let first = try #require(host.wire.takeSent().first)
    let (header, message) = try #require(Frame.ipv6(first))
    #expect(header.hopLimit == 255 && header.source == IPv6Address(linkLocal: Host.station))
    #expect(
      header.destination == .allNodes && Frame.header(first)?.destination == MACAddress(0x3333_0000_0001))
    guard case .routerAdvertisement(let fixed) = Frame.icmpv6(first) else {
      Issue.record("no advertisement")
      return
    }
    #expect(fixed.routerLifetimeSeconds == 1800 && !fixed.isManaged)
    let options = Array(message[16...])
    var found: [NeighborDiscoveryOption] = []
    var cursor = NeighborDiscoveryOptionCursor(options.raw)
    while let option = try cursor.next() { found.append(option) }
    #expect(found.count == 5)
    #expect(found.contains(.sourceLinkLayer(Host.station)) && found.contains(.mtu(1400)))
    let prefix = PrefixInformation(
      prefix: IPv6Address("fd00:2::")!, length: 64, flags: 0xC0, validSeconds: 86_400,
      preferredSeconds: 14_400)
    #expect(found.contains(.prefixInformation(prefix)))
    for option in found {
      switch option {
      case .recursiveServers(let lifetime, let range):
        #expect(lifetime == 900)
        #expect(IPv6Address(options.raw, at: range.lowerBound) == IPv6Address("fd00:2::3")!)
      case .other(let type, let range):
        #expect(type == 31)
        let names = [7] + Array("example".utf8) + [4] + Array("test".utf8) + [0]
        #expect(Array(options[(range.lowerBound + 6)...].prefix(names.count)) == names)
      default: break
      }
    }
  }

  @Test func whoAsksIsAnsweredAndTheRestHearsOfItNowAndThen() throws {
    let host = Host(advertising: RouterAdvertising(prefixes: [IPPrefix("fd00:2::/64")!]))
    host.introducePeer()
    func advertisements() -> [IPv6Address] {
      host.wire.takeSent().compactMap { frame in
        guard case .routerAdvertisement? = Frame.icmpv6(frame) else { return nil }
        return Frame.ipv6(frame)?.header.destination
      }
    }
    _ = advertisements()
    let group = IPAddress("ff02::2")!
    func solicitation(from source: IPAddress) -> [UInt8] {
      Frame.ipv6(
        Frame.icmpv6(.routerSolicitation, from: source, to: group), next: .icmpv6, from: source, to: group,
        hopLimit: 255, station: MACAddress(multicast: group.ipv6!))
    }
    // Everybody has just heard one: who asks and has an address is told alone, who has none waits.
    host.wire.arrive(solicitation(from: Host.peer6))
    host.scheduler.settle()
    #expect(advertisements() == [Host.peer6.ipv6!])
    host.wire.arrive(solicitation(from: .anyIPv6))
    host.scheduler.settle()
    #expect(advertisements().isEmpty)
    host.clock.advance(by: .seconds(3))
    host.scheduler.settle()
    #expect(advertisements() == [.allNodes])
    // From afar nobody asks.
    let routed = Frame.ipv6(
      Frame.icmpv6(.routerSolicitation, from: Host.peer6, to: group), next: .icmpv6, from: Host.peer6,
      to: group, hopLimit: 64, station: MACAddress(multicast: group.ipv6!))
    host.wire.arrive(routed)
    host.scheduler.settle()
    #expect(advertisements().isEmpty && host.count(.ndInvalid) == 1)
    for _ in 0..<400 {
      host.clock.advance(by: .seconds(5))
      host.scheduler.settle()
    }
    let periodic = advertisements().count
    #expect((5...9).contains(periodic), "\(periodic) in 2000 seconds")
    // The last word: it is no router any more (RFC 4861 section 6.2.5). Once.
    for _ in 0..<2 {
      host.layer.forgetNeighbors()
      host.scheduler.settle()
    }
    let last = host.wire.takeSent()
    guard last.count == 1, case .routerAdvertisement(let fixed) = Frame.icmpv6(last[0]) else {
      Issue.record("\(last.count) frames")
      return
    }
    #expect(fixed.routerLifetimeSeconds == 0 && Frame.ipv6(last[0])?.header.destination == .allNodes)
    #expect(host.contexts.counters(0).timersArmed.value == 0)
  }
}
