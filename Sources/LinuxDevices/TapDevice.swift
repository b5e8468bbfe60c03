public import Buffers
import CLinux
public import Devices
import Glibc
public import Timing
import Wire

/// A TAP or TUN interface: the other end is an interface of a Linux network namespace.
///
/// Every queue is a descriptor of its own, non-blocking; a frame is one read or write, as the kernel has no call for
/// several. With offloads a frame may be a super-segment, which the kernel cuts or has joined, or neither: its own TCP
/// takes it as it is. Sendable as its base is: `discarded` is only written.
@safe public final class TapDevice: FrameDevice, @unchecked Sendable {  // see above
  /// Where frames go that find no packet; nobody looks at it.
  private let discarded: UnsafeMutableRawPointer
  /// For queues with headers, and for frames that do not fit into a slot.
  private let readers: UnsafeMutablePointer<HeaderReceiver>
  private static var discardedBytes: Int { 64 }
  /// What the other end does with segments that come in a row.
  public let joining: FrameJoining
  /// Its setting, until the device goes.
  private let setting: InterfaceSetting?

  /// The largest MTU, in bytes: what a packet has with its header and a tag, and the kernel takes, as slirp4netns has it.
  public static var largestMTU: Int { 65_520 }
  /// Up to here a frame fits into a packet's slot: tagged, and with one byte more to tell a longer one.
  static var slotMTU: Int { Packet.capacity - Packet.headroomDefault - 19 }

  /// Takes over non-blocking descriptors, one for each queue, and closes them at its end.
  ///
  /// - Parameter offloads: what the kernel does, on queues that have headers in front of their frames (IFF_VNET_HDR); nil:
  ///   they have none.
  public convenience init(
    adopting descriptors: [Int32], name: String, mtu: Int, linkLayer: LinkLayer,
    offloads: DeviceOffloads? = nil
  ) {
    self.init(descriptors, name: name, mtu: mtu, linkLayer: linkLayer, offloads: offloads, .none, nil)
  }

  private init(
    _ descriptors: [Int32], name: String, mtu: Int, linkLayer: LinkLayer, offloads: DeviceOffloads?,
    _ joining: FrameJoining, _ setting: InterfaceSetting?
  ) {
    self.joining = joining
    self.setting = setting
    precondition(mtu <= Self.largestMTU, "a device has an MTU that fits")
    unsafe discarded = .allocate(byteCount: Self.discardedBytes, alignment: 8)
    unsafe readers = .allocate(capacity: descriptors.count)
    for (index, descriptor) in descriptors.enumerated() {
      unsafe (readers + index).initialize(
        to: HeaderReceiver(descriptor, linkLayer, hasHeaders: offloads != nil))
    }
    super.init(taking: descriptors, name: name, mtu: mtu, linkLayer: linkLayer, offloads: offloads)
  }

  deinit {
    // An interface that stays is as it was: whoever opens it next may know nothing of headers.
    if hasHeaders, let descriptor = descriptor(queue: 0) { sluice_tun_without_offload(descriptor) }
    setting?.restore()
    unsafe discarded.deallocate()
    unsafe readers.deinitialize(count: queueCount)
    unsafe readers.deallocate()
  }

