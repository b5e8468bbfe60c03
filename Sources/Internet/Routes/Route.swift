public import Wire

/// An address of one of our interfaces, with the prefix of its link.
public struct InterfaceAddress: Hashable, Sendable {
  /// The address and how many of its bits name the link.
  public let prefix: IPPrefix
  /// The interface's index.
  public let interface: UInt16

  /// An address of `interface`.
  public init(_ prefix: IPPrefix, interface: UInt16) {
    self.prefix = prefix
    self.interface = interface
  }

  /// The address alone.
  public var address: IPAddress { prefix.address }

  /// The address that reaches every host of an IPv4 link (RFC 919), where the link has room for one.
  var broadcast: IPAddress? { address.isIPv4 && prefix.length < 31 ? prefix.broadcast : nil }
}

/// Where packets for a prefix go.
public struct Route: Hashable, Sendable {
  /// The addresses that it leads to.
  public let destination: IPPrefix
  /// The interface that leads there.
  public let interface: UInt16
  /// The router on the link, or nil if the destinations are on the link themselves.
  public let gateway: IPAddress?
  /// The source to prefer, one of our addresses, or nil for the usual choice.
  public let source: IPAddress?
  /// Of routes for the same prefix the lowest metric wins.
  public let metric: UInt32
  /// The largest packet in bytes, or 0 for what the interface carries.
  public let mtu: Int

  /// A route.
  public init(
    to destination: IPPrefix, interface: UInt16, gateway: IPAddress? = nil, source: IPAddress? = nil,
    metric: UInt32 = 0, mtu: Int = 0
  ) {
    self.destination = destination
    self.interface = interface
    self.gateway = gateway
    self.source = source
    self.metric = metric
    self.mtu = mtu
  }

  /// Same prefix, interface and metric: one of the two is too many.
  func hasSamePlace(as other: Route) -> Bool {
    destination.length == other.destination.length && destination.network == other.destination.network
      && interface == other.interface && metric == other.metric
  }
}

/// What the route look-up found: everything that a sender may keep between packets. It is good as long as
/// ``generation`` is the stack's (RT-GEN); ``InternetLayer/send(_:from:to:protocol:hopLimit:trafficClass:route:_:)``
/// checks, and looks up again if it is not.
public struct RouteDecision: Hashable, Sendable {
  /// How the packet leaves.
  public enum Delivery: UInt8, Sendable {
    /// To one station.
    case unicast
    /// To all stations of the link.
    case broadcast
    /// To a group on the link.
    case multicast
    /// To ourselves, over loopback.
    case local
  }
  /// Of the tables that this was looked up in.
  public let generation: UInt64
  /// One of our addresses.
  public let source: IPAddress
  /// The station on the link that gets the packet.
  public let nextHop: IPAddress
  /// The interface that it leaves by.
  public let interface: UInt16
  /// The largest packet, in bytes with its IP header.
  public let mtu: Int
  /// How it leaves.
  public let delivery: Delivery
}
