// A device's transmit queue as a gate: nobody waits for it, and its owner alone talks to the driver.
//
// The recipe against a lost restart, both halves side by side (PROTOCOLS 4, keeps TX-STOP):
//
//   driver, no room                       whoever completes
//     stopped = 1                           room appears (release)
//     fence                                 fence
//     room after all? then restart          stopped.exchange(0) == 1? then post RUN
//
// Without either fence both could look before the other wrote, and the queue would stand for ever.

public import Buffers
public import Exclusion

/// What sits in a transmit queue's memory behind its gate.
struct TransmitQueueState: ~Copyable {
  /// (o) gate owner: packets that wait for the driver, first in first out. First, because the thread sanitizer
  /// takes a change of any field for one of the first, which others must then not look at.
  var deferred = PacketQueue()
  /// (a) 1 while the driver has no room.
  let stopped = AtomicWord(0)
  /// (o) packets that the driver is done with, on their way to the context that frees them.
  var completed = PacketQueue()
  /// (o) a flush of this queue is owed at the end of the owner's pass.
  var isDirty = false
  /// (c) constant, kept by ``owner``; unowned, so that a send counts no reference.
  unowned(unsafe) let device: any Device
  /// (c) constant.
  private let owner: any Device
  let queue: Int
  let limit: Int
  /// (a) written by the gate's owner.
  let counters = TransmitQueueCounters()

  init(device: any Device, queue: Int, limit: Int) {
    unsafe self.device = device
    owner = device
    self.queue = queue
    self.limit = limit
  }
}

/// What a transmit queue did. Written by the gate's owner.
public struct TransmitQueueCounters: ~Copyable, Sendable {
  /// Packets given to the driver.
  public let sent = Counter()
  /// Packets that came back because the driver had stopped its queue, and stayed deferred.
  public let givenBack = Counter()
  /// Packets that came back from a queue that was not stopped: a bug in the driver.
  public let busyWhileRunning = Counter()
  /// Packets dropped because the deferred list was full.
  public let overflow = Counter()
  /// Times that the driver stopped the queue.
  public let stops = Counter()
  /// Times that a completion started it again.
  public let restarts = SharedCounter()

  init() {}
}

/// The phantom type that gives the gate its behaviour.
public struct TransmitQueue: GatedBlock, ~Copyable {
  /// Packets that may wait for a stopped driver. TCP stays far below by its own windows.
  public static var defaultLimit: Int { 4096 }
  /// Items run per entry before the queue goes to its home.
  static var budget: Int { 256 }
}

/// A handle to a transmit queue; it lives as long as its device is attached.
@safe @frozen
public struct TransmitQueueRef: Hashable, @unchecked Sendable {
  /// The queue's gate.
  public let gate: GateRef<TransmitQueue>
  static var stateOffset: Int { 128 }

  /// Refers to a queue that exists.
  public init(_ raw: UnsafeMutableRawPointer) { unsafe gate = GateRef(raw) }

  /// Makes the queue; `kind` is what the home's run queue knows transmit queues by.
  public static func make(
    device: any Device, queue: Int, kind: WorkKind, home: ContextPortRef,
    limit: Int = TransmitQueue.defaultLimit
  ) -> TransmitQueueRef {
    let bytes = stateOffset + MemoryLayout<TransmitQueueState>.size
    let raw = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    unsafe raw.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    unsafe GateRef<TransmitQueue>.initialize(
      raw, kind: kind, home: home, segmentLimit: 1023, budget: TransmitQueue.budget)
    unsafe (raw + stateOffset).initializeMemory(
      as: TransmitQueueState.self, to: TransmitQueueState(device: device, queue: queue, limit: limit))
    return unsafe TransmitQueueRef(raw)
  }

  /// Frees the queue and what it still holds. Its contexts must have stopped.
  public func destroy() {
    unsafe state.deinitialize(count: 1)
    unsafe gate.raw.deallocate()
  }

  var state: UnsafeMutablePointer<TransmitQueueState> {
    unsafe (gate.raw + Self.stateOffset).assumingMemoryBound(to: TransmitQueueState.self)
  }

  /// What the queue did so far.
  public var counters: TransmitQueueCounters { _read { yield unsafe state.pointee.counters } }
  /// The device and queue number that this queue feeds.
  public var device: any Device { unsafe state.pointee.device }
  /// The queue's number on its device.
  public var queue: Int { unsafe state.pointee.queue }
  /// Whether the driver has said that it has no room. May be out of date at once.
  public var isStopped: Bool { unsafe state.pointee.stopped.load() != 0 }

