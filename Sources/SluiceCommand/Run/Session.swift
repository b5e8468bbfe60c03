import Forwarding
import Glibc
import LinuxDevices
import Wire

/// One `sluice run`, from the launch of the command to the end of the stack.
struct Session {
  private let options: RunCommand

  init(_ options: RunCommand) { self.options = options }

  /// Returns the exit status for `sluice` itself.
  func run() throws -> Int32 {
    let serving = options.serving
    let capture = try serving.pcap.map { path throws(Failure) in try ServedNetwork.capture(path) }
    let signals = CommandSignals()
    var network = IsolatedNetwork()
    network.mtu = options.mtu
    network.queues = serving.contexts
    // Who looks at frames wants them as on a wire.
    network.offload = options.offload ?? (serving.pcap == nil)
    network.resolver = HostResolvers.configuration(nameServer: IPAddress(network.ipv4NameServer))
    let command = try translated { () throws(LaunchError) in
      try IsolatedCommand.launch(options.command, network: network, link: options.link.choice)
    }
    report(command)
    var plan = ServedNetwork.Plan(
      verb: "run", network: network, device: command.device, link: command.link.rawValue,
      hasIPv6: command.hasIPv6)
    plan.signalled = command.keeperIdentifier
    plan.servesConfiguration = serving.outbound.dhcp
    let served = try ServedNetwork(
      plan, serving, capture: capture, isQuiet: options.quiet, isVerbose: options.verbose)
    defer { served.forwarder.stop() }
    command.start()
    let status = try translated { () throws(LaunchError) in try command.wait(forwarding: signals) }
    served.stop(isQuiet: options.quiet, isVerbose: options.verbose)
    return status.code
  }

  private func report(_ command: IsolatedCommand) {
    guard options.verbose else { return }
    complain(
      "serving a \(command.link.rawValue) link, MTU \(options.mtu), \(options.serving.contexts) contexts.")
    if let refusal = command.tapRefusal { complain("no TAP: \(refusal)") }
    if command.resolverRefusal != 0 {
      complain(
        "the command has this host's /etc/resolv.conf: \(unsafe String(cString: strerror(command.resolverRefusal)))."
      )
    }
    if !command.hasIPv6 { complain("this kernel has no IPv6 for the command.") }
  }
}
