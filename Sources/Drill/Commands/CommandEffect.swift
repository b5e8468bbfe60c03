import Timing

/// What a command of a script means here: nothing is given to a shell.
enum CommandEffect: Equatable {
  /// A named setting gets a value. `isDefault` for those of a script of defaults: what the host does not know of these
  /// is passed over.
  case setting(name: String, value: String, isDefault: Bool)
  /// Time passes.
  case sleep(Nanoseconds)
  /// A file of so many zeros is made.
  case file(path: String, size: Int)
  /// Fails unless so many connections are in the state of this number of Linux.
  case count(state: Int64, expected: Int)
  /// What is counted is counted from here on.
  case countAnew
  /// Fails unless the event of this name of Linux was counted: so many times, or at all.
  case counted(String, times: UInt64?)
  /// What is remembered of past connections' peers is forgotten.
  case forgetPeers
  /// BSD: segments to this address are signed with this secret, of sockets that ask for it.
  case signatureKey(peer: String, secret: String)
  /// BSD: with none.
  case forgetSignatureKeys
  /// Fails unless some socket is in the state of this number of Linux.
  case exists(state: Int64)
  /// What it does has no part here.
  case harmless(String)
  /// The script cannot be run without it.
  case unsupported(String)
}

extension ShellCommand {
  /// What the command means, in order.
  var effects: [CommandEffect] {
    var effects: [CommandEffect] = []
    var steps = shellSteps(text)[...]
    while let first = steps.popFirst() {
      var pipeline = [first.words]
      while let next = steps.first, next.link == .pipe {
        pipeline.append(next.words)
        steps.removeFirst()
      }
      // What stands behind `||` is for where the one before failed; nothing that is supported does.
      if first.link == .orElse, case .unsupported = effects.last {
        effects.removeLast()
      } else if first.link == .orElse {
        continue
      }
      effects += effect(of: pipeline)
    }
    return effects
  }

  private func effect(of pipeline: [[String]]) -> [CommandEffect] {
    let whole = pipeline.map { $0.joined(separator: " ") }.joined(separator: " | ")
    let words = pipeline[0]
    let name = words[0].split(separator: "/").last.map(String.init) ?? words[0]
    let arguments = Array(words.dropFirst())
    if pipeline.count > 1 {
      if name == "sockstat" { return [count(pipeline) ?? .unsupported(whole)] }
      switch name {
      case "nstat": return [events(pipeline) ?? .unsupported(whole)]
      case "ss": return [shown(pipeline) ?? .unsupported(whole)]
      case "grep": return [listed(pipeline) ?? .unsupported(whole)]
      case "echo" where pipeline.count == 2 && pipeline[1] == ["setkey", "-c"]:
        return signatureKeys(arguments.joined(separator: " ")) ?? [.unsupported(whole)]
      default: return [.unsupported(whole)]
      }
    }
    switch name {
    case "defaults.sh": return GoogleDefaults.effects
    case "set_sysctls.py": return settings(arguments, whole: whole)
    case "sysctl": return settings(arguments.filter { !$0.hasPrefix("-") }, whole: whole)
    case "sleep", "usleep": return [sleep(arguments, isMicroseconds: name == "usleep") ?? .unsupported(whole)]
    case "dd": return [file(arguments) ?? .unsupported(whole)]
    case "echo": return [echo(arguments) ?? .unsupported(whole)]
    case "ip": return route(arguments, whole: whole)
    // A queue that takes nothing makes the stack's own sending fail: there is none here that could be full.
    case "tc" where arguments.suffix(2) == ["limit", "0"]: return [.unsupported(whole)]
    case "tc" where arguments.last == "fq":
      return [.setting(name: "net.core.default_qdisc", value: "fq", isDefault: false)]
    // Queues and offloads of a device that is not there; modules that are; connections of runs before.
    case "tc", "ethtool", "kldload", "kldstat", "modprobe", "tcpdrop", "rm", "true", ":", "ifconfig":
      return [.harmless(whole)]
    case "setkey" where arguments == ["-F"]: return [.forgetSignatureKeys]
    case "nstat": return [arguments.isEmpty ? .countAnew : .harmless(whole)]
    case _ where name.hasPrefix("sysctl_restore"): return [.harmless(whole)]
    default: return [.unsupported(whole)]
    }
  }

