import Devices
import Forwarding
import Glibc
import LinuxDevices
import Sluice
import Sockets

/// A network that Sluice serves: a stack on one link, what it forwards both ways, and its services.
final class ServedNetwork {
  /// What it is made of, beside the options.
  struct Plan {
    /// Whose it is, by the command's name.
    var verb: String
    /// Addresses of both ends.
    var network: IsolatedNetwork
    /// The link, and what kind it is, for the status.
    var device: any Device
    var link: String
    /// Whether the other end has its IPv6 address.
    var hasIPv6 = true
    /// The gateway's own services: echo, discard, chargen, the status page.
    var hasServices = true
    /// DHCP and router advertisements for who configures itself.
    var servesConfiguration = false
    /// The one process that is sent signals; nil: none.
    var signalled: Int32?
    /// 10.0.2.3 answers for names.
    var servesNames = true
    /// Where guests plug in, if they do.
    var guests: SwitchSockets?
    /// The link, if it is a guest's memory.
    var vhost: VhostDevice?
    /// Sockets for the outside are bound to these, one of each family at most.
    var sources: [IPAddress] = []
  }
  let stack: Stack
  let forwarder: Forwarder
  let services: ServiceHost
  private let reports: ReportSocket?
  private let virtualSwitch: VirtualSwitch?
  private let addresses: AddressServer?
  private let watch: Task<Void, Never>?

  /// Serves from now on; the link may be in use already.
  init(
    _ plan: Plan, _ options: ServingOptions, capture: PacketCapture?, isQuiet: Bool, isVerbose: Bool = false
  ) throws {
    // All that this process may not be able to open later comes first.
    let (sockets, control) = try Self.sockets(plan, options)
    reports = ReportSocket.open(plan.verb, isHeard: false)
    let resolvers = plan.servesNames ? HostResolvers.Watch() : nil
    if !options.outbound.noSandbox {
      Sandbox.enter(
        signalled: plan.signalled, keepsLowPorts: control != nil,
        keepsPaths: plan.guests?.answersAtPaths ?? false, isQuiet: isQuiet, isVerbose: isVerbose)
    }
    let stack = try Self.stack(plan, options, capture)
    self.stack = stack
    // It settles on the stack's context before that runs.
    forwarder = try Self.forwarder(plan, options, stack, sockets, control, resolvers)
    do throws(StackError) {
      try stack.start()
    } catch {
      throw Failure("\(error)")
    }
    addresses = try Self.addresses(plan, stack)
    virtualSwitch = try Self.virtualSwitch(plan)
    services = ServiceHost(
      stack: stack, limit: options.limit, link: plan.link, forwarder: forwarder,
      virtualSwitch: virtualSwitch, vhost: plan.vhost, addresses: addresses,
      servesStatus: !options.outbound.noStatus)
    if plan.hasServices {
      do throws(SocketError) {
        try services.start()
      } catch {
        throw Failure("the services could not be started: \(error).")
      }
    }
    reports?.serve(services)
    watch = capture.map { capture in
      Task {
        if let failure = await capture.firstFailure(), !isQuiet { complain("the capture ended: \(failure)") }
      }
    }
  }

  /// Ends what is carried and the stack, and says what was wrong: what is still in use, if `isVerbose`, and what stood
  /// still, unless `isQuiet`.
  func stop(isQuiet: Bool, isVerbose: Bool) {
    reports?.stop()
    addresses?.stop()
    forwarder.stop()
    let links = stack.statistics(connectionLimit: 0).links
    let remains = stack.shutdown()
    virtualSwitch?.stop()
    watch?.cancel()
    if isVerbose, !remains.isEmpty { complain("still in use after the shutdown: \(remains)") }
    for link in links where link.queueing.timeouts > 0 && !isQuiet {
      complain(
        "\(link.name): the transmit queue stood still \(link.queueing.timeouts) times. Please report this.")
    }
  }

