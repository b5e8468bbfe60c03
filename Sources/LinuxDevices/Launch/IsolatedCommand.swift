import CLinux
public import Devices
import Glibc
import Wire

/// A command in a user and network namespace of its own, whose only way out is a link that the caller serves.
///
/// It keeps user id, working directory, environment, standard streams, inherited descriptors, terminal and process
/// group, and has NET_BIND_SERVICE, NET_RAW and NET_ADMIN over its own network. Between it and us stands a keeper
/// process that adopts its orphans: when the command ends, or when we do, by whatever means, all that it started is
/// killed, and namespaces and interfaces are gone with the last of it.
///
/// No privilege is needed, and threads do not matter: what runs after fork is async-signal-safe C.
public final class IsolatedCommand: Sendable {
  private let launch: sluice_launch
  private let path: String
  /// Our end of the link.
  public let device: any Device
  /// What kind of link it is.
  public let link: LinkKind
  /// Why ``LinkChoice/automatic`` did not take a TAP, if it did not.
  public let tapRefusal: LinkError?
  /// Whether the command has its IPv6 address; false on a kernel without IPv6.
  public let hasIPv6: Bool
  /// Why the command has the host's resolver configuration, an errno, if it was to have its own; 0: it has.
  public let resolverRefusal: Int32
  /// The process that keeps the command: whom ``wait(forwarding:)`` and our end send signals to, and nobody else.
  public var keeperIdentifier: Int32 { launch.keeper }
  /// The process id of the command.
  public var processIdentifier: Int32 { launch.command }

  private init(
    launch: sluice_launch, path: String, device: any Device, link: LinkKind, report: LaunchReport
  ) {
    self.launch = launch
    self.path = path
    self.device = device
    self.link = link
    tapRefusal = report.tapRefusal
    hasIPv6 = report.report.ipv6 != 0
    resolverRefusal = report.report.resolver_error
  }

  /// Kills what still runs, and waits for it.
  deinit {
    var launch = launch
    unsafe sluice_launch_close(&launch)
  }

  /// Makes namespaces and link; the command waits for ``start()``. Blocks for some milliseconds, for
  /// ``IsolatedNetwork/deadlineMilliseconds`` at most. `command` is a program, as a shell would find it, and its
  /// arguments. Application context.
  public static func launch(
    _ command: [String], network: IsolatedNetwork = IsolatedNetwork(), link: LinkChoice = .automatic
  ) throws(LaunchError) -> IsolatedCommand {
    guard let program = command.first else { throw .commandNotFound("") }
    try network.check()
    let path = try executable(program)
    var launch = sluice_launch()
    var report = sluice_launch_report()
    let result = unsafe request(command, path, network, link) { request in
      unsafe sluice_launch(request, &launch, &report)
    }
    let told = LaunchReport(report: report, path: path, tunPath: network.tunPath)
    guard result == 0 else { throw told.error }
    let kind = report.link == sluice_link_tap ? LinkKind.tap : .veth
    do throws(LinkError) {
      let device = try device(kind, network, &report)
      return IsolatedCommand(launch: launch, path: path, device: device, link: kind, report: told)
    } catch {
      unsafe sluice_launch_close(&launch)
      throw .link(error)
    }
  }

  /// Lets the command execute. Serve ``device`` from now on.
  public func start() {
    // Its failure means that the command is gone: wait() says how.
    var launch = launch
    _ = unsafe sluice_launch_go(&launch)
  }

  /// Sends a signal to the command, if it still runs. Any thread.
  public func send(signal: Int32) {
    var launch = launch
    _ = unsafe sluice_launch_signal(&launch, signal)
  }

  /// Blocks until the command has ended and all that it left behind is gone. Once. Throws
  /// ``LaunchError/executionRefused(path:errno:)`` or ``LaunchError/keeperKilled``.
  public func wait(forwarding signals: CommandSignals? = nil) throws(LaunchError) -> CommandStatus {
    var launch = launch
    var status: Int32 = 0
    let result = unsafe sluice_launch_wait(&launch, signals?.descriptor ?? -1, &status)
    if result > 0 { throw .executionRefused(path: path, errno: result) }
    if result < 0 { throw .keeperKilled }
    return CommandStatus(waitStatus: status)
  }

