import Sockets
import TCP
import Timing
import Wire

/// What socket options were set to, as `getsockopt` tells it.
struct EndpointOptions {
  var reuseAddress = false
  var reusePort = false
  var keepAlive = false
  var outOfBandInline = false
  var linger: Int32?
  var lingerSeconds: Int32 = 0
  var priority: Int32 = 0
  var mark: Int32 = 0
  /// As Linux tells it, that is, doubled; nil: nobody set it.
  var sendBuffer: Int32?
  var receiveBuffer: Int32?
  var receiveLowWater: Int32 = 1
  /// Zero: none.
  var receiveTimeout = Nanoseconds.zero
  var sendTimeout = Nanoseconds.zero
  var zeroCopy = false
  var isIPv6Only = false
  var freeBind = false

  var noDelay = false
  var cork = false
  /// 0: nobody set it.
  var maximumSegment: Int32 = 0
  /// BSD's IPV6_USE_MIN_MTU: packets of no more than 1280 bytes.
  var usesLeastMTU = false
  /// BSD's TCP_FUNCTION_BLK asked for the usual making of TCP, which has no RACK, and probes no tails.
  var recoversByNumber = false
  /// BSD's TCP_REMOTE_UDP_ENCAPS_PORT; 0: segments go in IP.
  var encapsulationPort: UInt16 = 0
  /// Seconds.
  var keepIdle: Int32
  var keepInterval: Int32
  var keepCount: Int32
  /// BSD's TCP_KEEPINIT, in seconds.
  var keepInit: Int32
  /// Retransmissions of a SYN; 0: as the host has it.
  var synCount: Int32 = 0
  /// Seconds; 0: as the host has it; −1: an orphan does not stay in FIN-WAIT-2.
  var finWait2: Int32 = 0
  /// Retransmissions of a SYN-ACK.
  var deferAccept: UInt8 = 0
  var windowClamp: Int32 = 0
  /// Milliseconds.
  var userTimeout: Int32 = 0
  /// 0: as the host has it.
  var unsentLowWater: UInt32 = 0
  var tellsQueue = false
  var quick = true
  var congestion: String
  var noOptions = false
  /// TCP_FASTOPEN_CONNECT.
  var opensFast = false
  /// TCP_FASTOPEN: of a listener, how many may wait whose handshake is not complete; BSD: not nil, it opens fast.
  var fastOpenQueue: Int32?
  /// TCP_FASTOPEN_KEY.
  var fastOpenKeys: TCPFastOpenCookies?
  /// TCP_FASTOPEN_NO_COOKIE.
  var needsNoCookie = false
  /// TCP_AO_ADD_KEY and its like.
  var authentication = TCPAuthenticationSettings()
  /// TCP_MD5SIG and TCP_MD5SIG_EXT.
  var signatures: [TCPSignatureKey] = []

  var typeOfService: UInt8 = 0
  var trafficClass: UInt8 = 0
  /// −1: as the host has it.
  var timeToLive: Int32 = -1
  var hopLimit: Int32 = -1
  var pathDiscovery: Int32 = 1
  var pathDiscovery6: Int32 = 1
  var receivesErrors = false
  var receivesErrors6 = false

  /// What the host's settings say.
  init(_ settings: HostSettings) {
    keepIdle = settings.keepAliveTime
    keepInterval = settings.keepAliveInterval
    keepCount = settings.keepAliveProbes
    keepInit = settings.keepAliveInitial
    congestion = settings.congestionControl
  }

  /// SO_LINGER with no time: close resets.
  var abortsOnClose: Bool { linger != nil && lingerSeconds == 0 }
  /// Bytes that may be sent late; 2³²−1: any number.
  func unsentLimit(_ settings: HostSettings) -> UInt32 {
    unsentLowWater != 0 ? unsentLowWater : settings.unsentLowWater
  }