  /// Sends a whole frame: enters the queue, or leaves the frame to whoever is inside (X8: it is complete).
  public func send(_ packet: consuming Packet, _ cx: inout SoftInterrupt) {
    _ = gate.submit(packet.intoItem(), isSegment: false, &cx)
  }

  /// Driver, as owner: there was no room. True: the queue is stopped, give the packet back. False: room
  /// appeared meanwhile, try again.
  public func stop(hasRoom: () -> Bool) -> Bool {
    unsafe state.pointee.stopped.store(1)
    fullFence()
    guard hasRoom() else {
      unsafe state.pointee.counters.stops.increment()
      return true
    }
    // Who restarts it runs it; if a completion was faster, its RUN is already posted.
    if unsafe state.pointee.stopped.exchange(0) == 1 { _ = gate.post(events: .run) }
    return false
  }

  /// Any thread, after making room in the driver: restarts the queue if it stands (keeps TX-STOP).
  public func roomAppeared() {
    fullFence()
    guard unsafe state.pointee.stopped.load() == 1, unsafe state.pointee.stopped.exchange(0) == 1 else {
      return
    }
    unsafe state.pointee.counters.restarts.increment()
    _ = gate.post(events: .run)
  }
}

extension GateEvents {
  /// Transmit queue: the driver may have room again.
  static let run = GateEvents(rawValue: 1 << 0)
  /// Transmit queue: the pass ends, put-off system calls are due.
  static let flush = GateEvents(rawValue: 1 << 1)
}

extension TransmitQueue {
  /// A frame to send: in order behind those that wait.
  public static func run(_ item: ItemRef, on block: GateRef<TransmitQueue>, _ cx: inout SoftInterrupt) {
    let queue = unsafe TransmitQueueRef(block.raw)
    let packet = Packet(item: item)
    if unsafe queue.state.pointee.deferred.count >= queue.state.pointee.limit {
      unsafe queue.state.pointee.counters.overflow.increment()
      unsafe queue.state.pointee.completed.append(packet)
    } else {
      unsafe queue.state.pointee.deferred.append(packet)
      drain(queue)
    }
    noteDirty(queue, &cx)
  }

  /// A restart or the end of a pass.
  public static func run(
    events: GateEvents, on block: GateRef<TransmitQueue>, _ cx: inout SoftInterrupt
  ) {
    let queue = unsafe TransmitQueueRef(block.raw)
    if events.contains(.run) {
      drain(queue)
      noteDirty(queue, &cx)
    }
    guard events.contains(.flush) else { return }
    let state = unsafe queue.state
    unsafe state.pointee.isDirty = false
    unsafe state.pointee.device.flush(queue: state.pointee.queue)
    unsafe state.pointee.device.complete(queue: state.pointee.queue, into: &state.pointee.completed)
    unsafe cx.transmitBatch.release(&state.pointee.completed)
  }

  /// Transmit queues end with their device, not by themselves.
  public static func retire(_ block: GateRef<TransmitQueue>, _ cx: inout SoftInterrupt) {}

  private static func noteDirty(_ queue: TransmitQueueRef, _ cx: inout SoftInterrupt) {
    guard unsafe !queue.state.pointee.isDirty else { return }
    unsafe queue.state.pointee.isDirty = true
    cx.transmitBatch.note(queue)
  }

  private static func drain(_ queue: TransmitQueueRef) {
    let state = unsafe queue.state
    let device = unsafe state.pointee.device
    let number = unsafe state.pointee.queue
    while unsafe state.pointee.stopped.load() == 0 {
      guard let packet = unsafe state.pointee.deferred.popFirst() else { return }
      let stops = unsafe state.pointee.counters.stops.value
      if let back = device.send(packet, queue: number) {
        // To the front: what was first stays first (the order mutation of PROTOCOLS 4).
        unsafe state.pointee.deferred.prepend(back)
        // A completion may have restarted the queue since; a driver that never stopped it has a bug.
        if unsafe state.pointee.counters.stops.value == stops {  // keeps TX-BUSY
          unsafe state.pointee.counters.busyWhileRunning.increment()
          return
        }
        unsafe state.pointee.counters.givenBack.increment()
      } else {
        unsafe state.pointee.counters.sent.increment()
      }
    }
  }
}
