// Settings by the names that scripts give them.

import Sockets
import TCP

/// What became of a named setting.
public enum SettingOutcome: Sendable, Hashable {
  /// Sockets that are made from now on behave so.
  case applied
  /// It says what is so already, or is about what has no part in this host.
  case harmless
  /// The host cannot behave so.
  case unsupported(String)
}

extension HostSettings {
  /// A named setting, as the shell's `sysctl` knows it (`net.ipv4.tcp_sack`, `net.inet.tcp.sack.enable`; slashes do for
  /// dots), with its value as it was written: a number, decimal or as `0x…`, or several.
  public mutating func apply(sysctl name: String, value: String) -> SettingOutcome {
    let name = String(name.map { $0 == "/" ? "." : $0 })
    let numbers = value.split(whereSeparator: { $0 == " " || $0 == "\t" }).map { Self.number($0) }
    if let outcome = applyText(name, value) { return outcome }
    guard let first = numbers.first, let number = first, !numbers.contains(where: { $0 == nil }) else {
      return .unsupported("\(name) = \(value) is no number")
    }
    if let outcome = applyMemory(name, numbers.compactMap { $0 }) { return outcome }
    if let outcome = applyNumber(name, number) { return outcome }
    if let usual = Self.fixed[name] {
      return usual.contains(number) ? .harmless : .unsupported("\(name) can only be \(usual[0])")
    }
    if Self.idle.contains(name) { return .harmless }
    return .unsupported("\(name) is not known")
  }

  private static func number(_ text: some StringProtocol) -> Int? {
    if text.hasPrefix("0x") || text.hasPrefix("0X") { return Int(text.dropFirst(2), radix: 16) }
    return Int(text)
  }

  private mutating func applyText(_ name: String, _ value: String) -> SettingOutcome? {
    if name == "net.ipv4.tcp_fastopen_key" {
      guard let keys = TCPFastOpenCookies(text: value) else { return .unsupported("\(value) is no key") }
      fastOpenKeys = keys
      return .applied
    }
    if name == "net.core.default_qdisc" {
      // A fair queue at the device paces whoever has not said how fast.
      transport.pacing = value == "fq"
      return .applied
    }
    guard name == "net.ipv4.tcp_congestion_control" || name == "net.inet.tcp.cc.algorithm" else { return nil }
    guard CongestionNames.algorithm(value) != nil else { return .unsupported("congestion control \(value)") }
    congestionControl = value
    return .applied
  }

  private mutating func applyMemory(_ name: String, _ values: [Int]) -> SettingOutcome? {
    switch name {
    case "net.ipv4.tcp_rmem" where values.count == 3:
      receiveMemory = (values[0], values[1], values[2])
    case "net.ipv4.tcp_wmem" where values.count == 3:
      sendMemory = (values[0], values[1], values[2])
    case "net.inet.tcp.recvspace": receiveMemory.initial = values[0]
    case "net.inet.tcp.sendspace": sendMemory.initial = values[0]
    case "kern.ipc.maxsockbuf":
      // What a buffer may be, so that its memory with all of its overhead is within the number.
      largestBuffer = values[0]
      largestReceiveBuffer = min(values[0], 1 << 40) * 2048 / 2304
      largestSendBuffer = largestReceiveBuffer
    case "net.core.rmem_max": largestReceiveBuffer = values[0]
    case "net.core.wmem_max": largestSendBuffer = values[0]
    default: return nil
    }
    return .applied
  }

