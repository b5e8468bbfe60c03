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
/// Sendable, as all is constant, and the two sides of a queue share nothing.
@safe public final class PacketSocketDevice: Device, @unchecked Sendable {
  /// The interface's name.
  public let name: String
  /// The largest packet, in bytes.
  public let mtu: Int
  /// What frames it carries, and our own station address.
  public let linkLayer: LinkLayer
  /// One for each descriptor.
  public let queueCount: Int
  /// In memory of their own rather than objects: nothing is counted on the packet path.
  private let queues: UnsafeMutablePointer<PacketSocketQueue>

  /// Frames that wait in a ring, at most.
  static var ringFrames: Int { 4096 }

  /// Takes over bound, non-blocking sockets, one for each queue, and closes them at its end. With several, the kernel
  /// spreads frames over them by flow. `address` is our own station address.
  public init(adopting descriptors: [Int32], name: String, mtu: Int, address: MACAddress) throws(LinkError) {
    precondition(!descriptors.isEmpty, "a device has a queue")
    self.name = name
    self.mtu = mtu
    linkLayer = .ethernet(address)
    queueCount = descriptors.count
    let memory = UnsafeMutablePointer<PacketSocketQueue>.allocate(capacity: descriptors.count)
    var made = 0
    do throws(LinkError) {
      guard mtu <= TapDevice.largestMTU else { throw .mtuOutOfRange(mtu, limit: TapDevice.largestMTU) }
      for descriptor in descriptors {
        unsafe (memory + made).initialize(to: try PacketSocketQueue(descriptor, longest: mtu + 18))
        made += 1
      }
      // A socket joins after it has a ring.
      var group: Int32 = -1
      for descriptor in descriptors where descriptors.count > 1 {
        group = sluice_packet_join_fanout(descriptor, group)
        guard group >= 0 else { throw .packetSocketRefused(errno: -group) }
      }
    } catch {
      // The queues that were made close theirs.
      unsafe memory.deinitialize(count: made)
      unsafe memory.deallocate()
      for descriptor in descriptors.dropFirst(made) { close(descriptor) }
      throw error
    }
    // Last: an object that is whole would be taken apart a second time when it throws.
    unsafe queues = memory
  }

  deinit {
    unsafe queues.deinitialize(count: queueCount)
    unsafe queues.deallocate()
  }

  /// Opens an interface of this network namespace, which needs CAP_NET_RAW. The kernel must not answer there as well:
  /// take its addresses off. `address` is our own station address. Application context.
  public static func open(
    name: String, address: MACAddress, queues: Int = 1
  ) throws(LinkError) -> PacketSocketDevice {
    guard (1...15).contains(name.utf8.count) else { throw .nameOutOfRange(name) }
    let mtu = unsafe Int(sluice_interface_mtu(name))
    guard mtu > 0 else { throw .interfaceUnknown(name: name, errno: Int32(-mtu)) }
    guard mtu <= TapDevice.largestMTU else { throw .mtuOutOfRange(mtu, limit: TapDevice.largestMTU) }
    var descriptors: [Int32] = []
    for _ in 0..<max(queues, 1) {
      let socket = unsafe sluice_packet_socket_open(name)
      guard socket >= 0 else {
        for descriptor in descriptors { close(descriptor) }
        throw .packetSocketRefused(errno: -socket)
      }
      descriptors.append(socket)
    }
    return try PacketSocketDevice(adopting: descriptors, name: name, mtu: mtu, address: address)
  }

  /// What passed a queue.
  public func counters(queue: Int) -> DeviceCounters { unsafe queues[checked(queue)].counters }
  /// Readable when a frame waits, writable when there is room.
  public func descriptor(queue: Int) -> Int32? { unsafe queues[checked(queue)].descriptor }
  /// Whom to restart.
  public func attach(queue: Int, receive: ReceiveSignalRef, transmit: TransmitQueueRef) {
    unsafe queues[checked(queue)].sender.attach(transmit)
  }
  /// Takes frames; the queue's context.
  public func receive(
    queue: Int, limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue
  ) -> ReceiveOutcome {
    unsafe queues[checked(queue)].receive(limit: limit, pool: pool, now: now, into: &batch)
  }
  /// Hands a packet over, or gives it back from a stopped queue; the owner of its gate.
  public func send(_ packet: consuming Packet, queue: Int) -> Packet? {
    unsafe queues[checked(queue)].sender.send(packet)
  }
  /// Nothing is put off.
  public func flush(queue: Int) {}
  /// Yields what the kernel has a copy of; the owner of its gate.
  public func complete(queue: Int, into completed: inout PacketQueue) {
    unsafe queues[checked(queue)].sender.complete(into: &completed)
  }

  private func checked(_ queue: Int) -> Int {
    precondition(queue >= 0 && queue < queueCount, "TX-OWN: no such queue")
    return queue
  }
}
