public import Sockets
public import TCP
import Timing
public import Wire

/// Whose socket calls the host has.
public enum Personality: Sendable, Hashable {
  case linux
  case bsd
}

/// How a ``DrillHost`` behaves. What concerns sockets is read when a socket is made.
public struct HostSettings: Sendable {
  /// Whose socket calls.
  public var personality: Personality
  /// The host's own address of IPv4.
  public var localIPv4 = IPAddress(IPv4Address(192, 168, 0, 1))
  /// The host's own address of IPv6.
  public var localIPv6 = IPAddress("fd3d:fa7b:d17d::1")!
  /// Bits of IPv4's network on the link, 1...32.
  public var prefixLengthIPv4 = 16
  /// Bits of IPv6's network on the link, 1...128.
  public var prefixLengthIPv6 = 48
  /// Where scripts' packets come from, over IPv4.
  public var remoteIPv4 = IPAddress(IPv4Address(192, 0, 2, 1))
  /// Where scripts' packets come from, over IPv6.
  public var remoteIPv6 = IPAddress("2001:db8::1")!
  /// The next hop of IPv4's default route.
  public var gatewayIPv4 = IPAddress(IPv4Address(192, 168, 255, 254))
  /// The next hop of IPv6's default route.
  public var gatewayIPv6 = IPAddress("fd3d:fa7b:d17d:8888::")!
  /// The largest packet of the link, 68...65535 bytes.
  public var mtu = 1500
  /// The largest packet of the default routes, in bytes; 0: the link's.
  public var routeMTU = 0
  /// The segment that SYNs announce over them, in bytes; 0: what follows from the MTU.
  var routeAnnouncement = 0
  /// Seeds hashes, sequence numbers and ports.
  public var seed: UInt64 = 1

  /// BSD: out of black holes of IPv4 and of IPv6, and the sizes of segments that are tried for each, the smaller one last.
  var stepsDown = (ipv4: false, ipv6: false)
  var steps = (ipv4: (UInt16(1200), UInt16(536)), ipv6: (UInt16(1220), UInt16(1220)))
  /// The port of UDP where segments in UDP come to, and from where they go; 0: none do. Read whenever it is needed.
  public var encapsulationPort: UInt16 = 0
  /// Bytes that such segments are smaller, 8...1024.
  public var encapsulationOverhead: UInt16 = 8
  /// What the stack remembers of paths from connection to connection. As the kernel of Linux comes; BSD's scripts have
  /// theirs empty.
  public var remembers: RememberedPaths
  /// The keys of Fast Open's cookies; nil: random ones.
  public var fastOpenKeys: TCPFastOpenCookies?
  /// BSD: secrets that segments are signed with (RFC 2385), by the peer's address, of sockets that ask for it; what
  /// `setkey` adds.
  public var signatureKeys: [TCPSignatureKey] = []
  /// BSD: segments without the timestamps that were agreed on are dropped (RFC 7323 section 3.2).
  public var requiresTimestamps: Bool
  /// What the settings say of the protocol that have no field of their own here.
  public var transport = TCPConfiguration()
  /// CUBIC leaves the first slow start before it loses something.
  public var leavesSlowStartEarly = true
  /// RFC 7323: offer and answer timestamps.
  public var timestamps = true
  /// RFC 7323: offer and answer the scale of the window.
  public var windowScaling = true
  /// RFC 2018.
  public var selectiveAcknowledgments = true
  /// SYN cookies when there is no place for another half-open connection.
  public var synCookies = true
  /// Retransmissions of a SYN before a connection is given up.
  public var synRetries: UInt8
  /// Retransmissions of a SYN-ACK.
  public var synAckRetries: UInt8
  /// Retransmissions of a segment.
  public var dataRetries: UInt8 = 15
  /// Received and unread bytes as Linux counts memory: least, at first, most.
  public var receiveMemory: (least: Int, initial: Int, most: Int)
  /// Sent and unacknowledged bytes as Linux counts memory: least, at first, most.
  public var sendMemory: (least: Int, initial: Int, most: Int)
  /// The most that SO_RCVBUF takes, before Linux doubles it.
  public var largestReceiveBuffer: Int
  /// BSD: the memory that a buffer may take with all of its overhead, which is what the scale of windows spans.
  public var largestBuffer = 2_097_152
  /// The most that SO_SNDBUF takes, likewise.
  public var largestSendBuffer: Int
  /// Seconds of silence before a keep-alive probe.
  public var keepAliveTime: Int32 = 7200
  /// Seconds between probes.
  public var keepAliveInterval: Int32 = 75
  /// Probes without answer.
  public var keepAliveProbes: Int32
  /// Silence is probed without having been asked for (BSD).
  var alwaysKeepsAlive: Bool
  /// BSD: seconds that a connection may take to open.
  public var keepAliveInitial: Int32 = 75
  /// Seconds that a closed socket stays in FIN-WAIT-2.
  public var finWait2Seconds: Int32 = 60
  /// Bytes that may be written and not sent; 2³²−1: any number.
  public var unsentLowWater = UInt32.max
  /// Of new sockets, as TCP_CONGESTION tells it.
  public var congestionControl: String
  /// TTL and hop limit.
  public var hopLimit: UInt8 = 64

