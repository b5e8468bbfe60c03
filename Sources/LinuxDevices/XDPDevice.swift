public import Buffers
import CLinux
public import Devices
import Exclusion
import Glibc
public import Timing
public import Wire

/// AF_XDP sockets on an Ethernet interface, one for each of its receive queues: frames pass by rings that are shared with
/// the kernel, and a small program at the interface leads all of them here, before the kernel's own stack sees them.
///
/// Frames lie in memory of the sockets' own: what arrives is copied into a packet, what is sent out of it, a batch costs
/// a system call each way or none (need-wakeup). The device writes to that memory by itself where it can (zero-copy), as
/// ``isZeroCopy(queue:)`` tells; else the kernel copies once more. Virtual pairs cannot.
///
/// The interface is left as it was when the device goes: program, sockets and promiscuity end with their descriptors.
/// Nothing tells a frame whose checksum its sender left to hardware (a virtual interface of this machine): switch that
/// off there, `ethtool -K NAME tx off`. Sendable: a queue's two sides share nothing, and all else is constant.
@safe public final class XDPDevice: Device, @unchecked Sendable {
  /// The interface's name.
  public let name: String
  /// The largest packet, in bytes.
  public let mtu: Int
  /// Ethernet, with our own station address.
  public let linkLayer: LinkLayer
  /// One for each receive queue of the interface.
  public let queueCount: Int
  /// Whether the interface's driver runs the program, rather than the kernel behind it.
  public let isNative: Bool
  private let ports: UnsafeMutablePointer<XDPPort>
  private var portCount = 0
  private let program: UnsafeMutablePointer<sluice_xdp_program>
  /// Keeps the interface promiscuous.
  private let promiscuity: Int32

  /// Frames each way for each queue.
  static var frames: UInt32 { 2048 }
  /// In front of a frame the kernel keeps this much of its place.
  private static var headroom: Int { 256 }
  /// The largest MTU, in bytes.
  public static var largestMTU: Int { TapDevice.largestMTU }

  /// Takes over an interface of this network namespace, which needs CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF. It must have
  /// as many receive queues as `queues` says. Application context.
  ///
  /// - Parameters:
  ///   - address: our own station address.
  ///   - wanted: the MTU that we keep to, at most the interface's; nil: the interface's.
  ///   - mayBeZeroCopy: false: the kernel copies even where the device could do without.
  public init(
    name: String, address: MACAddress, queues: Int = 1, mtu wanted: Int? = nil,
    mayBeZeroCopy: Bool = true
  ) throws(LinkError) {
    guard (1...15).contains(name.utf8.count) else { throw .nameOutOfRange(name) }
    let index = unsafe sluice_interface_index(name)
    guard index > 0 else { throw .interfaceUnknown(name: name, errno: -index) }
    let mtu = unsafe Int(sluice_interface_mtu(name))
    guard mtu > 0 else { throw .interfaceUnknown(name: name, errno: Int32(-mtu)) }
    guard mtu <= Self.largestMTU else { throw .mtuOutOfRange(mtu, limit: Self.largestMTU) }
    let found = unsafe Int(sluice_interface_receive_queues(name))
    guard found == queues else { throw .queuesDiffer(name: name, queues: found) }
    self.name = name
    self.mtu = min(mtu, wanted ?? mtu)
    linkLayer = .ethernet(address)
    queueCount = queues
    promiscuity = sluice_interface_listen_to_all(index)
    unsafe program = .allocate(capacity: 1)
    let attached = unsafe sluice_xdp_attach(index, UInt32(queues), program)
    isNative = unsafe program.pointee.native != 0
    unsafe ports = .allocate(capacity: queues)
    guard promiscuity >= 0 else { throw .packetSocketRefused(errno: -promiscuity) }
    guard attached == 0 else { throw .xdpRefused(call: "program", errno: -attached) }
    let frameBytes: UInt32 = mtu + 18 + Self.headroom <= 2048 ? 2048 : 4096
    for queue in 0..<queues {
      let zeroCopy = mayBeZeroCopy && isNative
      unsafe (ports + queue).initialize(
        to: try XDPPort(
          index: index, queue: UInt32(queue), frameBytes: frameBytes, mayBeZeroCopy: zeroCopy))
      portCount += 1
      let result = unsafe sluice_xdp_direct(program, UInt32(queue), ports[queue].descriptor)
      guard result == 0 else { throw .xdpRefused(call: "map", errno: -result) }
    }
  }

  deinit {
    // First, so that nothing is led to a socket that goes.
    unsafe sluice_xdp_detach(program)
    unsafe ports.deinitialize(count: portCount)
    unsafe ports.deallocate()
    unsafe program.deallocate()
    if promiscuity >= 0 { close(promiscuity) }
  }

  private func checked(_ queue: Int) -> Int {
    precondition(queue >= 0 && queue < queueCount, "TX-OWN: no such queue")
    return queue
  }

  /// Whether the device itself writes to, and reads from, the memory of a queue's socket.
  public func isZeroCopy(queue: Int) -> Bool { unsafe ports[checked(queue)].isZeroCopy }
  /// What passed a queue.
  public func counters(queue: Int) -> DeviceCounters { unsafe ports[checked(queue)].counters }
  /// Readable when a frame waits, writable when there is room.
  public func descriptor(queue: Int) -> Int32? { unsafe ports[checked(queue)].descriptor }
  /// Whom to restart.
  public func attach(queue: Int, receive: ReceiveSignalRef, transmit: TransmitQueueRef) {
    unsafe ports[checked(queue)].attach(transmit)
  }
  /// Takes frames; the queue's context.
  public func receive(
    queue: Int, limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue
  ) -> ReceiveOutcome {
    unsafe ports[checked(queue)].receive(limit: limit, pool: pool, now: now, into: &batch)
  }
  /// Puts a frame on the ring, or gives it back from a stopped queue; the owner of its gate.
  public func send(_ packet: consuming Packet, queue: Int) -> Packet? {
    unsafe ports[checked(queue)].send(packet)
  }
  /// Has the kernel send what is on the ring.
  public func flush(queue: Int) { unsafe ports[checked(queue)].flush() }
  /// Yields what was copied onto the ring; the owner of its gate.
  public func complete(queue: Int, into completed: inout PacketQueue) {
    unsafe ports[checked(queue)].complete(into: &completed)
  }
}
