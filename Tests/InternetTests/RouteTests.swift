import Chance
import Exclusion
import SoftInterrupts
import Testing
import Wire

@testable import Internet

@Suite struct RouteTests {
  private func prefix(_ text: String) -> IPPrefix { IPPrefix(text)! }
  private func address(_ text: String) -> IPAddress { IPAddress(text)! }

  @Test func P5_theLongestPrefixWinsThenTheMetric() throws {
    let host = Host()
    let link = host.link
    try host.layer.configure { tables throws(NetworkChangeError) in
      for (text, gateway, metric) in [
        ("0.0.0.0/0", "10.0.2.1", 0), ("10.0.0.0/8", "10.0.2.8", 0), ("10.1.0.0/16", "10.0.2.16", 5),
        ("10.1.0.0/16", "10.0.2.17", 4), ("10.1.2.3/32", "10.0.2.32", 9), ("::/0", "fd00:2::1", 0),
        ("2001:db8::/32", "fd00:2::32", 0), ("2001:db8::5/128", "fd00:2::128", 0),
      ] {
        try tables.addRoute(
          Route(
            to: prefix(text), interface: link, gateway: address(gateway), metric: UInt32(metric)))
      }
    }
    func nextHop(_ text: String) -> IPAddress? { host.layer.route(to: address(text))?.nextHop }
    #expect(nextHop("10.0.2.77") == address("10.0.2.77"))  // the link, not the gateway
    #expect(nextHop("8.8.8.8") == address("10.0.2.1"))
    #expect(nextHop("10.9.9.9") == address("10.0.2.8"))
    #expect(nextHop("10.1.9.9") == address("10.0.2.17"))
    #expect(nextHop("10.1.2.3") == address("10.0.2.32"))
    #expect(nextHop("fd00:2::77") == address("fd00:2::77"))
    #expect(nextHop("2620::1") == address("fd00:2::1"))
    #expect(nextHop("2001:db8::6") == address("fd00:2::32"))
    #expect(nextHop("2001:db8::5") == address("fd00:2::128"))
  }

  /// Against a table that is looked through from end to end.
  @Test func P5_lookUpAgreesWithAPlainSearch() throws {
    let host = Host()
    let link = host.link
    var random = SeededGenerator(seed: 42)
    var tables = NetworkTables()
    tables.interfaceCount = Int(link)
    for metric in 0..<400 {
      let isIPv4 = Bool.random(using: &random)
      // Few distinct bits, so that prefixes nest.
      let bits = UInt64.random(in: 0..<64, using: &random)
      let base = isIPv4 ? IPAddress(IPv4Address(UInt32(bits) << 26)) : IPAddress(high: bits << 58, low: 0)
      let length = Int.random(in: 0...(isIPv4 ? 12 : 14), using: &random)
      guard !base.isMulticast, let prefix = IPPrefix(base, length: length) else { continue }
      try tables.addRoute(Route(to: prefix, interface: link, metric: UInt32(metric)))
    }
    let snapshot = NetworkSnapshot(tables, generation: 1)
    for _ in 0..<2000 {
      let word = UInt64.random(in: 0...UInt64.max, using: &random)
      let sought =
        Bool.random(using: &random)
        ? IPAddress(IPv4Address(UInt32(truncatingIfNeeded: word))) : IPAddress(high: word, low: word)
      let expected = tables.routes.filter { $0.destination.contains(sought) }
        .max { ($0.destination.length, $1.metric) < ($1.destination.length, $0.metric) }
      #expect(snapshot.route(to: sought, interface: 0) == expected)
    }
  }

  @Test func RT_GEN_aCachedRouteIsLookedUpAgainAfterAChange() throws {
    let host = Host()
    host.introducePeer()
    let decision = try #require(host.layer.route(to: Host.peer4))
    host.send(Frame.udp([1]), to: Host.peer4, route: decision)
    #expect(host.count(.routesRefreshed) == 0)
    #expect(host.layer.isCurrent(decision))
    let (layer, link) = (host.layer, host.link)
    host.perform { cx in
      try? layer.change(&cx) { tables throws(NetworkChangeError) in
        try tables.addRoute(
          Route(to: IPPrefix("10.0.2.100/32")!, interface: link, gateway: IPAddress("10.0.2.1")!))
      }
    }
    #expect(!host.layer.isCurrent(decision))
    _ = host.wire.takeSent()
    host.send(Frame.udp([2]), to: Host.peer4, route: decision)
    #expect(host.count(.routesRefreshed) == 1)
    #expect(host.wire.takeSent().compactMap { Frame.arp($0)?.target } == [IPv4Address(10, 0, 2, 1)])
    host.scheduler.run(milliseconds: 10_000)
    #expect(host.packetsInUse == 0)
  }

  @Test func RT_ORDER_routesGoWithTheirAddress() throws {
    let host = Host()
    let link = host.link
    try host.layer.configure { tables throws(NetworkChangeError) in
      try tables.addRoute(Route(to: IPPrefix("0.0.0.0/0")!, interface: link, gateway: IPAddress("10.0.2.1")!))
      try tables.addRoute(
        Route(to: IPPrefix("2001:db8::/32")!, interface: link, source: Host.ipv6))
    }
    #expect(host.layer.route(to: address("8.8.8.8")) != nil)
    try host.layer.configure { tables throws(NetworkChangeError) in
      try tables.removeAddress(Host.ipv4, interface: link)
      try tables.removeAddress(Host.ipv6, interface: link)
      for route in tables.routes {
        // Nothing may rest on an address that is gone, not even before the snapshot is published.
        #expect(route.gateway == nil && route.source == nil)
      }
    }
    for text in ["8.8.8.8", "10.0.2.100", "2001:db8::1", "fd00:2::100"] {
      #expect(host.layer.route(to: address(text)) == nil)
    }
    host.send(Frame.udp(), to: Host.peer4)
    #expect(host.count(.sendNoRoute) == 1)
    #expect(host.packetsInUse == 0)
  }

