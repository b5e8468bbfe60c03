import Buffers
import CLinux
import Devices
import Exclusion
import Timing
import Wire

/// What comes from a guest: its transmit ring, each chain of which is a frame behind its header. The context of the queue.
///
/// A frame is copied once, out of the guest's memory into a packet; what is looked at is the copy.
@safe struct VhostReceiver: ~Copyable {
  /// Nil: it does not run.
  var ring: VirtioRing?
  /// While it runs without, what comes is thrown away.
  var isEnabled = false
  /// Of the headers: 12, or 10 for guests of old.
  var headerBytes = VhostFeatures.headerBytes
  /// By which the guest is told that its buffers are done; -1: it does not want to be.
  var call: Int32 = -1
  /// By which the front-end is told that the ring is broken; -1: it does not want to be.
  var error: Int32 = -1
  private var pieces = VirtioPieces()
  private let header: UnsafeMutableRawPointer
  private let link: LinkLayer
  /// Bytes of the longest frame that is no super-segment, and of those.
  private let frameLimit: Int
  private static var superLimit: Int { 65_535 + 18 }
  /// Bytes that one call takes before others have their turn.
  private static var byteBudget: Int { 1 << 20 }

  init(link: LinkLayer, mtu: Int) {
    self.link = link
    frameLimit = mtu + EthernetHeader.taggedByteCount
    unsafe header = .allocate(byteCount: VhostFeatures.headerBytes, alignment: 8)
    unsafe header.initializeMemory(as: UInt8.self, repeating: 0, count: VhostFeatures.headerBytes)
  }
  deinit { unsafe header.deallocate() }

  /// Takes frames. True: the limit came first.
  mutating func receive(
    limit: Int, in memory: borrowing GuestMemory, pool: PacketPoolRef, now: Instant,
    into batch: inout PacketQueue, _ counters: DeviceCounters, _ seen: VhostCounters
  ) -> Bool {
    guard var ring = ring else { return false }
    defer { self.ring = ring }
    ring.wantNoKick()
    var left = Self.byteBudget
    var hasMore = false
    for number in 0...limit {
      guard number < limit, left > 0 else {
        hasMore = true
        break
      }
      guard case .chain(let head) = ring.take() else {
        if ring.isBroken || !ring.askForKick() { break }
        ring.wantNoKick()
        continue
      }
      pieces.reset()
      guard ring.follow(head, isWritable: false, in: memory, into: &pieces) else {
        ring.fail()
        break
      }
      left -= pieces.total
      take(pool, now, &batch, counters, seen)
      ring.finish(head, bytes: 0)
    }
    if ring.takeBreak() { seen.noteBrokenRing(error) }
    if ring.publish(), call >= 0 {
      seen.calls.increment()
      counters.receiveCalls.increment()
      sluice_event_write(call)
    }
    return hasMore
  }

  /// One frame, from the pieces of its chain.
  private mutating func take(
    _ pool: PacketPoolRef, _ now: Instant, _ batch: inout PacketQueue, _ counters: DeviceCounters,
    _ seen: VhostCounters
  ) {
    guard isEnabled else { return seen.discarded.increment() }
    let bytes = pieces.total - headerBytes
    guard bytes > 0, bytes <= Self.superLimit else {
      seen.malformedFrames.increment()
      return counters.receiveDrops.increment()
    }
    unsafe pieces.read(headerBytes, into: header)
    let isSuper = unsafe header.load(fromByteOffset: 1, as: UInt8.self) != VirtioNetHeader.Kind.none.rawValue
    guard isSuper || bytes <= frameLimit else {
      seen.malformedFrames.increment()
      return counters.receiveDrops.increment()
    }
    guard var packet = pool.allocate(), copy(bytes, to: &packet, pool) else {
      counters.receiveOutOfBuffers.increment()
      return counters.receiveDrops.increment()
    }
    packet.metadata.arrival = now
    counters.framesReceived.increment()
    counters.bytesReceived.increment(by: UInt64(bytes))
    unsafe HeaderReceiver.admit(packet, header, link, pool, into: &batch, counters)
  }

  /// All in the slot if it fits there, else the rest in what is spare.
  private mutating func copy(_ bytes: Int, to packet: inout Packet, _ pool: PacketPoolRef) -> Bool {
    if bytes <= packet.tailroom {
      packet.append(bytes)
      unsafe pieces.read(bytes, into: packet.dataAddress)
      return true
    }
    packet.append(PacketPoolRef.slotShare)
    unsafe pieces.read(packet.count, into: packet.dataAddress)
    let excess = bytes - packet.count
    var left = excess
    unsafe pool.forEachSpare { room in
      let count = min(left, room.count)
      guard count > 0, let start = room.baseAddress else { return }
      unsafe pieces.read(count, into: start)
      left -= count
    }
    guard left == 0 else { return false }
    pool.attachSpare(excess, to: &packet)
    return true
  }
}
