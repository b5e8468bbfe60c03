public import Wire

/// Whose socket calls the host has.
public enum Personality: Sendable, Hashable {
  case linux
  case bsd
}

/// What became of a named setting.
public enum SettingOutcome: Sendable, Hashable {
  /// Sockets that are made from now on behave so.
  case applied
  /// It says what is so already, or is about what has no part in this host.
  case harmless
  /// The host cannot behave so.
  case unsupported(String)
}

/// How a ``DrillHost`` behaves. What concerns sockets is read when a socket is made.
public struct HostSettings: Sendable {
  /// Whose socket calls.
  public var personality: Personality
  /// The host's own addresses.
  public var localIPv4 = IPAddress(IPv4Address(192, 168, 0, 1))
  public var localIPv6 = IPAddress("fd3d:fa7b:d17d::1")!
  /// Bits of the networks that are on the link.
  public var prefixLengthIPv4 = 16
  public var prefixLengthIPv6 = 48
  /// Where scripts' packets come from.
  public var remoteIPv4 = IPAddress(IPv4Address(192, 0, 2, 1))
  public var remoteIPv6 = IPAddress("2001:db8::1")!
  /// The next hop of the default routes.
  public var gatewayIPv4 = IPAddress(IPv4Address(192, 168, 255, 254))
  public var gatewayIPv6 = IPAddress("fd3d:fa7b:d17d:8888::")!
  /// The largest packet of the link, 576...2000 bytes.
  public var mtu = 1500
  /// Seeds hashes, sequence numbers and ports.
  public var seed: UInt64 = 1

  /// The defaults of a personality.
  public init(_ personality: Personality = .linux) {
    self.personality = personality
  }

  /// A named setting, as the shell's `sysctl` knows it (`net.ipv4.tcp_sack`, `net.inet.tcp.sack.enable`), with
  /// its value as it was written.
  public mutating func apply(sysctl name: String, value: String) -> SettingOutcome {
    .unsupported("\(name) is not known")
  }
}
