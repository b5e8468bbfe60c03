import Exclusion

/// What event queues of one stack counted.
public struct EventCounters: ~Copyable, Sendable {
  /// Registrations that were put on a ready list.
  public let raised = SharedCounter()
  /// Events that a harvest told.
  public let told = SharedCounter()
  /// Registrations that were raised, and had nothing to tell when they were looked at: somebody else took it.
  public let suppressed = SharedCounter()
  /// Registrations that the limit of a queue or of a socket refused.
  public let refused = SharedCounter()
  /// Registrations made.
  public let registered = SharedCounter()
  /// Registrations ended: removed, or closed with their socket or their queue.
  public let ended = SharedCounter()

  init() {}

  /// Registrations now.
  public var registrations: Int {
    // Ends are read before beginnings, so that one that ends meanwhile does not show as less than nothing.
    let ended = ended.value
    return Int(clamping: registered.value &- ended)
  }

  /// Every counter with the name that users see.
  public var all: [(name: String, value: UInt64)] {
    [
      ("events_raised", raised.value), ("events_told", told.value), ("events_suppressed", suppressed.value),
      ("registrations_made", registered.value), ("registrations_ended", ended.value),
      ("registrations_refused", refused.value),
    ]
  }
}

/// The memory of an event queue. Key: (a) atomic, (c) constant, (l) the lock of `table`. Its first 64 bytes are an
/// item, then the wait pair; freed a grace period after the last reference to its `EventQueueHold` went.
@safe
struct EventQueueMemory: ~Copyable {
  /// (c) The stack; it outlives its queues.
  let layer: Unmanaged<SocketLayer>
  /// (c) Registrations at most.
  let limit: Int
  /// (a) Registrations that have something to tell, newest first. Anyone adds, the holder of the turn takes.
  let ready = Mailbox()
  /// (a) Detached registrations that were not on the ready list. Anyone adds, the holder of the lock takes.
  let gone = Mailbox()
  /// (a) Registrations that are not detached.
  let registrations = AtomicWord(0)
  /// (a) 1 once closed.
  let isClosed = AtomicWord(0)
  /// The slots, and what was taken off the ready list.
  var table = OrderedMutex<EventQueueLevel, RegistrationTable>(RegistrationTable())

  init(layer: SocketLayer, limit: Int) {
    unsafe self.layer = Unmanaged.passUnretained(layer)
    self.limit = limit
  }
}

/// An event queue by its address.
@safe
struct EventQueueRef: Hashable, @unchecked Sendable {  // every field behind it says who protects it
  let raw: UnsafeMutableRawPointer
  private static var pairOffset: Int { 64 }
  private static var memoryOffset: Int { 128 }
  private static var bytes: Int { (memoryOffset + MemoryLayout<EventQueueMemory>.size + 63) & ~63 }

  init(_ raw: UnsafeMutableRawPointer) { unsafe self.raw = raw }
  var item: ItemRef { unsafe ItemRef(raw) }
  /// (a) One thread or task at a time waits here.
  var pair: UnsafeMutablePointer<WaitPair> {
    unsafe (raw + Self.pairOffset).assumingMemoryBound(to: WaitPair.self)
  }
  var memory: UnsafeMutablePointer<EventQueueMemory> {
    unsafe (raw + Self.memoryOffset).assumingMemoryBound(to: EventQueueMemory.self)
  }

  static func == (a: EventQueueRef, b: EventQueueRef) -> Bool { unsafe a.raw == b.raw }
  func hash(into hasher: inout Hasher) { unsafe hasher.combine(raw) }

  static func make(_ layer: SocketLayer, limit: Int) -> EventQueueRef {
    let raw = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    unsafe raw.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    let queue = unsafe EventQueueRef(raw)
    queue.item.kind = SocketKind.eventQueueMemory
    unsafe queue.pair.initialize(to: WaitPair())
    unsafe queue.memory.initialize(to: EventQueueMemory(layer: layer, limit: limit))
    return queue
  }
  /// Nobody refers to it any more, and the grace period of those who might is over.
  func destroy() {
    unsafe memory.pointee.table.withExclusiveState { table in table.destroy() }
    unsafe memory.deinitialize(count: 1)
    unsafe pair.deinitialize(count: 1)
    unsafe raw.deallocate()
  }

