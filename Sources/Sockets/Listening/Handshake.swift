// From a SYN to a child: what a flow's home does with segments for a listener. A SYN leaves an entry in the SYN
// cache; the ACK that completes the handshake makes the control block, whole, and is its first segment (Q1).

import Buffers
import Exclusion
import Internet
import SoftInterrupts
import TCP
import Timing
import Wire

/// What a listener does with a SYN when there is no place for another half-open connection: the listener's
/// backlog is full of them, or the context's table.
public enum SynOverflow: Sendable {
  /// The peer keeps the connection for us, in a SYN cookie (RFC 4987 section 3.6): honest clients get through a
  /// flood. Without timestamps they lose window scaling.
  case cookies
  /// Beyond the backlog the SYN is dropped, and comes again. In a full table it takes the place of the oldest
  /// entry in the same bucket, so that a flood cannot hold places.
  case drop
}

/// A segment on its way through the listening side, with what was found out about it.
struct HandshakeSegment {
  let segment: TCPSegment
  let payloadCount: Int
  let key: FlowKey
  let hash: UInt64
}

enum Handshake {
  // MARK: Arrival

  /// Home of the flow: a segment that matches no connection, but a listener's port. The packet begins with its
  /// TCP header.
  static func arrive(
    _ packet: consuming Packet, _ arrived: HandshakeSegment, _ listener: ListenerRef,
    _ cx: inout SoftInterrupt
  ) {
    let sockets = SocketContextRef(cx)
    var packet = packet
    let index = sockets.halfOpen(arrived)
    guard let authentication = authenticate(&packet, arrived, at: index, listener, sockets) else { return }
    if let index {
      guard unsafe sockets.synCache.pointee.entry(index).pointee.key == arrived.key else {
        return refuseAstray(arrived, listener, authentication, &cx)
      }
      #if Explore
        let child = unsafe sockets.synCache.pointee.entry(index).pointee.child
        if Mutation.settledChildForgotten.isOn, child?.isSettled ?? false {
          sockets.forget(index, &cx)
          return arrive(packet, arrived, listener, &cx)
        }
      #endif
      return arrive(packet, arrived, at: index, authentication, &cx)
    }
    switch TCPListenRule.examine(arrived.segment, listener.withOptions { $0.value.tcp }) {
    case .ignore: return
    case .open: open(packet, arrived, listener, &cx)
    case .reset(let reply):
      guard let (handshake, configuration) = takeCookie(arrived, listener, &cx) else {
        sockets.counters.segmentsWithoutSocket.increment()
        return sockets.send(reply, arrived.key, as: authentication.outgoing(reply.sequence, reply.flags), &cx)
      }
      complete(packet, arrived, handshake, configuration, listener, at: nil, &cx)
      listener.release()
    }
  }

  /// Whether a segment is authenticated as the listener wants it, and how an answer is then; nil: it is dropped. Without
  /// an entry the numbers of a connection are not known, but an ACK with a cookie has both: with others the code is
  /// wrong. So cookies go together with keys, and nobody gets a reset who does not have them.
  private static func authenticate(
    _ packet: inout Packet, _ arrived: HandshakeSegment, at index: Int32?, _ listener: ListenerRef,
    _ sockets: SocketContextRef
  ) -> SegmentAuthentication? {
    let authentication = listener.authentication(arrived.key)
    let segment = arrived.segment
    if authentication.hasKeys {
      if let index {
        let entry = unsafe sockets.synCache.pointee.entry(index)
        unsafe authentication.resume(
          local: entry.pointee.handshake.initialSend, remote: entry.pointee.handshake.initialReceive,
          segment.options.authentication)
      } else if segment.flags.contains(.ack) {
        authentication.resume(
          local: segment.acknowledgment - 1, remote: segment.sequence - 1, segment.options.authentication)
      }
    }
    let headerCount = packet.totalCount - arrived.payloadCount
    guard
      SegmentBuilder.isAuthentic(packet, segment, headerCount, authentication, isOpening: false, sockets)
    else { return nil }
    // The child that may come of it need not look again.
    if authentication.hasKeys { packet.metadata.flags.insert(.authenticated) }
    return authentication
  }