  /// What the stack is to be set to, for a socket of a host with `settings`.
  func stream(_ settings: HostSettings, isIPv4: Bool) -> StreamOptions {
    var options = StreamOptions(tcp: settings.configuration(), limits: limits(settings, isIPv4: isIPv4))
    options.tcp.noDelay = noDelay
    options.tcp.corked = cork
    options.tcp.congestionControl = CongestionNames.algorithm(congestion) ?? .cubic
    options.tcp.keepaliveIdle =
      keepAlive || settings.alwaysKeepsAlive ? .seconds(Int64(keepIdle)) : .zero
    options.tcp.keepaliveInterval = .seconds(Int64(keepInterval))
    options.tcp.keepaliveProbes = UInt8(clamping: keepCount)
    options.tcp.userTimeout = .milliseconds(Int64(userTimeout))
    if synCount > 0 { options.tcp.synAttempts = UInt8(clamping: synCount) }
    if finWait2 != 0 { options.tcp.finWait2 = .seconds(Int64(finWait2)) }
    if needsNoCookie { options.tcp.fastOpen.formUnion([.clientWithoutCookie, .serverWithoutCookie]) }
    options.tcp.sendsNoOptions = noOptions
    if settings.personality == .bsd { options.tcp.connectTimeout = .seconds(Int64(keepInit)) }
    let space =
      receiveBuffer.map { settings.window(of: Int($0)) }
      ?? settings.window(of: settings.receiveMemory.initial)
    // rcv_ssthresh begins with what a SYN can say, whatever there is.
    if settings.personality == .linux { options.tcp.firstWindow = 65535 }
    options.tcp.takesWholeSegments = settings.personality == .linux
    options.tcp.countsMemory = settings.personality == .linux
    options.tcp.receiveSpace = UInt32(clamping: windowClamp > 0 ? min(space, Int(windowClamp)) : space)
    if maximumSegment > 0 { options.segmentLimit = UInt16(clamping: maximumSegment) }
    options.encapsulationPort = encapsulationPort
    if recoversByNumber { (options.tcp.recentAcknowledgment, options.tcp.tailLossProbe) = (false, false) }
    if isIPv4 ? settings.stepsDown.ipv4 : settings.stepsDown.ipv6 {
      let steps = isIPv4 ? settings.steps.ipv4 : settings.steps.ipv6
      (options.tcp.blackHoleSegment, options.tcp.blackHoleLeast) = steps
    }
    if usesLeastMTU, !isIPv4 {
      let overhead = encapsulationPort == 0 ? 0 : settings.encapsulationOverhead
      options.segmentLimit = min(options.segmentLimit ?? .max, 1220 - min(overhead, 1024))
    }
    switch isIPv4 ? pathDiscovery : pathDiscovery6 {
    case 0, 4, 5: options.pathDiscovery = .route
    case 3: options.pathDiscovery = .probes
    default: options.pathDiscovery = .routers
    }
    options.deferredAccept = deferAccept
    options.authentication = authentication
    options.signatures = signatures
    options.trafficClass = TrafficClass(rawValue: isIPv4 ? typeOfService : trafficClass)
    let hops = isIPv4 ? timeToLive : hopLimit
    if hops > 0 { options.hopLimit = UInt8(clamping: hops) }
    options.windowSpan = windowSpan(settings)
    return options
  }

  private func windowSpan(_ settings: HostSettings) -> Int {
    if settings.personality == .linux {
      if windowClamp > 0 { return Int(windowClamp) }
      if let receiveBuffer { return settings.window(of: Int(receiveBuffer)) }
    }
    return settings.windowSpan
  }

  /// A buffer that somebody set does not grow.
  private func limits(_ settings: HostSettings, isIPv4: Bool) -> BufferLimits {
    var receive =
      receiveBuffer.map { settings.window(of: Int($0)) }
      ?? settings.window(of: settings.receiveMemory.initial)
    var receiveMost = receiveBuffer == nil ? settings.receiveMemory.most : 0
    if windowClamp > 0 {
      receive = min(receive, Int(windowClamp))
      receiveMost = min(receiveMost, Int(windowClamp))
    }
    switch settings.personality {
    case .linux:
      // What Linux takes depends on more than a number: `SendMemory`.
      return BufferLimits(send: .max, upTo: 0, receive: receive, upTo: receiveMost)
    case .bsd:
      // The whole segments that it becomes once the peer has answered, which is before the next window is told.
      let segment = settings.mtu - (isIPv4 ? 40 : 60)
      if receiveBuffer == nil { receive = (receive + segment - 1) / segment * segment }
      receiveMost = min(receiveMost, settings.largestReceiveBuffer)
      return BufferLimits(
        send: sendBuffer.map { Int($0) } ?? settings.sendMemory.initial,
        upTo: sendBuffer == nil ? settings.sendMemory.most : 0, receive: receive, upTo: receiveMost)
    }
  }
}
