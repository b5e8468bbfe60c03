// A device's transmit queue as a gate: nobody waits for it, and its owner alone talks to a driver that wants that.
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
public import Timing

/// The phantom type that gives the gate its behaviour.
public struct TransmitQueue: GatedBlock, ~Copyable {
  /// Items run per entry before the queue goes to its home.
  static var budget: Int { 256 }
}

/// A handle to a transmit queue; it lives as long as its device is attached.
@safe @frozen
public struct TransmitQueueRef: Hashable, @unchecked Sendable {
  /// The queue's gate.
  public let gate: GateRef<TransmitQueue>
  private static var noticeOffset: Int { 64 }
  private static var timerOffset: Int { 128 }
  static var stateOffset: Int { 192 }
  private static var byteCount: Int { stateOffset + MemoryLayout<TransmitQueueState>.size }

  /// Refers to a queue that exists.
  public init(_ raw: UnsafeMutableRawPointer) { unsafe gate = GateRef(raw) }

  /// Makes the queue. `kind` is what the home's run queue knows transmit queues by, `notice` what it knows the
  /// notice by that one of them stands; `timer` is the watchdog's kind. `isPrivate`: no context but the home's sends by it,
  /// and always says when its pass ends (``SoftInterrupt/finishTransmission()``).
  public static func make(
    device: any Device, queue: Int, kind: WorkKind, notice: WorkKind = WorkKind(rawValue: 0),
    timer: UInt8 = 0, isPrivate: Bool = false,
    home: ContextPortRef, _ configuration: TransmitConfiguration = TransmitConfiguration()
  ) -> TransmitQueueRef {
    let bytes = byteCount
    let raw = unsafe SharedMemory.allocate(byteCount: bytes, alignment: 64)
    unsafe raw.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    unsafe GateRef<TransmitQueue>.initialize(
      raw, kind: kind, home: home, segmentLimit: 1023, budget: TransmitQueue.budget)
    unsafe (raw + noticeOffset).storeBytes(of: WorkItem(kind: notice), as: WorkItem.self)
    _ = unsafe TimerRef.initialize(at: raw + timerOffset, kind: timer, owner: UInt(bitPattern: raw))
    unsafe (raw + stateOffset).initializeMemory(
      as: TransmitQueueState.self,
      to: TransmitQueueState(device: device, queue: queue, isPrivate: isPrivate, configuration))
    return unsafe TransmitQueueRef(raw)
  }

  /// Frees the queue and what it still holds. Its contexts must have stopped.
  public func destroy() {
    unsafe state.pointee.forfeitAll()
    unsafe state.deinitialize(count: 1)
    unsafe SharedMemory.deallocate(gate.raw, byteCount: Self.byteCount)
  }

  var state: UnsafeMutablePointer<TransmitQueueState> {
    unsafe (gate.raw + Self.stateOffset).assumingMemoryBound(to: TransmitQueueState.self)
  }
  var notice: ItemRef { unsafe ItemRef(gate.raw + Self.noticeOffset) }
  /// The queue whose notice this is.
  public static func of(notice: ItemRef) -> TransmitQueueRef {
    unsafe TransmitQueueRef(notice.raw - noticeOffset)
  }

  // MARK: Looking, from any thread; may be out of date at once

  /// What the queue did so far.
  public var counters: TransmitQueueCounters { _read { yield unsafe state.pointee.counters } }
  /// Packets given to the driver, through the gate and past it.
  public var sent: UInt64 {
    guard let sources = unsafe state.pointee.sources else { return counters.sent.value }
    return (0..<LocklessSources.limit).reduce(counters.sent.value) {
      unsafe $0 &+ sources[$1].pointee.sent.value
    }
  }
  /// The name of its discipline, as `tc` calls it.
  public var discipline: String { unsafe state.pointee.discipline.name }
  /// The device and queue number that this queue feeds.
  public var device: any Device { unsafe state.pointee.driver.takeUnretainedValue().device }
  /// The queue's number on its device.
  public var queue: Int { unsafe state.pointee.queue }
  /// Whether the driver has said that it has no room.
  public var isStopped: Bool { unsafe state.pointee.stopped.load() != 0 }
  /// Whether packets wait: the driver has no room, or as much in flight as it may.
  public var isWaiting: Bool { unsafe state.pointee.standing.load() != 0 }

  /// The word that ``isWaiting`` tells of, which is not 0 then: for who looks at it in each pass. It lies there as long as the
  /// queue lives.
  public var standingWord: UnsafePointer<AtomicWord> {
    unsafe withUnsafePointer(to: state.pointee.standing) { unsafe $0 }
  }

  // MARK: Senders

