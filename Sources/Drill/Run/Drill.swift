import Wire

/// Runs packetdrill scripts.
public enum Drill {
  /// Runs a script in a host of its own.
  ///
  /// - Parameters:
  ///   - bytes: the text of the script.
  ///   - options: those of the command line; they go before the script's own.
  ///   - overriding: names and values of options in the order of the command line, put in force after the script's.
  public static func run(
    _ bytes: [UInt8], options: DrillOptions = DrillOptions(), overriding: [ScriptOption] = []
  ) -> DrillReport {
    var options = options
    for option in overriding where option.name == "define" || option.name == "ip_version" {
      _ = options.apply(option.name, option.value)
    }
    do throws(ScriptError) {
      let script = try parse(
        bytes, options: options, isVersionGiven: overriding.contains { $0.name == "ip_version" })
      options.isOfEarlierBSD = String(decoding: bytes, as: UTF8.self).contains(Script.suiteOfEarlierBSD)
      return run(script, options: options, overriding: overriding)
    } catch {
      return DrillReport(outcome: outcome(of: error))
    }
  }

  /// Runs a script that was read already.
  static func run(
    _ script: Script, options: DrillOptions = DrillOptions(), overriding: [ScriptOption]
  ) -> DrillReport {
    var options = options
    for option in script.options + overriding {
      switch options.apply(option.name, option.value) {
      case .applied, .harmless: break
      case .unsupported: return skipped("the option \(option) is not supported")
      case .invalid where option.name == "mtu": return skipped("an MTU of \(option.value ?? "")")
      case .invalid: return skipped("the option \(option) makes no sense")
      case .unknown: return skipped("there is no option \(option)")
      }
    }
    if let obstacle = script.obstacle { return skipped(obstacle) }
    return run(script, options)
  }

  /// Only reads a script.
  public static func read(_ bytes: [UInt8], overriding: [ScriptOption] = []) -> DrillReport {
    var options = DrillOptions()
    for option in overriding { _ = options.apply(option.name, option.value) }
    do throws(ScriptError) {
      _ = try parse(bytes, options: options, isVersionGiven: overriding.contains { $0.name == "ip_version" })
      return DrillReport(outcome: .passed)
    } catch {
      return DrillReport(outcome: outcome(of: error))
    }
  }

  /// A text that is no script fails; one that leaves a name to whoever runs it is skipped, and so is what nothing here
  /// reads.
  private static func outcome(of error: ScriptError) -> DrillOutcome {
    switch error.problem {
    case .undefined, .unsupported: .skipped("line \(error.position.line): \(error.problem)")
    case .unclosed, .expected, .badDefinition, .outOfRange, .inconsistentSequence, .backwardTime,
      .unknownFlag, .timeOfOutboundOnly, .anyOptionsInbound, .optionsTooLong, .notHexadecimal,
      .nestedTooDeep, .empty:
      .failed(
        DrillFailure(
          line: error.position.line, reason: "column \(error.position.column): \(error.problem)"))
    }
  }

  private static func skipped(_ reason: String) -> DrillReport {
    DrillReport(outcome: .skipped(reason))
  }

  /// Names that google's runner defines for every script, and the branch of the FreeBSD suites' `#ifdef` that is about
  /// what BSD does: a stack of its personality does the same.
  private static func parse(
    _ bytes: [UInt8], options: DrillOptions, isVersionGiven: Bool
  ) throws(ScriptError) -> Script {
    var definitions = [
      "CMSG_LEVEL_IP": "SOL_IP", "CMSG_TYPE_RECVERR": "IP_RECVERR", "CODE": "host_unreachable",
      "FreeBSD": "1", "TFO_COOKIE": "3021b9d889017eeb", "TFO_COOKIE_ZERO": "b7c12350a90dc8f5", "MSS": "1460",
    ]
    var version = options.version
    // Which version it is may be said by the script itself, whose names depend on it.
    let text = String(decoding: bytes, as: UTF8.self)
    for candidate in DrillOptions.Version.allCases
    where !isVersionGiven && text.contains("--ip_version=\(candidate.rawValue)\n") {
      version = candidate
    }
    if version != .ipv4 {
      definitions["CMSG_LEVEL_IP"] = "SOL_IPV6"
      definitions["CMSG_TYPE_RECVERR"] = "IPV6_RECVERR"
    }
    if version == .ipv6 {
      definitions["CODE"] = "address_unreachable"
      definitions["TFO_COOKIE"] = "c1d1e9742a47a9bc"
      definitions["TFO_COOKIE_ZERO"] = "82af1a8f9a205c34"
      definitions["MSS"] = "1440"
    }
    // Who asks for behaviour by the letter of the RFCs does not want the other branch as well.
    if options.definitions["STANDARD"] != nil { definitions["FreeBSD"] = nil }
    definitions.merge(options.definitions) { $1 }
    return try Script(parsing: bytes, definitions: definitions)
  }

