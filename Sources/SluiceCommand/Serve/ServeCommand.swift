import ArgumentParser
import Devices
import LinuxDevices
import Sluice

/// `sluice serve`.
struct ServeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve",
    abstract:
      "Serve a TAP or an interface: echo, sink, source and HTTP, as fast as the stack goes.",
    discussion: """
      Answers ping at its addresses, and serves on TCP echo (7 and 7007), sink (9 and 7009), source (7019), chargen \
      (19) and iperf3 (5201), on UDP echo, discard and chargen (7, 9, 19), and HTTP on port 80: the live stack, as `sluice run` has it. It \
      ends by INT or TERM and leaves the interface as it was. USR1 writes the state to standard output, as JSON.

      --tap opens a TAP that is there (`ip tuntap add tap0 mode tap user $USER`), or makes one, which needs \
      CAP_NET_ADMIN and goes with it. The host's side needs an address and to be up. --interface takes over an Ethernet \
      interface that the host does not use itself by packet sockets, which needs CAP_NET_RAW; --xdp by AF_XDP, a socket \
      for each of its receive queues, which needs CAP_NET_ADMIN and CAP_BPF too.

      Examples:
        sluice serve --tap tap0 --address 10.0.5.2/24 --address fd00:5::2/64
        sluice serve --tap tap0 --address 10.0.5.2/24 --queues 2
        sluice serve --xdp eth1 --address 192.0.2.7/24 --queues 4
        sluice serve --interface eth1 --address 192.0.2.7/24 --gateway 192.0.2.1
        sluice serve --tap tap0 --address 10.0.5.2/24 --services echo=7,sink=5001
      """)

  @Option(help: ArgumentHelp("A TAP, there or to be made.", valueName: "name"))
  var tap: String?

  @Option(help: ArgumentHelp("An Ethernet interface, by packet sockets.", valueName: "name"))
  var interface: String?

  @Option(help: ArgumentHelp("An Ethernet interface, by AF_XDP sockets.", valueName: "name"))
  var xdp: String?

  @Option(
    name: .customLong("address"),
    help: ArgumentHelp(
      "An address and its prefix, of either family; may be repeated.", valueName: "a/p"))
  var address: [String] = []

  @Option(
    help: ArgumentHelp(
      "A router for what is not on the link; one for each family.", valueName: "address"))
  var gateway: [String] = []

  @Option(
    help: ArgumentHelp("Our station address; one is made from the first address.", valueName: "mac")
  )
  var mac: String?

  @Option(
    help: ArgumentHelp("Contexts of the stack, each with a thread, 1 to 16.", valueName: "number"))
  var contexts = 1

  @Option(
    help: ArgumentHelp("Queues of the link, 1 to 16; as many as contexts.", valueName: "number"))
  var queues: Int?

  @Option(help: ArgumentHelp("Largest packet, in bytes; the interface's.", valueName: "bytes"))
  var mtu: Int?

  @Flag(
    inversion: .prefixedNo,
    help: ArgumentHelp(
      "Leave checksums and segments to the kernel behind a TAP: 64 KiB pass as one. Off with --pcap, unless asked for."
    ))
  var offload: Bool?

  @Option(
    help: ArgumentHelp(
      "What the kernel behind a TAP without offloads does with segments in a row, where it lets us: none; held: it joins them, and one without PSH waits for the next, 5 ms at most; threaded: a thread of its own takes them.",
      valueName: "how"))
  var join = FrameJoining.none

  @Option(help: ArgumentHelp("How packets wait for the link: fifo or fq_codel."))
  var qdisc = ServingOptions.Discipline.fifo

  @Option(
    help: ArgumentHelp(
      "TCP services and their ports instead of the usual: echo, sink, source, chargen, iperf.",
      valueName: "name=port,…"))
  var services: String?

  @Option(
    help: ArgumentHelp(
      "Connections at once for each context, 1 to 1000000; those beyond are reset and counted.",
      valueName: "number"))
  var limit = 65_536

  @Option(help: ArgumentHelp("Write every frame, both ways, to a pcapng file.", valueName: "file"))
  var pcap: String?

  @Option(
    help: ArgumentHelp(
      "Set the stack's TCP, by Linux's names: net.ipv4.tcp_ecn=1; may be repeated.",
      valueName: "name=value"))
  var sysctl: [String] = []

  @Flag(help: "Write the state as JSON at the end, too.")
  var json = false

  @Flag(name: .shortAndLong, help: "Say nothing but errors.")
  var quiet = false

  mutating func validate() throws {
    _ = try link()
    _ = try station(try addresses())
    _ = try routes(try addresses())
    _ = try ports()
    for (name, value) in [("--contexts", contexts), ("--queues", queueCount)] {
      guard (1...16).contains(value) else {
        throw ValidationError("\(name) is from 1 to 16, not \(value).")
      }
    }
    if let mtu, !(576...TapDevice.largestMTU).contains(mtu) {
      throw ValidationError("--mtu is from 576 to \(TapDevice.largestMTU) bytes, not \(mtu).")
    }
    guard (1...1_000_000).contains(limit) else {
      throw ValidationError("--limit is from 1 to 1000000, not \(limit).")
    }
    var configuration = StackConfiguration()
    _ = try SysctlSettings(sysctl).set(&configuration)
  }

  func run() throws { try Serving(self).run() }
}

