import Buffers
import CLinux
import Devices
import Exclusion
import Wire

/// What goes to a guest: its receive ring, whose chains are room for frames and their headers. Whoever holds the device's
/// lock, which is the owner of the queue's gate but for changes.
///
/// A frame is copied once, into the guest's memory, and is done. What the guest has not said that it takes,
/// super-segments and checksums that are left to it, is made here.
@safe struct VhostSender: ~Copyable {
  /// Nil: it does not run, or is broken.
  var ring: VirtioRing?
  var isEnabled = false
  var features: VhostFeatures = []
  /// By which the guest is told; -1: it does not want to be.
  var call: Int32 = -1
  /// By which the front-end is told that the ring is broken; -1: it does not want to be.
  var error: Int32 = -1
  /// (c) whom to tell about room, once attached.
  var transmit: TransmitQueueRef?
  private var completed = PacketQueue()
  private var pieces = VirtioPieces()
  /// Chains that the frame under way takes, and what room each of them has.
  private let chains: UnsafeMutablePointer<(head: UInt16, bytes: Int)>
  private var chainCount = 0
  private let header: UnsafeMutableRawPointer
  /// Where segments are made for a guest that takes no super-segments.
  private let room: UnsafeMutableRawBufferPointer
  private let link: LinkLayer

  init(link: LinkLayer) {
    self.link = link
    unsafe chains = .allocate(capacity: VirtioRing.largestSize)
    unsafe header = .allocate(byteCount: VhostFeatures.headerBytes, alignment: 8)
    unsafe header.initializeMemory(as: UInt8.self, repeating: 0, count: VhostFeatures.headerBytes)
    unsafe room = .allocate(byteCount: 66 << 10, alignment: 16)
  }
  deinit {
    unsafe chains.deallocate()
    unsafe header.deallocate()
    unsafe room.deallocate()
  }

  // MARK: The owner of the queue's gate

  /// Nil: done. Otherwise the packet comes back, and the queue is stopped; a kick, which was asked for, restarts it (keeps
  /// TX-STOP).
  mutating func send(
    _ given: consuming Packet, in memory: borrowing GuestMemory, _ counters: DeviceCounters,
    _ seen: VhostCounters
  ) -> Packet? {
    var packet = given
    while true {
      switch put(&packet, in: memory, counters) {
      case .done:
        counters.framesSent.increment()
        counters.bytesSent.increment(by: UInt64(packet.totalCount))
      case .noPlace:
        seen.discarded.increment()
        counters.transmitDrops.increment()
      case .tooLarge: counters.transmitDrops.increment()
      case .full:
        // What was filled must be seen, or nobody makes room.
        flush(counters, seen)
        seen.stops.increment()
        guard let transmit else { return packet }
        if transmit.stop(hasRoom: { hasRoom() }) { return packet }
        continue
      }
      completed.append(packet)
      return nil
    }
  }

  /// More chains than there were: asked for with a kick for what comes from now on.
  private func hasRoom() -> Bool { ring?.askForKick() ?? true }

  mutating func flush(_ counters: DeviceCounters, _ seen: VhostCounters) {
    if ring?.takeBreak() == true { seen.noteBrokenRing(error) }
    guard ring?.publish() == true, call >= 0 else { return }
    seen.calls.increment()
    counters.transmitCalls.increment()
    sluice_event_write(call)
  }

  mutating func complete(into done: inout PacketQueue) {
    if completed.isEmpty { return }
    done.append(contentsOf: completed.takeAll())
  }

  // MARK: Frames

  private enum Outcome { case done, full, tooLarge, noPlace }

  private mutating func put(
    _ packet: inout Packet, in memory: borrowing GuestMemory, _ counters: DeviceCounters
  ) -> Outcome {
    guard isEnabled, let ring, !ring.isBroken else { return .noPlace }
    let offload = packet.metadata.offload
    guard features.take(offload.segmentation) else { return cut(packet, in: memory) }
    if offload.needsChecksum, !features.contains(.guestChecksum), !packet.completeChecksum() {
      return .tooLarge
    }
    let outcome = reserve(packet.totalCount, in: memory)
    guard outcome == .done else { return outcome }
    emit(VirtioNetHeader(packet.metadata.offload))
    unsafe packet.forEachBuffer { unsafe pieces.write(UnsafeRawBufferPointer($0)) }
    finish(packet.totalCount)
    return .done
  }

  /// Frame by frame. What the guest has no room for in the midst of it is lost, as on a wire.
  private mutating func cut(_ packet: borrowing Packet, in memory: borrowing GuestMemory) -> Outcome {
    // None that would be in vain.
    guard ring?.hasChain == true else { return .full }
    var outcome = Outcome.done
    let isWhole = unsafe packet.forEachSegment(link: link, in: room) { count in
      outcome = reserve(count, in: memory)
      guard outcome == .done else { return false }
      emit(VirtioNetHeader())
      unsafe pieces.write(UnsafeRawBufferPointer(rebasing: room[..<count]))
      finish(count)
      return true
    }
    return isWhole ? .done : .tooLarge
  }

  /// Takes chains with room for a frame of `count` bytes behind its header, or none.
  private mutating func reserve(_ count: Int, in memory: borrowing GuestMemory) -> Outcome {
    guard var ring = ring else { return .noPlace }
    defer { self.ring = ring }
    pieces.reset()
    chainCount = 0
    let wanted = features.frameHeaderBytes + count
    while pieces.total < wanted {
      guard chainCount == 0 || features.contains(.mergedBuffers), chainCount < ring.size else {
        ring.untake(chainCount)
        return .tooLarge
      }
      guard case .chain(let head) = ring.take() else {
        ring.untake(chainCount)
        return ring.isBroken ? .noPlace : .full
      }
      let before = pieces.total
      guard ring.follow(head, isWritable: true, in: memory, into: &pieces),
        pieces.total - before >= (chainCount == 0 ? features.frameHeaderBytes : 1)
      else {
        ring.fail()
        return .noPlace
      }
      unsafe chains[chainCount] = (head, pieces.total - before)
      chainCount += 1
    }
    return .done
  }

  private mutating func emit(_ value: VirtioNetHeader) {
    var span = unsafe MutableRawSpan(_unsafeStart: header, byteCount: VhostFeatures.headerBytes)
    value.emit(into: &span)
    span.set(UInt16(chainCount).byteSwapped, at: VirtioNetHeader.byteCount)
    unsafe pieces.write(UnsafeRawBufferPointer(start: header, count: features.frameHeaderBytes))
  }

  private mutating func finish(_ count: Int) {
    guard var ring = ring else { return }
    var left = features.frameHeaderBytes + count
    for number in 0..<chainCount {
      let chain = unsafe chains[number]
      ring.finish(chain.head, bytes: min(left, chain.bytes))
      left -= min(left, chain.bytes)
    }
    self.ring = ring
  }
}
