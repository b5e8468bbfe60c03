public import Buffers
import Exclusion
public import Timing

/// A device seen through a capture: everything passes to the device inside, and a copy of each frame that
/// was received, or taken by the driver, goes to a ring. A packet that the driver gives back is not
/// recorded: it did not go onto the link. The ring of what was sent has one writer, so a lockless device inside
/// is served through the queue's gate.
public final class CapturedDevice: Device {
  private let inner: any Device
  private let time: any TimeSource
  private let received: [CaptureRing]
  private let sent: [CaptureRing]
  /// (a) 1 from the first frame after a drain on: whoever sets it calls `pending`.
  private let isPending = AtomicWord(0)
  private let pending: @Sendable () -> Void

  /// For the writer of the file.
  public let capture: CaptureInterface

  /// - Parameters:
  ///   - inner: the device to look at.
  ///   - number: its number among the interfaces of the file.
  ///   - snapLength: bytes kept of each frame.
  ///   - ringBytes: memory for each direction of each queue, in bytes.
  ///   - time: stamps frames that are sent; received packets carry their own stamp.
  ///   - epoch: nanoseconds from 1970 to the beginning of that clock.
  ///   - pending: called in soft-interrupt context, once until the next ``takePending()``, when there is
  ///     something to drain. May post, may not wait.
  public init(
    _ inner: any Device, number: UInt32 = 0, snapLength: Int = 65_535, ringBytes: Int = 1 << 21,
    time: any TimeSource, epoch: UInt64, pending: @escaping @Sendable () -> Void
  ) {
    self.inner = inner
    self.time = time
    self.pending = pending
    func rings(_ direction: PcapNG.Direction) -> [CaptureRing] {
      (0..<inner.queueCount).map { _ in
        CaptureRing(
          byteCount: ringBytes, interface: number, direction: direction, snapLength: snapLength, epoch: epoch)
      }
    }
    received = rings(.inbound)
    sent = rings(.outbound)
    capture = CaptureInterface(
      name: inner.name, linkType: PcapNG.LinkType(inner.linkLayer), snapLength: snapLength,
      rings: received + sent)
  }

  /// To be called by the consumer before it drains: what is recorded from here on announces itself again.
  public func takePending() { _ = isPending.exchange(0) }

  private func announce() {
    // A read-modify-write on both sides orders the recorded frame before the flag and the flag before the
    // drain: either this sees 0 and calls, or the drain that comes sees the frame.
    if isPending.exchange(1) == 0 { pending() }
  }

  /// The inner device's name.
  public var name: String { inner.name }
  /// The inner device's largest packet, in bytes.
  public var mtu: Int { inner.mtu }
  /// The inner device's kind of link.
  public var linkLayer: LinkLayer { inner.linkLayer }
  /// The inner device's queue pairs.
  public var queueCount: Int { inner.queueCount }
  /// The inner device's kind of link.
  public var isSerialLine: Bool { inner.isSerialLine }
  /// The gate, also for a lockless device; one that locks for itself still does.
  public var transmitSerialization: TransmitSerialization {
    switch inner.transmitSerialization {
    case .gate, .lockless: .gate
    case .driver: .driver
    }
  }
  /// The inner device's.
  public var transmitCompletion: TransmitCompletion { inner.transmitCompletion }
  /// The inner device's: what it takes over is not done yet in what is recorded.
  public var offloads: DeviceOffloads { inner.offloads }
  /// The inner device's.
  public var isEmptyByCall: Bool { inner.isEmptyByCall }
  /// Recovery is the inner device's.
  public func transmitTimedOut(queue: Int) { inner.transmitTimedOut(queue: queue) }
  /// The inner device's counters.
  public func counters(queue: Int) -> DeviceCounters { inner.counters(queue: queue) }
  /// The inner device's descriptor.
  public func descriptor(queue: Int) -> Int32? { inner.descriptor(queue: queue) }
  /// The inner device tells them directly.
  public func attach(queue: Int, receive: ReceiveSignalRef, transmit: TransmitQueueRef) {
    inner.attach(queue: queue, receive: receive, transmit: transmit)
  }
  /// Ends a batch of the inner device.
  public func flush(queue: Int) { inner.flush(queue: queue) }
  /// Completions of the inner device: recorded when they were sent.
  public func complete(queue: Int, into completed: inout PacketQueue) {
    inner.complete(queue: queue, into: &completed)
  }

  /// Records what the inner device received. Context of the queue.
  public func receive(
    queue: Int, limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue
  ) -> ReceiveOutcome {
    var fresh = PacketQueue()
    let outcome = inner.receive(queue: queue, limit: limit, pool: pool, now: now, into: &fresh)
    guard !fresh.isEmpty else { return outcome }
    while let packet = fresh.popFirst() {
      received[queue].record(packet, at: now)
      batch.append(packet)
    }
    announce()
    return outcome
  }

  /// Records the packet if the inner device takes it. Owner of the queue's gate.
  public func send(_ packet: consuming Packet, queue: Int) -> Packet? {
    // Copied before it is given away, published once it was taken. keeps TX-OWN
    sent[queue].stage(packet, at: time.now())
    if let back = inner.send(packet, queue: queue) {
      sent[queue].abandon()
      return back
    }
    sent[queue].commit()
    announce()
    return nil
  }
}

extension PcapNG.LinkType {
  /// The link type of frames on a device of this kind.
  public init(_ layer: LinkLayer) {
    switch layer {
    case .ethernet: self = .ethernet
    case .ip: self = .raw
    }
  }
}
