public import Buffers
public import Devices
import Exclusion
public import Timing
import Wire

/// A device with one small ring whose every step is scripted: a driver of each kind (``TransmitSerialization``), that
/// completes when it is told, from whatever thread tells it.
///
/// ```swift
/// let device = ScriptedDevice(.lockless, slots: 2)
/// device.completes(1)          // the hardware is done with one frame, and says so
/// device.completes(1, isTold: false)  // and with one whose interrupt is lost
/// ```
@safe
public final class ScriptedDevice: Device, @unchecked Sendable {  // see each field
  /// `scripted0`.
  public let name = "scripted0"
  /// 1500 bytes.
  public let mtu = 1500
  /// Bare packets, of any bytes.
  public let linkLayer = LinkLayer.ip
  /// One.
  public let queueCount = 1
  /// The driver's kind.
  public let transmitSerialization: TransmitSerialization
  /// Whether packets stay with the device until it completes them.
  public let transmitCompletion: TransmitCompletion
  /// What a driver that locks for itself takes; others may take it too, to be in its way.
  public let lock = DriverLock(queues: 1)

  /// The first byte of each frame that reached the wire, in order. The completer's.
  public private(set) var wire: [UInt8] = []
  /// The frames themselves, attached bytes included: of a device that completes later, while ``keepsFrames``.
  public private(set) var frames: [[UInt8]] = []
  /// Whether it keeps frames. Set at rest.
  public var keepsFrames = false
  /// Times that the watchdog had the sending side reset. The completer's.
  public private(set) var resets = 0
  /// Gives packets back without stopping the queue: the bug of X1. Set at rest.
  public var forgetsToStop = false
  /// Loses frames instead of putting them into the ring, as a link that is down does. Set at rest.
  public var isDown = false
  /// Runs between a look that found no room and the stop, where a completion may race. Set at rest.
  public var beforeStop: () -> Void = {}

  /// What it does for its senders.
  public let offloads: DeviceOffloads

  private let ring: ScriptedRing
  /// (a) Packets that the device is done with, until the gate's owner fetches them.
  private let done = Mailbox()
  /// (a) Frames that have arrived.
  private let arrived = Mailbox()
  private let tally = DeviceCounters()
  /// (c) after attach.
  private var transmit: TransmitQueueRef?
  private var receive: ReceiveSignalRef?

  /// A device whose ring holds so many frames, and which does so much for its senders.
  public init(
    _ serialization: TransmitSerialization = .gate, completion: TransmitCompletion = .later, slots: Int,
    offloads: DeviceOffloads = []
  ) {
    self.offloads = offloads
    transmitSerialization = serialization
    transmitCompletion = completion
    ring = ScriptedRing(slots)
  }
  deinit {
    Self.drop(done.close())
    Self.drop(arrived.close())
    for offset in 0..<ring.count {
      guard let entry = ring.take(offset) else { break }
      Self.drop(entry)
    }
  }

  // MARK: The script

  /// Frames in the ring.
  public var inRing: Int { ring.count }

  /// The hardware sends as many as `limit` frames of the ring and, unless the interrupt is lost, tells. Any
  /// thread, one at a time. Returns how many it were; none while somebody else has the driver's lock.
  @discardableResult public func completes(_ limit: Int, isTold: Bool = true) -> Int {
    guard transmitSerialization != .driver || lock.tryLock() else { return 0 }
    let count = finish(limit) {
      wire.append($0.mark)
      if keepsFrames, let bytes = $0.bytes { frames.append(bytes) }
    }
    if transmitSerialization == .driver { lock.unlock() }
    if count > 0, isTold { transmit?.roomAppeared() }
    return count
  }

  /// A frame arrives, and is announced. Any thread.
  public func arrives(_ packet: consuming Packet) {
    let item = packet.intoItem()
    switch arrived.post(item) {
    case .posted: receive?.raise()
    case .ran, .dropped, .closed: _ = Packet(item: item)
    }
  }

