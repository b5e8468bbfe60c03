// What a context does with the entries of its SYN cache.

import Exclusion
import Internet
import SoftInterrupts
import TCP
import Timing
import Wire

extension SocketContextRef {
  /// (o) this context.
  var synCache: UnsafeMutablePointer<SynCache> { unsafe pointer.pointee.synCache }

  /// The entry of a flow.
  func halfOpen(_ arrived: HandshakeSegment) -> Int32? {
    unsafe synCache.pointee.find(hash: arrived.hash, arrived.key)
  }

  /// How a child of `listener` behaves.
  func configuration(_ key: FlowKey, _ listener: ListenerRef) -> TCPConfiguration {
    let mtu = mtu(key)
    return withLayer { layer in
      listener.withOptions { options in
        layer.configuration(
          for: key, options.value.tcp, options.shape, limits: options.value.limits, mtu: mtu)
      }
    }
  }
  /// Where sequence numbers and timestamps of a flow begin.
  func numbers(_ key: FlowKey, now: Instant) -> (iss: SequenceNumber, timestampOffset: UInt32) {
    withLayer { $0.numbers(key, now: now) }
  }
  var sendsCookies: Bool {
    withLayer { layer in
      switch layer.configuration.synOverflow {
      case .cookies: true
      case .drop: false
      }
    }
  }

  /// Keeps an entry, and looks after it in time.
  func keep(_ entry: HalfOpenEntry, _ cx: inout SoftInterrupt) {
    _ = unsafe synCache.pointee.insert(entry)
    counters.halfOpen.set(UInt64(unsafe synCache.pointee.count))
    armSynTimer(&cx)
  }

  /// Keeps a child that a cookie made and the connection table does not have yet. It needs a place, if must be
  /// another's.
  func keepChild(
    _ child: ConnectionRef, _ arrived: HandshakeSegment, _ handshake: TCPHalfOpen,
    _ configuration: TCPConfiguration, _ listener: ListenerRef, _ cx: inout SoftInterrupt
  ) {
    unsafe listener.state.pointee.halfOpen.add(1)
    listener.retain()
    while unsafe !synCache.pointee.hasRoom(hash: arrived.hash) {
      guard evictOldest(hash: arrived.hash, &cx) else {
        listener.leaveHalfOpenPlace()
        listener.release()
        return child.release()
      }
    }
    keep(
      HalfOpenEntry(
        key: arrived.key, hash: arrived.hash, listener: listener, handshake: handshake,
        authentication: arrived.segment.options.authentication, child: child,
        deadline: cx.now + configuration.initialTimeout), &cx)
  }

  /// Removes an entry.
  func forget(_ index: Int32, _ cx: inout SoftInterrupt) {
    drop(unsafe synCache.pointee.remove(index))
    armSynTimer(&cx)
  }

  /// Gives the oldest place of a bucket to somebody newer. False: it has none.
  func evictOldest(hash: UInt64, _ cx: inout SoftInterrupt) -> Bool {
    guard let index = unsafe synCache.pointee.oldest(hash: hash) else { return false }
    counters.synCacheEvictions.increment()
    forget(index, &cx)
    return true
  }

  /// The listener is closed and can be found no more: its half-open connections end here (AQ-CLOSE). The peers
  /// learn of it when they answer.
  func forgetAll(of listener: ListenerRef, _ cx: inout SoftInterrupt) {
    let sockets = self
    unsafe synCache.pointee.forEach(where: { $0.listener == listener }) { cache, index in
      let entry = cache.remove(index)
      _ = entry.child?.gate.post(events: .abort)
      sockets.drop(entry)
    }
    armSynTimer(&cx)
  }

  private func drop(_ entry: HalfOpenEntry) {
    counters.halfOpen.set(UInt64(unsafe synCache.pointee.count))
    entry.child?.release()
    entry.listener.leaveHalfOpenPlace()
    entry.listener.release()
  }

  // MARK: Time

  /// One timer for all entries: armed for the earliest, off when there is none.
  private func armSynTimer(_ cx: inout SoftInterrupt) {
    let timer = unsafe synCache.pointee.timer
    guard let deadline = unsafe synCache.pointee.nextDeadline else { return cx.cancel(timer) }
    if !timer.isArmed || deadline < timer.deadline { cx.arm(timer, at: deadline) }
  }

  /// Entries that one firing looks after; what is left comes with the next pass.
  private static var timerBudget: Int { 64 }