  private static func arrive(
    _ packet: consuming Packet, _ arrived: HandshakeSegment, at index: Int32,
    _ authentication: SegmentAuthentication, _ cx: inout SoftInterrupt
  ) {
    let sockets = SocketContextRef(cx)
    let entry = unsafe sockets.synCache.pointee.entry(index)
    if let child = unsafe entry.pointee.child { return pass(packet, to: child, at: index, &cx) }
    let (listener, handshake) = unsafe (entry.pointee.listener, entry.pointee.handshake)
    let configuration = sockets.configuration(arrived.key, listener)
    let decision = handshake.examine(
      arrived.segment, payloadCount: arrived.payloadCount, configuration, now: cx.now)
    switch decision {
    case .ignore: break
    case .resend:
      unsafe entry.pointee.handshake.takeRepeatedSyn(arrived.segment)
      let option = unsafe entry.pointee.authentication
      sockets.sendSynAck(unsafe entry.pointee.handshake, configuration, arrived.key, listener, option, &cx)
    case .refuse(let reply):
      sockets.counters.handshakesRefused.increment()
      sockets.send(reply, arrived.key, as: authentication.outgoing(reply.sequence, reply.flags), &cx)
      sockets.forget(index, &cx)
    case .answer(let reply):
      unsafe entry.pointee.handshake.challenges += 1
      let protection = authentication.outgoing(reply.sequence, reply.flags)
      sockets.send(reply, arrived.key, marks: listener.marks, as: protection, &cx)
    case .reset(let reply):
      sockets.counters.handshakesRefused.increment()
      sockets.send(reply, arrived.key, as: authentication.outgoing(reply.sequence, reply.flags), &cx)
    case .remove:
      sockets.counters.handshakesReset.increment()
      sockets.forget(index, &cx)
    case .complete:
      if arrived.payloadCount == 0, !arrived.segment.flags.contains(.fin),
        handshake.retransmissions < listener.withOptions({ $0.value.deferredAccept })
      {
        // TCP_DEFER_ACCEPT: the peer is there, and what it wants comes with its data.
        unsafe entry.pointee.isAcknowledged = true
        sockets.counters.handshakesDeferred.increment()
        break
      }
      complete(packet, arrived, handshake, configuration, listener, at: index, &cx)
    }
  }

  /// A segment of a child that the table did not have when it was looked for there. By now it may have it, and the
  /// entry is over; the segment is the child's all the same: the listener would answer it with a reset (AQ-DUP, Q1).
  private static func pass(
    _ packet: consuming Packet, to child: ConnectionRef, at index: Int32, _ cx: inout SoftInterrupt
  ) {
    let sockets = SocketContextRef(cx)
    child.retain()
    // Before the child has the segment: one that has ended gives it back to the listening side.
    if child.isSettled { sockets.forget(index, &cx) }
    let item = packet.intoItem()
    item.kind = SocketKind.segment
    switch child.gate.submit(item, isSegment: true, &cx) {
    case .ran, .posted: break
    case .dropped:
      _ = Packet(item: item)
      sockets.counters.gateQueueFull.increment()
    case .closed: preconditionFailure("SO-REF: a child retired under its entry")
    }
    child.release()
  }

  // MARK: A SYN

  /// A SYN for a listener. Its accept queue is full: dropped, it comes again (Q4).
  static func open(
    _ packet: consuming Packet?, _ arrived: HandshakeSegment, _ listener: ListenerRef,
    _ cx: inout SoftInterrupt
  ) {
    let sockets = SocketContextRef(cx)
    guard !listener.isClosed, listener.retainIfAlive() else {
      return SocketInput.refuse(arrived.segment, payloadCount: arrived.payloadCount, arrived.key, &cx)
    }
    if listener.isFull {
      sockets.counters.listenOverflows.increment()
      return listener.release()
    }
    let configuration = sockets.configuration(arrived.key, listener)
    var answers = TCPFastOpenForm.none
    let option = arrived.segment.options.authentication
    let hasKeys = option != nil && listener.authentication(arrived.key).hasKeys
    switch hasKeys ? .no : fastOpen(arrived, listener, configuration, &cx) {
    case .no: break
    case .cookie(let form): answers = form
    case .yes(let answer):
      if let syn = packet.take(), openFast(syn, arrived, answer, configuration, listener, &cx) {
        return listener.release()
      }
    }
    if configuration.answersWithCookies {
      sendCookie(arrived, listener, configuration, &cx)
      return listener.release()
    }
    guard makeRoom(arrived, listener, &cx) else {
      if sockets.sendsCookies { sendCookie(arrived, listener, configuration, &cx) }
      return listener.release()
    }
    let (iss, offset) = sockets.numbers(arrived.key, now: cx.now)
    var handshake = TCPHalfOpen(
      syn: arrived.segment, iss: iss, timestampOffset: offset, configuration: configuration, now: cx.now)
    handshake.fastOpen = answers
    sockets.keep(
      HalfOpenEntry(
        key: arrived.key, hash: arrived.hash, listener: listener, handshake: handshake,
        authentication: option,
        child: nil, deadline: handshake.deadline(configuration)), &cx)
    sockets.counters.synsKept.increment()
    sockets.sendSynAck(handshake, configuration, arrived.key, listener, option, &cx)
  }

  /// A place with the listener and one in the table.
  private static func makeRoom(
    _ arrived: HandshakeSegment, _ listener: ListenerRef, _ cx: inout SoftInterrupt
  ) -> Bool {
    let sockets = SocketContextRef(cx)
    guard listener.takeHalfOpenPlace() else {
      if !sockets.sendsCookies { sockets.counters.listenOverflows.increment() }
      return false
    }
    if unsafe sockets.synCache.pointee.hasRoom(hash: arrived.hash) { return true }
    if !sockets.sendsCookies, sockets.evictOldest(hash: arrived.hash, &cx) { return true }
    sockets.counters.synCacheFull.increment()
    listener.leaveHalfOpenPlace()
    return false
  }

