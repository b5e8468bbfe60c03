import Exclusion
import Wire

/// A listening socket: the application's handle. The last reference closes it.
public final class ListeningSocket: Sendable {
  let listener: ListenerRef
  private let layer: SocketLayer
  private let closing = AtomicWord(0)
  /// Where it listens.
  public let address: SocketAddress

  init(_ listener: ListenerRef, address: SocketAddress, layer: SocketLayer) {
    self.listener = listener
    self.address = address
    self.layer = layer
  }
  deinit {
    // No call is in flight and nobody waits: the list needs no lock, which a context, where the last
    // reference of an unwanted answer may end, could not take.
    if isForkedChild() { return }  // L6
    if closing.exchange(1) == 0 {
      var orphans = stopQueueing()
      unsafe listener.state.pointee.taken.withExclusiveState { orphans.append(contentsOf: takeOut(&$0)) }
      abort(&orphans)
    }
    listener.release()
  }

  /// The next complete connection. `.wouldBlock` if there is none yet, `.closed` after close. Application
  /// context.
  public func tryAccept() -> Result<StreamSocket, SocketError> {
    withApplication { held in
      unsafe listener.state.pointee.taken.withLock(&held) { taken, _ in
        while true {
          if listener.isClosed { return .failure(.closed) }
          guard let item = taken.popFirst() ?? takeFromShards(&taken) else { return .failure(.wouldBlock) }
          unsafe listener.state.pointee.complete.subtract(1)
          return .success(StreamSocket(ConnectionRef.fromAccept(item), layer: layer))
        }
      }
    }
  }

  private func takeFromShards(_ taken: inout ItemList) -> ItemRef? {
    for shard in 0..<(unsafe listener.state.pointee.shardCount) {
      unsafe taken.append(contentsOf: listener.state.pointee.shards[shard].takeAll())
    }
    return taken.popFirst()
  }

  /// Stops listening: when this returns nothing can be queued any more, every child that nobody accepted is
  /// being aborted, with nothing held (AQ-CLOSE), and whoever asks for the port after this gets it. Cannot
  /// fail; again it does nothing.
  public func close() {
    guard closing.exchange(1) == 0, !isForkedChild() else { return }  // L6
    var orphans = stopQueueing()
    withApplication { held in
      unsafe listener.state.pointee.taken.withLock(&held) { taken, _ in
        orphans.append(contentsOf: takeOut(&taken))
      }
    }
    abort(&orphans)
    if let target = unsafe listener.accepter.pointee.waiter.claim(where: { _ in true }) {
      withApplication { held in wake(target, &held) }
    }
  }

  /// Closes the shards, in which order is of no matter: from here on a child finds them closed.
  private func stopQueueing() -> ItemList {
    unsafe listener.observers.pointee.close(layer)  // no event of it is told after close (SO-GEN)
    unsafe listener.state.pointee.isClosed.store(1)
    let listener = listener
    layer.unbind(listener.bound) { cx in listener.abortIncomplete(&cx) }
    var orphans = ItemList()
    for shard in 0..<(unsafe listener.state.pointee.shardCount) {
      unsafe orphans.append(contentsOf: listener.state.pointee.shards[shard].close())
    }
    return orphans
  }
  private func takeOut(_ list: inout ItemList) -> ItemList {
    var taken = ItemList()
    swap(&taken, &list)
    return taken
  }
  private func abort(_ orphans: inout ItemList) {
    while let item = orphans.popFirst() {
      let child = ConnectionRef.fromAccept(item)
      child.set(.handleClosed)
      _ = child.gate.post(events: .abort)
      child.release()
    }
  }

  /// Whether ``tryAccept()`` would not have to wait (AQ-WAKE).
  public var isAcceptable: Bool { listener.isAcceptable }
  /// What waits for accept.
  public var accepting: WaitPoint {
    unsafe WaitPoint(listener.accepter, layer.wakeAccount)
  }
}
