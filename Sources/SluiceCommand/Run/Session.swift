import Devices
import Forwarding
import Glibc
import LinuxDevices
import Sluice
import Sockets

/// One `sluice run`, from the launch of the command to the end of the stack.
struct Session {
  private let options: RunCommand

  init(_ options: RunCommand) { self.options = options }

  /// Returns the exit status for `sluice` itself.
  func run() throws -> Int32 {
    let capture = try options.pcap.map { path throws(Failure) in try Self.capture(path) }
    let signals = CommandSignals()
    var network = IsolatedNetwork()
    network.mtu = options.mtu
    network.queues = options.contexts
    // Who looks at frames wants them as on a wire.
    network.offload = options.offload ?? (options.pcap == nil)
    network.resolver = HostResolvers.configuration(nameServer: IPAddress(network.ipv4NameServer))
    let command = try translated { () throws(LaunchError) in
      try IsolatedCommand.launch(options.command, network: network, link: options.link.choice)
    }
    report(command)

    let stack = try Self.stack(options, network, command, capture)
    // It settles on the stack's context before that runs.
    let forwarder = try Self.forwarder(options, network, command, stack)
    do throws(StackError) {
      try stack.start()
    } catch {
      throw Failure("\(error)")
    }
    defer { forwarder.stop() }
    let services = ServiceHost(
      stack: stack, limit: options.limit, link: command.link.rawValue, forwarder: forwarder,
      servesStatus: !options.outbound.noStatus)
    do throws(SocketError) {
      try services.start()
    } catch {
      throw Failure("the services could not be started: \(error).")
    }
    let watch = capture.map { capture in
      Task {
        if let failure = await capture.firstFailure(), !options.quiet {
          complain("the capture ended: \(failure)")
        }
      }
    }
    command.start()
    let status = try translated { () throws(LaunchError) in try command.wait(forwarding: signals) }

    forwarder.stop()
    let links = stack.statistics(connectionLimit: 0).links
    let remains = stack.shutdown()
    watch?.cancel()
    if options.verbose, !remains.isEmpty { complain("still in use after the shutdown: \(remains)") }
    for link in links where link.queueing.timeouts > 0 && !options.quiet {
      complain(
        "\(link.name): the transmit queue stood still \(link.queueing.timeouts) times. Please report this.")
    }
    return status.code
  }

  private static func stack(
    _ options: RunCommand, _ network: IsolatedNetwork, _ command: IsolatedCommand, _ capture: PacketCapture?
  ) throws -> Stack {
    var configuration = StackConfiguration()
    configuration.contexts = options.contexts
    configuration.packetLimit = ServiceHost.packetLimit(connections: options.limit)
    // What the services may have submitted, in chunks of 4 KiB.
    configuration.sockets.applicationChunks = 4096 + options.limit * (ServiceHost.buffers.send >> 12)
    if !options.publish.isEmpty {
      // What carried connections may hold on the average, each way: more is refused as memory gets short.
      configuration.packetLimit += options.publishLimit * 64
      configuration.sockets.applicationChunks += options.publishLimit * (Forwarder.buffers.send >> 12)
    }
    // The same for the other way, where most connections are small.
    let limit = options.outbound.outboundLimit
    configuration.packetLimit += limit * 16
    configuration.sockets.applicationChunks += limit * 16
    configuration.sockets.transparent = TransparentConfiguration()
    let keys = try options.set(&configuration)
    var addresses = [network.ipv4Gateway, network.ipv4NameServer].map {
      IPPrefix(IPAddress($0), length: network.ipv4PrefixLength)!
    }
    if command.hasIPv6 {
      addresses += [network.ipv6Gateway, network.ipv6NameServer].map {
        IPPrefix(IPAddress($0), length: network.ipv6PrefixLength)!
      }
      addresses.append(IPPrefix(IPAddress(IPv6Address(linkLocal: network.gatewayMAC)), length: 64)!)
    }
    configuration.interfaces = [
      StackInterface(
        command.device, addresses: addresses, capture: capture, acceptsForeignDestinations: true,
        transmit: TransmitConfiguration(discipline: options.qdisc.choice))
    ]
    do throws(StackError) {
      let stack = try Stack(configuration)
      keys.give(to: stack)
      return stack
    } catch {
      throw Failure("\(error)")
    }
  }

  private static func forwarder(
    _ options: RunCommand, _ network: IsolatedNetwork, _ command: IsolatedCommand, _ stack: Stack
  ) throws(Failure) -> Forwarder {
    do throws(PortForwardError) {
      let forwards = try options.forwards()
      raiseDescriptorLimit()
      let guest = ForwardGuest(
        ipv4: IPAddress(network.ipv4), ipv6: command.hasIPv6 ? IPAddress(network.ipv6) : nil)
      var policy = OutboundPolicy()
      policy.limit = options.outbound.outboundLimit
      policy.gateway = [IPAddress(network.ipv4Gateway), IPAddress(network.ipv6Gateway)]
      policy.nameServers = [IPAddress(network.ipv4NameServer), IPAddress(network.ipv6NameServer)]
      policy.resolvers = HostResolvers.read()
      policy.reachesHostLoopback = options.outbound.hostLoopback
      policy.rules = options.outbound.rules
      policy.names = options.outbound.names
      return try Forwarder(
        forwards, to: guest, on: stack, limit: options.publishLimit, outbound: policy,
        driver: options.contexts == 1 ? .context : .thread)
    } catch {
      throw Failure("\(error)")
    }
  }

  /// A descriptor for each carried connection, as far as the system lets us. The command, which was forked before, has
  /// the limit that it would have had.
  private static func raiseDescriptorLimit() {
    var limit = rlimit()
    guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    _ = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }

  static func capture(_ path: String) throws(Failure) -> PacketCapture {
    do throws(CaptureError) {
      return try PacketCapture(path: path)
    } catch {
      throw Failure("the capture file cannot be written: \(error)")
    }
  }

  private func translated<R>(_ body: () throws(LaunchError) -> R) throws(Failure) -> R {
    do throws(LaunchError) {
      return try body()
    } catch {
      throw Failure("\(error)", code: error.code)
    }
  }

  private func report(_ command: IsolatedCommand) {
    guard options.verbose else { return }
    complain("serving a \(command.link.rawValue) link, MTU \(options.mtu), \(options.contexts) contexts.")
    if let refusal = command.tapRefusal { complain("no TAP: \(refusal)") }
    if command.resolverRefusal != 0 {
      complain(
        "the command has this host's /etc/resolv.conf: \(unsafe String(cString: strerror(command.resolverRefusal)))."
      )
    }
    if !command.hasIPv6 { complain("this kernel has no IPv6 for the command.") }
  }
}