  /// `name=value` words, with dots or slashes between the parts of the names.
  private func settings(_ words: [String], whole: String) -> [CommandEffect] {
    guard !words.isEmpty, words.allSatisfy({ $0.contains("=") }) else { return [.unsupported(whole)] }
    // No public kernel has it: the command fails, and scripts say what to do then.
    if words.contains(where: { $0.hasPrefix("net.ipv4.tcp_fastopen_cookies=") }) {
      return [.unsupported(whole)]
    }
    return words.map { word in
      let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return .setting(name: Self.settingName(String(parts[0])), value: String(parts[1]), isDefault: false)
    }
  }

  /// With dots, without `/proc/sys/`.
  private static func settingName(_ path: String) -> String {
    let name = path.hasPrefix("/proc/sys/") ? String(path.dropFirst("/proc/sys/".count)) : path
    return String(name.map { $0 == "/" ? "." : $0 })
  }

  private func sleep(_ arguments: [String], isMicroseconds: Bool) -> CommandEffect? {
    guard arguments.count == 1, let time = Double(arguments[0]), time >= 0, time < 100_000_000 else {
      return nil
    }
    let nanoseconds = isMicroseconds ? time * 1_000 : time * 1_000_000_000
    return nanoseconds < 1e17 ? .sleep(Nanoseconds(Int64(nanoseconds))) : nil
  }

  /// `dd bs=1 count=5 if=/dev/zero of=PATH`.
  private func file(_ arguments: [String]) -> CommandEffect? {
    var values: [String: String] = [:]
    for argument in arguments {
      let parts = argument.split(separator: "=", maxSplits: 1)
      if parts.count == 2 { values[String(parts[0])] = String(parts[1]) }
    }
    guard values["if"] == "/dev/zero", let path = values["of"], let count = Int(values["count"] ?? "1"),
      let block = Int(values["bs"] ?? "512"), count >= 0, block >= 0, count < 1 << 20, block < 1 << 20,
      count * block <= 16 << 20
    else { return nil }
    return .file(path: path, size: count * block)
  }

  /// `echo VALUE > /proc/sys/…` or `/sys/module/NAME/parameters/NAME`.
  private func echo(_ arguments: [String]) -> CommandEffect? {
    guard let arrow = arguments.firstIndex(of: ">") else { return .harmless("echo") }
    guard arrow + 1 < arguments.count else { return nil }
    let target = arguments[arrow + 1]
    let value = arguments[..<arrow].joined(separator: " ")
    if target.hasPrefix("/proc/sys/") {
      return .setting(name: Self.settingName(target), value: value, isDefault: false)
    }
    let parts = target.split(separator: "/").map(String.init)
    guard parts.count == 5, parts[0] == "sys", parts[1] == "module", parts[3] == "parameters" else {
      return nil
    }
    return .setting(name: "module.\(parts[2]).\(parts[4])", value: value, isDefault: false)
  }

  /// `ip tcp_metrics flush`, and the metrics of `ip route change`.
  private func route(_ arguments: [String], whole: String) -> [CommandEffect] {
    let words = arguments.filter { !$0.hasPrefix("-") && $0 != "lock" }
    if words.first == "tcp_metrics" { return [words.contains("flush") ? .forgetPeers : .harmless(whole)] }
    if words.first == "link" { return [.harmless(whole)] }
    guard words.count > 1, words[0] == "route" || words[0] == "ro",
      ["add", "change", "replace"].contains(words[1])
    else {
      return [.unsupported(whole)]
    }
    var effects: [CommandEffect] = []
    var rest = words.dropFirst(3)
    while let name = rest.popFirst() {
      guard let value = rest.popFirst() else { return [.unsupported(whole)] }
      if name == "via" || name == "dev" { continue }
      effects.append(.setting(name: "route.\(name)", value: value, isDefault: false))
    }
    return effects
  }

  /// `add SOURCE DESTINATION tcp 0x1000 -A tcp-md5 "SECRET" ;`, of which there is one for each direction.
  private func signatureKeys(_ text: String) -> [CommandEffect]? {
    var effects: [CommandEffect] = []
    for line in text.split(separator: ";") {
      let words = line.split { $0 == " " || $0 == "\n" || $0 == "\t" }.map(String.init)
      if words.isEmpty { continue }
      guard words.count == 8, words[0] == "add", words[3] == "tcp", words[5] == "-A", words[6] == "tcp-md5"
      else {
        return nil
      }
      effects.append(.signatureKey(peer: words[2], secret: words[7].filter { $0 != "\"" }))
    }
    return effects.isEmpty ? nil : effects
  }

