public import Buffers
import Exclusion
public import Timing
import Wire

/// Two devices joined back to back in memory: what one sends the other receives. Each frame is copied
/// into the receiver's own pool, as a wire would, so the two sides may belong to different stacks; or it passes itself.
///
/// The ring of a direction is bounded; a sender that finds it full stops its queue until the receiver
/// makes room (TX-STOP).
public final class LinkPair: Sendable {
  /// One end.
  public let left: LinkEnd
  /// The other end.
  public let right: LinkEnd

  /// `mtu` in bytes without the link header; `ringSlots` frames fit into each direction of each queue.
  ///
  /// - Parameters:
  ///   - offloads: what passes as it is. Super-segments do without checksums, and their payload is shared
  ///     instead of copied: then neither of two stacks may go while the other one holds what it received.
  ///   - passesFrames: the receiver gets the sender's packets instead of copies, which is as much of the sender's pool that a
  ///     slow reader may hold, and binds the two stacks in the same way.
  public init(
    left leftLink: LinkLayer, right rightLink: LinkLayer, mtu: Int = 1500, queues: Int = 1,
    ringSlots: Int = 256, offloads: DeviceOffloads = [], passesFrames: Bool = false
  ) {
    let rightward = (0..<queues).map { _ in PacketRing(slots: ringSlots) }
    let leftward = (0..<queues).map { _ in PacketRing(slots: ringSlots) }
    left = LinkEnd(
      name: "left0", linkLayer: leftLink, mtu: mtu, offloads: offloads, passesFrames: passesFrames,
      outgoing: rightward, incoming: leftward)
    right = LinkEnd(
      name: "right0", linkLayer: rightLink, mtu: mtu, offloads: offloads, passesFrames: passesFrames,
      outgoing: leftward, incoming: rightward)
  }

  /// Loses the frames that are on their way, as a wire does that is cut: they go back to their senders' pools.
  /// Only while no context serves either end; before the first of two stacks goes away.
  public func loseFrames() {
    for end in [left, right] { end.loseFrames() }
  }
}

/// One end of a ``LinkPair``.
@safe public final class LinkEnd: Device, @unchecked Sendable {  // constant; what it refers to sees to itself
  /// The name that users see.
  public let name: String
  /// The kind of link.
  public let linkLayer: LinkLayer
  /// The largest packet, in bytes.
  public let mtu: Int
  /// What passes to the other end as it is.
  public let offloads: DeviceOffloads
  /// What the other end sends is received itself, not a copy.
  public let passesFrames: Bool
  private let outgoing: [PacketRing]
  private let incoming: [PacketRing]
  private let queueCounters: [DeviceCounters]
  /// The same, kept by the arrays: taking an object out of an array counts a reference, for every frame.
  private let lanes: UnsafeMutablePointer<Lane>
  @safe private struct Lane {
    let outgoing: Unmanaged<PacketRing>
    let incoming: Unmanaged<PacketRing>
    let counters: Unmanaged<DeviceCounters>
  }

  init(
    name: String, linkLayer: LinkLayer, mtu: Int, offloads: DeviceOffloads, passesFrames: Bool,
    outgoing: [PacketRing], incoming: [PacketRing]
  ) {
    self.name = name
    self.linkLayer = linkLayer
    self.mtu = mtu
    self.offloads = offloads
    self.passesFrames = passesFrames
    self.outgoing = outgoing
    self.incoming = incoming
    queueCounters = outgoing.map { _ in DeviceCounters() }
    unsafe lanes = .allocate(capacity: outgoing.count)
    for (queue, ring) in outgoing.enumerated() {
      unsafe (lanes + queue).initialize(
        to: Lane(
          outgoing: .passUnretained(ring), incoming: .passUnretained(incoming[queue]),
          counters: .passUnretained(queueCounters[queue])))
    }
  }
  deinit { unsafe lanes.deallocate() }

  /// The number of queue pairs.
  public var queueCount: Int { outgoing.count }
  /// What went through the queue.
  public func counters(queue: Int) -> DeviceCounters { queueCounters[queue] }
  /// None: a device in memory raises signals.
  public func descriptor(queue: Int) -> Int32? { nil }
  /// Whom to tell, once before the first use.
  public func attach(queue: Int, receive: ReceiveSignalRef, transmit: TransmitQueueRef) {
    outgoing[queue].attachSender(transmit)
    incoming[queue].attachReceiver(receive)
  }

