// The memory of one TCP connection, split by who may touch it (DESIGN section 2):
//
//   offset   size  what                                 who
//   0          64  gate header                          its protocol
//   64         40  wheel node                           home context
//   104         8  address of the workspace; 0: at rest (o)
//   112         8  marks: the slot was used before, the packed state's count and basis  (o)
//   120         8  registrations of event queues        (a)
//   128        40  wait pair of readers                 (a)
//   168        40  wait pair of writers                 (a)
//   208       ...  shared header (`ConnectionShared`)   see its fields
//   ...       ...  the packed state of a connection at rest (`ConnectionRest`)  (o)
//
// What only work needs, the engine above all, lies in a `ConnectionWorkspace`, which connections at rest do not have.
// The slot is type-stable: a late reader may look at it until its grace period has passed (PCB-GRACE).

import Buffers
import Devices
public import Exclusion
import Internet
import TCP
import Timing
import Wire

/// The phantom type that gives a connection's gate its behaviour.
public struct ConnectionBlock: ~Copyable {
  static var timerOffset: Int { 64 }
  static var workspaceOffset: Int { 104 }
  static var usedOffset: Int { 112 }
  static var packedCountOffset: Int { 116 }
  static var packedBasisOffset: Int { 118 }
  static var observersOffset: Int { 120 }
  static var readerOffset: Int { 128 }
  static var writerOffset: Int { 168 }
  static var sharedOffset: Int { 208 }
  static var packedOffset: Int { sharedOffset + MemoryLayout<ConnectionShared>.size }
  /// Bytes that a connection at rest has for what its owner keeps.
  static var packedBytes: Int { bytes - packedOffset }
  /// With its entry in the table this is what an idle connection costs: less than 1 KiB (a test keeps it so).
  static var bytes: Int { 896 }
  /// What the code of a posted chain says.
  enum Chain {
    static let pushed: UInt16 = 0, more: UInt16 = 1, urgent: UInt16 = 2
    /// The end of it is a place that segments respect.
    static let record: UInt16 = 4, keptPush: UInt16 = 8, burst: UInt16 = 12
    static let edges: UInt16 = 12
  }
  /// Segments that may wait for the connection table.
  static var earlyLimit: Int { 16 }
  /// Segments that may wait at an occupied gate; a window's worth of small ones.
  static var segmentLimit: Int { 1000 }
  /// Items that one entry runs before the block goes to its home.
  static var budget: Int { 128 }
}

/// What application threads and the owner share. Key: (c) constant while the connection lives, (a) atomic,
/// (r) holder of the read turn, (w) holder of the write turn.
@safe
struct ConnectionShared: ~Copyable {
  // What has one owner comes first: the thread sanitizer takes a change of any field for one of the first.
  /// (r) The reader's half of `received`.
  var reading = ReceiveReader()
  /// (c) The 4-tuple.
  var key: FlowKey
  /// (c) The keyed hash of `key`.
  var hash: UInt64
  /// (c) The stack; unowned, it outlives its blocks.
  let layer: Unmanaged<SocketLayer>
  /// (a) The home context, and how many segments are on their way there (see `FlowPlacement`).
  let placement: AtomicWord
  /// (a) References: handles, the accept queue, the protocol's claim, calls in flight (SO-REF).
  let references = NarrowWord(0)
  /// (a) `ConnectionStatus` bits.
  let status = NarrowWord(0)
  /// (a) A `SocketError` code, 0 for none. Set before the status bit that reports it.
  let error = NarrowWord(0)
  /// (a) `TCPState` as of the owner's last run, for statistics.
  let publishedState = NarrowWord(0)
  /// (c) The stack's account of memory.
  let memory: MemoryAccountRef
  /// (a) Bytes that a writer may still submit, signed: a limit that was lowered may leave it below nothing.
  let sendCredit: AtomicWord
  /// (a) 1: somebody met a full buffer, and event queues are told when there is space again.
  let isSpaceWanted = NarrowWord(0)
  /// (a) Bytes submitted so far; added to before the chain is posted.
  let submitted = AtomicWord(0)
  /// (a) Bytes submitted, taken by the engine and sent so far; one writer, the owner.
  let sent = AtomicWord(0)
  /// (a) Bytes that may be submitted and not sent; 0: any number.
  let unsentLimit = NarrowWord(0)
  /// (a) Memory that what was submitted and not yet acknowledged occupies, in bytes.
  let sendOccupied = NarrowWord(0)
  /// (a) Payload on its way from the owner to the reader.
  let received = ReceiveQueue()
  /// (a) Memory that waits behind holes, in bytes; one writer, the owner.
  let reassemblyOccupied = NarrowWord(0)
  /// (a) When the wheel at home should fire, in nanoseconds; 0 cancels. Set by an owner elsewhere.
  let timerRequest = AtomicWord(0)
  /// (a) 1 while the timer-request item is posted.
  let timerRequestQueued = NarrowWord(0)
  /// (a) ICMP errors that wait for the owner, the newest of each weight.
  let reports = ReportedErrors()
  /// (a) Option bits: `ConnectionOptions`.
  let options = NarrowWord(0)
  /// (a) How long close may linger, in nanoseconds from when the owner reads it; 0: it does not.
  let linger = AtomicWord(0)
  /// (a) The listener that this child belongs to, as an address; 0 for none.
  let listener = AtomicWord(0)
  /// The claim on a port, if `claimed` is set; most connections have none. The control context's.
  private var claimed: PortClaim?
  /// (c) The limits that it began with, and as far as they grow by themselves; none is more than 16 MiB.
  private let began: (send: UInt32, sendMaximum: UInt32, receive: UInt32, receiveMaximum: UInt32)
  /// (a) 1: an acknowledgment waits for the reader to take everything.
  let isReadAwaited = NarrowWord(0)
  /// (a) The most that the two buffers hold, in bytes; the owner is told by `.options`.
  let sendLimit: NarrowWord
  let receiveLimit: NarrowWord

