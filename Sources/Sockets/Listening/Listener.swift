// A listener: never entered. Each context has its own accept shard, a gate that the accepting side owns from
// the start; children are posted to it, and closing it is what makes AQ-CLOSE hold.

import Buffers
import Exclusion
import Internet
import SoftInterrupts
import TCP
import Wire

/// What a listener's memory holds behind its key. (c) constant, (a) atomic, (l) `taken`'s lock.
@safe
struct ListenerState: ~Copyable {
  /// (c)
  let layer: Unmanaged<SocketLayer>
  let limits: BufferLimits
  /// (c) Complete connections that may wait, and incomplete ones (somaxconn's meaning).
  let backlog: Int
  /// (a) References: the handle, each child that may still complete, each call in flight.
  let references = AtomicWord(1)
  /// (a) Children in SYN-RECEIVED.
  let incomplete = AtomicWord(0)
  /// (a) Children that wait for accept, in all shards together.
  let complete = AtomicWord(0)
  /// (a) 1 once closed.
  let isClosed = AtomicWord(0)
  /// (c) One for each context.
  let shards: UnsafeMutablePointer<Mailbox>
  let shardCount: Int
  /// (l) Children taken from the shards, oldest first.
  var taken = OrderedMutex<SocketLevel, ItemList>(ItemList())
}

/// A handle to a listener's memory; who keeps it holds a reference or is inside a grace section.
@safe
struct ListenerRef: @unchecked Sendable {  // every field behind it says who protects it
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

  /// A listener in fresh memory, not yet bound. Freed by the control context after the last reference and a
  /// grace period.
  static func make(
    _ key: BindingKey, backlog: Int, limits: BufferLimits, layer: SocketLayer
  ) -> ListenerRef {
    let raw = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    unsafe raw.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    let listener = unsafe ListenerRef(raw)
    unsafe listener.bound.key.initialize(to: key)
    unsafe listener.accepter.initialize(to: WaitPair())
    unsafe ObserverList.initialize(at: raw + accepterOffset + ObserverList.offsetInPair)
    let count = layer.contexts.count
    let shards = UnsafeMutablePointer<Mailbox>.allocate(capacity: count)
    for index in 0..<count { unsafe (shards + index).initialize(to: Mailbox()) }
    unsafe listener.state.initialize(
      to: ListenerState(
        layer: Unmanaged.passUnretained(layer), limits: limits, backlog: backlog, shards: shards,
        shardCount: count))
    return listener
  }

  /// A reference, unless the last one is gone already: a look-up may find a listener that is on its way out.
  private func retainIfAlive() -> Bool {
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
    unsafe state.pointee.layer.takeUnretainedValue().freeAfterGrace(bound.item)
  }
  func destroy() {
    let shards = unsafe state.pointee.shards
    let count = unsafe state.pointee.shardCount
    for index in 0..<count { unsafe (shards + index).deinitialize(count: 1) }
    unsafe shards.deallocate()
    unsafe state.deinitialize(count: 1)
    unsafe accepter.deinitialize(count: 1)
    unsafe raw.deallocate()
  }

  var isClosed: Bool { unsafe state.pointee.isClosed.load() != 0 }
  /// accept would not block (AQ-WAKE).
  var isAcceptable: Bool { unsafe state.pointee.complete.load() > 0 || isClosed }
  /// Children that wait for accept.
  var waitingForAccept: Int { unsafe Int(clamping: state.pointee.complete.load()) }

  // MARK: Soft-interrupt side

  /// A SYN for this listener: a child begins, unless its queues are full (Q4: the SYN is dropped, the peer
  /// will send it again). False: the listener is closed.
  func open(_ segment: TCPSegment, _ key: FlowKey, _ cx: inout SoftInterrupt) -> Bool {
    let sockets = SocketContextRef(cx)
    let state = unsafe state
    guard !isClosed, retainIfAlive() else { return false }
    let backlog = unsafe UInt64(state.pointee.backlog)
    let isFull = unsafe state.pointee.complete.load() >= backlog
    if unsafe state.pointee.incomplete.add(1) >= backlog || isFull {
      childLeaves()
      sockets.counters.listenOverflows.increment()
      return true
    }
    let limits = unsafe state.pointee.limits
    let now = cx.now
    let (iss, offset, configuration) = sockets.withLayer { layer in
      (
        layer.initialSequence(key, now: now), layer.timestampOffset(key),
        layer.configuration(for: key, limits: limits)
      )
    }
    let engine = TCPConnection.passive(
      syn: segment, iss: iss, timestampOffset: offset, configuration: configuration, now: now)
    guard let child = sockets.make(key, limits: limits, engine: engine) else {
      childLeaves()
      return true
    }
    unsafe child.shared.pointee.listener.store(address)
    sockets.insert(child, &cx)
    return true
  }

  /// Every child leaves exactly once: to the accept queue, or dead (AQ-ONE).
  func childLeaves() {
    unsafe state.pointee.incomplete.subtract(1)
    release()
  }
}

extension ListenerRef {
  /// Control context, once the listener is out of the bindings: the children that are still being made end
  /// as well. Each context does it for its shard.
  func abortIncomplete(_ cx: inout SoftInterrupt) {
    let address = address
    let layer = unsafe state.pointee.layer.takeUnretainedValue()
    for index in 0..<layer.contexts.count {
      layer.contexts.perform(on: index) { cx in
        unsafe SocketContextRef(cx).shard(cx.index).state.pointee.forEach { item in
          let child = unsafe ConnectionRef(item.raw)
          if unsafe child.shared.pointee.listener.load() == address { _ = child.gate.post(events: .abort) }
        }
      }
    }
  }
}

extension ConnectionRef {
  /// Owner: whether completing now would find a place to wait for accept.
  func hasRoomInAcceptQueue() -> Bool {
    guard let listener = unsafe ListenerRef(address: shared.pointee.listener.load()) else { return true }
    return unsafe listener.state.pointee.complete.load() < UInt64(listener.state.pointee.backlog)
  }

  /// Owner: the handshake is complete; the child goes to the accept shard of this context, and the accept
  /// queue holds a reference from here on (AQ-XFER).
  func becomeAcceptable(_ cx: inout SoftInterrupt) {
    guard let listener = unsafe ListenerRef(address: shared.pointee.listener.exchange(0)) else { return }
    retain()
    let state = unsafe listener.state
    unsafe state.pointee.complete.add(1)
    switch unsafe state.pointee.shards[cx.index].post(acceptItem, limit: Mailbox.maximumCount) {
    case .posted, .ran:
      if let target = unsafe listener.accepter.pointee.waiter.claim(where: { _ in listener.isAcceptable }) {
        cx.wake(target)
      }
      unsafe listener.observers.pointee.raise(.readable) { cx.wake($0) }
    case .closed, .dropped:
      // The listener closed meanwhile (AQ-CLOSE, Q3): nobody will ever accept this child.
      unsafe state.pointee.complete.subtract(1)
      set(.handleClosed)
      _ = gate.submit(events: .abort, &cx)
      release()
    }
    listener.childLeaves()
  }

  /// Owner: a child that dies before it completes gives its place back.
  func leaveListener() {
    ListenerRef(address: unsafe shared.pointee.listener.exchange(0))?.childLeaves()
  }
}