  /// A wait would not sleep. What a harvest took and did not tell stays for the next one, which looks first.
  var hasWork: Bool { unsafe memory.pointee.isClosed.load() != 0 || !memory.pointee.ready.isEmpty }

  /// Whoever set QUEUED: puts the registration on the list, and returns the waiter to wake, if there is one. The
  /// list, then the fence inside `claim`, then the look at the waiter; the waiter publishes, fences, and looks at
  /// the list (SB-ATOMIC).
  func makeReady(_ registration: RegistrationRef) -> WakeTarget? {
    unsafe memory.pointee.layer._withUnsafeGuaranteedRef { $0.eventCounters.raised.increment() }
    // Closed meanwhile: the slot stays with the queue.
    guard unsafe memory.pointee.ready.post(registration.item) == .posted else { return nil }
    #if Explore
      if Mutation.eventQueueNotWoken.isOn { return nil }
    #endif
    return unsafe pair.pointee.waiter.claim(where: { _ in hasWork })
  }

  /// A registration ended.
  func countEnd() {
    unsafe memory.pointee.registrations.subtract(1)
    unsafe memory.pointee.layer._withUnsafeGuaranteedRef { $0.eventCounters.ended.increment() }
  }

  /// A detached registration that is not on the ready list. A queue that has closed keeps its slots until it goes.
  func giveBack(_ registration: RegistrationRef) { _ = unsafe memory.pointee.gone.post(registration.item) }
}

/// Keeps the memory of an event queue: the handle, and each call that is on its way to a context.
final class EventQueueHold: Sendable {
  let queue: EventQueueRef
  private let layer: SocketLayer
  init(_ queue: EventQueueRef, _ layer: SocketLayer) {
    self.queue = queue
    self.layer = layer
  }
  deinit { layer.contexts.retire(queue.item) }
}

/// The slots of an event queue, behind its lock.
struct RegistrationTable: ~Copyable, Sendable {
  /// Every slot that was ever made; they stay until the queue goes.
  private(set) var slots: [RegistrationRef] = []
  private var free = ItemList()
  /// Detached, and perhaps still looked at.
  private var limbo = LimboList()
  /// Taken off the ready list and not looked at yet, and those that are told again at each harvest.
  var list = ItemList()

  /// A slot that nobody else can have found, or nil at the limit.
  mutating func obtain(_ queue: EventQueueRef, _ grace: GraceDomain) -> RegistrationRef? {
    let (limit, live) = unsafe (queue.memory.pointee.limit, Int(queue.memory.pointee.registrations.load()))
    guard live < limit else { return nil }
    var gone = unsafe queue.memory.pointee.gone.takeAll()
    while let item = gone.popFirst() { limbo.add(item) }
    limbo.reclaim(grace) { free.append($0) }
    if let item = free.popFirst() { return unsafe RegistrationRef(item.raw) }
    // As many again may wait for their grace period, or to be taken off the ready list.
    guard slots.count < limit * 2 + 16 || sweep(queue, grace) else { return nil }
    if let item = free.popFirst() { return unsafe RegistrationRef(item.raw) }
    let made = RegistrationRef.make(queue)
    slots.append(made)
    return made
  }

  /// A detached registration that nobody will queue again.
  mutating func giveUp(_ registration: RegistrationRef) { limbo.add(registration.item) }

  /// Gives back what is detached and was never harvested. Returns whether a slot is free now.
  private mutating func sweep(_ queue: EventQueueRef, _ grace: GraceDomain) -> Bool {
    var rest = ItemList()
    while let item = list.popFirst() {
      if unsafe RegistrationRef(item.raw).isDetached { limbo.add(item) } else { rest.append(item) }
    }
    list.append(contentsOf: rest)
    limbo.reclaim(grace) { free.append($0) }
    return !free.isEmpty
  }

  mutating func destroy() {
    for slot in slots { slot.destroy() }
    slots = []
  }
}
