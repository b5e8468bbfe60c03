import ArgumentParser
import Drill
import Glibc

/// `sluice drill`.
struct DrillCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drill",
    abstract: "Run packetdrill scripts against the stack, in virtual time.",
    usage: "sluice drill [options] FILE.pkt …",
    discussion: """
      Each script runs alone in a new stack within this process; no privilege is needed, and no time passes. Folders \
      are searched for *.pkt. Both dialects are understood, google's and that of the FreeBSD test suites. What a \
      script asks for and is not supported makes it a skip, with the reason.

      Options of packetdrill's go before what the scripts say themselves. The exit status is 0 if no script failed, \
      and 1 if one did.

      Examples:
        sluice drill Tests/Scripts
        sluice drill --verbose handshake.pkt
        sluice drill --ip_version=ipv6 --define CODE=no_route scripts/
        sluice drill --json scripts/ > result.json
      """)

  @Argument(help: ArgumentHelp("Scripts, or folders with scripts.", valueName: "FILE.pkt"))
  var files: [String]

  @Flag(help: "The result as JSON.")
  var json = false

  @Flag(name: [.customLong("verbose"), .customShort("v")], help: "Packets and calls as they pass.")
  var verbose = false

  @Flag(name: .customLong("dry_run"), help: "Only read the scripts.")
  var dryRun = false

  @OptionGroup(title: "Options of packetdrill") var packetdrill: PacketdrillOptions

  mutating func validate() throws {
    var options = DrillOptions()
    for option in packetdrill.given where options.apply(option.name, option.value) == .invalid {
      throw ValidationError("\(option) makes no sense.")
    }
  }

  func run() throws {
    let paths = try ScriptFiles.find(files)
    guard !paths.isEmpty else { throw Failure("there is no *.pkt in \(files.joined(separator: ", ")).") }
    var summary = DrillSummary(isJSON: json, isVerbose: verbose)
    for path in paths {
      let bytes = try ScriptFiles.read(path)
      let options =
        packetdrill.given + version(of: path, bytes) + personality(of: path, bytes) + places(bytes)
      summary.add(
        path, dryRun ? Drill.read(bytes, overriding: options) : Drill.run(bytes, overriding: options))
    }
    summary.finish()
    if summary.failed > 0 { throw ExitCode(1) }
  }
}

extension DrillCommand {
  /// google's runner runs what is called `…v6.pkt` with IPv6 alone; a script that says itself what it wants gets that.
  private func version(of path: String, _ bytes: [UInt8]) -> [ScriptOption] {
    let isSaid =
      packetdrill.version != nil || String(decoding: bytes, as: UTF8.self).contains("--ip_version=")
    return path.hasSuffix("v6.pkt") && !isSaid ? [ScriptOption(name: "ip_version", value: "ipv6")] : []
  }

  /// google's runner, and the kernel's, give scripts that they run with IPv6 these addresses, and room for as much payload as
  /// with IPv4. Who calls their script of defaults expects that.
  private func places(_ bytes: [UInt8]) -> [ScriptOption] {
    let text = String(decoding: bytes, as: UTF8.self)
    let given = [
      packetdrill.localAddress, packetdrill.remoteAddress, packetdrill.gatewayAddress, packetdrill.mtu,
    ]
    let isSaid = ["--mtu=", "--local_ip=", "--remote_ip=", "--gateway_ip="].contains { text.contains($0) }
    guard packetdrill.version == "ipv6", given.allSatisfy({ $0 == nil }), !isSaid,
      text.contains("defaults.sh")
    else { return [] }
    return [
      ScriptOption(name: "mtu", value: "1520"), ScriptOption(name: "local_ip", value: "fd3d:a0b:17d6::1"),
      ScriptOption(name: "gateway_ip", value: "fd3d:a0b:17d6:8888::1"),
      ScriptOption(name: "remote_ip", value: "fd3d:fa7b:d17d::1"),
    ]
  }

