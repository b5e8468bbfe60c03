import Devices
import Internet
import Wire

/// Ways that a context looked up lately, by their destination: who opens many connections to one host looks the way up
/// once. Each is good as long as the tables' generation is the same (keeps RT-GEN).
struct RouteCache: ~Copyable {
  private struct Entry {
    var destination: IPAddress
    var source: IPAddress?
    var route: RouteDecision
  }
  private static var count: Int { 16 }
  private var entries = InlineArray<16, Entry?>(repeating: nil)

  /// The way to `destination`, as `internet` says, from `source` if that is not nil.
  mutating func route(
    to destination: IPAddress, from source: IPAddress?, _ internet: InternetLayer
  ) -> RouteDecision? {
    // Hosts of one network differ in their last bits. Who connects asks for a source, and then for the way from it:
    // neither takes the other's place.
    let mixed = destination.low ^ destination.low &>> 16
    let place = Int(truncatingIfNeeded: mixed &<< 1 | (source == nil ? 1 : 0)) & (Self.count - 1)
    if let entry = entries[place], entry.destination == destination, entry.source == source,
      internet.isCurrent(entry.route)
    {
      return entry.route
    }
    guard let route = internet.route(to: destination, sourceHint: source) else { return nil }
    entries[place] = Entry(destination: destination, source: source, route: route)
    return route
  }
}

extension SocketContextRef {
  /// The way to `destination`, from `source` if that is not nil; nil: there is none.
  func route(to destination: IPAddress, from source: IPAddress?) -> RouteDecision? {
    withInternet { unsafe pointer.pointee.routes.route(to: destination, from: source, $0) }
  }
  /// The largest packet for `key`'s peer, less what its segments travel in; nil: there is no way there.
  func mtu(_ key: FlowKey) -> Int? {
    way(key)?.mtu
  }
  /// The way to `key`'s peer, what the device does that it leads to, and the largest packet as ``mtu(_:)``; nil: there is no
  /// way there.
  func way(_ key: FlowKey) -> (route: RouteDecision, offloads: DeviceOffloads, mtu: Int)? {
    guard let route = route(to: key.remoteAddress, from: key.localAddress) else { return nil }
    let offloads = withInternet { $0.offloads(of: route) }
    return (route, offloads, StreamOptions.packet(mtu: route.mtu, offloads) - overhead(key))
  }
}
