import CLinux
import Glibc
import Sockets
public import Timing
public import Wire

/// A rule about what the guest may reach.
public struct OutboundRule: Hashable, Sendable {
  /// Whether what it names is allowed, or denied.
  public var allows: Bool
  /// The addresses that it names.
  public var network: IPPrefix
  /// Of these, the ports; nil: all.
  public var ports: ClosedRange<UInt16>?

  /// A rule.
  public init(allows: Bool, network: IPPrefix, ports: ClosedRange<UInt16>? = nil) {
    self.allows = allows
    self.network = network
    self.ports = ports
  }

  /// Reads `NET[:PORT[-PORT]]`: an address, or a network with its prefix's length. With ports an IPv6 network stands in
  /// brackets. Nil: it is not of that form.
  public static func parse(_ text: String, allows: Bool) -> OutboundRule? {
    var (name, ports) = (Substring(text), Substring?.none)
    if name.hasPrefix("[") {
      guard let end = name.firstIndex(of: "]") else { return nil }
      let rest = name[name.index(after: end)...]
      guard rest.isEmpty || rest.hasPrefix(":") else { return nil }
      if !rest.isEmpty { ports = rest.dropFirst() }
      name = name[name.index(after: name.startIndex)..<end]
      guard name.contains(":") else { return nil }
    } else if let colon = name.firstIndex(of: ":"),
      name[name.index(after: colon)...].firstIndex(of: ":") == nil
    {
      ports = name[name.index(after: colon)...]
      name = name[..<colon]
    }
    guard let network = IPPrefix(String(name)) else { return nil }
    var rule = OutboundRule(allows: allows, network: network)
    if let ports {
      let ends = ports.split(separator: "-", omittingEmptySubsequences: false)
      guard ends.count <= 2, let first = PortForward.port(ends[0]),
        let last = PortForward.port(ends[ends.count - 1]), first <= last
      else { return nil }
      rule.ports = first...last
    }
    return rule
  }

  /// Whether it says something about this.
  func names(_ destination: SocketAddress) -> Bool {
    network.contains(destination.address) && (ports?.contains(destination.port) ?? true)
  }
}

/// What the guest may reach outside, and where that is on the host.
public struct OutboundPolicy: Sendable {
  /// What becomes of something that the guest wants to reach.
  enum Decision: Hashable {
    /// It is carried on to this address of the host's.
    case carry(SocketAddress)
    /// It is not.
    case refuse(ConnectionVerdict)
  }

  /// Connections carried at once, 1...60,000.
  public var limit = 4096
  /// Flows of datagrams carried at once, 1...60,000; beyond that the one that was silent for longest gives way.
  public var datagramLimit = 1024
  /// How long a flow is kept after something has passed (RFC 4787 section 4.3 wants two minutes at least).
  public var datagramPatience = Nanoseconds.seconds(120)
  /// The same for a flow that had no answer yet.
  public var silentDatagramPatience = Nanoseconds.seconds(30)
  /// Sequences of echo requests carried at once, 1...1,000; beyond that the one that was silent for longest gives way.
  public var echoLimit = 64
  /// How long a sequence of echo requests is kept after something has passed.
  public var echoPatience = Nanoseconds.seconds(30)
  /// Names that are answered here, before a resolver is asked.
  public var names = NameTable()
  /// Addresses of the gateway. What it does not serve itself nobody has, unless ``reachesHostLoopback``.
  public var gateway: [IPAddress] = []
  /// Addresses of the gateway that stand for this host's resolvers, at port 53.
  public var nameServers: [IPAddress] = []
  /// Where this host's resolvers are.
  public var resolvers: [SocketAddress] = []
  /// Who tells when they are others; nil: they stay.
  public var resolverWatch: HostResolvers.Watch?
  /// The gateway's addresses lead to this host's own loopback interface.
  public var reachesHostLoopback = false
  /// What sockets for the outside are bound to, one address of each family at most; where there is none, the system chooses.
  public var sources: [IPAddress] = []
  /// The first that names a destination decides; what none names is allowed.
  public var rules: [OutboundRule] = []

  /// A connected ICMP socket of the host's, or a negative errno. Tests put another one here.
  var openEchoSocket: @Sendable (IPAddress) -> Int32 = { address in
    unsafe address.withNetworkOrder { unsafe sluice_echo_connect($0.baseAddress, Int32($0.count)) }
  }

  /// All is allowed but this host's loopback interface.
  public init() {}

  /// What a socket for this is bound to. What leads to this host itself is not meant.
  func source(for target: SocketAddress) -> IPAddress? {
    target.address.isLoopback ? nil : sources.first { $0.isIPv4 == target.address.isIPv4 }
  }

  /// Whether it stands for this host's resolvers.
  func isNameServer(_ destination: SocketAddress) -> Bool {
    destination.port == 53 && nameServers.contains(destination.address)
  }

  /// Where something leads.
  func decide(_ destination: SocketAddress) -> Decision {
    if nameServers.contains(destination.address) {
      guard destination.port == 53, let resolver = resolvers.first else { return .refuse(.reset) }
      return .carry(resolver)
    }
    if gateway.contains(destination.address) {
      guard reachesHostLoopback else { return .refuse(.reset) }
      let loopback = IPAddress(destination.address.isIPv4 ? "127.0.0.1" : "::1")!
      return .carry(SocketAddress(loopback, port: destination.port))
    }
    // What a translator or a tunnel on the way would make of it counts as well: a denied network has no other names.
    for address in [destination.address] + EmbeddedAddresses.of(destination.address) {
      // A packet for the host's loopback never gets here; an address that stands for it must not either.
      guard address.isCarried else { return .refuse(.prohibited) }
      let meant = SocketAddress(address, port: destination.port)
      if let rule = rules.first(where: { $0.names(meant) }), !rule.allows { return .refuse(.prohibited) }
    }
    return .carry(destination)
  }
}

extension IPAddress {
  /// Not this host (0/8, which Linux takes for it, 127/8, ::, ::1), and not its link's, where hosts are configured from
  /// (169.254.169.254, fe80::/10).
  fileprivate var isCarried: Bool {
    !isLoopback && !isUnspecified && !isLinkLocal && !isMulticast && !(ipv4?.isThisNetwork ?? false)
  }
}

extension ConnectionVerdict {
  /// How what a host's socket failed with looks to who asked.
  init(errno: Int32) {
    switch errno {
    case ENETUNREACH, ENETDOWN, EAFNOSUPPORT, EADDRNOTAVAIL: self = .networkUnreachable
    case EHOSTUNREACH, EHOSTDOWN, EINVAL: self = .hostUnreachable
    case EACCES, EPERM: self = .prohibited
    case ETIMEDOUT: self = .drop
    default: self = .reset
    }
  }
}

extension ForwardCounters {
  /// The host did not make a connection.
  func count(refusal errno: Int32) {
    switch ConnectionVerdict(errno: errno) {
    case .drop: timedOut.increment()
    case .networkUnreachable, .hostUnreachable, .prohibited: unreachable.increment()
    case .accept, .reset: refusedByHost.increment()
    }
  }
}
