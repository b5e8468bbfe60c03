import Buffers
import Devices
public import Exclusion
public import Timing

/// Everything that belongs to one context. Touched only by the context's thread, except the counters,
/// which anyone may read.
@safe
struct ContextState: ~Copyable {
  let core: ContextCoreRef
  /// (c) once the contexts have started; the set keeps it.
  var handlers: Unmanaged<HandlerTable>
  /// The set keeps the clock.
  let time: TimeReader
  let poller: (any DevicePoller)?
  let pool: PacketPoolRef
  let grace: GraceDomain
  /// The set keeps them.
  let counterSet: Unmanaged<ContextCounters>
  let budgets: LevelBudgets
  /// Stamped at the start of a pass and after every few items.
  var now: Instant
  var wheel: TimingWheel
  let queues = RunQueues()
  /// Who begins the turns of the next pass.
  var isSerialFirst = false
  /// Receive queues; the token or tag of a signal is the index.
  var sources = ReceiveSources()
  /// (c) once the context runs: the signals of the sources, for who does not drive it.
  var sourceSignals: [ReceiveSignalRef] = []
  /// Where to look for the next pending one.
  var nextSource = 0
  /// Its own thread drives it, which looks at what was put off before it sleeps.
  var mayPutOff = false
  /// (c) nanoseconds that who drives it spins at most before sleeping.
  let spinLimit: UInt64
  /// Whether what came while it was lent last was for the borrower alone.
  var isBorrowerAlone = false
  /// Times that application threads found it awake, as of its last rest.
  var missedBorrows: UInt64 = 0
  /// By target; nil for this context itself. Empty if received packets are not steered.
  var outgoing: [SteeringLaneRef?] = []
  /// By source, this context itself left out; the value of a signal is the index.
  var incoming: [IncomingLane] = []
  /// How many of them are pending.
  var pendingLanes = 0
  /// Where to look for the next pending one.
  var nextLane = 0
  var limbo = LimboList()
  var housekeeping: Housekeeping
  /// What the pass owes to transmission.
  let transmitBatch: UnsafeMutablePointer<TransmitBatch>
  var isStopping = false
  /// (c) once the contexts have started.
  var resident: Resident?
  /// It was roused, or wants to go on.
  var isResidentDue = false
  /// When to let frames gather.
  var gathering = Gathering()
  /// Its descriptor has something that it was not told of.
  var isResidentReadable = false
  /// (c) once the contexts have started: the resident has a descriptor.
  var isResidentWatched = false
  /// How often it was looked at descriptors while there was work.
  var looks: UInt8 = 0
}

extension ContextState {
  /// For who looks now and then: a pass uses them where they are.
  var counters: ContextCounters { unsafe counterSet.takeUnretainedValue() }
}

extension SoftInterrupt {
  var state: UnsafeMutablePointer<ContextState> {
    unsafe core.attachment(.softInterrupts).assumingMemoryBound(to: ContextState.self)
  }

  /// The context's number, from 0.
  public var index: Int { core.index }
  /// The time as of a few items ago. It does not move while an item runs.
  @inlinable @inline(__always) public var now: Instant { Instant(nanoseconds: core.present) }
  /// The context's packets.
  public var pool: PacketPoolRef { unsafe state.pointee.pool }
  /// The grace periods of the stack.
  public var grace: GraceDomain { unsafe state.pointee.grace }
  /// How many timers are armed on this context.
  public var armedTimers: Int { unsafe state.pointee.wheel.armedCount }

  /// Arms, or moves, a timer on this context's wheel. Its memory must live until it fires or is cancelled
  /// (TM-REF).
  public func arm(_ timer: TimerRef, at deadline: Instant) {
    invariant(!core.isGuest, "TM-OWNER: nobody runs a guest's wheel")
    unsafe state.pointee.wheel.arm(timer, at: deadline)
  }
  /// Disarms a timer of this context's wheel; harmless if it is not armed.
  public func cancel(_ timer: TimerRef) {
    invariant(!core.isGuest, "TM-OWNER: a timer is on its home's wheel")
    unsafe state.pointee.wheel.cancel(timer)
  }

  /// Frees `slot` once no reader can still hold it (PCB-GRACE).
  public func retire(_ slot: ItemRef) {
    invariant(!core.isGuest, "PCB-GRACE: nobody reclaims what a guest retires")
    unsafe state.pointee.limbo.add(slot)
  }
}
