// Fast Open (RFC 7413) in the life of one connection: text that is there before the connection is.

import Buffers
import Exclusion
import SoftInterrupts
import TCP
import Timing

extension ConnectionRef {
  // MARK: The accepting side

  /// Owner: the table has a child whose SYN had a good cookie. The SYN is the first of what waited.
  func startFast(_ cx: inout SoftInterrupt) {
    guard let item = unsafe owned.pointee.early.popFirst() else {
      preconditionFailure("Q1: a child without its SYN")
    }
    var packet = Packet(item: item)
    guard SocketInput.parsedAgain(&packet) != nil else { return }
    let sockets = SocketContextRef(cx)
    var sink = ConnectionSink(self, pool: cx.pool, sockets: sockets)
    let answer = unsafe owned.pointee.fastOpenAnswer
    let effects = unsafe owned.pointee.engine.startFast(packet, answer: answer, now: cx.now, sink: &sink)
    apply(effects, &sink, &cx)
  }

  /// Owner, after a run: the place of a child whose handshake is complete is free again, and what a connecting socket
  /// has learnt is kept for the next.
  @inline(__always) func settleFastOpen(_ cx: inout SoftInterrupt) {
    let owned = unsafe owned
    guard
      unsafe owned.pointee.fastOpenListener != nil
        || !owned.pointee.fastOpenNoted && owned.pointee.engine.triesFastOpen
    else { return }
    noteFastOpen(&cx)
  }
  @inline(never) private func noteFastOpen(_ cx: inout SoftInterrupt) {
    let owned = unsafe owned
    if unsafe owned.pointee.fastOpenListener != nil {
      let state = unsafe owned.pointee.engine.state
      guard state != .synReceived else { return }
      let wasReset = state == .closed && failure == .connectionReset
      if !wasReset, state.isSynchronized { SocketContextRef(cx).counters.handshakesCompleted.increment() }
      return leaveFastOpen(wasReset: wasReset, now: cx.now)
    }
    guard unsafe !owned.pointee.fastOpenNoted, let outcome = unsafe owned.pointee.engine.fastOpenOutcome
    else { return }
    unsafe owned.pointee.fastOpenNoted = true
    let sockets = SocketContextRef(cx)
    if outcome.dataTaken {
      sockets.counters.fastOpenActive.increment()
    } else if unsafe request.pointee?.fastOpen?.sendsData ?? false {
      sockets.counters.fastOpenActiveFailed.increment()
    }
    let (remote, now) = unsafe (shared.pointee.key.remoteAddress, cx.now)
    sockets.withLayer { $0.fastOpenCache.note(remote, outcome, now: now) }
  }

  /// The place goes back; with a reset it is kept for a while, or whoever forges addresses had places without end (RFC
  /// 7413 section 5.1).
  func leaveFastOpen(wasReset: Bool, now: Instant) {
    guard let listener = unsafe owned.pointee.fastOpenListener.take() else { return }
    if wasReset { listener.keepFastOpenPlace(now: now) } else { listener.leaveFastOpenPlace() }
    listener.release()
  }

  // MARK: The connecting side

  /// Owner: what was written with the connect is the engine's, before the SYN goes.
  func takeEarlyText(_ cx: inout SoftInterrupt) {
    guard let item = unsafe request.pointee?.chain.take() else { return }
    let chain = ByteChain(item: item)
    let bytes = chain.count
    unsafe owned.pointee.enqueued &+= UInt64(bytes)
    takeOver(chain)
    runEngine(&cx) { $0.enqueue(bytes, now: $1, sink: &$2) }
  }

  /// Owner: there will be no connection.
  func dropEarlyText(_ sockets: SocketContextRef) {
    guard let item = unsafe request.pointee?.chain.take() else { return }
    refuse(ByteChain(item: item), sockets)
  }
}
