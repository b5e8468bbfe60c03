// The tables as the packet path reads them: sorted, flat, immutable, without reference counts.

import Wire

/// Routes of one family and prefix length, all next to each other.
struct RouteGroup {
  let isIPv4: Bool
  let length: Int
  let start: Int
  let end: Int
}

/// A multicast group that an interface receives.
struct GroupMembership: Hashable {
  let group: IPAddress
  let interface: UInt16
}

/// What an address means to us, on the interface where it was met.
enum AddressMeaning {
  case ours, broadcast, group, foreign
}

/// One published state of addresses and routes.
final class NetworkSnapshot: Sendable {
  /// Counts the publications; never 0.
  let generation: UInt64
  /// Sorted by address.
  let addresses: FlatTable<InterfaceAddress>
  /// Sorted by length (longest first), network, metric.
  let routes: FlatTable<Route>
  let groups: FlatTable<RouteGroup>
  /// Sorted by group.
  let memberships: FlatTable<GroupMembership>

  init(_ tables: borrowing NetworkTables, generation: UInt64) {
    self.generation = generation
    addresses = FlatTable(tables.addresses.sorted { $0.address.precedes($1.address) })
    let routes = tables.routes.sorted { a, b in
      let (left, right) = (a.destination, b.destination)
      if left.address.isIPv4 != right.address.isIPv4 { return left.address.isIPv4 }
      if left.length != right.length { return left.length > right.length }
      return left.network == right.network ? a.metric < b.metric : left.network.precedes(right.network)
    }
    var groups: [RouteGroup] = []
    for (index, route) in routes.enumerated() {
      let (isIPv4, length) = (route.destination.address.isIPv4, route.destination.length)
      var start = index
      if let last = groups.last, last.isIPv4 == isIPv4, last.length == length {
        start = last.start
        groups.removeLast()
      }
      groups.append(RouteGroup(isIPv4: isIPv4, length: length, start: start, end: index + 1))
    }
    self.routes = FlatTable(routes)
    self.groups = FlatTable(groups)
    var memberships: Set<GroupMembership> = []
    for index in 0..<tables.interfaceCount {
      let interface = UInt16(index + 1)
      memberships.insert(GroupMembership(group: .allNodesIPv4, interface: interface))
      memberships.insert(GroupMembership(group: .allNodesIPv6, interface: interface))
      memberships.insert(GroupMembership(group: .allNodesInterfaceLocal, interface: interface))
    }
    for own in tables.addresses where !own.address.isIPv4 {
      memberships.insert(
        GroupMembership(group: .solicitedNode(of: own.address), interface: own.interface))
    }
    self.memberships = FlatTable(memberships.sorted { $0.group.precedes($1.group) })
  }

  /// The most specific route: longest prefix, then lowest metric (P5). `interface` 0 means any.
  func route(to destination: IPAddress, interface: UInt16) -> Route? {
    for number in 0..<groups.count {
      let group = groups[number]
      guard group.isIPv4 == destination.isIPv4,
        let key = IPPrefix(destination, length: group.length)?.network
      else { continue }
      var index = routes.partitionPoint(in: group.start..<group.end) { $0.destination.network.precedes(key) }
      while index < group.end, routes[index].destination.network == key {
        if interface == 0 || routes[index].interface == interface { return routes[index] }
        index += 1
      }
    }
    return nil
  }

  /// The entry of `address`, on `interface` if it has it there, else on any other.
  func own(_ address: IPAddress, preferring interface: UInt16 = 0) -> InterfaceAddress? {
    var index = addresses.partitionPoint(in: 0..<addresses.count) { $0.address.precedes(address) }
    var found: InterfaceAddress?
    while index < addresses.count, addresses[index].address == address {
      if addresses[index].interface == interface { return addresses[index] }
      found = found ?? addresses[index]
      index += 1
    }
    return found
  }

  func hasAddress(_ address: IPAddress, on interface: UInt16) -> Bool {
    own(address, preferring: interface)?.interface == interface
  }

  func isMember(_ group: IPAddress, interface: UInt16) -> Bool {
    var index = memberships.partitionPoint(in: 0..<memberships.count) { $0.group.precedes(group) }
    while index < memberships.count, memberships[index].group == group {
      if memberships[index].interface == interface { return true }
      index += 1
    }
    return false
  }

  /// Whether `address` reaches every IPv4 host of a link of `interface`.
  func isBroadcast(_ address: IPAddress, interface: UInt16) -> Bool {
    guard address.isIPv4 else { return false }
    if address.isLimitedBroadcast { return true }
    for index in 0..<addresses.count where addresses[index].interface == interface {
      if addresses[index].broadcast == address { return true }
    }
    return false
  }

  /// What a destination means that came in by `interface`. Any of our addresses is ours on any interface
  /// (the weak host model of RFC 1122 3.3.4.2), except link-local ones, which mean nothing elsewhere.
  func meaning(of address: IPAddress, interface: UInt16) -> AddressMeaning {
    if let own = own(address, preferring: interface) {
      return own.interface == interface || !address.isLinkLocal ? .ours : .foreign
    }
    if address.isMulticast { return isMember(address, interface: interface) ? .group : .foreign }
    return isBroadcast(address, interface: interface) ? .broadcast : .foreign
  }
}

extension IPAddress {
  /// 224.0.0.1.
  static var allNodesIPv4: IPAddress { IPAddress(IPv4Address.allSystems) }
  /// ff02::1.
  static var allNodesIPv6: IPAddress { IPAddress(high: 0xFF02_0000_0000_0000, low: 1) }
  /// ff01::1.
  static var allNodesInterfaceLocal: IPAddress { IPAddress(high: 0xFF01_0000_0000_0000, low: 1) }
  /// ff02::1:ffXX:XXXX (RFC 4291 section 2.7.1).
  static func solicitedNode(of address: IPAddress) -> IPAddress {
    IPAddress(high: 0xFF02_0000_0000_0000, low: 0x0000_0001_FF00_0000 | address.low & 0xFF_FFFF)
  }
  func precedes(_ other: IPAddress) -> Bool { (high, low) < (other.high, other.low) }
}
