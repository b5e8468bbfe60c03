import ArgumentParser
import Devices
import Forwarding
import Sluice

/// How a network is served, whoever is in it: what `sluice run` and `sluice gateway` have in common.
struct ServingOptions: ParsableArguments {
  /// In which order packets wait for the link.
  enum Discipline: String, ExpressibleByArgument, CaseIterable {
    case fifo
    case fqCodel = "fq_codel"

    var choice: DisciplineChoice {
      switch self {
      case .fifo: .fifo
      case .fqCodel: .fqCodel
      }
    }
  }

  @Option(
    help: ArgumentHelp(
      "How packets wait for the link: fifo, or fq_codel, a fair share for each flow and short queues."))
  var qdisc = Discipline.fifo

  @Option(help: ArgumentHelp("Contexts of the stack, each with a thread and a queue of the link, 1 to 16."))
  var contexts = 1

  @Option(help: ArgumentHelp("Write every frame, both ways, to a pcapng file.", valueName: "file"))
  var pcap: String?

  @Option(
    help: ArgumentHelp(
      "Connections that the services take at once; those beyond are reset and counted.", valueName: "number"))
  var limit = 1024

  @Option(
    name: [.customShort("p"), .customLong("publish")],
    help: ArgumentHelp(
      "Carry TCP connections to a port of this host, or UDP datagrams, on to the command; may be repeated, ports may be ranges.",
      valueName: "[addr:]hostport:port[/udp]"))
  var publish: [String] = []

  @Option(
    help: ArgumentHelp(
      "Connections that -p carries at once, and flows of datagrams, 1 to 16000; connections beyond are reset, the oldest flow gives way, and both are counted.",
      valueName: "number"))
  var publishLimit = 1024

  @Option(
    name: [.customLong("control")],
    help: ArgumentHelp(
      "Listen at a Unix socket for `sluice forward`, and for what speaks slirp4netns' API.", valueName: "path"
    ))
  var control: String?

  @OptionGroup var outbound: OutboundOptions

  @Option(
    help: ArgumentHelp(
      "Set the stack's TCP, by Linux's names: net.ipv4.tcp_ecn=1; net.inet.tcp.udp_tunneling_port=9899 takes TCP in UDP; may be repeated.",
      valueName: "name=value"))
  var sysctl: [String] = []

  mutating func validate() throws {
    guard (1...16).contains(contexts) else {
      throw ValidationError("--contexts is from 1 to 16, not \(contexts).")
    }
    guard (1...16_000).contains(limit) else {
      throw ValidationError("--limit is from 1 to 16000, not \(limit).")
    }
    guard (1...16_000).contains(publishLimit) else {
      throw ValidationError("--publish-limit is from 1 to 16000, not \(publishLimit).")
    }
    do throws(PortForwardError) {
      _ = try forwards()
    } catch {
      throw ValidationError("-p \(error)")
    }
    var configuration = StackConfiguration()
    _ = try set(&configuration)
  }

  /// What -p asks for.
  func forwards() throws(PortForwardError) -> [PortForward] {
    var all: [PortForward] = []
    for text in publish { all += try PortForward.parse(text) }
    return all
  }

  /// What --sysctl asks for. Returns the keys of Fast Open's cookies, if they are among it.
  func set(_ configuration: inout StackConfiguration) throws -> FastOpenKeySetting {
    try SysctlSettings(sysctl).set(&configuration)
  }
}