  @Test func changesAreCheckedAndRefusedWhole() throws {
    let host = Host()
    let link = host.link
    let before = host.layer.generation
    func refusal(_ change: (inout NetworkTables) throws(NetworkChangeError) -> Void) -> NetworkChangeError? {
      do throws(NetworkChangeError) {
        try host.layer.configure(change)
        return nil
      } catch { return error }
    }
    func add(_ text: String, _ interface: UInt16) -> NetworkChangeError? {
      refusal { tables throws(NetworkChangeError) in
        try tables.addAddress(InterfaceAddress(prefix(text), interface: interface))
      }
    }
    #expect(add("10.0.2.2/24", link) == .addressExists)
    #expect(add("10.0.3.2/24", 9) == .noSuchInterface)
    #expect(add("10.0.3.2/24", 0) == .noSuchInterface)
    #expect(add("224.0.0.5/24", link) == .invalidAddress)
    #expect(add("ff02::5/64", link) == .invalidAddress)
    #expect(add("0.0.0.0/0", link) == .invalidAddress)
    #expect(add("255.255.255.255/32", link) == .invalidAddress)
    func route(_ text: String, via gateway: String?, source: String? = nil) -> NetworkChangeError? {
      refusal { tables throws(NetworkChangeError) in
        try tables.addRoute(
          Route(
            to: prefix(text), interface: link, gateway: gateway.map(address), source: source.map(address)))
      }
    }
    #expect(route("0.0.0.0/0", via: "192.168.0.1") == .gatewayUnreachable)
    #expect(route("0.0.0.0/0", via: "fd00:2::1") == .invalidAddress)
    #expect(route("224.0.0.0/4", via: nil) == .invalidAddress)
    #expect(route("8.0.0.0/8", via: "10.0.2.1", source: "10.0.2.3") == .noSuchAddress)
    #expect(
      refusal { tables throws(NetworkChangeError) in
        try tables.addRoute(Route(to: prefix("8.0.0.0/8"), interface: link))
        try tables.addRoute(Route(to: prefix("8.1.0.0/8"), interface: link))
      } == .routeExists)
    #expect(host.layer.route(to: address("8.8.8.8")) == nil)  // the first half was not kept
    #expect(host.layer.generation == before)
  }

  // Rules: RFC 9293 MUST-44
  @Test func sourcesAreChosenByRFC6724() throws {
    let host = Host()
    let link = host.link
    try host.layer.configure { tables throws(NetworkChangeError) in
      try tables.addAddress(InterfaceAddress(prefix("2001:db8:5::2/64"), interface: link))
      try tables.addAddress(InterfaceAddress(prefix("192.168.7.2/24"), interface: link))
      try tables.addRoute(Route(to: prefix("::/0"), interface: link, gateway: address("fd00:2::1")))
      try tables.addRoute(Route(to: prefix("0.0.0.0/0"), interface: link, gateway: address("10.0.2.1")))
    }
    func source(_ text: String) -> IPAddress? { host.layer.route(to: address(text))?.source }
    #expect(source("fd00:2::9") == Host.ipv6)
    #expect(source("2001:db8:5::9") == address("2001:db8:5::2"))
    #expect(source("2001:db9::1") == address("2001:db8:5::2"))  // longest match, and the label
    #expect(source("fe80::9") == IPAddress(IPv6Address(linkLocal: Host.station)))
    #expect(source("ff02::1") == IPAddress(IPv6Address(linkLocal: Host.station)))
    #expect(source("192.168.7.9") == address("192.168.7.2"))
    #expect(source("8.8.8.8") == Host.ipv4)
    #expect(source("127.0.0.1") == address("127.0.0.1"))
    #expect(source("::1") == address("::1"))
    #expect(source("10.0.2.2") == Host.ipv4)
    // A bound source must be ours.
    #expect(
      host.layer.route(to: Host.peer4, sourceHint: address("192.168.7.2"))?.source == address("192.168.7.2"))
    #expect(host.layer.route(to: Host.peer4, sourceHint: address("192.168.7.3")) == nil)
    #expect(host.layer.route(to: Host.peer4, sourceHint: address("127.0.0.1")) == nil)
    #expect(host.layer.route(to: Host.peer4, sourceHint: Host.ipv6) == nil)
  }

  @Test func deliveryAndMTUAreDecided() throws {
    let host = Host()
    let link = host.link
    try host.layer.configure { tables throws(NetworkChangeError) in
      try tables.addRoute(
        Route(to: prefix("9.0.0.0/8"), interface: link, gateway: address("10.0.2.1"), mtu: 1280))
    }
    let all = { (text: String) in host.layer.route(to: IPAddress(text)!) }
    #expect(all("10.0.2.255")?.delivery == .broadcast)
    #expect(all("255.255.255.255")?.delivery == .broadcast)
    #expect(all("224.0.0.9")?.delivery == .multicast)
    #expect(all("ff02::9")?.delivery == .multicast)
    #expect(all("10.0.2.2")?.delivery == .local)
    #expect(all("127.9.9.9")?.delivery == .local)
    #expect(all("fd00:2::2")?.delivery == .local)
    #expect(all("9.1.1.1")?.mtu == 1280)
    #expect(all("10.0.2.9")?.mtu == 1500)
    #expect(all("0.0.0.0") == nil)
    #expect(host.layer.isOwn(Host.ipv4) && host.layer.isOwn(address("127.3.2.1")))
    #expect(!host.layer.isOwn(Host.peer4))
  }
}
