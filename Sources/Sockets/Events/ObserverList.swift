import Exclusion

/// Who else is told when something becomes true of a socket: the registrations of event queues, beside the one
/// waiter of each direction. One word: nothing, CLOSED, or the address of an immutable array, which is replaced by
/// compare-and-swap and freed after a grace period. A socket that nobody watches pays one load.
///
/// Whoever looks or changes is inside a grace section: a context's pass, or a pin. So an array that was
/// found stays what it is, and its address cannot come back between the look and the swap (no ABA).
struct ObserverList: ~Copyable {
  private static var closed: UInt64 { 1 }
  /// Registrations of one socket, in different queues: what a context walks for each event is bounded.
  static var limit: Int { 64 }

  /// Where it lives: behind the wait pair of the socket's readers, on a line that an event has touched already.
  static var offsetInPair: Int { 48 }
  /// Begins a socket's list in its memory, which nobody looks at yet.
  static func initialize(at raw: UnsafeMutableRawPointer) {
    assert(MemoryLayout<WaitPair>.size <= offsetInPair)
    unsafe raw.initializeMemory(as: ObserverList.self, to: ObserverList())
  }

  private let word = AtomicWord(0)

  /// Tells every registration of `edges`, which are true now, after the data was changed and a full fence passed
  /// (SB-FENCE: update, fence, look). `deliver` gets whom to wake.
  @inline(__always) func raise(_ edges: SocketEvents, _ deliver: (WakeTarget) -> Void) {
    let seen = word.load()
    if seen > Self.closed { ObserverArray(seen).raise(edges, deliver) }
  }

  /// Whether somebody watches. A hint.
  var isEmpty: Bool { word.load() <= Self.closed }

  /// The registration of `queue`, if there is one.
  func find(_ queue: EventQueueRef) -> RegistrationRef? {
    let seen = word.load()
    guard seen > Self.closed else { return nil }
    return ObserverArray(seen).first { $0.queue == queue && !$0.isDetached }
  }

  /// Publishes `registration`, which is whole (SO-PUBLISH). Throws `.closed` after `close`, `.limitReached`.
  func insert(_ registration: RegistrationRef, _ layer: SocketLayer) throws(SocketError) {
    var seen = word.load()
    while true {
      if seen == Self.closed { throw .closed }
      let old = seen == 0 ? nil : ObserverArray(seen)
      if old?.count ?? 0 >= Self.limit { throw .limitReached }
      let new = ObserverArray.make(old, adding: registration)
      if word.compareExchange(&seen, new.address) {
        if let old { layer.contexts.retire(old.item) }
        return
      }
      new.destroy()
    }
  }

  /// Takes `registration` out. False: `close` came first, and does what is to be done with it.
  func remove(_ registration: RegistrationRef, _ layer: SocketLayer) -> Bool {
    var seen = word.load()
    while true {
      guard seen > Self.closed else { return false }
      let old = ObserverArray(seen)
      let new = old.count == 1 ? nil : ObserverArray.make(old, removing: registration)
      if word.compareExchange(&seen, new?.address ?? 0) {
        layer.contexts.retire(old.item)
        return true
      }
      new?.destroy()
    }
  }

  /// The socket closes: every registration is detached, once, and there will be no more. After this nothing is
  /// told about the socket (SO-GEN). Any thread; takes no lock, so that the last reference to a socket may go
  /// anywhere.
  func close(_ layer: SocketLayer) {
    #if Explore
      if Mutation.closeKeepsRegistrations.isOn { return }
    #endif
    let seen = word.exchange(Self.closed)
    guard seen > Self.closed else { return }
    let array = ObserverArray(seen)
    // The queues of the registrations may be closing: pinned, their memory stays.
    layer.contexts.grace.withPin { array.forEach { $0.end() } }
    layer.contexts.retire(array.item)
  }
}

/// An array of registrations in memory of its own: an item, a count, then their addresses.
@safe
private struct ObserverArray {
  let raw: UnsafeMutableRawPointer
  private static var countOffset: Int { 32 }
  private static var entriesOffset: Int { 64 }

  init(_ address: UInt64) {
    unsafe raw = UnsafeMutableRawPointer(bitPattern: UInt(address)).unsafelyUnwrapped
  }
  private init(count: Int) {
    unsafe raw = .allocate(
      byteCount: Self.entriesOffset + count * MemoryLayout<RegistrationRef>.stride, alignment: 64)
    unsafe raw.initializeMemory(as: WorkItem.self, to: WorkItem(kind: SocketKind.observerMemory))
    unsafe (raw + SlotLayout.pool).initializeMemory(as: UInt.self, to: 0)
    unsafe (raw + Self.countOffset).initializeMemory(as: Int.self, to: count)
  }

  var address: UInt64 { unsafe UInt64(UInt(bitPattern: raw)) }
  var item: ItemRef { unsafe ItemRef(raw) }
  var count: Int { unsafe raw.load(fromByteOffset: Self.countOffset, as: Int.self) }
  private var entries: UnsafeMutablePointer<RegistrationRef> {
    unsafe (raw + Self.entriesOffset).assumingMemoryBound(to: RegistrationRef.self)
  }

  static func make(_ old: ObserverArray?, adding last: RegistrationRef) -> ObserverArray {
    let count = old?.count ?? 0
    let new = ObserverArray(count: count + 1)
    if let old { unsafe new.entries.initialize(from: old.entries, count: count) }
    unsafe (new.entries + count).initialize(to: last)
    return new
  }
  static func make(_ old: ObserverArray, removing one: RegistrationRef) -> ObserverArray {
    let new = ObserverArray(count: old.count - 1)
    var next = 0
    old.forEach { entry in
      guard entry != one else { return }
      precondition(next < new.count, "SO-REF: a registration is removed from the socket that it watches")
      unsafe (new.entries + next).initialize(to: entry)
      next += 1
    }
    return new
  }
  func destroy() { unsafe raw.deallocate() }

  func forEach(_ body: (RegistrationRef) -> Void) {
    for index in 0..<count { unsafe body(entries[index]) }
  }
  func first(where matches: (RegistrationRef) -> Bool) -> RegistrationRef? {
    for index in 0..<count where unsafe matches(entries[index]) { return unsafe entries[index] }
    return nil
  }
  func raise(_ edges: SocketEvents, _ deliver: (WakeTarget) -> Void) {
    forEach { registration in
      if let target = registration.raise(edges) { deliver(target) }
    }
  }
}

extension SocketLayer {
  static func freeObservers(_ item: ItemRef) {
    ObserverArray(UInt64(item.address)).destroy()
  }
}
