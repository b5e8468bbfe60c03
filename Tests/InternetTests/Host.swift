import Buffers
import Devices
import Exclusion
import SoftInterrupts
import Timing
import Wire

@testable import Internet

/// One stack under the manual scheduler, with its far end in the test's hands.
///
/// 10.0.2.2/24 and fd00:2::2/64 on `wire`, whose station is 02:00:00:00:00:02; the test plays the peer
/// 10.0.2.100, fd00:2::100 with station 02:00:00:00:00:64.
final class Host {
  static let station = MACAddress(0x0200_0000_0002)
  static let peerStation = MACAddress(0x0200_0000_0064)
  static let ipv4 = IPAddress("10.0.2.2")!
  static let ipv6 = IPAddress("fd00:2::2")!
  static let peer4 = IPAddress("10.0.2.100")!
  static let peer6 = IPAddress("fd00:2::100")!

  let clock: VirtualClock
  let scheduler: ManualScheduler
  let contexts: ContextSet
  let layer: InternetLayer
  let wire: WireDevice
  let loopback: LoopbackDevice
  let link: UInt16
  let received = Received()

  /// What a stand-in for a transport was given. One thread.
  final class Received: @unchecked Sendable {
    struct Arrival: Equatable {
      var source: IPAddress
      var destination: IPAddress
      var bytes: [UInt8]
    }
    var packets: [Arrival] = []
    var failures: [DeliveryFailure] = []
    /// Instead of keeping the packet, reject it for this reason.
    var rejection: RejectReason?
  }

  init(
    contexts count: Int = 1, queues: Int = 1, linkLayer: LinkLayer = .ethernet(Host.station),
    protocols: [IPProtocol] = [.udp, .tcp], acceptsForeign: Bool = false, isGuarded: Bool = false,
    advertising: RouterAdvertising? = nil, packetLimit: Int = 4096,
    clock: VirtualClock = VirtualClock(start: Instant(milliseconds: 1000)), scheduler: ManualScheduler? = nil,
    _ adjust: (inout InternetConfiguration) -> Void = { _ in }
  ) {
    self.clock = clock
    self.scheduler = scheduler ?? ManualScheduler(clock: clock)
    contexts = try! ContextSet(
      ContextConfiguration(contexts: count, packetLimit: packetLimit, timeSource: clock))
    var configuration = InternetConfiguration(seed: 7)
    adjust(&configuration)
    layer = InternetLayer(contexts: contexts, configuration: configuration)
    loopback = LoopbackDevice(queues: count)
    wire = WireDevice(linkLayer, queues: queues)
    let lo = try! layer.addInterface(InterfaceDescription(device: loopback, isLoopback: true))
    link = try! layer.addInterface(
      InterfaceDescription(
        device: wire, acceptsForeignDestinations: acceptsForeign, isGuarded: isGuarded,
        advertising: advertising))
    let wireIndex = link
    try! layer.configure { tables throws(NetworkChangeError) in
      try tables.addAddress(InterfaceAddress(IPPrefix("127.0.0.1/8")!, interface: lo))
      try tables.addAddress(InterfaceAddress(IPPrefix("::1/128")!, interface: lo))
      try tables.addAddress(InterfaceAddress(IPPrefix("10.0.2.2/24")!, interface: wireIndex))
      try tables.addAddress(InterfaceAddress(IPPrefix("fd00:2::2/64")!, interface: wireIndex))
      try tables.addAddress(
        InterfaceAddress(
          IPPrefix(IPAddress(IPv6Address(linkLocal: Host.station)), length: 64)!, interface: wireIndex))
    }
    let received = received
    for number in protocols {
      layer.setTransport(
        TransportHandler(
          receive: { packet, cx in
            if let reason = received.rejection { return cx.internet.reject(packet, reason, &cx) }
            received.packets.append(
              Received.Arrival(
                source: packet.metadata.source, destination: packet.metadata.destination,
                bytes: copy(packet)))
          },
          fail: { failure, _ in received.failures.append(failure) }), for: number)
    }
    self.scheduler.add(contexts)
  }

  // MARK: What happens

  /// Runs `body` on a context, at general level, and lets everything settle.
  func perform(on context: Int = 0, _ body: @escaping @Sendable (inout SoftInterrupt) -> Void) {
    contexts.perform(on: context, body)
    scheduler.settle()
  }

  /// Frames arrive; returns what the stack sent in return.
  @discardableResult
  func exchange(_ frames: [UInt8]...) -> [[UInt8]] {
    for frame in frames { wire.arrive(frame) }
    scheduler.settle()
    return wire.takeSent()
  }

  /// The stack sends UDP-like bytes.
  func send(
    _ bytes: [UInt8], to destination: IPAddress, from source: IPAddress? = nil, on context: Int = 0,
    route: RouteDecision? = nil, settles: Bool = true
  ) {
    let source = source ?? (destination.isIPv4 ? Host.ipv4 : Host.ipv6)
    let layer = layer
    contexts.perform(on: context) { cx in
      guard var packet = cx.pool.allocate() else { return }
      fill(&packet, bytes)
      layer.send(packet, from: source, to: destination, protocol: .udp, route: route, &cx)
    }
    if settles { scheduler.settle() }
  }

  func count(_ event: InternetEvent) -> UInt64 { layer.count(of: event) }
  var packetsInUse: Int { (0..<contexts.count).reduce(0) { $0 + contexts.pool($1).inUse } }

  /// Makes the peer known, by an answer to the stack's own question.
  func introducePeer() {
    send([0, 0, 0, 0, 0, 0, 0, 0], to: Host.peer4)
    exchange(Frame.arpReply())
    send([0, 0, 0, 0, 0, 0, 0, 0], to: Host.peer6)
    exchange(Frame.neighborAdvertisement())
    _ = wire.takeSent()
  }
}

/// The bytes of a packet.
func copy(_ packet: borrowing Packet) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: packet.totalCount)
  var elements = bytes.mutableSpan
  var span = unsafe elements.mutableBytes  // bytes have no padding
  packet.copyBytes(from: 0, into: &span)
  return bytes
}

func fill(_ packet: inout Packet, _ bytes: [UInt8]) {
  packet.append(bytes.count)
  var span = packet.mutableBytes
  for (index, byte) in bytes.enumerated() { span.set(byte, at: index) }
}
