import Exclusion
public import Wire

/// Why there is no way to a destination.
enum RouteError: Error {
  case noRoute
  case badSource
}

extension InternetLayer {
  /// The way to `destination`. Any context, inside a grace section; takes no lock and counts no reference.
  ///
  /// - Parameters:
  ///   - destination: of either family; not unspecified.
  ///   - sourceHint: the source that the sender is bound to, which must be ours; nil chooses one (RFC 6724).
  ///   - zone: index of the interface to leave by, or 0. A link-local destination needs one where there
  ///     is more than one link.
  /// - Returns: nil if there is no route, or no source for it.
  public func route(
    to destination: IPAddress, sourceHint: IPAddress? = nil, zone: UInt16 = 0
  ) -> RouteDecision? {
    try? findRoute(to: destination, sourceHint: sourceHint, zone: zone)
  }

  /// Whether nothing has changed since `route` was looked up. Any context.
  public func isCurrent(_ route: RouteDecision) -> Bool {
    #if Explore
      if Mutation.routeGenerationNotCompared.isOn { return true }
    #endif
    return route.generation == generation
  }

  func findRoute(
    to destination: IPAddress, sourceHint: IPAddress?, zone: UInt16
  ) throws(RouteError) -> RouteDecision {
    if destination.isUnspecified { throw .noRoute }
    let hint = sourceHint.flatMap { $0.isUnspecified ? nil : $0 }
    if let hint, hint.isIPv4 != destination.isIPv4 { throw .badSource }
    let result = snapshot.with { Self.findRoute(in: $0, destination, hint, zone, loopbackInterface) }
    guard let found = result, let interface = interface(found.interface) else { throw .noRoute }
    let source = hint ?? found.source
    guard let source else { throw .badSource }
    if let hint, !found.isHintOurs, !hint.isLoopback, !interface.acceptsForeignDestinations {
      throw .badSource
    }
    if hint?.isLoopback == true, !interface.isLoopback { throw .badSource }
    var delivery = RouteDecision.Delivery.unicast
    if interface.isLoopback {
      delivery = .local
    } else if destination.isMulticast {
      delivery = .multicast
    } else if found.isBroadcast {
      delivery = .broadcast
    }
    let mtu = found.mtu > 0 ? min(found.mtu, interface.mtu) : interface.mtu
    return RouteDecision(
      generation: found.generation, source: source, nextHop: found.nextHop, interface: found.interface,
      mtu: mtu, delivery: delivery)
  }

  private struct Found {
    var generation: UInt64
    var interface: UInt16
    var nextHop: IPAddress
    var source: IPAddress?
    var isHintOurs: Bool
    var isBroadcast: Bool
    var mtu = 0
  }

  /// All that needs the snapshot, in one look at it.
  private static func findRoute(
    in tables: NetworkSnapshot, _ destination: IPAddress, _ hint: IPAddress?, _ zone: UInt16,
    _ loopback: UInt16
  ) -> Found? {
    var found = Found(
      generation: tables.generation, interface: zone, nextHop: destination, source: nil,
      isHintOurs: hint.map { tables.own($0) != nil } ?? false, isBroadcast: false)
    // Our own addresses are reached over loopback, whatever link they belong to (R2).
    if let own = tables.own(destination, preferring: zone), loopback != 0,
      zone == 0 || own.interface == zone || zone == loopback
    {
      found.interface = loopback
      found.source = destination
      return found
    }
    if destination.isMulticast || destination.isLimitedBroadcast {
      // Groups live on links: the one that was named, the source's, or the one that a route names.
      if found.interface == 0, let hint { found.interface = tables.own(hint)?.interface ?? 0 }
      if found.interface == 0 {
        found.interface = tables.route(to: destination, interface: 0)?.interface ?? 0
      }
      if found.interface == 0 {
        found.interface = tables.firstLink(isIPv4: destination.isIPv4, except: loopback)
      }
      guard found.interface != 0 else { return nil }
      found.isBroadcast = destination.isLimitedBroadcast
    } else {
      guard let route = tables.route(to: destination, interface: zone) else { return nil }
      found.interface = route.interface
      found.nextHop = route.gateway ?? destination
      found.mtu = route.mtu
      found.source = route.source
      found.isBroadcast = tables.isBroadcast(destination, interface: route.interface)
    }
    if found.source == nil, hint == nil {
      found.source = tables.source(for: destination, nextHop: found.nextHop, interface: found.interface)
    }
    return found
  }
}

extension NetworkSnapshot {
  /// The first interface with an address of the family, or 0.
  func firstLink(isIPv4: Bool, except loopback: UInt16) -> UInt16 {
    var lowest: UInt16 = 0
    for index in 0..<addresses.count {
      let own = addresses[index]
      guard own.address.isIPv4 == isIPv4, own.interface != loopback else { continue }
      if lowest == 0 || own.interface < lowest { lowest = own.interface }
    }
    return lowest
  }

  /// Whether `address` is on a link of `interface`.
  func isOnLink(_ address: IPAddress, interface: UInt16) -> Bool {
    for index in 0..<addresses.count where addresses[index].interface == interface {
      if addresses[index].prefix.contains(address) { return true }
    }
    return false
  }

  /// An address of `interface` to ask the link for `target` from: `preferred` if it is there, else one on
  /// the target's link, else any of the family.
  func asker(for target: IPAddress, preferred: IPAddress, interface: UInt16) -> IPAddress? {
    if preferred.isIPv4 == target.isIPv4, hasAddress(preferred, on: interface) { return preferred }
    var any: IPAddress?
    for index in 0..<addresses.count {
      let own = addresses[index]
      guard own.interface == interface, own.address.isIPv4 == target.isIPv4 else { continue }
      if own.prefix.contains(target) { return own.address }
      any = any ?? own.address
    }
    return any
  }
}
