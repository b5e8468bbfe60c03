/// Whose scripts they are, by what is in them.
extension Script {
  /// BSD's where the script sets a BSD kernel's values, uses its commands, or calls that only the FreeBSD suites'
  /// packetdrill has, or expects a SYN whose options stand in BSD's order; else Linux's. `--personality` says
  /// otherwise.
  var personality: Personality {
    if options.contains(where: { ["udp_encapsulation", "tcp_md5_secret"].contains($0.name) }) { return .bsd }
    var commands = [setUp, cleanUp].compactMap { $0 }
    for event in events {
      switch event.action {
      case .shell(let command): commands.append(command)
      case .call(let call) where call.arguments.contains(where: Self.isBSD): return .bsd
      case .packet(let packet) where packet.isBSD: return .bsd
      case .call, .packet, .code: break
      }
    }
    if commands.contains(where: Self.isBSD) { return .bsd }
    // Where nothing says Linux: it never offers more than whole segments in a SYN without having been told to.
    let isPlain = !commands.contains { $0.text.contains("defaults.sh") || $0.text.contains("ipv4") }
    let offersAll = events.contains {
      if case .packet(let packet) = $0.action { packet.offersAll } else { false }
    }
    return isPlain && offersAll ? .bsd : .linux
  }

  private static func isBSD(_ argument: ScriptExpression) -> Bool {
    guard case .word(let name) = argument else { return false }
    return ["TCP_FUNCTION_BLK", "TCP_REMOTE_UDP_ENCAPS_PORT", "TCP_NOOPT", "TCP_KEEPINIT"].contains(name)
      || name.hasPrefix("TCP_RACK_")
  }

  private static func isBSD(_ command: ShellCommand) -> Bool {
    let words = ["net.inet.", "net.inet6.", "kern.ipc.", "kldload", "sockstat", "tcpdrop", "setkey"]
    return words.contains { command.text.contains($0) }
  }

  /// The scale that the script expects in the stack's first SYN, where it sets no receive memory: then it follows from the
  /// memory of the machine that the script was written on. Nil: none of this is so.
  var scaleOfItsMachine: UInt8? {
    var commands = [setUp].compactMap { $0 }
    for event in events {
      switch event.action {
      case .shell(let command): commands.append(command)
      case .packet(let packet) where packet.direction == .outbound:
        guard let segment = packet.segment, segment.flags.contains(.syn) else { break }
        let isSet = commands.contains { $0.text.contains("rmem") || $0.text.contains("defaults.sh") }
        guard !isSet else { return nil }
        for case .windowScale(let shift) in segment.options ?? [] where shift <= 14 { return shift }
        return nil
      case .packet, .call, .code: break
      }
    }
    return nil
  }

  /// Whether bursts end with PSH. In scripts for Linux before 5.5 they do not: text that is expected as one, if it is a whole
  /// initial window, is without it.
  var pushesBursts: Bool {
    var most = 1460
    for case .packet(let packet) in events.map(\.action) {
      guard let segment = packet.segment else { continue }
      if segment.flags.contains(.syn) {
        for case .maximumSegmentSize(let size) in segment.options ?? [] { most = min(most, Int(size)) }
      } else if packet.direction == .outbound, segment.sequence.length == 10 * most,
        !segment.flags.contains(.psh)
      {
        return false
      }
    }
    return true
  }

  /// Whether a script for BSD is for FreeBSD before 12: before anything has come, it expects a window that is 65,536 bytes in
  /// whole segments, with the scale rounded down; or a reset for a SYN-ACK that comes before all else.
  var expectsEarlierBSD: Bool {
    let packets = events.compactMap { event in
      if case .packet(let packet) = event.action { packet } else { nil }
    }
    if packets.count > 1, packets[0].direction == .inbound, packets[1].direction == .outbound,
      packets[0].segment?.flags.isSuperset(of: [.syn, .ack]) == true,
      packets[1].segment?.flags.contains(.rst) == true
    {
      return true
    }
    for packet in packets {
      guard let segment = packet.segment, !segment.flags.contains(.syn) else { continue }
      if packet.direction == .inbound, segment.sequence.length > 0 { return false }
      if packet.direction == .outbound, segment.window == 1026 { return true }
    }
    return false
  }

  /// The suite of scripts that FreeBSD 11 was tested with, and that a comment in each of them names.
  static let suiteOfEarlierBSD = "freebsd-net/TCP-IP-Regression-TestSuite"

  /// Whether the script is for a kernel that has accurate feedback, and with it the linear beginning of a SYN's
  /// retransmissions that Linux has since 6.5 unless it is set otherwise.
  var hasAccurateFeedback: Bool {
    var commands = [setUp].compactMap { $0 }
    for case .shell(let command) in events.map(\.action) { commands.append(command) }
    return commands.contains { command in
      command.text.contains("tcp_ecn_option")
        || ["3", "4", "5"].contains { command.text.contains("tcp_ecn=" + $0) }
    }
  }

  /// What nothing here can do, wherever in the script it stands; nil if there is no such thing.
  var obstacle: String? {
    for event in events {
      switch event.action {
      case .packet(let packet):
        if let obstacle = packet.obstacle { return "line \(event.line): \(obstacle)" }
      case .shell(let command):
        for case .unsupported(let what) in command.effects { return "line \(command.line): command: \(what)" }
      case .call, .code: break
      }
    }
    if let setUp {
      for case .unsupported(let what) in setUp.effects { return "line \(setUp.line): command: \(what)" }
    }
    return nil
  }
}

extension PacketDescription {
  /// A SYN of the stack with the window scale before SACK permitted, or ended by two ends of the list.
  fileprivate var isBSD: Bool {
    guard direction == .outbound, let segment, segment.flags.contains(.syn), let options = segment.options,
      let selective = options.firstIndex(of: .sackPermitted)
    else { return false }
    let scale = options.firstIndex { if case .windowScale = $0 { true } else { false } }
    return scale.map { $0 < selective } ?? false || options.last == .endOfList
  }

  /// A SYN of the stack with all that a window field can say.
  fileprivate var offersAll: Bool {
    guard direction == .outbound, let segment else { return false }
    return segment.flags.contains(.syn) && segment.window == 65535
  }

  /// Whether it asks for a cookie or shows one.
  var isFastOpen: Bool {
    segment?.options?.contains {
      switch $0 {
      case .fastOpen, .fastOpenExperimental: true
      default: false
      }
    } ?? false
  }

  /// What of it is never built or compared here.
  var obstacle: String? {
    if carriers.contains(.psp) { return "PSP encryption" }
    if !carriers.isEmpty { return "packets inside of other headers" }
    return nil
  }
}