  private mutating func applyNumber(_ name: String, _ number: Int) -> SettingOutcome? {
    switch name {
    case "net.ipv4.tcp_timestamps": timestamps = number != 0
    case "net.ipv4.tcp_window_scaling": windowScaling = number != 0
    case "net.inet.tcp.rfc1323": (timestamps, windowScaling) = (number & 1 != 0, number & 1 != 0)
    case "net.ipv4.tcp_sack", "net.inet.tcp.sack.enable": selectiveAcknowledgments = number != 0
    case "net.ipv4.tcp_syncookies", "net.inet.tcp.syncookies":
      guard (0...2).contains(number) else { return .unsupported("\(name) can only be 0, 1 or 2") }
      synCookies = number != 0
      if name.hasPrefix("net.ipv4.") { transport.answersWithCookies = number == 2 }
    case "net.inet.tcp.syncookies_only": transport.answersWithCookies = number != 0
    case "net.ipv4.tcp_syn_retries": synRetries = UInt8(clamping: number)
    case "net.ipv4.tcp_syn_linear_timeouts": transport.synLinearTimeouts = UInt8(clamping: number)
    case "net.ipv4.tcp_synack_retries": synAckRetries = UInt8(clamping: number)
    case "net.ipv4.tcp_rto_max_ms":
      guard (1000...120_000).contains(number) else { return .unsupported("\(name) = \(number)") }
      transport.maximumTimeout = .milliseconds(Int64(number))
    case "net.ipv4.tcp_rto_min_us":
      guard number > 0 else { return .unsupported("\(name) = \(number)") }
      transport.minimumTimeout = .microseconds(Int64(number))
    case "net.ipv4.tcp_retries2": dataRetries = UInt8(clamping: number)
    case "net.ipv4.tcp_no_metrics_save":
      remembers = number == 0 ? remembers.union(.roundTrip) : remembers.subtracting(.roundTrip)
    case "net.ipv4.tcp_no_ssthresh_metrics_save":
      remembers = number == 0 ? remembers.union(.threshold) : remembers.subtracting(.threshold)
    case "net.ipv4.tcp_keepalive_time": keepAliveTime = Int32(clamping: number)
    case "net.ipv4.tcp_keepalive_intvl": keepAliveInterval = Int32(clamping: number)
    case "net.inet.tcp.always_keepalive": alwaysKeepsAlive = number != 0
    case "net.inet.tcp.keepidle": keepAliveTime = Int32(clamping: number / 1000)
    case "net.inet.tcp.keepintvl": keepAliveInterval = Int32(clamping: number / 1000)
    case "net.inet.tcp.keepinit": keepAliveInitial = Int32(clamping: number / 1000)
    case "net.inet.tcp.ecn.maxretries": transport.notificationRepeats = UInt8(clamping: number)
    case "net.inet.tcp.icmp_may_rst": transport.hardErrorsEndHandshake = number != 0
    case "net.inet.tcp.rexmit_drop_options": transport.dropsSynOptions = number != 0
    case "net.ipv4.tcp_keepalive_probes", "net.inet.tcp.keepcnt": keepAliveProbes = Int32(clamping: number)
    case "net.ipv4.tcp_dsack": transport.duplicateReports = number != 0
    case "net.ipv4.tcp_frto": transport.forwardRecovery = number != 0
    case "net.ipv4.tcp_recovery": transport.recentAcknowledgment = number & 1 != 0
    case "net.ipv4.tcp_early_retrans": transport.tailLossProbe = number >= 3
    case "net.ipv4.tcp_shrink_window": transport.movesWindowBack = number != 0
    case "net.ipv4.tcp_tso_win_divisor": transport.deferralDivisor = UInt8(clamping: number)
    case "net.ipv4.tcp_reordering": transport.duplicateThreshold = UInt8(clamping: number)
    case "net.ipv4.tcp_fastopen":
      // Higher bits are of other kernels than Linux's own.
      transport.fastOpen = TCPFastOpen(rawValue: UInt16(number & 0x607))
    case "net.inet.tcp.fastopen.client_enable": set(.client, number != 0)
    case "net.inet.tcp.fastopen.server_enable": set(.server, number != 0)
    case "net.inet.tcp.tolerate_missing_ts": requiresTimestamps = number == 0
    case "net.ipv4.tcp_mtu_probing":
      guard let probing = TCPPathProbing(rawValue: UInt8(clamping: number)) else {
        return .unsupported("\(name) can only be 0, 1 or 2")
      }
      transport.pathProbing = probing
    case "net.ipv4.tcp_base_mss": transport.probeBase = UInt16(clamping: number)
    case "net.ipv4.tcp_mtu_probe_floor": transport.probeFloor = UInt16(clamping: number)
    case "net.ipv4.tcp_probe_threshold": transport.probeThreshold = UInt16(clamping: number)
    case "net.ipv4.tcp_probe_interval": transport.probeInterval = .seconds(Int64(number))
    case "net.ipv4.tcp_min_snd_mss": transport.minimumSegment = UInt16(clamping: number)
    case "route.initcwnd": transport.initialWindowSegments = UInt8(clamping: number)
    case "route.advmss": routeAnnouncement = number
    case "route.mtu":
      // What a SYN announces follows from the route's MTU.
      guard [0, number - 40, number - 60].contains(routeAnnouncement) else {
        return .unsupported("advmss \(routeAnnouncement) with mtu \(number)")
      }
      routeMTU = number
    case "net.ipv4.tcp_slow_start_after_idle": transport.restartsAfterIdle = number != 0
    case "net.ipv4.tcp_min_tso_segs": transport.minimumBurst = UInt8(clamping: number)
    case "net.ipv4.tcp_invalid_ratelimit": transport.refusalInterval = .milliseconds(Int64(number))
    case "module.tcp_cubic.hystart": leavesSlowStartEarly = number != 0
    case "module.tcp_cubic.hystart_detect":
      guard number == 3 || number == 0 else { return .unsupported("\(name) can only be 3 or 0") }
      leavesSlowStartEarly = number != 0
    case "net.ipv4.tcp_ecn", "net.inet.tcp.ecn.enable":
      switch number {
      case 0: transport.congestionNotification = .off
      case 1: transport.congestionNotification = .request
      case 2: transport.congestionNotification = .accept
      case 3: transport.congestionNotification = .accurate
      case 4 where name.hasPrefix("net.ipv4."): transport.congestionNotification = .acceptAccurateRequest
      case 5 where name.hasPrefix("net.ipv4."): transport.congestionNotification = .acceptAccurate
      default:
        return .unsupported("\(name) can only be 0 to \(name.hasPrefix("net.ipv4.") ? 5 : 3)")
      }
    case "net.ipv4.tcp_ecn_option":
      guard let use = AccurateOptionUse(rawValue: UInt8(clamping: number)) else {
        return .unsupported("\(name) can only be 0 to 3")
      }
      transport.accurateOption = use
    case "net.ipv4.tcp_ecn_option_beacon": transport.accurateOptionBeacon = UInt8(clamping: number)
    case "net.ipv4.tcp_ecn_fallback": transport.notificationFallback = number != 0
    case "net.inet.tcp.udp_tunneling_port":
      guard let port = UInt16(exactly: number) else {
        return .unsupported("\(name) can only be 0 to 65535")
      }
      encapsulationPort = port
    case "net.inet.tcp.udp_tunneling_overhead":
      guard let overhead = UInt16(exactly: number), TCPEncapsulation.overheads.contains(overhead) else {
        return .unsupported("\(name) can only be 8 to 1024")
      }
      encapsulationOverhead = overhead
    case "net.inet.tcp.pmtud_blackhole_detection":
      guard (0...3).contains(number) else { return .unsupported("\(name) can only be 0 to 3") }
      stepsDown = (ipv4: number == 1 || number == 2, ipv6: number == 1 || number == 3)
    case "net.inet.tcp.pmtud_blackhole_mss": steps.ipv4.0 = UInt16(clamping: number)
    case "net.inet.tcp.mssdflt": steps.ipv4.1 = UInt16(clamping: number)
    case "net.inet.tcp.v6pmtud_blackhole_mss": steps.ipv6.0 = UInt16(clamping: number)
    case "net.inet.tcp.v6mssdflt": steps.ipv6.1 = UInt16(clamping: number)
    case "net.inet.tcp.drop_synfin": transport.dropsSynFin = number != 0
    case "net.inet.tcp.insecure_rst": transport.strictResets = number == 0
    case "net.inet.tcp.insecure_syn": transport.strictSyns = number == 0
    case "net.inet.tcp.rexmit_initial": transport.initialTimeout = .milliseconds(Int64(number))
    case "net.inet.tcp.rexmit_slop": transport.minimumTimeout = .milliseconds(Int64(number))
    case "net.inet.tcp.delacktime": transport.delayedAcknowledgment = .milliseconds(Int64(number))
    case "net.ipv4.tcp_fin_timeout": finWait2Seconds = Int32(clamping: number)
    case "net.ipv4.tcp_notsent_lowat": unsentLowWater = UInt32(truncatingIfNeeded: number)
    case "net.ipv4.ip_default_ttl", "net.inet.ip.ttl": hopLimit = UInt8(clamping: number)
    default: return nil
    }
    return .applied
  }