  private func finish(_ limit: Int, _ each: (ScriptedRing.Entry) -> Void) -> Int {
    var count = 0
    while count < limit, let entry = ring.take(count) {
      count += 1
      each(entry)
      if let item = entry.item { _ = done.post(item) }
    }
    // What is done is where `complete` finds it before there is room; that is the last step, as hardware's is.
    ring.advance(count)
    return count
  }

  // MARK: The driver

  /// What passed. A lockless driver's frames are counted when they are fetched.
  public func counters(queue: Int) -> DeviceCounters { tally }
  /// None.
  public func descriptor(queue: Int) -> Int32? { nil }
  /// Whom to tell.
  public func attach(queue: Int, receive: ReceiveSignalRef, transmit: TransmitQueueRef) {
    self.receive = receive
    self.transmit = transmit
    lock.attach(queue: queue, transmit)
  }

  /// The frames that have arrived, as they are.
  public func receive(
    queue: Int, limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue
  ) -> ReceiveOutcome {
    var list = arrived.takeAll()
    while let item = list.popFirst() {
      var packet = Packet(item: item)
      packet.metadata.arrival = now
      tally.framesReceived.increment()
      batch.append(packet)
    }
    return .drained
  }

  /// Into the ring; or back, from a stopped queue or from a lock that is taken.
  public func send(_ packet: consuming Packet, queue: Int) -> Packet? {
    switch transmitSerialization {
    case .gate, .lockless:
      return put(packet)
    case .driver:
      guard lock.tryLock(sending: queue) else { return packet }
      let back = put(packet)
      lock.unlock()
      return back
    }
  }

  private func put(_ packet: consuming Packet) -> Packet? {
    if isDown {
      tally.transmitDrops.increment()
      _ = done.post(packet.intoItem())
      return nil
    }
    let mark = packet.count > 0 ? packet.bytes.uint8(at: 0) : 0
    let item = packet.intoItem()
    let entry = ScriptedRing.Entry(address: transmitCompletion == .later ? item.address : 0, mark: mark)
    while !ring.put(entry) {
      if forgetsToStop { return Packet(item: item) }
      beforeStop()
      guard let transmit, !transmit.stop(hasRoom: { ring.hasRoom }) else { return Packet(item: item) }
    }
    if transmitCompletion == .atOnce { _ = done.post(item) }
    if transmitSerialization != .lockless { tally.framesSent.increment() }
    return nil
  }

  /// Nothing is put off.
  public func flush(queue: Int) {}

  /// What the hardware is done with.
  public func complete(queue: Int, into completed: inout PacketQueue) {
    var list = done.takeAll()
    while let item = list.popFirst() {
      if transmitSerialization == .lockless { tally.framesSent.increment() }
      completed.append(Packet(item: item))
    }
  }

  /// Empties the ring: its frames do not reach the wire, their packets come back, and there is room again. What has
  /// arrived stays.
  public func transmitTimedOut(queue: Int) {
    resets += 1
    _ = finish(.max) { _ in }
    transmit?.roomAppeared()
  }

  private static func drop(_ list: consuming ItemList) {
    var list = list
    while let item = list.popFirst() { _ = Packet(item: item) }
  }
  private static func drop(_ entry: ScriptedRing.Entry) {
    if let item = entry.item { _ = Packet(item: item) }
  }
}

extension ScriptedRing.Entry {
  fileprivate var item: ItemRef? {
    unsafe UnsafeMutableRawPointer(bitPattern: address).map { unsafe ItemRef($0) }
  }
  /// What the frame consists of, as long as the device has it.
  fileprivate var bytes: [UInt8]? {
    guard let item else { return nil }
    let packet = Packet(item: item)
    var bytes: [UInt8] = []
    packet.forEachSpan(from: 0, count: packet.totalCount) { span in
      for offset in 0..<span.byteCount { bytes.append(span.uint8(at: offset)) }
    }
    _ = packet.intoItem()
    return bytes
  }
}