  /// Runs a script that was parsed, with its options in force.
  private static func run(_ script: Script, _ options: DrillOptions) -> DrillReport {
    let personality = options.personality ?? (options.isOfEarlierBSD ? .bsd : script.personality)
    var settings = HostSettings(personality)
    if let reason = place(options, in: &settings) { return skipped(reason) }
    if personality == .linux, options.infersMachine {
      if let scale = script.scaleOfItsMachine {
        settings.receiveMemory.most = 65535 << Int(scale)
        // An older kernel's net.core.rmem_max, which the scale spans as well.
        settings.largestReceiveBuffer = 212_992
      }
      settings.transport.pushesBursts = script.pushesBursts
    }
    if personality == .bsd, options.infersMachine, options.isOfEarlierBSD || script.expectsEarlierBSD {
      settings.becomeEarlierBSD()
    }
    if script.hasAccurateFeedback { settings.transport.synLinearTimeouts = 4 }
    // What is read when the host is made has to be set before: all that stands before the first call or packet.
    var before = script.setUp.map { [$0] } ?? []
    for event in script.events {
      guard case .shell(let command) = event.action else { break }
      before.append(command)
    }
    for command in before {
      for case .setting(let name, let value, _) in command.effects {
        _ = settings.apply(sysctl: name, value: value)
      }
    }
    let host: DrillHost
    do {
      host = try DrillHost(settings)
    } catch {
      return skipped("no host can be made: \(error)")
    }
    let isIPv6 = options.version == .ipv6
    var translation = CallTranslation(
      domain: options.version == .ipv4 ? 2 : 10,
      bindAddress: SocketAddress(isIPv6 ? settings.localIPv6 : settings.localIPv4, port: options.bindPort),
      connectAddress: SocketAddress(
        isIPv6 ? settings.remoteIPv6 : settings.remoteIPv4, port: options.connectPort))
    translation.values.personality = personality
    var run = DrillRun(script, options: options, host: host, translation: translation)
    var outcome = DrillOutcome.passed
    do throws(DrillRun.Stop) {
      try run.run()
    } catch {
      switch error {
      case .failed(let failure): outcome = .failed(failure)
      case .skipped(let reason): outcome = .skipped(reason)
      }
    }
    outcome = closed(outcome, leaving: host.finish(), line: script.events.last?.line ?? 1)
    return DrillReport(outcome: outcome, log: run.log, warnings: run.warnings)
  }

  /// What becomes of a script that passed and left something behind.
  static func closed(_ outcome: DrillOutcome, leaving left: [String], line: Int) -> DrillOutcome {
    guard outcome == .passed, !left.isEmpty else { return outcome }
    return .failed(
      DrillFailure(
        line: line, reason: "the stack is left with \(left.joined(separator: ", ")) after the script"))
  }

  /// Puts addresses and the MTU into the settings; why not, where they do not fit.
  private static func place(_ options: DrillOptions, in settings: inout HostSettings) -> String? {
    let isIPv4 = options.version != .ipv6
    for address in [options.localAddress, options.remoteAddress, options.gatewayAddress].compactMap({ $0 })
    where address.isIPv4 != isIPv4 {
      return "the address \(address) is not one of --ip_version=\(options.version.rawValue)"
    }
    if isIPv4 {
      settings.localIPv4 = options.localAddress ?? settings.localIPv4
      settings.remoteIPv4 = options.remoteAddress ?? settings.remoteIPv4
      settings.gatewayIPv4 = options.gatewayAddress ?? settings.gatewayIPv4
      settings.prefixLengthIPv4 = options.prefixLength ?? settings.prefixLengthIPv4
    } else {
      settings.localIPv6 = options.localAddress ?? settings.localIPv6
      settings.remoteIPv6 = options.remoteAddress ?? settings.remoteIPv6
      settings.gatewayIPv6 = options.gatewayAddress ?? settings.gatewayIPv6
    }
    settings.mtu = options.mtu ?? settings.mtu
    return nil
  }
}