  /// The defaults of a personality.
  public init(_ personality: Personality = .linux) {
    self.personality = personality
    // As the kernels come: scripts say so where they want it otherwise.
    transport.pathProbing = .never
    transport.probeFloor = 48
    requiresTimestamps = personality == .bsd
    alwaysKeepsAlive = personality == .bsd
    remembers = personality == .linux ? .roundTrip : []
    switch personality {
    case .linux:
      (synRetries, synAckRetries) = (6, 5)
      receiveMemory = (4096, 131_072, 6_291_456)
      sendMemory = (4096, 16384, 4_194_304)
      (largestReceiveBuffer, largestSendBuffer) = (4 << 20, 4 << 20)
      keepAliveProbes = 9
      congestionControl = "cubic"
    case .bsd:
      (synRetries, synAckRetries) = (12, 3)
      transport.maximumTimeout = .seconds(64)
      transport.notificationRepeats = 1
      // Those are of its other stacks, which a socket asks for.
      transport.tailLossProbe = false
      transport.recentAcknowledgment = false
      dataRetries = 12
      receiveMemory = (4096, 65536, 2_097_152)
      sendMemory = (4096, 32768, 2_097_152)
      (largestReceiveBuffer, largestSendBuffer) = (2_097_152, 2_097_152)
      keepAliveProbes = 8
      congestionControl = "cubic"
    }
  }

  /// BSD: the values of FreeBSD 11, which came before others.
  mutating func becomeEarlierBSD() {
    transport.isEarlierBSD = true
    transport.initialTimeout = .seconds(3)
    transport.delayedAcknowledgment = .milliseconds(100)
  }

  /// What the engine of a socket begins with that is made now.
  func configuration() -> TCPConfiguration {
    var tcp = transport
    tcp.timestamps = timestamps
    tcp.windowScaling = windowScaling
    tcp.selectiveAcknowledgments = selectiveAcknowledgments
    tcp.synAttempts = synRetries
    tcp.synAckAttempts = synAckRetries
    tcp.retransmissionAttempts = dataRetries
    tcp.finWait2 = .seconds(Int64(finWait2Seconds))
    tcp.requiresTimestamps = requiresTimestamps
    tcp.probesWithData = personality == .bsd
    tcp.softErrorsEndHandshake = personality == .linux
    // Linux has HyStart as it was before RFC 9406, and FreeBSD none unless asked.
    tcp.slowStartExit = personality == .linux && leavesSlowStartEarly ? .hyStart : .loss
    tcp.personality = personality == .linux ? .linux : .bsd
    // BSD announces whatever its link has room for.
    if personality == .bsd {
      tcp.minimumSegment = min(tcp.minimumSegment, UInt16(clamping: max(mtu - 40, 1)))
    }
    return tcp
  }

  /// What a receive buffer of so many bytes offers at most: Linux keeps half of it for what its packets occupy beside
  /// their data.
  func window(of receiveBuffer: Int) -> Int {
    switch personality {
    case .linux: receiveBuffer / 2
    case .bsd: receiveBuffer
    }
  }
  /// What the scale of the window spans: the largest buffer that there may be.
  var windowSpan: Int {
    switch personality {
    case .linux: max(receiveMemory.most, largestReceiveBuffer)
    case .bsd: largestBuffer
    }
  }
}
