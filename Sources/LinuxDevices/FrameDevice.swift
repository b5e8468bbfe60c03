public import Buffers
public import Devices
import Glibc
public import Timing

/// A device whose queues are descriptors that take a frame per write: what TAP, TUN and packet sockets have in common.
/// They differ in how they receive.
///
/// The kernel takes a copy, so a packet is done when the write returns, and nothing is put off. Sendable, as all is
/// constant, and the two sides of a queue share nothing.
@safe public class FrameDevice: Device, @unchecked Sendable {
  /// The interface's name.
  public final let name: String
  /// The largest packet, in bytes.
  public final let mtu: Int
  /// What frames it carries, and our own station address.
  public final let linkLayer: LinkLayer
  /// What it leaves to the kernel: with headers in front of the frames, and what the kernel has.
  public final let offloads: DeviceOffloads
  /// Each frame has a ``VirtioNetHeader`` in front, both ways.
  public final let hasHeaders: Bool
  /// One for each descriptor.
  public final let queueCount: Int
  /// Each kind in its own way.
  public var isEmptyByCall: Bool { false }
  /// In memory of their own rather than objects: nothing is counted on the packet path.
  private final let ports: UnsafeMutablePointer<FramePort>

  /// Takes over non-blocking descriptors, one for each queue, and closes them at its end.
  /// `offloads`: what the kernel does, with headers in front of the frames; nil: there are no headers, and it takes a
  /// frame in pieces, and no more.
  init(
    taking descriptors: [Int32], name: String, mtu: Int, linkLayer: LinkLayer, offloads: DeviceOffloads? = nil
  ) {
    precondition(!descriptors.isEmpty, "a device has a queue")
    self.name = name
    self.mtu = mtu
    self.linkLayer = linkLayer
    self.offloads = offloads ?? .gathering
    hasHeaders = offloads != nil
    queueCount = descriptors.count
    unsafe ports = .allocate(capacity: descriptors.count)
    for (index, descriptor) in descriptors.enumerated() {
      unsafe (ports + index).initialize(to: FramePort(descriptor, hasHeaders: offloads != nil))
    }
  }

  deinit {
    unsafe ports.deinitialize(count: queueCount)
    unsafe ports.deallocate()
  }

  /// What passed a queue.
  public final func counters(queue: Int) -> DeviceCounters { unsafe ports[checked(queue)].counters }
  /// Readable when a frame waits, writable when there is room.
  public final func descriptor(queue: Int) -> Int32? { unsafe ports[checked(queue)].descriptor }
  /// Whom to restart.
  public final func attach(queue: Int, receive: ReceiveSignalRef, transmit: TransmitQueueRef) {
    unsafe ports[checked(queue)].sender.attach(transmit)
  }
  /// Takes frames; the queue's context.
  public func receive(
    queue: Int, limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue
  ) -> ReceiveOutcome {
    preconditionFailure("each kind of frame device receives in its own way")
  }
  /// Hands a packet over, or gives it back from a stopped queue; the owner of its gate.
  public final func send(_ packet: consuming Packet, queue: Int) -> Packet? {
    unsafe ports[checked(queue)].sender.send(packet)
  }
  /// Nothing is put off.
  public final func flush(queue: Int) {}
  /// Yields what the kernel has a copy of; the owner of its gate.
  public final func complete(queue: Int, into completed: inout PacketQueue) {
    unsafe ports[checked(queue)].sender.complete(into: &completed)
  }

  final func checked(_ queue: Int) -> Int {
    precondition(queue >= 0 && queue < queueCount, "TX-OWN: no such queue")
    return queue
  }
}

/// One descriptor, with its sending side and the counters of both.
@safe private struct FramePort: ~Copyable {
  let descriptor: Int32
  let counters = DeviceCounters()
  let sender: FrameSender

  init(_ descriptor: Int32, hasHeaders: Bool) {
    self.descriptor = descriptor
    sender = FrameSender(descriptor: descriptor, counters: counters, hasHeaders: hasHeaders)
  }
  deinit { close(descriptor) }
}