  private static func executable(_ name: String) throws(LaunchError) -> String {
    var buffer = [CChar](repeating: 0, count: 4096)
    let result = unsafe buffer.withUnsafeMutableBufferPointer {
      unsafe sluice_find_executable(name, $0.baseAddress, Int32($0.count))
    }
    switch -result {
    case 0: return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    case ENOENT: throw .commandNotFound(name)
    default: throw .commandNotExecutable(name, errno: -result)
    }
  }

  /// Our end of a link, by the descriptors that a report came with, which it takes over.
  static func device(
    _ kind: LinkKind, _ network: IsolatedNetwork, _ report: inout sluice_launch_report
  ) throws(LinkError) -> any Device {
    let descriptors = (0..<Int(report.descriptor_count)).map { index in
      unsafe withUnsafeBytes(of: &report.descriptors) {
        unsafe $0.load(fromByteOffset: index * 4, as: Int32.self)
      }
    }
    let offloads =
      report.offloads & Int32(sluice_offload_headers) == 0 ? nil : DeviceOffloads(kernel: report.offloads)
    return switch kind {
    case .tap:
      TapDevice(
        adopting: descriptors, name: network.interface, mtu: network.mtu,
        linkLayer: .ethernet(network.gatewayMAC), offloads: offloads)
    case .veth:
      try PacketSocketDevice(
        adopting: descriptors, name: network.interface, mtu: network.mtu, address: network.gatewayMAC)
    }
  }

  /// Calls `body` with the request in C's terms.
  static func request(
    _ command: [String], _ path: String, _ network: IsolatedNetwork, _ link: LinkChoice,
    _ body: (UnsafePointer<sluice_launch_request>) -> Int32
  ) -> Int32 {
    var request = unsafe sluice_launch_request()
    switch link {
    case .automatic: unsafe request.link = sluice_link_automatic
    case .tap: unsafe request.link = sluice_link_tap
    case .veth: unsafe request.link = sluice_link_veth
    }
    unsafe request.queues = Int32(network.queues)
    unsafe request.single_queue = network.isSingleQueue ? 1 : 0
    unsafe request.mtu = Int32(network.mtu)
    unsafe request.offload = network.offload ? 1 : 0
    unsafe request.deadline = Int32(network.deadlineMilliseconds)
    unsafe request.ipv4_prefix = Int32(network.ipv4PrefixLength)
    unsafe request.ipv6_prefix = network.hasIPv6 ? Int32(network.ipv6PrefixLength) : 0
    unsafe store(network.commandMAC.rawValue << 16, in: &request.mac)
    unsafe store(UInt64(network.ipv4.rawValue) << 32, in: &request.ipv4)
    unsafe store(UInt64(network.ipv4Gateway.rawValue) << 32, in: &request.ipv4_gateway)
    unsafe store(network.ipv6.high, network.ipv6.low, in: &request.ipv6)
    unsafe store(network.ipv6Gateway.high, network.ipv6Gateway.low, in: &request.ipv6_gateway)
    return unsafe withCStrings([path, network.tunPath, network.interface, network.resolver ?? ""]) { names in
      unsafe withCStrings(command) { arguments in
        unsafe withCStrings(["/bin/sh", path] + command.dropFirst()) { shell in
          unsafe request.path = names[0]
          unsafe request.tun_path = names[1]
          unsafe request.interface = names[2]
          if network.resolver != nil { unsafe request.resolver = names[3] }
          unsafe request.arguments = arguments
          unsafe request.shell_arguments = shell
          return unsafe body(&request)
        }
      }
    }
  }

  /// The first bytes of one or two words, in network byte order.
  private static func store<Field>(_ first: UInt64, _ second: UInt64 = 0, in field: inout Field) {
    unsafe withUnsafeMutableBytes(of: &field) { bytes in
      for index in bytes.indices {
        let word = index < 8 ? first : second
        unsafe bytes[index] = UInt8(truncatingIfNeeded: word >> UInt64(56 - index % 8 * 8))
      }
    }
  }

  /// Calls `body` with a NULL-terminated vector of C strings.
  private static func withCStrings<R>(
    _ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> R
  ) -> R {
    let copies = unsafe strings.map { unsafe strdup($0) }
    defer { unsafe copies.forEach { unsafe free($0) } }
    let vector = unsafe copies.map { unsafe $0.map { unsafe UnsafePointer($0) } } + [nil]
    return unsafe vector.withUnsafeBufferPointer { unsafe body($0.baseAddress!) }
  }
}
