import CLinux
import Devices
import Glibc
import LinuxDevices
import Wire

/// One `sluice gateway`, from the making of its link to the end of the stack.
struct Gateway {
  private let options: GatewayCommand

  init(_ options: GatewayCommand) { self.options = options }

  func run() throws {
    guard let signals = CommandSignals() else {
      throw Failure("no pipe for signals. Look at `ulimit -n`.")
    }
    try check(options.exitDescriptor, "--exit-fd")
    try check(options.readyDescriptor, "--ready-fd")
    let isCompatible = options.isCompatible
    var serving = options.serving
    serving.control = options.apiSocket ?? serving.control
    if isCompatible { serving.outbound.hostLoopback = true }
    if options.disableHostLoopback { serving.outbound.hostLoopback = false }
    let capture = try serving.pcap.map { path throws(Failure) in try ServedNetwork.capture(path) }
    let network = try options.network()
    let process = try options.pid.map { pid throws(Failure) in try Self.process(pid) }
    let attached = try attach(network)
    var plan = ServedNetwork.Plan(
      verb: "gateway", network: network, device: attached.device, link: attached.link)
    plan.hasIPv6 = network.hasIPv6 && network.mtu >= 1280 && attached.mayHaveIPv6
    plan.guests = attached.guests
    plan.vhost = attached.vhost
    plan.hasServices = !isCompatible
    // What nobody configures asks for itself.
    let isConfigured = attached.guests == nil && attached.vhost == nil && options.configure ?? !isCompatible
    plan.servesConfiguration = serving.outbound.dhcp || !isConfigured
    plan.servesNames = !options.disableDns
    plan.sources = try options.sources()
    let served = try ServedNetwork(plan, serving, capture: capture, isQuiet: options.quiet)
    report(plan, attached, serving)
    tellReady()

    var watched: [CommandSignals.Watched] = []
    if let descriptor = options.exitDescriptor { watched.append(.init(descriptor, reads: false)) }
    if let process { watched.append(.init(process, reads: true)) }
    while case .signal(let number) = signals.wait(for: watched) {
      guard number == SIGUSR1 else { break }
      Serving.print(StatusPage(host: served.services, verb: "gateway").reportNow(limit: 100) { $0.json.text })
    }
    served.stop(isQuiet: options.quiet, isVerbose: !options.quiet)
  }

  /// What is served: a link in a namespace, or the gateway's port of a switch.
  private struct Attachment {
    var device: any Device
    var link: String
    var mayHaveIPv6 = true
    var tapRefusal: LinkError?
    var guests: SwitchSockets?
    var vhost: VhostDevice?
  }

  private func attach(_ network: IsolatedNetwork) throws -> Attachment {
    switch try options.place() {
    case .namespace(let target):
      let configures = options.configure ?? !options.isCompatible
      let joined = try translated { () throws(LaunchError) in
        try JoinedNetwork.join(target, network: network, link: options.link.choice, configures: configures)
      }
      return Attachment(
        device: joined.device, link: joined.link.rawValue, mayHaveIPv6: !configures || joined.hasIPv6,
        tapRefusal: joined.tapRefusal)
    case .guests(let endpoints):
      do throws(LinkError) {
        let sockets = try SwitchSockets(endpoints, gateway: network.gatewayMAC, mtu: network.mtu)
        return Attachment(device: sockets.device, link: "switch", guests: sockets)
      } catch {
        throw Failure("\(error)")
      }
    case .vhostUser(let path):
      do throws(LinkError) {
        let device = try VhostDevice(
          path: path, address: network.gatewayMAC, mtu: network.mtu, offload: network.offload)
        return Attachment(device: device, link: "vhost-user", vhost: device)
      } catch {
        throw Failure("\(error)")
      }
    }
  }

  /// A descriptor that its giver forgot to open would be somebody else's by the time it is looked at.
  private func check(_ descriptor: Int32?, _ option: String) throws(Failure) {
    guard let descriptor, fcntl(descriptor, F_GETFD) < 0 else { return }
    throw Failure("\(option) \(descriptor) is not open. A shell opens it with `\(descriptor)<>FILE`.")
  }

  private static func process(_ process: Int32) throws(Failure) -> Int32 {
    let descriptor = sluice_process_open(process)
    guard descriptor < 0 else { return descriptor }
    throw Failure("there is no process \(process): \(unsafe String(cString: strerror(-descriptor))).")
  }

  private func tellReady() {
    guard let descriptor = options.readyDescriptor else { return }
    while unsafe write(descriptor, "1", 1) < 0, errno == EINTR {}
    close(descriptor)
  }

  private func report(_ plan: ServedNetwork.Plan, _ attached: Attachment, _ serving: ServingOptions) {
    guard !options.quiet else { return }
    let network = plan.network
    if options.mtu > network.mtu {
      complain("an MTU of \(options.mtu) bytes is more than a link here has: \(network.mtu).")
    }
    if let refusal = attached.tapRefusal { complain("no TAP, a veth pair instead: \(refusal)") }
    let what =
      if let vhost = attached.vhost {
        "a guest at \(vhost.endpoint)"
      } else if attached.guests != nil {
        "guests at \(options.qemu.joined(separator: ", "))"
      } else {
        "\(network.interface), a \(attached.link) link"
      }
    var lines = [
      "serving \(what), MTU \(network.mtu)",
      "* network: \(IPPrefix(IPAddress(network.ipv4), length: network.ipv4PrefixLength)!.description)",
      "* gateway: \(network.ipv4Gateway)" + (plan.hasIPv6 ? ", \(network.ipv6Gateway)" : ""),
    ]
    if plan.servesNames {
      lines.append(
        "* name server: \(network.ipv4NameServer)" + (plan.hasIPv6 ? ", \(network.ipv6NameServer)" : ""))
    }
    lines.append("* guest: \(network.ipv4)" + (plan.hasIPv6 ? ", \(network.ipv6)" : ""))
    if let path = serving.control { lines.append("* control socket: \(path)") }
    if serving.outbound.hostLoopback {
      lines.append(
        "* this host's 127.0.0.1 is reached at \(network.ipv4Gateway) (not with --disable-host-loopback)")
    }
    Serving.print(lines.map { $0 + "\n" }.joined())
  }
}