  init(
    key: FlowKey, hash: UInt64, home: Int, layer: Unmanaged<SocketLayer>, limits: BufferLimits,
    memory: MemoryAccountRef
  ) {
    self.key = key
    self.hash = hash
    placement = AtomicWord(FlowPlacement.word(home: home))
    unsafe self.layer = layer
    self.memory = memory
    began = (
      UInt32(limits.send), UInt32(limits.sendMaximum), UInt32(limits.receive), UInt32(limits.receiveMaximum)
    )
    sendLimit = NarrowWord(UInt64(limits.send))
    receiveLimit = NarrowWord(UInt64(limits.receive))
    sendCredit = AtomicWord(UInt64(limits.send))
  }

  var claim: PortUse? {
    get { claimed?.use }
    set { claimed = newValue.map { PortClaim($0) } }
  }
  /// How far the send limit grows by itself, in bytes.
  var sendMaximum: Int { Int(began.sendMaximum) }
  var limits: BufferLimits {
    BufferLimits(
      send: Int(began.send), upTo: Int(began.sendMaximum), receive: Int(began.receive),
      upTo: Int(began.receiveMaximum))
  }
}

/// A connection's claim on a port, which only those have that were bound.
private final class PortClaim: Sendable {
  let use: PortUse
  init(_ use: PortUse) { self.use = use }
}

/// What readers and writers look at; set once, never cleared.
struct ConnectionStatus: OptionSet {
  let rawValue: UInt64
  /// The handshake is complete.
  static let connected = ConnectionStatus(rawValue: 1 << 0)
  /// No more data will come: FIN in order. Set after the last data (SB-EOF).
  static let endOfStream = ConnectionStatus(rawValue: 1 << 1)
  /// The connection failed; `error` says how.
  static let failed = ConnectionStatus(rawValue: 1 << 2)
  /// The application shut its sending side down.
  static let sendShutdown = ConnectionStatus(rawValue: 1 << 3)
  /// The application shut its receiving side down.
  static let receiveShutdown = ConnectionStatus(rawValue: 1 << 4)
  /// The engine is closed; nothing further will happen.
  static let ended = ConnectionStatus(rawValue: 1 << 5)
  /// The application closed its handle.
  static let handleClosed = ConnectionStatus(rawValue: 1 << 6)
  /// Our FIN was acknowledged: everything that was submitted has arrived.
  static let delivered = ConnectionStatus(rawValue: 1 << 7)
  /// The connection table has it.
  static let findable = ConnectionStatus(rawValue: 1 << 8)
  /// A port is claimed for it; whoever ends it gives the claim back.
  static let claimed = ConnectionStatus(rawValue: 1 << 9)
  /// Its name went to a listener.
  static let converted = ConnectionStatus(rawValue: 1 << 10)
  /// A child that was given to the application.
  static let accepted = ConnectionStatus(rawValue: 1 << 11)
}

/// Options that the application sets; the owner reads them when told by `.options`, which also says that credit came
/// back.
struct ConnectionOptions: OptionSet {
  let rawValue: UInt64
  static let noDelay = ConnectionOptions(rawValue: 1 << 0)
  static let keepAlive = ConnectionOptions(rawValue: 1 << 1)
  /// Close sends RST and forgets unsent data (SO_LINGER with time 0).
  static let abortOnClose = ConnectionOptions(rawValue: 1 << 2)
  /// The application has set a buffer's limit: it does not grow by itself.
  static let sendLimitSet = ConnectionOptions(rawValue: 1 << 24)
  static let receiveLimitSet = ConnectionOptions(rawValue: 1 << 25)
  /// TCP_QUICKACK was set, on or off, since the owner looked.
  static let quickAsked = ConnectionOptions(rawValue: 1 << 26)
  static let quickOn = ConnectionOptions(rawValue: 1 << 27)
  /// The application says that a writer of its own waits for room.
  static let writerWaits = ConnectionOptions(rawValue: 1 << 28)
  /// What children have from their listener.
  static let inherited: ConnectionOptions = [.noDelay, .keepAlive]
  /// Something here, or the time to linger, was set since the owner looked.
  static let changed = ConnectionOptions(rawValue: 1 << 31)
}

