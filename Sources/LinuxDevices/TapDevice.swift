public import Buffers
import CLinux
public import Devices
import Glibc
public import Timing
import Wire

/// A TAP or TUN interface: the other end is an interface of a Linux network namespace.
///
/// Every queue is a descriptor of its own, non-blocking; a frame is one read or write, as the kernel has no call for
/// several. The kernel takes a copy, so a packet is done when the write returns.
/// Sendable, as all is constant, and the two sides of a queue share nothing.
@safe public final class TapDevice: Device, @unchecked Sendable {
  /// The interface's name.
  public let name: String
  /// The largest packet, in bytes.
  public let mtu: Int
  /// What frames it carries, and our own station address.
  public let linkLayer: LinkLayer
  /// One for each descriptor.
  public let queueCount: Int
  /// In memory of their own rather than objects: nothing is counted on the packet path.
  private let queues: UnsafeMutablePointer<TapQueue>

  /// The largest MTU, in bytes: a tagged frame, and one byte more to tell a longer one, fit into a packet.
  public static var largestMTU: Int { Packet.capacity - Packet.headroomDefault - 19 }

  /// Takes over non-blocking descriptors, one for each queue, and closes them at its end.
  public init(adopting descriptors: [Int32], name: String, mtu: Int, linkLayer: LinkLayer) {
    precondition(!descriptors.isEmpty && mtu <= Self.largestMTU, "a device has a queue and an MTU that fits")
    self.name = name
    self.mtu = mtu
    self.linkLayer = linkLayer
    queueCount = descriptors.count
    unsafe queues = .allocate(capacity: descriptors.count)
    for (index, descriptor) in descriptors.enumerated() {
      unsafe (queues + index).initialize(to: TapQueue(descriptor))
    }
  }

  deinit {
    unsafe queues.deinitialize(count: queueCount)
    unsafe queues.deallocate()
  }

  /// Opens an interface by name ("": the kernel chooses one), or makes it, which needs CAP_NET_ADMIN; then someone
  /// must give it addresses and set it up. `linkLayer` is `.ethernet` with our own station address for a TAP (not that
  /// of the interface, which is the other end's), `.ip` for a TUN. Application context.
  public static func open(
    name: String, linkLayer: LinkLayer, queues: Int = 1, path: String = "/dev/net/tun"
  ) throws(LinkError) -> TapDevice {
    guard name.utf8.count <= 15 else { throw .nameOutOfRange(name) }
    var actual = [CChar](repeating: 0, count: 16)
    var known = name
    var descriptors: [Int32] = []
    do throws(LinkError) {
      for _ in 0..<max(queues, 1) {
        var wasOpened: Int32 = 0
        let result = unsafe actual.withUnsafeMutableBufferPointer {
          unsafe sluice_tun_open(
            path, known, linkLayer == .ip ? 0 : 1, queues > 1 ? 1 : 0, $0.baseAddress, &wasOpened)
        }
        guard result >= 0 else {
          throw LinkError.tun(path: path, wasOpened: wasOpened != 0, errno: -result)
        }
        descriptors.append(result)
        known = String(decoding: actual.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
      }
      let mtu = unsafe Int(sluice_interface_mtu(known))
      guard mtu > 0 else { throw LinkError.interfaceUnknown(name: known, errno: Int32(-mtu)) }
      guard mtu <= largestMTU else { throw LinkError.mtuOutOfRange(mtu, limit: largestMTU) }
      return TapDevice(adopting: descriptors, name: known, mtu: mtu, linkLayer: linkLayer)
    } catch {
      for descriptor in descriptors { close(descriptor) }
      throw error
    }
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

/// One descriptor, with both its sides.
@safe private struct TapQueue: ~Copyable {
  let descriptor: Int32
  let counters = DeviceCounters()
  let sender: FrameSender
  /// Where frames go that find no packet.
  private let discarded: UnsafeMutableRawPointer
  private static var discardedBytes: Int { 64 }

  init(_ descriptor: Int32) {
    self.descriptor = descriptor
    sender = FrameSender(descriptor: descriptor, counters: counters)
    unsafe discarded = .allocate(byteCount: Self.discardedBytes, alignment: 8)
  }

  deinit {
    unsafe discarded.deallocate()
    close(descriptor)
  }

  func receive(
    limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue
  ) -> ReceiveOutcome {
    for _ in 0..<limit {
      guard var packet = pool.allocate() else {
        // A short read takes a whole frame off the link.
        let count = unsafe sluice_read_frame(descriptor, discarded, Self.discardedBytes)
        counters.receiveCalls.increment()
        guard count >= 0 else { return count == -Int(EAGAIN) ? .drained : .failed(Int32(-count)) }
        counters.receiveOutOfBuffers.increment()
        counters.receiveDrops.increment()
        continue
      }
      packet.append(packet.tailroom)
      let count = unsafe sluice_read_frame(descriptor, packet.dataAddress, packet.count)
      counters.receiveCalls.increment()
      guard count >= 0 else { return count == -Int(EAGAIN) ? .drained : .failed(Int32(-count)) }
      // The kernel cuts a longer frame off without a word.
      guard count > 0, count < packet.count else {
        counters.receiveDrops.increment()
        continue
      }
      packet.truncate(to: count)
      packet.metadata.arrival = now
      counters.framesReceived.increment()
      counters.bytesReceived.increment(by: UInt64(count))
      batch.append(packet)
    }
    return .more
  }
}
