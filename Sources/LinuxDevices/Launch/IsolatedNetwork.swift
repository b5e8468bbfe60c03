public import Wire

/// The network that a command finds: one interface, its addresses, a gateway in each family.
public struct IsolatedNetwork: Sendable, Equatable {
  /// Name of the command's interface, 1 to 15 bytes.
  public var interface = "sluice0"
  /// The command's IPv4 address and its prefix.
  public var ipv4 = IPv4Address(10, 0, 2, 100), ipv4PrefixLength = 24
  /// Its default route.
  public var ipv4Gateway = IPv4Address(10, 0, 2, 2)
  /// Who answers for names there.
  public var ipv4NameServer = IPv4Address(10, 0, 2, 3)
  /// The command's IPv6 address and its prefix.
  public var ipv6 = IPv6Address(high: 0xfd00_0002_0000_0000, low: 0x100), ipv6PrefixLength = 64
  /// Its default route.
  public var ipv6Gateway = IPv6Address(high: 0xfd00_0002_0000_0000, low: 2)
  /// Who answers for names there.
  public var ipv6NameServer = IPv6Address(high: 0xfd00_0002_0000_0000, low: 3)
  /// What the command finds in /etc/resolv.conf, where it has a file of its own; nil: the host's.
  public var resolver: String?
  /// Bytes in a packet, 576 to ``TapDevice/largestMTU``, over a veth pair to ``PacketSocketDevice/largestMTU``. Below
  /// 1280 there is no IPv6 (RFC 8200 section 5).
  public var mtu = 1500
  /// Link-layer address of the command's interface.
  public var commandMAC = MACAddress(0x0200_0a00_0264)
  /// Link-layer address of the gateway: the device's own station address.
  public var gatewayMAC = MACAddress(0x0200_0a00_0202)
  /// Queue pairs of the link, 1 to 16.
  public var queues = 1
  /// The interface has one queue and is made, or was made, for no more; ``queues`` is 1.
  public var isSingleQueue = false
  /// The interface gets addresses of this family.
  public var hasIPv6 = true
  /// Checksums and segmentation are left to the other end of the link, which never is on a wire, where the kernel can.
  public var offload = true
  /// What to open for a TAP.
  public var tunPath = "/dev/net/tun"
  /// How long the whole set-up may take, in milliseconds.
  public var deadlineMilliseconds = 10_000

  /// 10.0.2.100/24 and fd00:2::100/64 behind 10.0.2.2 and fd00:2::2.
  public init() {}

  func check() throws(LaunchError) {
    guard (1...15).contains(interface.utf8.count),
      !interface.contains(where: { $0 == "/" || $0.isWhitespace })
    else { throw .link(.nameOutOfRange(interface)) }
    guard (576...TapDevice.largestMTU).contains(mtu) else {
      throw .link(.mtuOutOfRange(mtu, limit: TapDevice.largestMTU))
    }
    precondition((1...16).contains(queues), "queues: 1 to 16")
    precondition(!isSingleQueue || queues == 1, "one queue is one")
    precondition(
      (1...32).contains(ipv4PrefixLength) && (1...128).contains(ipv6PrefixLength), "prefix lengths")
  }
}
