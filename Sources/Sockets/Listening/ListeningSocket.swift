import Exclusion
import Wire

/// A listening socket: the application's handle. The last reference closes it.
public final class ListeningSocket: AnySocket {
  let listener: ListenerRef
  let layer: SocketLayer
  private let closing = AtomicWord(0)
  /// Where it listens.
  public let address: SocketAddress

  init(_ listener: ListenerRef, address: SocketAddress, layer: SocketLayer) {
    self.listener = listener
    self.address = address
    self.layer = layer
  }
  deinit {
    // No call is in flight and nobody waits: the lists need no lock, which a context, where the last
    // reference of an unwanted answer may end, could not take.
    if isForkedChild() { return }  // L6
    if closing.exchange(1) == 0 {
      stopListening()
      for shard in 0..<(unsafe listener.state.pointee.shardCount) {
        var orphans = unsafe listener.state.pointee.shards[shard].closeExclusively()
        abort(&orphans)
      }
    }
    listener.release()
  }

  /// The next complete connection. `.wouldBlock` if there is none yet, `.closed` after close. Application
  /// context, any number of threads: each begins at a shard of its own, and goes on to the others in order, so
  /// that several are not in each other's way. First in, first out within a shard.
  public func tryAccept() -> Result<StreamSocket, SocketError> {
    if listener.isClosed { return .failure(.closed) }
    let count = unsafe listener.state.pointee.shardCount
    let near = Int(truncatingIfNeeded: threadHash() % UInt64(count))
    let item = withApplication { held -> ItemRef? in
      for step in 0..<count {
        if let item = unsafe listener.state.pointee.shards[(near + step) % count].take(&held) { return item }
      }
      return nil
    }
    guard let item else { return .failure(listener.isClosed ? .closed : .wouldBlock) }
    listener.leavePlace()
    let child = ConnectionRef.fromAccept(item)
    child.set(.accepted)
    // It may rest now, and if it must not wait it is told so; else its timer sees to it.
    if layer.isPressed(child.home) { _ = child.gate.post(events: .options) }
    return .success(StreamSocket(child, layer: layer))
  }

  /// TCP_FASTOPEN: so many connections at a time are given to ``tryAccept()`` with the text of their SYNs before their
  /// handshakes are complete (RFC 7413); what comes beyond that opens in the ordinary way. 0: none. Without
  /// `TCPFastOpen.server` in the configuration it has no effect.
  public func setFastOpen(limit: Int) {
    unsafe listener.state.pointee.fastOpenLimit.store(UInt64(max(0, min(limit, 65_535))))
  }

  /// Stops listening: when this returns nothing can be queued any more, every child that nobody accepted is
  /// being aborted, with nothing held (AQ-CLOSE), and whoever asks for the port after this gets it. Cannot
  /// fail; again it does nothing.
  public func close() {
    guard closing.exchange(1) == 0, !isForkedChild() else { return }  // L6
    stopListening()
    for shard in 0..<(unsafe listener.state.pointee.shardCount) {
      var orphans = withApplication { held in unsafe listener.state.pointee.shards[shard].close(&held) }
      abort(&orphans)
    }
    if let target = unsafe listener.accepter.pointee.waiter.claim(where: { _ in true }) {
      withApplication { held in wake(target, &held) }
    }
  }

  /// Out of the bindings, then the half-open connections of every context. Whoever found the listener before is
  /// done with it when its context runs the second: an entry that it made meanwhile is there to be removed.
  private func stopListening() {
    unsafe listener.observers.pointee.close(layer)  // no event of it is told after close (SO-GEN)
    unsafe listener.state.pointee.isClosed.store(1)
    layer.stopListening(listener)
  }
  private func abort(_ orphans: inout ItemList) {
    while let item = orphans.popFirst() {
      let child = ConnectionRef.fromAccept(item)
      listener.leavePlace()
      child.set(.handleClosed)
      _ = child.gate.post(events: .abort)
      child.release()
    }
  }

  /// Connections that wait to be accepted, those included that are just being made.
  public var waiting: Int { listener.waitingForAccept }
  /// Whether ``tryAccept()`` would not have to wait (AQ-WAKE).
  public var isAcceptable: Bool { listener.isAcceptable }
  /// What waits for accept.
  public var accepting: WaitPoint {
    unsafe WaitPoint(listener.accepter, layer.wakeAccount)
  }
}