extension ServeCommand {
  var queueCount: Int { queues ?? contexts }

  func link() throws -> ServeLink {
    let all = [tap.map(ServeLink.tap), interface.map(ServeLink.interface), xdp.map(ServeLink.xdp)]
      .compactMap { $0 }
    guard let link = all.first else {
      throw ValidationError("there is no link. Say --tap NAME, --interface NAME or --xdp NAME.")
    }
    guard all.count == 1 else {
      throw ValidationError("--tap, --interface and --xdp are links, and there is one.")
    }
    return link
  }

  func addresses() throws -> [IPPrefix] {
    guard !address.isEmpty else {
      throw ValidationError("there is no address. Say --address 10.0.5.2/24.")
    }
    return try address.map { text in
      guard text.contains("/"), let prefix = IPPrefix(text), !prefix.address.isUnspecified,
        !prefix.address.isMulticast
      else {
        throw ValidationError(
          "--address \"\(text)\" is not an address with its prefix, as 10.0.5.2/24.")
      }
      return prefix
    }
  }

  /// Default routes by the gateways, each of which is on a link of ours.
  func routes(_ addresses: [IPPrefix]) throws -> [(destination: IPPrefix, gateway: IPAddress)] {
    try gateway.map { text in
      guard let router = IPAddress(text) else {
        throw ValidationError("--gateway \"\(text)\" is no address.")
      }
      guard router.isLinkLocal || addresses.contains(where: { $0.contains(router) }) else {
        throw ValidationError(
          "--gateway \(text) is on no link: no --address has a prefix that holds it.")
      }
      let all = router.isIPv4 ? IPPrefix("0.0.0.0/0") : IPPrefix("::/0")
      return (all!, router)
    }
  }

  /// Our station address: locally administered, and the same for the same address.
  func station(_ addresses: [IPPrefix]) throws -> MACAddress {
    if let mac {
      guard let given = MACAddress(mac), given.isUnicast else {
        throw ValidationError("--mac \"\(mac)\" is no station address.")
      }
      return given
    }
    let first = addresses[0].address
    if let ipv4 = first.ipv4 { return MACAddress(0x0200_0000_0000 | UInt64(ipv4.rawValue)) }
    return MACAddress(0x0200_0000_0000 | first.low & 0xFF_FFFF_FFFF)
  }

  func ports() throws -> [StreamServicePort] {
    guard let services else { return StreamServicePort.usual }
    guard let ports = StreamServicePort.parse(services) else {
      throw ValidationError(
        "--services \"\(services)\" is not of the form name=port,name=port with the names "
          + StreamService.allCases.map(\.rawValue).joined(separator: ", ") + ".")
    }
    return ports
  }
}

extension FrameJoining: ExpressibleByArgument {}
