public import Sockets
public import TCP

extension HostSettings {
  /// Sets a stack that is to be made by a name of `sysctl`'s and its value, as a script sets a host: the same table, for
  /// what is of the stack as a whole. Settings named before stay as they are.
  ///
  /// - Parameters:
  ///   - name: of Linux, `net.ipv4.tcp_…`, or of FreeBSD, `net.inet.tcp.udp_tunneling_…`; slashes do for dots.
  ///   - value: as it is written there.
  ///   - sockets: what the stack's sockets are to be.
  ///   - keys: the keys of Fast Open's cookies, where the name is theirs: for `SocketLayer.setFastOpenKeys`.
  public static func apply(
    sysctl name: String, value: String, to sockets: inout SocketConfiguration, keys: inout TCPFastOpenCookies?
  ) -> SettingOutcome {
    let dotted = String(name.map { $0 == "/" ? "." : $0 })
    guard dotted.hasPrefix("net.ipv4.tcp_") || ofEncapsulation.contains(dotted),
      !ofSingleSockets.contains(dotted)
    else {
      return .unsupported("\(dotted) is not a setting of the whole stack")
    }
    if dotted == "net.inet.tcp.udp_tunneling_overhead", sockets.encapsulation == nil {
      return .unsupported("net.inet.tcp.udp_tunneling_port comes first")
    }
    var settings = HostSettings(describing: sockets)
    let outcome = settings.apply(sysctl: dotted, value: value)
    guard case .applied = outcome else { return outcome }
    settings.describe(&sockets)
    if let given = settings.fastOpenKeys { keys = given }
    return .applied
  }

  /// What FreeBSD has and Linux has not.
  private static let ofEncapsulation: Set<String> = [
    "net.inet.tcp.udp_tunneling_port", "net.inet.tcp.udp_tunneling_overhead",
  ]

  /// What programs set for each socket of a stack, or give when they make one.
  private static let ofSingleSockets: Set<String> = [
    "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem", "net.ipv4.tcp_notsent_lowat", "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
  ]

  /// The settings that a stack has.
  private init(describing sockets: SocketConfiguration) {
    self.init(.linux)
    let tcp = sockets.tcp
    transport = tcp
    timestamps = tcp.timestamps
    windowScaling = tcp.windowScaling
    selectiveAcknowledgments = tcp.selectiveAcknowledgments
    (synRetries, synAckRetries, dataRetries) = (
      tcp.synAttempts, tcp.synAckAttempts, tcp.retransmissionAttempts
    )
    finWait2Seconds = Int32(clamping: tcp.finWait2.count / 1_000_000_000)
    requiresTimestamps = tcp.requiresTimestamps
    leavesSlowStartEarly = tcp.slowStartExit != .loss
    congestionControl = CongestionNames.name(tcp.congestionControl)
    synCookies = sockets.synOverflow == .cookies
    remembers = sockets.remembers
    if let encapsulation = sockets.encapsulation {
      (encapsulationPort, encapsulationOverhead) = (encapsulation.port, encapsulation.overhead)
    }
  }

  /// The other way round.
  private func describe(_ sockets: inout SocketConfiguration) {
    let before = sockets.tcp
    sockets.tcp = configuration()
    sockets.tcp.congestionControl = CongestionNames.algorithm(congestionControl) ?? before.congestionControl
    sockets.synOverflow = synCookies ? .cookies : .drop
    sockets.remembers = remembers
    sockets.encapsulation = encapsulation
    // Whose habits the stack has no setting says.
    sockets.tcp.personality = before.personality
    sockets.tcp.probesWithData = before.probesWithData
    if leavesSlowStartEarly { sockets.tcp.slowStartExit = before.slowStartExit }
  }
}

extension HostSettings {
  /// What the two settings make together.
  var encapsulation: TCPEncapsulation? {
    TCPEncapsulation(port: encapsulationPort, overhead: encapsulationOverhead)
  }
}

extension CongestionNames {
  /// What an algorithm is called.
  fileprivate static func name(_ algorithm: CongestionAlgorithm) -> String {
    ["cubic", "reno", "bbr"].first { Self.algorithm($0) == algorithm } ?? "cubic"
  }
}