  /// Opens an interface by name ("": the kernel chooses one), or makes it, which needs CAP_NET_ADMIN; then someone
  /// must give it addresses and set it up. `linkLayer` is `.ethernet` with our own station address for a TAP (not that
  /// of the interface, which is the other end's), `.ip` for a TUN. Application context.
  ///
  /// - Parameters:
  ///   - isMultiQueue: how an interface that is there was made, for it has to be opened so; nil: for several queues with,
  ///     for one without.
  ///   - mtu: what we keep to, at most the interface's; nil: the interface's.
  ///   - offload: checksums and segmentation are left to the kernel, as far as it has them; who made the interface
  ///     without headers (`vnet_hdr`) has it without.
  ///   - joining: what the kernel shall do with segments in a row, without offloads; ``joining`` says what it does: it
  ///     refuses who may not set the interface, which takes CAP_NET_ADMIN of the machine, and CAP_SYS_ADMIN.
  public static func open(
    name: String, linkLayer: LinkLayer, queues: Int = 1, isMultiQueue: Bool? = nil, mtu: Int? = nil,
    offload: Bool = false, joining: FrameJoining = .none, path: String = "/dev/net/tun"
  ) throws(LinkError) -> TapDevice {
    func attempt(_ hasHeaders: Bool, _ joining: FrameJoining) throws(LinkError) -> TapDevice? {
      try open(
        name: name, linkLayer: linkLayer, queues: queues, isMultiQueue: isMultiQueue ?? (queues > 1),
        upTo: mtu, hasHeaders: hasHeaders, joining, path: path)
    }
    func whole(_ hasHeaders: Bool) throws(LinkError) -> TapDevice {
      // Every interface has the settings, also the one that is always there.
      if joining != .none, !hasHeaders, InterfaceSetting.isToBeHad(joining),
        let device = try attempt(false, joining)
      {
        return device
      }
      guard let device = try attempt(hasHeaders, .none) else {
        preconditionFailure("nothing is asked for that may be missing")
      }
      return device
    }
    do throws(LinkError) {
      return try whole(offload)
    } catch {
      guard offload, case .tapRefused(_, EINVAL) = error else { throw error }
      return try whole(false)
    }
  }

  /// Nil: the kernel does not join as it is asked to.
  private static func open(
    name: String, linkLayer: LinkLayer, queues: Int, isMultiQueue: Bool, upTo wanted: Int?,
    hasHeaders: Bool, _ joining: FrameJoining, path: String
  ) throws(LinkError) -> TapDevice? {
    guard name.utf8.count <= 15 else { throw .nameOutOfRange(name) }
    var actual = [CChar](repeating: 0, count: 16)
    var known = name
    var descriptors: [Int32] = []
    var offloads: DeviceOffloads?
    func closeAll() { for descriptor in descriptors { close(descriptor) } }
    do throws(LinkError) {
      for _ in 0..<max(queues, 1) {
        var wasOpened: Int32 = 0
        let result = unsafe actual.withUnsafeMutableBufferPointer {
          unsafe sluice_tun_open(
            path, known, linkLayer == .ip ? 0 : 1, isMultiQueue ? 1 : 0, hasHeaders ? 1 : 0,
            joining == .none ? 0 : 1, $0.baseAddress, &wasOpened)
        }
        if joining != .none, result == -EOPNOTSUPP {
          closeAll()
          return nil
        }
        guard result >= 0 else {
          throw LinkError.tun(path: path, wasOpened: wasOpened != 0, errno: -result)
        }
        descriptors.append(result)
        if hasHeaders {
          offloads = DeviceOffloads(kernel: sluice_tun_offload(result))
        } else {
          sluice_tun_without_offload(result)
        }
        known = String(decoding: actual.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
      }
      let mtu = unsafe Int(sluice_interface_mtu(known))
      guard mtu > 0 else { throw LinkError.interfaceUnknown(name: known, errno: Int32(-mtu)) }
      guard mtu <= largestMTU else { throw LinkError.mtuOutOfRange(mtu, limit: largestMTU) }
      let setting = joining == .none ? nil : InterfaceSetting(joining, of: known)
      if joining != .none, setting == nil {
        closeAll()
        return nil
      }
      return TapDevice(
        descriptors, name: known, mtu: min(mtu, wanted ?? mtu), linkLayer: linkLayer, offloads: offloads,
        joining, setting)
    } catch {
      closeAll()
      throw error
    }
  }

  /// A read that is refused.
  public override var isEmptyByCall: Bool { true }
  /// Takes frames; the queue's context.
  public override func receive(
    queue: Int, limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue
  ) -> ReceiveOutcome {
    guard let descriptor = descriptor(queue: queue) else { return .drained }
    let counters = counters(queue: queue)
    if hasHeaders || mtu > Self.slotMTU {
      return unsafe readers[queue].receive(limit: limit, pool: pool, now: now, into: &batch, counters)
    }
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
