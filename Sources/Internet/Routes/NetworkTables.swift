public import Wire

/// Why a change of addresses or routes was refused.
public enum NetworkChangeError: Error, Hashable, Sendable {
  /// The index names no interface (ENODEV).
  case noSuchInterface
  /// Not an address that a host or router may have (EINVAL).
  case invalidAddress
  /// The interface has this address already (EEXIST).
  case addressExists
  /// The interface does not have this address (EADDRNOTAVAIL).
  case noSuchAddress
  /// The gateway is not on a link of that interface (ENETUNREACH).
  case gatewayUnreachable
  /// The same prefix, interface and metric are there already (EEXIST).
  case routeExists
  /// There is no such route (ESRCH).
  case noSuchRoute
}

/// Addresses and routes as a value: what the control gate edits and then publishes as one snapshot.
///
/// It is whole after every change: each route's gateway and source rest on addresses that are in the same
/// value, so no reader ever sees a route before its address or after it (keeps RT-ORDER).
public struct NetworkTables: Sendable {
  /// The addresses of all interfaces, in the order in which they were added.
  public private(set) var addresses: [InterfaceAddress] = []
  /// The routes, those of the links included.
  public private(set) var routes: [Route] = []
  /// The number of interfaces; their indices are 1...interfaceCount.
  var interfaceCount = 0

  init() {}

  /// Adds the address, then the route to its link.
  public mutating func addAddress(_ added: InterfaceAddress) throws(NetworkChangeError) {
    try checkInterface(added.interface)
    let address = added.address
    guard !address.isMulticast, !address.isUnspecified, !address.isLimitedBroadcast else {
      throw .invalidAddress
    }
    guard !addresses.contains(where: { $0.address == address && $0.interface == added.interface }) else {
      throw .addressExists
    }
    addresses.append(added)
    let link = Route(to: added.prefix, interface: added.interface, metric: Self.linkMetric)
    if !routes.contains(where: { $0.hasSamePlace(as: link) }) { routes.append(link) }
  }

  /// Withdraws the routes that rest on the address, then the address.
  public mutating func removeAddress(_ address: IPAddress, interface: UInt16) throws(NetworkChangeError) {
    guard let index = addresses.firstIndex(where: { $0.address == address && $0.interface == interface })
    else {
      throw .noSuchAddress
    }
    let removed = addresses[index].prefix
    var remaining = addresses
    remaining.remove(at: index)
    let isSourceGone = !remaining.contains { $0.address == address }
    let links = remaining.filter { $0.interface == interface }.map(\.prefix)
    routes.removeAll { route in
      if isSourceGone, route.source == address { return true }
      guard route.interface == interface else { return false }
      if let gateway = route.gateway { return !links.contains { $0.contains(gateway) } }
      return route.destination.length == removed.length && route.destination.network == removed.network
        && !links.contains { $0.length == removed.length && $0.network == removed.network }
    }
    addresses = remaining
  }

  /// Adds a route whose gateway is on a link of its interface.
  public mutating func addRoute(_ route: Route) throws(NetworkChangeError) {
    try checkInterface(route.interface)
    guard !route.destination.address.isMulticast else { throw .invalidAddress }
    if let gateway = route.gateway {
      guard gateway.isIPv4 == route.destination.address.isIPv4, !gateway.isMulticast, !gateway.isUnspecified
      else { throw .invalidAddress }
      guard addresses.contains(where: { $0.interface == route.interface && $0.prefix.contains(gateway) })
      else {
        throw .gatewayUnreachable
      }
    }
    if let source = route.source {
      guard addresses.contains(where: { $0.address == source }) else { throw .noSuchAddress }
    }
    guard !routes.contains(where: { $0.hasSamePlace(as: route) }) else { throw .routeExists }
    routes.append(route)
  }

  /// Removes the route with this prefix, interface and metric.
  public mutating func removeRoute(_ route: Route) throws(NetworkChangeError) {
    guard let index = routes.firstIndex(where: { $0.hasSamePlace(as: route) }) else { throw .noSuchRoute }
    routes.remove(at: index)
  }

  /// Routes to a link yield to any that a user adds for the same prefix with a lower metric.
  public static var linkMetric: UInt32 { 256 }

  #if Explore
    /// Its routes with the addresses of `other`: what is never whole.
    func withAddresses(of other: NetworkTables) -> NetworkTables {
      var mixed = self
      mixed.addresses = other.addresses
      return mixed
    }
  #endif

  private func checkInterface(_ index: UInt16) throws(NetworkChangeError) {
    guard index > 0, Int(index) <= interfaceCount else { throw .noSuchInterface }
  }
}
