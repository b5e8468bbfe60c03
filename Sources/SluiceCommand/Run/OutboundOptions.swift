import ArgumentParser
import Exclusion
import Forwarding
import Wire

/// What the command may reach outside, as the command line says it.
struct OutboundOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Connections to the outside that the command may have at once, 1 to 60000; those beyond are refused and counted.",
      valueName: "number"))
  var outboundLimit = 4096

  @Flag(
    help:
      "10.0.2.2 and fd00:2::2 lead to this host's own 127.0.0.1 and ::1, for ports that the gateway does not serve."
  )
  var hostLoopback = false

  @Option(
    help: ArgumentHelp(
      "Let the command reach an address or a network. The first of --allow and --deny that names a destination decides; what none names is allowed.",
      valueName: "net[:port[-port]]"),
    transform: { try RuleOption($0, allows: true) })
  var allow: [RuleOption] = []

  @Option(
    help: ArgumentHelp("Do not.", valueName: "net[:port[-port]]"),
    transform: { try RuleOption($0, allows: false) })
  var deny: [RuleOption] = []

  @Option(
    name: .customLong("host"),
    help: ArgumentHelp(
      "A name that 10.0.2.3 knows beside those of this host's resolvers; may be repeated.",
      valueName: "name=addr"),
    transform: { try NameOption($0) })
  var hosts: [NameOption] = []

  @Flag(help: "Serve no status page on port 80 of the gateway.")
  var noStatus = false

  @Flag(
    help: ArgumentHelp(
      "Also serve DHCP and router advertisements on the link, for what the command starts and configures itself."
    ))
  var dhcp = false

  @Flag(
    help: ArgumentHelp(
      "Do not give up files, privileges and system calls that serving needs no more (Documentation/Security.md)."
    )
  )
  var noSandbox = false

  mutating func validate() throws {
    guard (1...60_000).contains(outboundLimit) else {
      throw ValidationError("--outbound-limit is from 1 to 60000, not \(outboundLimit).")
    }
  }

  /// What --host says.
  var names: NameTable {
    var table = NameTable()
    for host in hosts { _ = table.add(host.name, host.address) }
    return table
  }

  /// Both kinds, in the order of the command line.
  var rules: [OutboundRule] { (allow + deny).sorted { $0.place < $1.place }.map(\.rule) }
}

/// A name and an address of it.
struct NameOption {
  let name: String
  let address: IPAddress

  init(_ text: String) throws {
    let parts = text.split(separator: "=", omittingEmptySubsequences: false).map(String.init)
    var table = NameTable()
    guard parts.count == 2, let address = IPAddress(parts[1]), table.add(parts[0], address) else {
      throw ValidationError(
        "\"\(text)\" is no name with an address. It is NAME=ADDR, such as db.test=192.0.2.7.")
    }
    (name, self.address) = (parts[0], address)
  }
}

/// A rule, and its place on the command line: two options have one order.
struct RuleOption {
  let rule: OutboundRule
  let place: UInt64
  private static let places = AtomicWord(0)

  init(_ text: String, allows: Bool) throws {
    guard let rule = OutboundRule.parse(text, allows: allows) else {
      throw ValidationError(
        "\"\(text)\" is no network with ports. It is NET[:PORT[-PORT]], such as 10.0.0.0/8, 192.0.2.1:80-443 or "
          + "[2001:db8::/32]:53.")
    }
    self.rule = rule
    place = Self.places.add(1)
  }
}
