import Devices
import Glibc
import LinuxDevices
import Sluice
import SoftInterrupts
import Sockets

/// One `sluice serve`, from the opening of its link to the end of the stack.
struct Serving {
  private let options: ServeCommand

  init(_ options: ServeCommand) { self.options = options }

  func run() throws {
    let signals = StopSignals()
    let capture = try options.pcap.map { path throws(Failure) in try ServedNetwork.capture(path) }
    let addresses = try options.addresses()
    let device = try options.link().open(
      try options.station(addresses), queues: options.queueCount, mtu: options.mtu,
      offload: options.offload ?? (options.pcap == nil), joining: options.join)
    let reports = ReportSocket.open("serve", isHeard: !options.quiet)
    let stack = try stack(device, addresses, capture)
    let streams = StreamServices(try options.ports(), in: stack)
    do throws(StackError) {
      try stack.start()
    } catch {
      throw Failure("\(error)")
    }
    try streams.start(limit: options.limit)
    let host = ServiceHost(
      stack: stack, limit: options.limit, link: try options.link().kind, streams: streams)
    do throws(SocketError) {
      try host.start()
    } catch {
      throw Failure("the services could not be started: \(error).")
    }
    if !options.quiet { complain(greeting(device, addresses)) }
    reports?.serve(host)
    let page = StatusPage(host: host, verb: "serve")
    while signals.wait() == .status { Self.print(page.reportNow(limit: 100) { $0.json.text }) }
    if options.json { Self.print(page.reportNow(limit: 100) { $0.json.text }) }
    reports?.stop()
    streams.stop()
    let remains = stack.shutdown()
    if !remains.isEmpty, !options.quiet { complain("still in use after the shutdown: \(remains)") }
  }

  private func stack(
    _ device: any Device, _ addresses: [IPPrefix], _ capture: PacketCapture?
  ) throws -> Stack {
    var configuration = StackConfiguration()
    configuration.contexts = options.contexts
    configuration.sockets.connectionLimit = max(65_536, options.limit * 2)
    // Answers to small requests go at once.
    configuration.sockets.tcp.noDelay = true
    let keys = try SysctlSettings(options.sysctl).set(&configuration)
    if options.queueCount < options.contexts { configuration.steering = .home }
    configuration.interfaces = [
      StackInterface(
        device, addresses: addresses, routes: try options.routes(addresses), capture: capture,
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

  private func greeting(_ device: any Device, _ addresses: [IPPrefix]) -> String {
    let names = addresses.map { "\($0.address)" }.joined(separator: ", ")
    return "serving \(names) on \(device.name), MTU \(device.mtu), \(device.queueCount) queues, "
      + (device.offloads.isEmpty ? "no offloads" : "offloads") + joining(device) + ". "
      + "Interrupt ends it, USR1 shows its state."
  }

  private func joining(_ device: any Device) -> String {
    guard let joining = (device as? TapDevice)?.joining, joining != .none else { return "" }
    return ", segments in a row \(joining)"
  }

  static func print(_ text: String) {
    let bytes = Array(text.utf8)
    var offset = 0
    while offset < bytes.count {
      let count = unsafe bytes.withUnsafeBytes {
        unsafe write(STDOUT_FILENO, $0.baseAddress! + offset, $0.count - offset)
      }
      guard count > 0 else { return }
      offset += count
    }
  }
}