  /// Takes frames that the other end sent. Context of the queue.
  public func receive(
    queue: Int, limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue
  ) -> ReceiveOutcome {
    let lane = lane(queue)
    return unsafe lane.incoming._withUnsafeGuaranteedRef { ring in
      unsafe lane.counters._withUnsafeGuaranteedRef { counters in
        passesFrames
          ? pass(from: ring, counters, limit: limit, now: now, into: &batch)
          : receive(from: ring, counters, limit: limit, pool: pool, now: now, into: &batch)
      }
    }
  }
  @inline(__always) private func receive(
    from ring: PacketRing, _ counters: DeviceCounters, limit: Int, pool: PacketPoolRef, now: Instant,
    into batch: inout PacketQueue
  ) -> ReceiveOutcome {
    var taken = 0
    defer { if taken > 0 { ring.madeRoom() } }
    while taken < limit {
      guard let frame = ring.takeOne() else { return .drained }
      taken += 1
      guard var copy = pool.allocate() else {
        // The frame is lost as on a wire whose receiver has no buffer; the ring goes on (R8).
        counters.receiveOutOfBuffers.increment()
        counters.receiveDrops.increment()
        continue
      }
      copy.becomeCopy(of: frame)
      copy.arriveAsSent()
      copy.metadata.arrival = now
      counters.framesReceived.increment()
      counters.bytesReceived.increment(by: UInt64(frame.totalCount))
      batch.append(copy)
    }
    return .more
  }

  @inline(__always) private func pass(
    from ring: PacketRing, _ counters: DeviceCounters, limit: Int, now: Instant, into batch: inout PacketQueue
  ) -> ReceiveOutcome {
    let (frames, bytes) = (batch.count, batch.byteCount)
    let outcome = ring.take(limit: limit, now: now, into: &batch)
    counters.framesReceived.increment(by: UInt64(batch.count - frames))
    counters.bytesReceived.increment(by: UInt64(batch.byteCount - bytes))
    return outcome
  }

  fileprivate func loseFrames() {
    for ring in incoming {
      while ring.takeOne() != nil {}
      ring.madeRoom()
    }
  }

  @inline(__always) private func lane(_ queue: Int) -> Lane {
    precondition(queue >= 0 && queue < queueCount, "TX-OWN: a queue that the link does not have")
    return unsafe lanes[queue]
  }

  /// Puts the packet into the ring, or gives it back with the queue stopped (TX-BUSY).
  public func send(_ packet: consuming Packet, queue: Int) -> Packet? {
    let bytes = packet.totalCount
    let lane = lane(queue)
    let item = packet.intoItem()
    let back = unsafe lane.outgoing._withUnsafeGuaranteedRef { ring -> ItemRef? in
      guard let back = ring.put(Packet(item: item)) else { return nil }
      return back.intoItem()
    }
    if let back { return Packet(item: back) }
    unsafe lane.counters._withUnsafeGuaranteedRef { counters in
      counters.framesSent.increment()
      counters.bytesSent.increment(by: UInt64(bytes))
    }
    return nil
  }
  /// Puts them into the ring, if there is room for all.
  public func sendAll(_ frames: inout PacketQueue, queue: Int) -> Bool {
    let lane = lane(queue)
    let (count, bytes) = (frames.count, frames.byteCount)
    guard unsafe lane.outgoing._withUnsafeGuaranteedRef({ $0.putAll(&frames) }) else { return false }
    unsafe lane.counters._withUnsafeGuaranteedRef { counters in
      counters.framesSent.increment(by: UInt64(count))
      counters.bytesSent.increment(by: UInt64(bytes))
    }
    return true
  }
  /// Tells the receiver, once for the batch.
  public func flush(queue: Int) {
    let lane = lane(queue)
    unsafe lane.outgoing._withUnsafeGuaranteedRef { $0.signal() }
  }
  /// Nothing comes back: a sent packet is the receiver's to free.
  public func complete(queue: Int, into completed: inout PacketQueue) {}
}
