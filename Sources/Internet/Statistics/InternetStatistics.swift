public import Exclusion
import SoftInterrupts
public import Wire

/// What an internet layer did and has, at one moment, for status pages and tests. Counters of contexts that
/// run meanwhile are each exact, together they may be a little apart.
public struct InternetStatistics: Sendable {
  /// Every event, in the order of ``InternetEvent``.
  public let events: [(name: String, count: UInt64)]
  /// Every interface, by index.
  public let interfaces: [InterfaceStatistics]
  /// The routes, most specific first.
  public let routes: [Route]
  /// Publications of addresses and routes so far.
  public let generation: UInt64

  /// How often `event` happened.
  public subscript(event: InternetEvent) -> UInt64 { events[event.rawValue].count }
}

/// One interface.
public struct InterfaceStatistics: Sendable {
  /// Its index.
  public let index: UInt16
  /// The device's name.
  public let name: String
  /// The largest IP packet in bytes.
  public let mtu: Int
  /// Its Ethernet address, if it has one.
  public let station: MACAddress?
  /// Its addresses.
  public let addresses: [IPPrefix]
  /// Frames or packets that came in.
  public let packetsReceived: UInt64
  /// Their bytes, link headers included.
  public let bytesReceived: UInt64
  /// Frames or packets given to a transmit queue.
  public let packetsSent: UInt64
  /// Their bytes, link headers included.
  public let bytesSent: UInt64
  /// Received packets that nobody got; an event says why.
  public let packetsDropped: UInt64
  /// Its neighbours.
  public let neighbors: [NeighborStatistics]
}

/// One neighbour.
public struct NeighborStatistics: Sendable, Hashable {
  /// Its address.
  public let address: IPAddress
  /// Its station, if it is known.
  public let station: MACAddress?
  /// Packets that wait for it or are on their way through its cache.
  public let pending: Int
}

extension InternetLayer {
  /// What happened so far. Application context, or a test between passes; not for the packet path: it
  /// allocates.
  public func statistics() -> InternetStatistics {
    let pin = contexts.grace.pin()
    defer { contexts.grace.unpin(pin) }
    let tables = snapshot.snapshot()
    let events = InternetEvent.allCases.map { (name: String(describing: $0), count: total($0)) }
    let all = (0..<interfaceCount).compactMap { interface(UInt16($0 + 1)) }
    return InternetStatistics(
      events: events, interfaces: all.map { statistics(of: $0, tables) }, routes: tables.routes.array,
      generation: tables.generation)
  }

  private func statistics(of interface: InterfaceRef, _ tables: NetworkSnapshot) -> InterfaceStatistics {
    let index = interface.index
    return InterfaceStatistics(
      index: index, name: interface.name, mtu: interface.mtu, station: interface.station,
      addresses: tables.addresses.array.filter { $0.interface == index }.map(\.prefix),
      packetsReceived: total(.packetsReceived, interface: index),
      bytesReceived: total(.bytesReceived, interface: index),
      packetsSent: total(.packetsSent, interface: index), bytesSent: total(.bytesSent, interface: index),
      packetsDropped: total(.packetsDropped, interface: index),
      neighbors: interface.neighbors?.list() ?? [])
  }

  /// How often `event` happened, on all contexts. Any thread.
  public func count(of event: InternetEvent) -> UInt64 { total(event) }

  /// An upper layer has seen packets to `destination` answered: its neighbour is there (RFC 4861 section
  /// 7.3.1). `route` is the one that they took. Any context, once in a while for each connection.
  public func confirmReachability(_ route: RouteDecision, _ cx: borrowing SoftInterrupt) {
    interface(route.interface)?.neighbors?.find(route.nextHop)?.confirm(at: cx.now)
  }
}