  /// Sends a whole frame: enters the queue, or leaves the frame to whoever is inside (X8: it is complete). What the
  /// packet leaves to the device, and the device does not do, is done here: what waits in the queue are the frames of
  /// the link.
  public func send(_ packet: consuming Packet, _ cx: inout SoftInterrupt) {
    if unsafe !state.pointee.offloads.cover(packet) { return sendPrepared(packet, &cx) }
    submit(packet, &cx)
  }
  @inline(__always) func submit(_ packet: consuming Packet, _ cx: inout SoftInterrupt) {
    if let sources = unsafe state.pointee.sources { return sendPastGate(packet, sources, &cx) }
    if isEntered(&cx) { return admit(packet, &cx) }
    _ = gate.submit(packet.intoItem(), isSegment: false, &cx)
  }
  /// Whether the context is inside and nobody waits. It stays to the end of its pass: it enters and leaves once for all its
  /// frames, and for their flush. Who comes meanwhile leaves what it has, as ever.
  @inline(__always) func isEntered(_ cx: inout SoftInterrupt) -> Bool {
    guard unsafe state.pointee.isPrivate else { return false }
    let batch = cx.transmitBatch
    // Behind what others have left: it may be older, and of the same flow.
    if batch.isInside(self) {
      #if Explore
        if Mutation.transmitInsideOvertakes.isOn { return true }
      #endif
      return gate.hasNothingWaiting
    }
    guard batch.mayEnter, gate.enterToStay(&cx) else { return false }
    batch.enter(self)
    return true
  }
  /// The end of a pass of a context that is inside.
  func leave(_ cx: inout SoftInterrupt) {
    TransmitQueue.run(events: unsafe state.pointee.isDirty ? .flush : [], on: gate, &cx)
    gate.resume(budget: TransmitQueue.budget, &cx)
  }
  /// Whether nothing of the running context waits here, or is being sent by another one.
  public func isAtRest(_ cx: borrowing SoftInterrupt) -> Bool {
    if isStopped { return false }
    // Who is inside knows; others are told when it leaves.
    if cx.transmitBatch.isInside(self) { return unsafe state.pointee.waiting == 0 && gate.hasNothingWaiting }
    return !isWaiting && gate.isFree
  }

  // MARK: Drivers

  /// Driver, in `send`: there was no room. True: the queue is stopped, give the packet back. False: room appeared
  /// meanwhile, try again.
  public func stop(hasRoom: () -> Bool) -> Bool {
    unsafe state.pointee.stopped.store(1)
    #if Explore
      if Mutation.transmitSenderWithoutFence.isOn { return stopWithoutFence(hasRoom) }
    #endif
    fullFence()
    #if Explore
      if Mutation.queueStopWithoutRecheck.isOn {
        unsafe state.pointee.counters.stops.increment()
        return true
      }
    #endif
    guard hasRoom() else {
      unsafe state.pointee.counters.stops.increment()
      return true
    }
    // Who restarts it runs it; if a completion was faster, its RUN is already posted.
    if unsafe state.pointee.stopped.exchange(0) == 1 { restarted() }
    return false
  }
  private func restarted() {
    #if Explore
      if Mutation.transmitRestartWithoutRun.isOn { return }
    #endif
    run()
  }
  #if Explore
    private func stopWithoutFence(_ hasRoom: () -> Bool) -> Bool {
      guard hasRoom() else {
        unsafe state.pointee.counters.stops.increment()
        return true
      }
      if unsafe state.pointee.stopped.exchange(0) == 1 { run() }
      return false
    }
  #endif

  /// Any thread, after making room in the driver, or completing packets: restarts the queue if it stands (keeps
  /// TX-STOP), and has completed packets fetched (TX-RECLAIM).
  public func roomAppeared() {
    #if Explore
      if !Mutation.transmitCompleterWithoutFence.isOn { fullFence() }
    #else
      fullFence()
    #endif
    if unsafe state.pointee.stopped.load() == 1, unsafe state.pointee.stopped.exchange(0) == 1 {
      unsafe state.pointee.counters.restarts.increment()
    } else if unsafe !state.pointee.completesLater {
      return
    }
    run()
  }

  /// Any thread: whoever owns the queue, or its home, offers the driver again what waits.
  func run() { _ = gate.post(events: .run) }
  func noteLockTaken() { unsafe state.pointee.counters.lockTaken.increment() }

  /// The end of a pass of a context that owed it: makes the put-off system calls and collects what is done.
  func flush(_ cx: inout SoftInterrupt) {
    if let sources = unsafe state.pointee.sources { unsafe sources[cx.core.index].pointee.isDirty = false }
    _ = gate.submit(events: .flush, &cx)
  }

  // MARK: Home

  /// Home: the notice was taken from the port; the look at the queue comes after this.
  public func noticed() { _ = unsafe state.pointee.noticeQueued.exchange(0) }
  /// The watchdog's timer, which is home's.
  public var watchdogTimer: TimerRef {
    unsafe TimerRef((gate.raw + Self.timerOffset).assumingMemoryBound(to: TimerNode.self))
  }
  /// The queue whose watchdog's timer this is.
  public static func of(watchdog timer: TimerRef) -> TransmitQueueRef? {
    unsafe UnsafeMutableRawPointer(bitPattern: timer.owner).map { unsafe TransmitQueueRef($0) }
  }
  /// How long the queue may stand; zero: for ever.
  public var watchdog: Nanoseconds { unsafe state.pointee.watchdog }
  /// Home: the queue stood for that long. Counted, and the driver is told by the gate's owner.
  public func timedOut(_ cx: inout SoftInterrupt) { _ = gate.submit(events: .timedOut, &cx) }
}

extension GateEvents {
  /// Transmit queue: the driver may have room again, or be done with packets.
  static let run = GateEvents(rawValue: 1 << 0)
  /// Transmit queue: a pass ends, put-off system calls are due.
  static let flush = GateEvents(rawValue: 1 << 1)
  /// Transmit queue: it stood for longer than its watchdog bears.
  static let timedOut = GateEvents(rawValue: 1 << 2)
}
