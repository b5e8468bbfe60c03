// A listener: never entered. Each context keeps its half-open connections in its own SYN cache, and has its own
// accept shard, a gate that the accepting side owns from the start; children are posted to it.

import Buffers
import Exclusion
import Internet
import SoftInterrupts
import Timing
import Wire

/// What a listener's memory holds behind its key. (c) constant, (a) atomic.
@safe
struct ListenerState: ~Copyable {
  /// (c)
  let layer: Unmanaged<SocketLayer>
  /// (p) What children begin with; the control context publishes.
  let options: Published<ListenerOptions>
  /// (a) Complete connections that may wait for accept.
  let backlog: AtomicWord
  /// Half-open ones. More than a small backlog, since a peer whose SYN was answered is served in the end
  /// even where the accept queue is full for the moment, and one that was sent a cookie may not be.
  var halfOpenLimit: Int { max(Int(backlog.load()), 128) }
  static func clamp(_ backlog: Int) -> Int { max(1, min(backlog, 65535)) }
  /// (a) References: the handle, each half-open connection, each child that is not complete.
  let references = AtomicWord(1)
  /// (a) Half-open connections, in all contexts together; never more than `halfOpenLimit`.
  let halfOpen = AtomicWord(0)
  /// (a) Places in the accept queue that are taken: by children that wait, and by those that are being made.
  /// Taken only while there are fewer than `backlog` (AQ-BOUND).
  let places = AtomicWord(0)
  /// (a) Children opened fast, whose handshakes are not complete, that there may be; 0: the listener does not open fast.
  let fastOpenLimit = AtomicWord(0)
  /// (a) How many there are, those included that were reset and count on for a while.
  let fastOpenPlaces = AtomicWord(0)
  /// (a) How many of these were reset, and when the last one was, in nanoseconds.
  let fastOpenResets = AtomicWord(0)
  let fastOpenResetAt = AtomicWord(0)
  /// (a) 1 once closed.
  let isClosed = AtomicWord(0)
  /// (a) When a SYN cookie was sent last, in nanoseconds; 0: never.
  let cookieSent = AtomicWord(0)
  /// (c) One for each context.
  let shards: UnsafeMutablePointer<AcceptShard>
  let shardCount: Int
}

/// A handle to a listener's memory; who keeps it holds a reference or is inside a grace section.
@safe
struct ListenerRef: Equatable, @unchecked Sendable {  // every field behind it says who protects it
  let raw: UnsafeMutableRawPointer
  private static var accepterOffset: Int { 64 }
  private static var stateOffset: Int { 128 }
  static var bytes: Int { (stateOffset + MemoryLayout<ListenerState>.size + 63) & ~63 }

  init(_ raw: UnsafeMutableRawPointer) { unsafe self.raw = raw }
  var bound: BoundRef { unsafe BoundRef(raw) }
  var state: UnsafeMutablePointer<ListenerState> {
    unsafe (raw + Self.stateOffset).assumingMemoryBound(to: ListenerState.self)
  }
  /// (a) One accepter at a time waits here.
  var accepter: UnsafeMutablePointer<WaitPair> {
    unsafe (raw + Self.accepterOffset).assumingMemoryBound(to: WaitPair.self)
  }
  /// (a) Registrations of event queues.
  var observers: UnsafePointer<ObserverList> {
    unsafe UnsafePointer(
      (raw + Self.accepterOffset + ObserverList.offsetInPair).assumingMemoryBound(to: ObserverList.self))
  }
  var address: UInt64 { unsafe UInt64(UInt(bitPattern: raw)) }
  init?(address: UInt64) {
    guard let raw = unsafe UnsafeMutableRawPointer(bitPattern: UInt(address)) else { return nil }
    unsafe self.raw = raw
  }
  static func == (left: ListenerRef, right: ListenerRef) -> Bool { unsafe left.raw == right.raw }

  /// A listener in fresh memory, not yet bound. Freed by the control context after the last reference and a
  /// grace period.
  static func make(
    _ key: BindingKey, backlog: Int, options: StreamOptions, layer: SocketLayer
  ) -> ListenerRef {
    let raw = unsafe SharedMemory.allocate(byteCount: bytes, alignment: 64)
    unsafe raw.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    let listener = unsafe ListenerRef(raw)
    unsafe listener.bound.key.initialize(to: key)
    unsafe listener.accepter.initialize(to: WaitPair())
    unsafe ObserverList.initialize(at: raw + accepterOffset + ObserverList.offsetInPair)
    let count = layer.contexts.count
    let shards = UnsafeMutablePointer<AcceptShard>.allocate(capacity: count)
    for index in 0..<count { unsafe (shards + index).initialize(to: AcceptShard()) }
    unsafe listener.state.initialize(
      to: ListenerState(
        layer: Unmanaged.passUnretained(layer), options: Published(ListenerOptions(options)),
        backlog: AtomicWord(UInt64(ListenerState.clamp(backlog))), shards: shards, shardCount: count))
    if options.tcp.fastOpen.isSuperset(of: [.server, .everyListener]) {
      unsafe listener.state.pointee.fastOpenLimit.store(UInt64(ListenerState.clamp(backlog)))
    }
    return listener
  }