  private mutating func set(_ part: TCPFastOpen, _ isOn: Bool) {
    if isOn { transport.fastOpen.insert(part) } else { transport.fastOpen.remove(part) }
  }

  /// What is so, and cannot be otherwise; the first is what it is called by default.
  private static let fixed: [String: [Int]] = [
    "net.ipv4.tcp_fack": [0], "net.ipv4.tcp_moderate_rcvbuf": [1],
    "net.ipv4.ip_no_pmtu_disc": [0], "net.ipv4.tcp_abort_on_overflow": [0], "net.ipv4.tcp_rfc1337": [0],
    "net.ipv4.tcp_thin_linear_timeouts": [0], "net.ipv4.tcp_autocorking": [1], "net.ipv4.tcp_retries1": [3],
    "net.ipv4.tcp_adv_win_scale": [1], "net.ipv4.tcp_app_win": [31],
    "net.inet.tcp.blackhole": [0],
    "net.inet.tcp.path_mtu_discovery": [1],
    "net.ipv4.tcp_fastopen_blackhole_timeout_sec": [0],
    "net.inet.tcp.rfc3042": [1], "net.inet.tcp.rfc3465": [1],
  ]
  /// About what the host does not have: queues that pace, how large merged segments are, tables of past connections.
  private static let idle: Set<String> = [
    "net.ipv4.tcp_tso_rtt_log",
    "net.ipv4.tcp_pacing_ss_ratio", "net.ipv4.tcp_pacing_ca_ratio", "net.ipv4.tcp_limit_output_bytes",
    "net.ipv4.tcp_max_syn_backlog", "net.core.somaxconn",
    "net.inet.tcp.hostcache.purgenow", "net.inet.tcp.hostcache.enable",
    "vm.old_mlock", "net.ipv4.route.flush",
    "net.core.optmem_max", "net.ipv4.tcp_mem", "net.inet.tcp.hostcache.purge",
  ]
}

