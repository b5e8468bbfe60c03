import Buffers
import Exclusion
import Timing
import Wire

/// The device of a queue, in a place that says that it is constant: a call through it counts no reference, as one through
/// a field of a structure does, be it unowned.
final class TransmitDriver: Sendable {
  let device: any Device
  init(_ device: any Device) { self.device = device }
}

/// What sits in a transmit queue's memory behind its gate.
///
///     (o) the gate's owner    (a) atomic    (c) constant
@safe
struct TransmitQueueState: ~Copyable {
  // What has one owner comes first: the thread sanitizer takes a change of any field for one of the first.
  /// (o) The packet that came back from the driver: it is next whatever the discipline thinks. One at the most.
  var returned = PacketQueue()
  /// (o) What waits, unless there is `flows`.
  var fifo: FIFODiscipline
  /// (o) What the discipline threw away, on its way to the context that frees it.
  var dropped = PacketQueue()
  /// (o) Bytes in flight of a device that completes later.
  var limit: ByteLimit
  /// (o) A flush of this queue is owed at the end of the owner's pass; a lockless queue's sources keep their own.
  var isDirty = false
  /// (a) 1 while the driver has no room.
  let stopped = AtomicWord(0)
  /// (a) Bytes in flight of a lockless device, as its senders count them.
  let flight = AtomicWord(0)
  /// (a) How many there may be, for those senders; the owner stores.
  let flightLimit = AtomicWord(0)
  /// (a) 1 while packets wait; the owner stores.
  let standing = AtomicWord(0)
  /// (a) 1 while the notice for home is posted.
  let noticeQueued = AtomicWord(0)
  /// (c) kept by ``owner``: the contexts that share a device count no references to it.
  let driver: Unmanaged<TransmitDriver>
  /// (c)
  private let owner: TransmitDriver
  /// (c) In memory of its own; nil: first in, first out.
  let flows: UnsafeMutablePointer<FlowQueueing>?
  /// (c) There is one if the driver is lockless.
  let sources: LocklessSources?
  /// (c)
  let queue: Int
  let completesLater: Bool
  /// (c) One context alone sends by it: who enters stays until the end of its pass.
  let isPrivate: Bool
  /// (c) What the driver does for its senders.
  let offloads: DeviceOffloads
  let watchdog: Nanoseconds
  let discipline: DisciplineChoice
  let counters = TransmitQueueCounters()

  init(device: any Device, queue: Int, isPrivate: Bool, _ configuration: TransmitConfiguration) {
    owner = TransmitDriver(device)
    unsafe driver = .passUnretained(owner)
    self.queue = queue
    self.isPrivate = isPrivate && device.transmitSerialization != .lockless
    completesLater = device.transmitCompletion == .later
    offloads = device.offloads
    watchdog = configuration.watchdog
    discipline = configuration.discipline
    limit = ByteLimit(configuration.byteLimit)
    switch configuration.discipline {
    case .fifo(let limits):
      fifo = FIFODiscipline(limits)
      unsafe flows = nil
    case .fqCodel(let parameters):
      fifo = FIFODiscipline()
      let memory = UnsafeMutablePointer<FlowQueueing>.allocate(capacity: 1)
      let header = device.linkLayer == .ip ? 0 : EthernetHeader.taggedByteCount
      unsafe memory.initialize(to: FlowQueueing(parameters, largestFrame: device.mtu + header))
      unsafe flows = memory
    }
    sources = device.transmitSerialization == .lockless ? LocklessSources.make() : nil
    publishLimit()
  }

  /// The stack goes, its sources of packets with it: what waits is freed, and credited to nobody.
  mutating func forfeitAll() {
    while var packet = dequeue(now: .zero) { packet.forfeitCredit() }
    while var packet = dropped.popFirst() { packet.forfeitCredit() }
  }

  deinit {
    if let flows = unsafe flows {
      unsafe flows.deinitialize(count: 1)
      unsafe flows.deallocate()
    }
    sources?.destroy()
  }

  /// Owner: tells others how much may be in flight.
  func publishLimit() {
    guard completesLater, limit.isOn else { return }
    flightLimit.store(UInt64(limit.limit))
    counters.byteLimit.set(UInt64(limit.limit))
  }

  // MARK: The discipline. Owner.

  /// Packets that wait, the one that came back included.
  var waiting: Int { unsafe returned.count + (flows?.pointee.count ?? fifo.count) }
  /// Their bytes.
  var waitingBytes: Int { unsafe returned.byteCount + (flows?.pointee.byteCount ?? fifo.byteCount) }

  mutating func enqueue(_ packet: consuming Packet, now: Instant) {
    if let flows = unsafe flows {
      unsafe flows.pointee.enqueue(packet, now: now, dropped: &dropped, counters.discipline)
    } else {
      fifo.enqueue(packet, now: now, dropped: &dropped, counters.discipline)
    }
  }

  mutating func dequeue(now: Instant) -> Packet? {
    if let packet = returned.popFirst() { return packet }
    if let flows = unsafe flows {
      return unsafe flows.pointee.dequeue(now: now, dropped: &dropped, counters.discipline)
    }
    return fifo.dequeue(now: now, dropped: &dropped, counters.discipline)
  }
}
