/// When a connection looks for the size that its path takes by trying it: RFC 4821. The numbers are those of Linux's
/// net.ipv4.tcp_mtu_probing.
@frozen public enum TCPPathProbing: UInt8, Sendable {
  /// Never: what routers say counts, and the route.
  case never
  /// Once a black hole was found, or a router has spoken: segments vanish whose size nobody complains of.
  case afterBlackHole
  /// From the beginning.
  case always
}

/// What a connection has found out of its path since it was last asked, for whoever counts over all of them.
@frozen public struct TCPPathNews: OptionSet, Sendable {
  /// The bits.
  public let rawValue: UInt8
  /// Any bits.
  @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// A probe was sent.
  @inlinable public static var probe: TCPPathNews { TCPPathNews(rawValue: 1) }
  /// A probe arrived.
  @inlinable public static var probeDelivered: TCPPathNews { TCPPathNews(rawValue: 2) }
  /// A probe was lost.
  @inlinable public static var probeLost: TCPPathNews { TCPPathNews(rawValue: 4) }
  /// Segments became smaller because nothing of their size was acknowledged.
  @inlinable public static var blackHole: TCPPathNews { TCPPathNews(rawValue: 8) }
}
