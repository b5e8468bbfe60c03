import Chance
import Timing
import Wire

/// A network as a profile describes it.
struct Assembly {
  let network: Network
  /// The pipe of the narrow link that leads to the server; the next one leads back.
  let narrow: Int
  let routers: [Router]

  init(_ profile: Profile, seed: UInt64, _ stack: StackParameters, _ random: inout SeededGenerator) {
    let network = Network(seed: random.next())
    self.network = network
    let (forward, backward) = profile.links(&random)
    func host(_ number: Int, network side: UInt8, gateway: Bool) -> Host {
      let ipv4 = IPAddress(IPv4Address(10, 0, side, UInt8(number + 10)))
      let ipv6 = IPAddress(high: 0xFD00 &<< 48 | UInt64(side), low: UInt64(number + 10))
      let prefixes = [IPPrefix(ipv4, length: 24), IPPrefix(ipv6, length: 64)].compactMap { $0 }
      return Host(
        network, number: number + 1, addresses: prefixes,
        gateway: gateway ? Self.routerAddresses(side) : [], seed: random.next(), stack)
    }
    func join(_ host: Host) -> Int { network.add(host) }
    switch profile.topology {
    case .direct:
      let hosts = [host(0, network: 0, gateway: false), host(1, network: 0, gateway: false)]
      let nodes = hosts.map(join)
      narrow = network.connect((nodes[0], 0), (nodes[1], 0), forward, backward)
      hosts[0].outgoing = narrow
      hosts[1].outgoing = narrow + 1
      routers = []
    case .switched(let count):
      let center = Switch(network)
      let middle = network.add(center)
      var last = 0
      for number in 0..<count {
        let host = host(number, network: 0, gateway: false)
        let isServer = number == count - 1
        last = network.connect((middle, number), (join(host), 0), forward, isServer ? backward : nil)
        center.outgoing.append(last)
        host.outgoing = last + 1
      }
      narrow = last
      routers = []
    case .routed:
      let hosts = [host(0, network: 1, gateway: true), host(1, network: 2, gateway: true)]
      let nodes = hosts.map(join)
      let both = [Router(network), Router(network)]
      let middle = both.map { network.add($0) }
      var access = LinkParameters(rate: 1_000_000_000, delay: .microseconds(10))
      access.queueing = .dropTail(bytes: 4 << 20)
      narrow = network.connect((middle[0], 1), (middle[1], 1), forward, backward)
      for side in 0..<2 {
        let link = network.connect((nodes[side], 0), (middle[side], 0), access)
        hosts[side].outgoing = link
        both[side].ports = Self.ports(
          side, host: hosts[side], other: hosts[1 - side], access: link + 1, narrow: narrow + side)
      }
      routers = both
    }
  }

  private static func routerAddresses(_ side: UInt8) -> [IPAddress] {
    [
      IPAddress(IPv4Address(10, 0, side, 1)),
      IPAddress(high: 0xFD00 &<< 48 | UInt64(side), low: 1),
    ]
  }

  /// A router's port to its host, and the one to the other router. Neither leads anywhere else: with a damaged address
  /// a packet would go to and fro between them, and with duplication it would be very many.
  private static func ports(
    _ side: Int, host: Host, other: Host, access: Int, narrow: Int
  ) -> [Router.Port] {
    func station(_ side: Int, _ port: Int) -> MACAddress {
      MACAddress(0x02_00_00_00_01_00 + UInt64(side * 16 + port))
    }
    return [
      Router.Port(
        outgoing: access, station: station(side, 0), addresses: routerAddresses(UInt8(side + 1)),
        prefixes: host.addresses, neighbors: host.addresses.map { ($0.address, host.station) }),
      Router.Port(
        outgoing: narrow, station: station(side, 1), addresses: routerAddresses(UInt8(100 + side)),
        prefixes: other.addresses, gateway: station(1 - side, 1)),
    ]
  }

  /// Does a step of the timeline.
  func perform(_ step: NetworkStep, _ traffic: Traffic) {
    let both = [network.pipes[narrow], network.pipes[narrow + 1]]
    switch step {
    case .cut: for pipe in both { pipe.setUp(false) }
    case .mend: for pipe in both { pipe.setUp(true) }
    case .mtu(let bytes): for pipe in both { pipe.change { $0.mtu = bytes } }
    case .mute: for router in routers { router.isMute = true }
    case .unmute: for router in routers { router.isMute = false }
    case .rate(let rate): for pipe in both { pipe.change { $0.rate = rate } }
    case .delay(let delay): for pipe in both { pipe.change { $0.delay = delay } }
    case .crash(let number):
      let host = network.hosts[number]
      guard host.stack != nil else { return }
      for session in traffic.sessions { session.hostCrashed(number) }
      host.crash()
    case .start(let number):
      let host = network.hosts[number]
      guard host.stack == nil else { return }
      host.start()
      for session in traffic.sessions { session.hostStarted(number) }
    }
  }
}