/// Congestion controls by the names that TCP_CONGESTION takes.
enum CongestionNames {
  /// What the engine has under the name; nil: nothing.
  static func algorithm(_ name: some StringProtocol) -> CongestionAlgorithm? {
    switch name {
    case "cubic": .cubic
    case "reno", "newreno": .newReno
    case "bbr": .bbr
    default: nil
    }
  }
}

extension TCPFastOpenCookies {
  /// Keys as Linux writes them: four words of hexadecimal digits, joined by hyphens; a second key behind a comma.
  init?(text: some StringProtocol) {
    let keys = text.split(separator: ",").map { Key(text: $0) }
    guard (1...2).contains(keys.count), let current = keys[0], let last = keys[keys.count - 1] else {
      return nil
    }
    self.init(current: current, previous: keys.count == 2 ? last : nil)
  }
  /// Keys as TCP_FASTOPEN_KEY takes them: 16 bytes, or 32.
  init?(bytes: [UInt8]) {
    guard bytes.count == 16 || bytes.count == 32 else { return nil }
    self.init(
      current: Key(bytes: bytes[0..<16]), previous: bytes.count == 32 ? Key(bytes: bytes[16..<32]) : nil)
  }
  /// The same, back.
  var bytes: [UInt8] { current.bytes + (previous?.bytes ?? []) }
}

extension TCPFastOpenCookies.Key {
  fileprivate init?(text: some StringProtocol) {
    let words = text.split(separator: "-").map { UInt32($0, radix: 16) }
    guard words.count == 4, let a = words[0], let b = words[1], let c = words[2], let d = words[3] else {
      return nil
    }
    self.init(low: UInt64(b) << 32 | UInt64(a), high: UInt64(d) << 32 | UInt64(c))
  }
  fileprivate init(bytes: ArraySlice<UInt8>) {
    func word(_ part: ArraySlice<UInt8>) -> UInt64 { part.reversed().reduce(0) { $0 << 8 | UInt64($1) } }
    self.init(low: word(bytes.prefix(8)), high: word(bytes.suffix(8)))
  }
  fileprivate var bytes: [UInt8] {
    [low, high].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
  }
}
