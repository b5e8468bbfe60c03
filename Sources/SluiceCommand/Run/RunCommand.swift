import ArgumentParser
import Devices
import LinuxDevices

/// `sluice run`.
struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Run a command in a network of its own, served by Sluice.",
    usage: "sluice run [options] -- COMMAND …",
    discussion: """
      COMMAND runs in a fresh user and network namespace whose only way out is a link that Sluice serves. It has \
      the addresses 10.0.2.100/24 and fd00:2::100/64. The gateway, 10.0.2.2 and fd00:2::2, answers ping and \
      serves echo (7), discard (9) and chargen (19) on TCP and UDP, and HTTP on port 80: the live stack, as \
      text for curl, as HTML with plots for browsers, as JSON at /stats.json. `sluice top` shows it from outside. No privilege is needed. Exit status, \
      signals, terminal and standard streams pass through; nothing is left at the end.

      What COMMAND sends to other addresses, TCP and UDP, is carried on by sockets of this host, as the user who runs \
      sluice: a connection is complete when the host's is, and refused when that is. Names are asked of 10.0.2.3, which \
      asks this host's resolvers. --deny and --allow say what may be reached; this host's own loopback interface may not, \
      but for --host-loopback.

      With -p, TCP connections to a port of this host go to a port of COMMAND, from the gateway's address to COMMAND's: \
      IPv6 if -p names an IPv6 address, else IPv4. What listens there on its loopback interface alone they do not \
      reach. Half closes, resets and refusals pass both ways. -p takes connections from everywhere unless \
      it says an address. With /udp it takes datagrams, and carries the answers back to who asked. --control lets \
      `sluice forward` add and remove forwards meanwhile.

      Examples:
        sluice run -- curl -s http://10.0.2.2/
        sluice run -- curl -s 'http://[fd00:2::2]/stats.json'
        sluice run -- ping -c 5 -i 0.2 10.0.2.2
        sluice run --link veth -- sh -c 'head -c 1G /dev/zero | nc -N 10.0.2.2 9'
        sluice run --pcap session.pcapng -- curl -s http://10.0.2.2/
        sluice run -p 127.0.0.1:8080:80 -- python3 -m http.server 80
        sluice run -p 8000-8009:8000-8009 -p 5353:53/udp -- bash
        sluice run --control /tmp/s.sock -- bash
        sluice run --sysctl net.ipv4.tcp_ecn=1 -- bash
        sluice run --deny 10.0.0.0/8 --host db.test=192.0.2.7 -- bash
        sluice run -- bash

      Exit status: the command's; 125 if sluice itself failed, 126 if the command cannot be executed, 127 if \
      it is not found, 128 and the signal's number if a signal ended it.
      """)

  /// Which link to make.
  enum Link: String, ExpressibleByArgument, CaseIterable {
    case auto, tap, veth

    var choice: LinkChoice {
      switch self {
      case .auto: .automatic
      case .tap: .tap
      case .veth: .veth
      }
    }
  }

  @Option(
    help: ArgumentHelp(
      "A TAP device (needs a /dev/net/tun that you may open), a veth pair, or auto: the TAP where it can be had."
    ))
  var link = Link.auto

  @Option(
    help: ArgumentHelp(
      "Largest packet of the link, in bytes, 576 to 65520 (65000 over a veth pair).", valueName: "bytes"))
  var mtu = 1500

  @Flag(
    inversion: .prefixedNo,
    help: ArgumentHelp(
      "Leave checksums and segments to the kernel: 64 KiB pass as one. Off with --pcap, unless asked for."
    ))
  var offload: Bool?

  @OptionGroup var serving: ServingOptions

  @Flag(
    name: .shortAndLong,
    help: "Say nothing but errors that end the run, not even that the capture file is full.")
  var quiet = false

  @Flag(name: .shortAndLong, help: "Tell which link was taken, and what is left at the end.")
  var verbose = false

  @Argument(
    parsing: .postTerminator, help: ArgumentHelp("The command and its arguments.", valueName: "COMMAND"))
  var command: [String] = []

  mutating func validate() throws {
    guard !command.isEmpty else {
      throw ValidationError("there is no command. Put it behind `--`: sluice run -- curl -s http://10.0.2.2/")
    }
    guard (576...TapDevice.largestMTU).contains(mtu) else {
      throw ValidationError("--mtu is from 576 to \(TapDevice.largestMTU) bytes, not \(mtu).")
    }
  }

  func run() throws {
    throw ExitCode(try Session(self).run())
  }
}
