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
public final class TapDevice: Device {
  /// The interface's name.
  public let name: String
  /// The largest packet, in bytes.
  public let mtu: Int
  /// What frames it carries, and our own station address.
  public let linkLayer: LinkLayer
  /// One for each descriptor.
  public let queueCount: Int
  private let queues: [TapQueue]

  /// The largest MTU, in bytes: a tagged frame, and one byte more to tell a longer one, fit into a packet.
  public static var largestMTU: Int { Packet.capacity - Packet.headroomDefault - 19 }

  /// Takes over non-blocking descriptors, one for each queue, and closes them at its end.
  public init(adopting descriptors: [Int32], name: String, mtu: Int, linkLayer: LinkLayer) {
    precondition(!descriptors.isEmpty && mtu <= Self.largestMTU, "a device has a queue and an MTU that fits")
    self.name = name
    self.mtu = mtu
    self.linkLayer = linkLayer
    queueCount = descriptors.count
    queues = descriptors.map(TapQueue.init)
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
  public func counters(queue: Int) -> DeviceCounters { queues[queue].counters }
  /// Readable when a frame waits, writable when there is room.
  public func descriptor(queue: Int) -> Int32? { queues[queue].descriptor }
  /// Whom to restart.
  public func attach(queue: Int, receive: ReceiveSignalRef, transmit: TransmitQueueRef) {
    queues[queue].attach(transmit)
  }
  /// Takes frames; the queue's context.
  public func receive(
    queue: Int, limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue
  ) -> ReceiveOutcome {
    queues[queue].receive(limit: limit, pool: pool, now: now, into: &batch)
  }
  /// Hands a packet over, or gives it back from a stopped queue; the owner of its gate.
  public func send(_ packet: consuming Packet, queue: Int) -> Packet? { queues[queue].send(packet) }
  /// Nothing is put off.
  public func flush(queue: Int) {}
  /// Yields what the kernel has a copy of; the owner of its gate.
  public func complete(queue: Int, into completed: inout PacketQueue) {
    queues[queue].complete(into: &completed)
  }
}

/// One descriptor, with both its sides.
@safe private final class TapQueue: @unchecked Sendable {
  let descriptor: Int32
  let counters = DeviceCounters()
  /// Kept away from the receiving side's memory.
  private let sending: UnsafeMutablePointer<SendState>
  private static var pieceLimit: Int { Int(sluice_send_piece_limit) }
  /// Where frames go that find no packet.
  private let discarded: UnsafeMutableRawPointer
  private static var discardedBytes: Int { 64 }

  init(_ descriptor: Int32) {
    self.descriptor = descriptor
    unsafe sending = .allocate(capacity: 1)
    unsafe sending.initialize(to: SendState())
    unsafe discarded = .allocate(byteCount: Self.discardedBytes, alignment: 8)
  }

  deinit {
    unsafe sending.deinitialize(count: 1)
    unsafe sending.deallocate()
    unsafe discarded.deallocate()
    close(descriptor)
  }

  func attach(_ transmit: TransmitQueueRef) { unsafe sending.pointee.transmit = transmit }

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

  func send(_ packet: consuming Packet) -> Packet? {
    let count = packet.totalCount
    while true {
      let result = unsafe withUnsafeTemporaryAllocation(of: iovec.self, capacity: Self.pieceLimit) { pieces in
        guard let used = unsafe packet.describe(in: pieces.baseAddress!, capacity: Self.pieceLimit) else {
          return -Int(EMSGSIZE)
        }
        return unsafe sluice_write_frame(descriptor, pieces.baseAddress, Int32(used))
      }
      counters.transmitCalls.increment()
      if result < 0, isTransient(-result) {
        // keeps TX-STOP: the readiness of the descriptor, which is a level, restarts it.
        guard let transmit = unsafe sending.pointee.transmit else { return packet }
        if transmit.stop(hasRoom: { result == -Int(EAGAIN) && sluice_is_writable(descriptor) != 0 }) {
          return packet
        }
        continue
      }
      if result < 0 {
        counters.transmitDrops.increment()
      } else {
        counters.framesSent.increment()
        counters.bytesSent.increment(by: UInt64(count))
      }
      unsafe sending.pointee.completed.append(packet)
      return nil
    }
  }

  func complete(into completed: inout PacketQueue) {
    if unsafe sending.pointee.completed.isEmpty { return }
    unsafe completed.append(contentsOf: sending.pointee.completed.takeAll())
  }
}