  /// Sends SYN-ACKs again, and gives up those that were not answered (RFC 6298 section 5).
  func synTimerFired(_ cx: inout SoftInterrupt) {
    for _ in 0..<Self.timerBudget {
      guard let index = unsafe synCache.pointee.due(cx.now) else { break }
      expired(index, &cx)
    }
    armSynTimer(&cx)
  }

  private func expired(_ index: Int32, _ cx: inout SoftInterrupt) {
    let now = cx.now
    let (key, listener) = unsafe (
      synCache.pointee.entry(index).pointee.key, synCache.pointee.entry(index).pointee.listener
    )
    let configuration = configuration(key, listener)
    if let child = unsafe synCache.pointee.entry(index).pointee.child {
      if child.isSettled { return drop(unsafe synCache.pointee.remove(index)) }
      return unsafe synCache.pointee.rearm(index, at: now + configuration.initialTimeout) { _ in }
    }
    var handshake = unsafe synCache.pointee.entry(index).pointee.handshake
    // A peer that has answered is not asked again until the time for its data is nearly over: then once, and
    // its next answer makes the connection (TCP_DEFER_ACCEPT).
    let deferred = listener.withOptions { $0.value.deferredAccept }
    let isAcknowledged = unsafe synCache.pointee.entry(index).pointee.isAcknowledged
    let mayWait = isAcknowledged && handshake.retransmissions < deferred
    guard mayWait || handshake.mayRetransmit(configuration), !listener.isClosed else {
      counters.handshakesTimedOut.increment()
      return drop(unsafe synCache.pointee.remove(index))
    }
    handshake.retransmissions += 1
    if mayWait, handshake.retransmissions < deferred {
      handshake.sent = now
      let changed = handshake
      return unsafe synCache.pointee.rearm(index, at: handshake.deadline(configuration)) { $0 = changed }
    }
    handshake.challenges = 0
    handshake.sent = now
    let changed = handshake
    unsafe synCache.pointee.rearm(index, at: handshake.deadline(configuration)) { $0 = changed }
    counters.segmentsRetransmitted.increment()
    let option = unsafe synCache.pointee.entry(index).pointee.authentication
    sendSynAck(handshake, configuration, key, listener, option, &cx)
  }

  /// Sends the SYN-ACK of a half-open connection, with the Fast Open cookie that the client asked for.
  func sendSynAck(
    _ handshake: TCPHalfOpen, _ configuration: TCPConfiguration, _ key: FlowKey, _ listener: ListenerRef,
    _ option: TCPAuthentication?, _ cx: inout SoftInterrupt
  ) {
    var cookie = InlineBytes<16>()
    if handshake.fastOpen != .none {
      cookie = withLayer {
        $0.fastOpenKeys.cookies.cookie(local: key.localAddress, remote: key.remoteAddress)
      }
      counters.fastOpenCookiesSent.increment()
    }
    let reply = handshake.synAck(configuration, cookie: cookie, now: cx.now)
    let authentication = listener.authentication(key, handshake, option)
    send(reply, key, marks: listener.marks, as: authentication.outgoing(reply.sequence, reply.flags), &cx)
  }

  // MARK: Errors

  /// The network says that a SYN-ACK did not arrive. Only who saw it knows its number (RFC 5927 section 4). With BSD's
  /// habits only the host's own refusal counts: what a router says may pass (RFC 5461 section 4.2).
  func reportHalfOpen(_ failure: DeliveryFailure, _ key: FlowKey, hash: UInt64, _ cx: inout SoftInterrupt) {
    guard let index = unsafe synCache.pointee.find(hash: hash, key) else { return }
    let entry = unsafe synCache.pointee.entry(index)
    let sequence = unsafe entry.pointee.handshake.initialSend
    guard unsafe entry.pointee.key == key, failure.sequence == sequence, unsafe entry.pointee.child == nil
    else { return }
    let listener = unsafe entry.pointee.listener
    let isLinux = listener.withOptions { $0.value.tcp.personality == .linux }
    switch failure.reason {
    case .portUnreachable, .protocolUnreachable: break
    // Linux lets go of whom the network cannot reach: the SYN comes again if that was not so.
    case .networkUnreachable, .hostUnreachable, .timeExceeded, .parameterProblem:
      guard isLinux else { return }
    case .packetTooBig, .prohibited: return
    }
    counters.handshakesReset.increment()
    forget(index, &cx)
  }
}