extension GateEvents {
  /// The connection's bits. Data is an item, these are not: they can neither fail nor be lost.
  static let timer = GateEvents(rawValue: 1 << 0)
  static let window = GateEvents(rawValue: 1 << 1)
  static let shutdownSend = GateEvents(rawValue: 1 << 2)
  static let close = GateEvents(rawValue: 1 << 3)
  static let abort = GateEvents(rawValue: 1 << 4)
  static let inserted = GateEvents(rawValue: 1 << 5)
  static let insertFailed = GateEvents(rawValue: 1 << 6)
  static let reported = GateEvents(rawValue: 1 << 7)
  static let options = GateEvents(rawValue: 1 << 8)
}

/// A handle to a connection's memory. Copying it counts nothing: who keeps one holds a reference or is
/// inside a grace section.
@safe @frozen
public struct ConnectionRef: Hashable, @unchecked Sendable {
  /// The block's gate.
  public let gate: GateRef<ConnectionBlock>

  /// Refers to a block that exists.
  public init(_ raw: UnsafeMutableRawPointer) { unsafe gate = GateRef(raw) }
  init(_ gate: GateRef<ConnectionBlock>) { self.gate = gate }

  func at<T>(_ offset: Int, as: T.Type) -> UnsafeMutablePointer<T> where T: ~Copyable {
    unsafe (gate.raw + offset).assumingMemoryBound(to: T.self)
  }
  var shared: UnsafeMutablePointer<ConnectionShared> {
    unsafe at(ConnectionBlock.sharedOffset, as: ConnectionShared.self)
  }
  var timer: TimerRef { unsafe TimerRef(at(ConnectionBlock.timerOffset, as: TimerNode.self)) }
  var reader: UnsafeMutablePointer<WaitPair> { unsafe at(ConnectionBlock.readerOffset, as: WaitPair.self) }
  var writer: UnsafeMutablePointer<WaitPair> { unsafe at(ConnectionBlock.writerOffset, as: WaitPair.self) }
  /// Registrations of event queues.
  var observers: UnsafePointer<ObserverList> {
    unsafe UnsafePointer(at(ConnectionBlock.observersOffset, as: ObserverList.self))
  }
  var item: ItemRef { unsafe ItemRef(gate.raw) }
  /// (o) 1: the slot had an earlier life, whose shared header and wait pairs are still there. Fresh memory is zero.
  var wasUsed: UnsafeMutablePointer<UInt32> { unsafe at(ConnectionBlock.usedOffset, as: UInt32.self) }

  var status: ConnectionStatus { unsafe ConnectionStatus(rawValue: shared.pointee.status.load()) }
  /// Returns what was set before, so that of two who set something one comes first.
  @discardableResult func set(_ bits: ConnectionStatus) -> ConnectionStatus {
    unsafe ConnectionStatus(rawValue: shared.pointee.status.formOr(bits.rawValue))
  }
  /// Options, or what else the owner reads with them, were set: tells the owner, and `events` with it.
  func tellOptions(_ events: GateEvents = []) {
    unsafe shared.pointee.options.formOr(ConnectionOptions.changed.rawValue)
    _ = gate.post(events: events.union(.options))
  }
  var options: ConnectionOptions { unsafe ConnectionOptions(rawValue: shared.pointee.options.load()) }
  /// The connection table has it, or never will.
  var isSettled: Bool { !status.isDisjoint(with: [.findable, .ended]) }
  var failure: SocketError? { unsafe SocketError(code: shared.pointee.error.load()) }
  /// Bytes that the reader has not taken.
  var available: Int { unsafe shared.pointee.received.available }

  /// The slab goes, or the slot is used again: ends what an earlier life left in the shared header.
  func endSharedHeader() { unsafe shared.deinitialize(count: 1) }
  /// The slab goes, or its memory.
  func destroy() {
    guard unsafe wasUsed.pointee == 1 else { return }
    endSharedHeader()
    unsafe reader.deinitialize(count: 1)
    unsafe writer.deinitialize(count: 1)
  }

  func retain() { unsafe shared.pointee.references.add(1) }
  /// For who found it in the table. False: the last reference is gone, and it ends.
  func retainUnlessGone() -> Bool {
    var seen = unsafe shared.pointee.references.load()
    while seen != 0 {
      if unsafe shared.pointee.references.compareExchange(&seen, seen + 1) { return true }
    }
    return false
  }
  /// Drops a reference; the last one detaches, once, and that cannot fail (SO-REF, SO-NOFAIL).
  func release() {
    if unsafe shared.pointee.references.subtract(1) == 1 { _ = gate.post(events: .detach) }
  }
}
