public import Buffers
import CLinux
public import Devices
import Glibc
public import Timing
public import Wire

/// AF_PACKET sockets on an Ethernet interface, all that passes it: the far end of a veth pair, or any interface
/// that has been set aside for Sluice.
///
/// Receives from a ring shared with the kernel (TPACKET_V2), so that bursts do not meet the small limit of a socket
/// buffer; frames that the ring had no room for are counted as drops. A frame sent is one write.
@safe public final class PacketSocketDevice: FrameDevice, @unchecked Sendable {  // as its base
  private let rings: UnsafeMutablePointer<PacketSocketRing>
  /// (c) once made; all of them, unless one could not be had.
  private var ringCount = 0

  /// The largest MTU, in bytes: a tagged frame fits into a place of the kernel's ring.
  public static var largestMTU: Int { 65_000 }
  /// Frames that wait in a ring, at most, and bytes of memory for them: fewer frames where they are large.
  static var ringFrames: Int { 4096 }
  static var ringBytes: Int { 16 << 20 }

  /// Takes over bound, non-blocking sockets, one for each queue, and closes them at its end, or when it throws. With
  /// several, the kernel spreads frames over them by flow. `address` is our own station address.
  public init(adopting descriptors: [Int32], name: String, mtu: Int, address: MACAddress) throws(LinkError) {
    unsafe rings = .allocate(capacity: descriptors.count)
    super.init(taking: descriptors, name: name, mtu: mtu, linkLayer: .ethernet(address))
    guard mtu <= Self.largestMTU else { throw .mtuOutOfRange(mtu, limit: Self.largestMTU) }
    for descriptor in descriptors {
      unsafe (rings + ringCount).initialize(to: try PacketSocketRing(descriptor, longest: mtu + 18))
      ringCount += 1
    }
    // A socket joins after it has a ring.
    var group: Int32 = -1
    for descriptor in descriptors where descriptors.count > 1 {
      group = sluice_packet_join_fanout(descriptor, group)
      guard group >= 0 else { throw .packetSocketRefused(errno: -group) }
    }
  }

  /// The rings go before the sockets.
  deinit {
    unsafe rings.deinitialize(count: ringCount)
    unsafe rings.deallocate()
  }

  /// Opens an interface of this network namespace, which needs CAP_NET_RAW. The kernel must not answer there as well:
  /// take its addresses off. `address` is our own station address; `wanted` the MTU that we keep to, at most the
  /// interface's, which nil means. Application context.
  public static func open(
    name: String, address: MACAddress, queues: Int = 1, mtu wanted: Int? = nil
  ) throws(LinkError) -> PacketSocketDevice {
    guard (1...15).contains(name.utf8.count) else { throw .nameOutOfRange(name) }
    let mtu = unsafe Int(sluice_interface_mtu(name))
    guard mtu > 0 else { throw .interfaceUnknown(name: name, errno: Int32(-mtu)) }
    guard mtu <= Self.largestMTU else { throw .mtuOutOfRange(mtu, limit: Self.largestMTU) }
    var descriptors: [Int32] = []
    for _ in 0..<max(queues, 1) {
      let socket = unsafe sluice_packet_socket_open(name)
      guard socket >= 0 else {
        for descriptor in descriptors { close(descriptor) }
        throw .packetSocketRefused(errno: -socket)
      }
      descriptors.append(socket)
    }
    return try PacketSocketDevice(
      adopting: descriptors, name: name, mtu: min(mtu, wanted ?? mtu), address: address)
  }

  /// Takes frames; the queue's context.
  public override func receive(
    queue: Int, limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue
  ) -> ReceiveOutcome {
    unsafe rings[checked(queue)].receive(
      limit: limit, pool: pool, now: now, into: &batch, counters(queue: queue))
  }
}