  /// `grep " STATE " /proc/net/tcp … | grep ":PORT"`: scripts have one port.
  private func listed(_ pipeline: [[String]]) -> CommandEffect? {
    guard pipeline.count == 2, pipeline[1].count == 2, pipeline[1][0] == "grep",
      pipeline[1][1].hasPrefix(":"),
      pipeline[0].count >= 3, pipeline[0].dropFirst(2).allSatisfy({ $0.hasPrefix("/proc/net/tcp") }),
      let state = Int64(pipeline[0][1].split(separator: " ").joined(), radix: 16)
    else { return nil }
    return .exists(state: state)
  }

  /// `nstat | grep NAME`, and how often with `| grep -q " N "`.
  private func events(_ pipeline: [[String]]) -> CommandEffect? {
    guard pipeline[1].count == 2, pipeline[1][0] == "grep", LinuxCounters.names.contains(pipeline[1][1])
    else {
      return nil
    }
    if pipeline.count == 2 { return .counted(pipeline[1][1], times: nil) }
    guard pipeline.count == 3, pipeline[2].first == "grep", let text = pipeline[2].last,
      let times = UInt64(text.split(separator: " ").joined())
    else { return nil }
    return .counted(pipeline[1][1], times: times)
  }

  /// `ss … | grep ADDRESS:PORT`, of what is open, or with `state SYN-RECV`: scripts have one address and one port.
  private func shown(_ pipeline: [[String]]) -> CommandEffect? {
    guard pipeline.dropFirst().allSatisfy({ $0.count == 2 && $0[0] == "grep" && $0[1].contains(":") }) else {
      return nil
    }
    if pipeline[0].suffix(2) == ["state", "SYN-RECV"] { return .exists(state: 3) }
    return pipeline[0].contains("state") ? nil : .exists(state: 1)
  }

  /// `sockstat … | grep … | grep -c STATE | grep N`, and `sockstat … | grep STATE`.
  private func count(_ pipeline: [[String]]) -> CommandEffect? {
    let states: [String: Int64] = [
      "ESTABLISHED": 1, "SYN_SENT": 2, "SYN_RCVD": 3, "FIN_WAIT_1": 4, "FIN_WAIT_2": 5, "TIME_WAIT": 6,
      "CLOSED": 7,
      "CLOSE_WAIT": 8, "LAST_ACK": 9, "LISTEN": 10, "CLOSING": 11,
    ]
    guard let last = pipeline.last, last.count == 2, last[0] == "grep" else { return nil }
    if let state = states[last[1]] { return .exists(state: state) }
    guard pipeline.count >= 3, let expected = Int(last[1]) else { return nil }
    let counter = pipeline[pipeline.count - 2]
    guard counter.count == 3, counter[0] == "grep", counter[1] == "-c" else { return nil }
    guard let state = states[counter[2]] else { return nil }
    return .count(state: state, expected: expected)
  }
}

/// What `nstat` tells that the stack counts too, by Linux's names.
enum LinuxCounters {
  static let names: Set<String> = [
    "TcpExtOutOfWindowIcmps", "TcpExtListenOverflows", "TcpRetransSegs", "TcpInErrs",
    "TcpExtTCPFastOpenPassive", "TcpExtBeyondWindow", "TcpExtTCPZeroWindowDrop", "TcpExtTCPRcvQDrop",
  ]
}

/// What google's scripts set before each run.
enum GoogleDefaults {
  static let effects: [CommandEffect] = [
    ("tcp_rmem", "4096 540000 15728640"), ("tcp_wmem", "4096 262144 4194304"), ("tcp_timestamps", "1"),
    ("tcp_syn_retries", "5"), ("tcp_synack_retries", "5"), ("tcp_frto", "2"), ("tcp_sack", "1"),
    ("tcp_dsack", "1"), ("tcp_reordering", "3"), ("tcp_congestion_control", "cubic"),
    ("tcp_slow_start_after_idle", "0"), ("tcp_early_retrans", "4"), ("tcp_recovery", "1"),
    ("tcp_tso_win_divisor", "3"), ("tcp_ecn", "0"), ("tcp_ecn_option", "2"), ("tcp_pacing_ss_ratio", "200"),
    ("tcp_pacing_ca_ratio", "120"), ("tcp_notsent_lowat", "4294967295"), ("tcp_fastopen", "0x70403"),
    ("tcp_fastopen_key", "a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4"), ("tcp_syncookies", "1"),
  ].map { .setting(name: "net.ipv4.\($0.0)", value: $0.1, isDefault: true) }
}