  private static func stack(
    _ plan: Plan, _ options: ServingOptions, _ capture: PacketCapture?
  ) throws -> Stack {
    let network = plan.network
    var configuration = StackConfiguration()
    configuration.contexts = options.contexts
    configuration.packetLimit = ServiceHost.packetLimit(connections: options.limit)
    // What the services may have submitted, in chunks of 4 KiB.
    configuration.sockets.applicationChunks = 4096 + options.limit * (ServiceHost.buffers.send >> 12)
    if !options.publish.isEmpty || options.control != nil {
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
    let names = plan.servesNames
    var prefixes = ([network.ipv4Gateway] + (names ? [network.ipv4NameServer] : [])).map {
      IPPrefix(IPAddress($0), length: network.ipv4PrefixLength)!
    }
    if plan.hasIPv6 {
      prefixes += ([network.ipv6Gateway] + (names ? [network.ipv6NameServer] : [])).map {
        IPPrefix(IPAddress($0), length: network.ipv6PrefixLength)!
      }
      prefixes.append(IPPrefix(IPAddress(IPv6Address(linkLocal: network.gatewayMAC)), length: 64)!)
    }
    configuration.interfaces = [
      StackInterface(
        plan.device, addresses: prefixes, capture: capture, acceptsForeignDestinations: true,
        // A guest that takes nothing is its own affair: its queue stands until it does.
        transmit: plan.vhost == nil
          ? TransmitConfiguration(discipline: options.qdisc.choice)
          : TransmitConfiguration(discipline: options.qdisc.choice, watchdog: .zero), isGuarded: true,
        advertising: plan.servesConfiguration && plan.hasIPv6 ? advertising(plan) : nil)
    ]
    do throws(StackError) {
      let stack = try Stack(configuration)
      keys.give(to: stack)
      return stack
    } catch {
      throw Failure("\(error)")
    }
  }

  private static func advertising(_ plan: Plan) -> RouterAdvertising {
    var advertising = plan.network.routerAdvertising
    if !plan.servesNames { advertising.nameServers = [] }
    return advertising
  }
  private static func addresses(_ plan: Plan, _ stack: Stack) throws(Failure) -> AddressServer? {
    guard plan.servesConfiguration else { return nil }
    var configuration = plan.network.addressServer
    if !plan.servesNames { configuration.nameServers = [] }
    do throws(SocketError) {
      return try AddressServer(configuration, on: stack)
    } catch {
      throw Failure("the DHCP server could not be started: \(error).")
    }
  }

  private static func virtualSwitch(_ plan: Plan) throws(Failure) -> VirtualSwitch? {
    let network = plan.network
    let addresses = [
      IPAddress(network.ipv4Gateway), IPAddress(network.ipv4NameServer), IPAddress(network.ipv6Gateway),
      IPAddress(network.ipv6NameServer), IPAddress(IPv6Address(linkLocal: network.gatewayMAC)),
    ]
    do throws(LinkError) {
      return try plan.guests.map { sockets throws(LinkError) in
        try VirtualSwitch(taking: sockets, addresses: addresses)
      }
    } catch {
      throw Failure("\(error)")
    }
  }

  private static func sockets(
    _ plan: Plan, _ options: ServingOptions
  ) throws(Failure) -> (ForwardSockets, ForwardControl?) {
    let network = plan.network
    do throws(PortForwardError) {
      let forwards = try options.forwards()
      raiseDescriptorLimit()
      let guest = ForwardGuest(
        ipv4: IPAddress(network.ipv4), ipv6: plan.hasIPv6 ? IPAddress(network.ipv6) : nil)
      let control = try options.control.map { path throws(PortForwardError) in
        try ForwardControl(path: path, answer: ControlAnswers.answer)
      }
      return (try ForwardSockets(forwards, to: guest), control)
    } catch {
      throw Failure("\(error)")
    }
  }

  private static func forwarder(
    _ plan: Plan, _ options: ServingOptions, _ stack: Stack, _ sockets: ForwardSockets,
    _ control: ForwardControl?, _ resolvers: HostResolvers.Watch?
  ) throws(Failure) -> Forwarder {
    let network = plan.network
    do throws(PortForwardError) {
      var policy = OutboundPolicy()
      policy.limit = options.outbound.outboundLimit
      policy.gateway = [IPAddress(network.ipv4Gateway), IPAddress(network.ipv6Gateway)]
      if plan.servesNames {
        policy.nameServers = [IPAddress(network.ipv4NameServer), IPAddress(network.ipv6NameServer)]
      }
      policy.resolvers = HostResolvers.ofThisHost
      policy.resolverWatch = resolvers
      policy.reachesHostLoopback = options.outbound.hostLoopback
      policy.rules = options.outbound.rules
      policy.names = options.outbound.names
      policy.sources = plan.sources
      return try Forwarder(
        taking: sockets, on: stack, limit: options.publishLimit, outbound: policy, control: control,
        driver: options.contexts == 1 ? .context : .thread)
    } catch {
      throw Failure("\(error)")
    }
  }

  /// A descriptor for each carried connection, as far as the system lets us. A command, which was forked before, has
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
}

/// Runs `body`; what it throws is a `Failure` in the same words, with the exit status that goes with it.
func translated<R>(_ body: () throws(LaunchError) -> R) throws(Failure) -> R {
  do throws(LaunchError) {
    return try body()
  } catch {
    throw Failure("\(error)", code: error.code)
  }
}