  private static func sendCookie(
    _ arrived: HandshakeSegment, _ listener: ListenerRef, _ configuration: TCPConfiguration,
    _ cx: inout SoftInterrupt
  ) {
    let sockets = SocketContextRef(cx)
    let now = cx.now
    let offset = sockets.numbers(arrived.key, now: now).timestampOffset
    let reply = sockets.withLayer { layer in
      layer.cookies.synAck(
        arrived.segment, local: arrived.key.local, remote: arrived.key.remote, timestampOffset: offset,
        configuration: configuration, now: now)
    }
    unsafe listener.state.pointee.cookieSent.store(max(1, now.nanoseconds))
    sockets.counters.cookiesSent.increment()
    let authentication = listener.authentication(arrived.key)
    authentication.resume(
      local: reply.sequence, remote: arrived.segment.sequence, arrived.segment.options.authentication)
    let protection = authentication.outgoing(reply.sequence, reply.flags)
    sockets.send(reply, arrived.key, marks: listener.marks, as: protection, &cx)
  }

  // MARK: The end of a handshake

  /// An ACK that nobody expects may carry a cookie, if any were sent lately: what the peer kept for us, and with
  /// it a reference to the listener.
  private static func takeCookie(
    _ arrived: HandshakeSegment, _ listener: ListenerRef, _ cx: inout SoftInterrupt
  ) -> (TCPHalfOpen, TCPConfiguration)? {
    let sockets = SocketContextRef(cx)
    let now = cx.now
    let sent = unsafe listener.state.pointee.cookieSent.load()
    guard sent != 0, now - Instant(nanoseconds: sent) <= SynCookies.lifetime else { return nil }
    let configuration = sockets.configuration(arrived.key, listener)
    let offset = sockets.numbers(arrived.key, now: now).timestampOffset
    let kept = sockets.withLayer { layer in
      layer.cookies.halfOpen(
        arrived.segment, local: arrived.key.local, remote: arrived.key.remote, timestampOffset: offset,
        configuration: configuration, now: now)
    }
    guard let kept else {
      sockets.counters.cookiesRefused.increment()
      return nil
    }
    guard !listener.isClosed, listener.retainIfAlive() else { return nil }
    sockets.counters.cookiesAccepted.increment()
    return (kept, configuration)
  }

  /// A child with what its listener is set to; nil: there is no room for it. No table has it yet.
  static func makeChild(
    _ arrived: HandshakeSegment, _ listener: ListenerRef, _ cx: inout SoftInterrupt,
    engine: () -> TCPConnection
  ) -> ConnectionRef? {
    let sockets = SocketContextRef(cx)
    let child = listener.withOptions { options -> ConnectionRef? in
      let limits = options.value.limits
      guard let child = sockets.make(arrived.key, hash: arrived.hash, limits: limits, engine: engine) else {
        return nil
      }
      child.share(options.value)
      child.adopt(options)
      return child
    }
    guard let child else { return nil }
    child.recallPath(&cx)
    child.recallDestination(&cx)
    return child
  }

  /// The ACK that completes a handshake: the child, once (AQ-DUP). The caller holds a reference to the listener,
  /// or its entry does. Without a place in the accept queue the ACK
  /// is dropped and the entry stays: it comes again with the peer's data, or with our next SYN-ACK (Q4).
  private static func complete(
    _ packet: consuming Packet, _ arrived: HandshakeSegment, _ handshake: TCPHalfOpen,
    _ configuration: TCPConfiguration, _ listener: ListenerRef, at index: Int32?, _ cx: inout SoftInterrupt
  ) {
    let sockets = SocketContextRef(cx)
    guard listener.takePlace() else { return sockets.counters.acceptQueueFull.increment() }
    let now = cx.now
    let made = makeChild(arrived, listener, &cx) { handshake.connection(configuration, now: now) }
    guard let child = made else { return listener.leavePlace() }
    if unsafe !child.owned.pointee.isPlain {
      unsafe child.owned.pointee.authentication.resume(
        local: handshake.initialSend, remote: handshake.initialReceive,
        arrived.segment.options.authentication)
    }
    listener.retain()
    #if Explore
      if Mutation.childPublishedUnfinished.isOn { sockets.insert(child, &cx) }
    #endif
    unsafe child.shared.pointee.listener.store(listener.address)
    // The ACK is the child's first segment; it runs when the table has the child, whole (SO-PUBLISH).
    unsafe child.owned.pointee.early.append(packet.intoItem())
    child.retain()
    #if Explore
      if !Mutation.childPublishedUnfinished.isOn { sockets.insert(child, &cx) }
    #else
      sockets.insert(child, &cx)
    #endif
    sockets.counters.handshakesCompleted.increment()
    if child.isSettled {
      if let index { sockets.forget(index, &cx) }
      return child.release()
    }
    #if Explore
      if Mutation.entryForgottenBeforeChild.isOn, let index {
        sockets.forget(index, &cx)
        return child.release()
      }
    #endif
    // Somebody else owns the table's shard, and will insert the child soon. Until then the entry finds it.
    if let index {
      unsafe sockets.synCache.pointee.entry(index).pointee.child = child
    } else {
      sockets.keepChild(child, arrived, handshake, configuration, listener, &cx)
    }
  }
}