  /// Scripts are in folders called `linux` and `bsd`, or have it in their names, by whom they are for. What a script says
  /// itself goes before.
  private func personality(of path: String, _ bytes: [UInt8]) -> [ScriptOption] {
    guard packetdrill.personality == nil, !String(decoding: bytes, as: UTF8.self).contains("--personality=")
    else { return [] }
    var names = path.split(separator: "/")
    let file = names.popLast() ?? ""
    names += file.split(whereSeparator: { "-_.".contains($0) })
    guard let word = names.last(where: { $0 == "linux" || $0 == "bsd" || $0 == "freebsd" }) else { return [] }
    return [ScriptOption(name: "personality", value: word == "linux" ? "linux" : "bsd")]
  }
}

/// packetdrill's own options, by its names.
struct PacketdrillOptions: ParsableArguments {
  @Option(name: .customLong("ip_version"), help: "ipv4, ipv4-mapped-ipv6 or ipv6; ipv4.")
  var version: String?
  @Option(name: .customLong("local_ip"), help: "The stack's address.")
  var localAddress: String?
  @Option(name: .customLong("remote_ip"), help: "Where packets come from.")
  var remoteAddress: String?
  @Option(name: .customLong("gateway_ip"), help: "The next hop.")
  var gatewayAddress: String?
  @Option(name: .customLong("netmask_ip"), help: "The mask of the link's network, IPv4.")
  var mask: String?
  @Option(name: .customLong("bind_port"), help: "What bind binds to; 8080.")
  var bindPort: String?
  @Option(name: .customLong("connect_port"), help: "What connect connects to; 8080.")
  var connectPort: String?
  @Option(name: .customLong("mtu"), help: "Largest packet of the link, 576 to 1800 bytes; 1500.")
  var mtu: String?
  @Option(name: .customLong("mss"), help: "Payload of the pieces in which larger segments arrive.")
  var mss: String?
  @Option(name: .customLong("tolerance_usecs"), help: "How far a packet may be off its time; 4000.")
  var tolerance: String?
  @Option(
    name: .customLong("tolerance_percent"), help: "The same, of the time since the event before; 12.5.")
  var tolerancePercent: String?
  @Option(
    name: .customLong("tcp_ts_tick_usecs"), help: "Check time stamps, with a tick of so many microseconds.")
  var stampTick: String?
  @Flag(name: .customLong("tcp_ts_ecr_scaled"), help: "Inbound echoes may count from the first time stamp.")
  var scalesEchoes = false
  @Flag(name: .customLong("strict_segments"), help: "A segment must come as one packet.")
  var strictSegments = false
  @Flag(
    name: .customLong("given_machine"),
    help: "Nothing of the machine is taken from what scripts expect, neither its memory nor its kernel's age."
  )
  var givenMachine = false
  @Option(name: .customLong("non_fatal"), help: "packet, syscall, or both: what fails is only noted.")
  var nonFatal: String?
  @Option(name: [.customLong("define"), .customShort("D")], help: "NAME=VALUE: what stands in for a word.")
  var definitions: [String] = []
  @Option(help: "linux or bsd: whose socket calls; as the script looks.")
  var personality: String?
  @Flag(
    name: .customLong("strict_options"), inversion: .prefixedNo,
    help: "TCP options must come in order and padded as written; for Linux's scripts they must.")
  var strictOptions: Bool?

  /// Those that were given.
  var given: [ScriptOption] {
    var options: [ScriptOption] = []
    func add(_ name: String, _ value: String?) {
      if let value { options.append(ScriptOption(name: name, value: value)) }
    }
    add("ip_version", version)
    add("local_ip", localAddress)
    add("remote_ip", remoteAddress)
    add("gateway_ip", gatewayAddress)
    add("netmask_ip", mask)
    add("bind_port", bindPort)
    add("connect_port", connectPort)
    add("mtu", mtu)
    add("mss", mss)
    add("tolerance_usecs", tolerance)
    add("tolerance_percent", tolerancePercent)
    add("tcp_ts_tick_usecs", stampTick)
    add("non_fatal", nonFatal)
    add("personality", personality)
    for definition in definitions { add("define", definition) }
    if scalesEchoes { options.append(ScriptOption(name: "tcp_ts_ecr_scaled")) }
    if strictSegments { options.append(ScriptOption(name: "strict_segments")) }
    if givenMachine { options.append(ScriptOption(name: "given_machine")) }
    if let strictOptions {
      options.append(ScriptOption(name: strictOptions ? "strict_options" : "any_option_order"))
    }
    return options
  }
}