  func retain() { unsafe state.pointee.references.add(1) }
  /// A reference, unless the last one is gone already: a look-up may find a listener that is on its way out.
  func retainIfAlive() -> Bool {
    var count = unsafe state.pointee.references.load()
    while count != 0 {
      if unsafe state.pointee.references.compareExchange(&count, count + 1) { return true }
    }
    return false
  }
  /// The last reference frees the memory after a grace period.
  func release() {
    guard unsafe state.pointee.references.subtract(1) == 1 else { return }
    bound.item.kind = SocketKind.listenerMemory
    unsafe state.pointee.layer.takeUnretainedValue().contexts.retire(bound.item)
  }
  func destroy() {
    let shards = unsafe state.pointee.shards
    unsafe shards.deinitialize(count: state.pointee.shardCount)
    unsafe shards.deallocate()
    unsafe state.deinitialize(count: 1)
    unsafe accepter.deinitialize(count: 1)
    unsafe SharedMemory.deallocate(raw, byteCount: Self.bytes)
  }

  var isClosed: Bool { unsafe state.pointee.isClosed.load() != 0 }
  /// accept would not block (AQ-WAKE).
  var isAcceptable: Bool {
    if isClosed { return true }
    for index in 0..<(unsafe state.pointee.shardCount) {
      if unsafe !state.pointee.shards[index].isEmpty { return true }
    }
    return false
  }

  // MARK: Places

  /// Counts one more in `word`, unless `limit` are there already.
  private func take(_ word: borrowing AtomicWord, _ limit: Int) -> Bool {
    var seen = word.load()
    while seen < UInt64(limit) {
      if word.compareExchange(&seen, seen + 1) { return true }
    }
    return false
  }
  /// A place for a half-open connection.
  func takeHalfOpenPlace() -> Bool { unsafe take(state.pointee.halfOpen, state.pointee.halfOpenLimit) }
  func leaveHalfOpenPlace() { unsafe state.pointee.halfOpen.subtract(1) }
  /// A place in the accept queue, before the child is made (AQ-BOUND).
  func takePlace() -> Bool { unsafe take(state.pointee.places, Int(state.pointee.backlog.load())) }
  /// A place for a child that is opened fast. When there is none, those that were reset a minute ago are let go.
  func takeFastOpenPlace(now: Instant) -> Bool {
    let limit = unsafe Int(clamping: state.pointee.fastOpenLimit.load())
    if unsafe take(state.pointee.fastOpenPlaces, limit) { return true }
    let last = unsafe Instant(nanoseconds: state.pointee.fastOpenResetAt.load())
    guard limit > 0, now - last >= .seconds(60) else { return false }
    let resets = unsafe state.pointee.fastOpenResets.exchange(0)
    guard resets > 0 else { return false }
    unsafe state.pointee.fastOpenPlaces.subtract(resets)
    return unsafe take(state.pointee.fastOpenPlaces, limit)
  }
  func leaveFastOpenPlace() { unsafe state.pointee.fastOpenPlaces.subtract(1) }
  /// The child was reset before its handshake was complete: its place is kept for a minute.
  func keepFastOpenPlace(now: Instant) {
    unsafe state.pointee.fastOpenResetAt.store(now.nanoseconds)
    unsafe state.pointee.fastOpenResets.add(1)
  }
  /// The child was accepted, or is dead.
  func leavePlace() { unsafe state.pointee.places.subtract(1) }
  /// Children that wait for accept, those that are just being made included.
  var waitingForAccept: Int { unsafe Int(clamping: state.pointee.places.load()) }
  /// Whether the accept queue has no place now.
  var isFull: Bool { unsafe state.pointee.places.load() >= state.pointee.backlog.load() }
  /// Its options; the caller is inside a grace section.
  func withOptions<R>(_ body: (borrowing ListenerOptions) -> R) -> R {
    unsafe state.pointee.options.with(body)
  }
  /// How what is sent for it is marked.
  var marks: PacketMarks { withOptions { $0.value.marks } }
}

extension ConnectionRef {
  /// Owner: the handshake is complete; the child goes to the accept shard of this context, and the accept
  /// queue holds a reference from here on (AQ-XFER).
  func becomeAcceptable(_ cx: inout SoftInterrupt) {
    guard let listener = unsafe ListenerRef(address: shared.pointee.listener.exchange(0)) else { return }
    #if Explore
      if !Mutation.queuedWithoutReference.isOn { retain() }
    #else
      retain()
    #endif
    unsafe owned.pointee.isOffered = true
    switch unsafe listener.state.pointee.shards[cx.index].posted.post(acceptItem) {
    case .posted, .ran:
      if let target = unsafe listener.accepter.pointee.waiter.claim(where: { _ in listener.isAcceptable }) {
        cx.wake(target)
      }
      #if Explore
        if Mutation.acceptNotTold.isOn { break }
      #endif
      unsafe listener.observers.pointee.raise(.readable) { cx.wake($0) }
    case .closed, .dropped:
      // The listener closed meanwhile (AQ-CLOSE, Q3): nobody will ever accept this child.
      listener.leavePlace()
      set(.handleClosed)
      _ = gate.submit(events: .abort, &cx)
      release()
    }
    listener.release()
  }

  /// Owner: a child that dies before it completes gives its place back (AQ-ONE).
  func leaveListener() {
    guard let listener = unsafe ListenerRef(address: shared.pointee.listener.exchange(0)) else { return }
    listener.leavePlace()
    listener.release()
  }
}
