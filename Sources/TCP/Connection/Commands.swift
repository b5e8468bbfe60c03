import Buffers
import Timing
import Wire

// What the environment asks for: RFC 9293 sections 3.10.1 to 3.10.5.
extension TCPConnection {
  /// Its SYN is out, or was sent in its place: ``start(now:sink:)`` has nothing to do.
  public var hasStarted: Bool { send.maximum != send.initial }

  /// Sends the SYN of an active connection, or the SYN-ACK of a passive one. To be called once.
  ///
  /// - Parameters:
  ///   - now: the time.
  ///   - sink: where it goes.
  public mutating func start(now: Instant, sink: inout some TCPSink & ~Copyable) {
    guard !hasStarted, state == .synSent || state == .synReceived else { return }
    if state == .synSent, configuration.connectTimeout > .zero {
      deadlines.keepalive.arm(now + configuration.connectTimeout)
    }
    if fastOpen != nil, state == .synSent {
      transmitFastSyn(now: now, sink: &sink)
    } else {
      transmitSyn(now: now, sink: &sink)
    }
  }

  /// The send queue grew by `bytes`; sends what may go.
  ///
  /// - Parameters:
  ///   - bytes: how many; the queue as a whole stays below 2³⁰.
  ///   - push: whether the application has nothing to add for the moment. False (MSG_MORE, TCP_CORK): a
  ///     segment that is not full waits for more, at most 200 ms once nothing is out.
  ///   - urgent: the last of them is the end of urgent data (MSG_OOB, RFC 6093).
  ///   - edge: what their end means for segments.
  ///   - now: the time.
  ///   - sink: where segments go.
  /// - Returns: `error` is `sendClosed`, and the bytes were not taken, if `canEnqueue` is false (P3).
  public mutating func enqueue(
    _ bytes: Int, push: Bool = true, urgent: Bool = false, edge: TCPTextEdge = .none, now: Instant,
    sink: inout some TCPSink & ~Copyable
  ) -> TCPEffects {
    var effects = TCPEffects()
    guard canEnqueue else {
      effects.error = .sendClosed
      return effects
    }
    precondition(
      bytes >= 0 && send.queuedBytes + bytes < 1 << 30, "the send queue outgrew the sequence space")
    if bytes > 0, push, !urgent, edge == .none, leavesAlone(bytes) {
      send.queueEnd += bytes
      send.pushed = send.queueEnd
      sendAlone(bytes, now: now, sink: &sink)
      return effects
    }
    if bytes > 0 { noteApplicationLimit() }
    send.queueEnd += bytes
    if push, bytes > 0 { send.pushed = send.queueEnd }
    if urgent, bytes > 0 { urgentEnd = send.queueEnd }
    if edge != .none, bytes > 0 { mark(edge) }
    if state.isSynchronized || exchangesText {
      output(bytes == 0 ? .flushing : push ? .usual : .holding, now: now, sink: &sink)
    }
    return effects
  }

  /// Segments respect where the send queue ends now.
  private mutating func mark(_ edge: TCPTextEdge) {
    let known = marks ?? SendMarks()
    known.append(edge, at: send.queueEnd)
    marks = known
  }

  /// As ``receiveSpace(_:unread:now:sink:)``, when a segment is about to arrive anyway: its answer tells the peer.
  public mutating func noteReceiveSpace(_ free: Int, unread: Int? = nil, now: Instant) {
    receive.free = max(0, free)
    let unread = unread ?? max(0, Int(receive.buffer) - receive.free)
    noteUnread(unread)
    tuneReceiveBuffer(unread: unread, now: now)
  }

  /// What waits to be read.
  private mutating func noteUnread(_ unread: Int) {
    if configuration.countsMemory {
      receive.memory.read(before: Int(receive.unread), unread: unread)
      receive.unread = UInt32(clamping: unread)
    }
    receive.hasUnread = unread > 0
  }

  /// Whether room has appeared that is worth a segment of its own.
  private var isWindowWorthUpdate: Bool {
    configuration.countsMemory
      ? receive.isWorthUpdateByMemory(segment: policy.segment, isExact: configuration.movesWindowBack)
      : receive.isWorthUpdate(segment: Int(configuration.maximumSegment))
  }

  /// The size of the receive buffer now, in bytes: as configured or set, or as it has grown by itself.
  public var receiveBuffer: Int { Int(receive.buffer) }

  /// Whether an acknowledgment waits that goes at once when the application has read everything: the environment says
  /// so with ``receiveSpace(_:unread:now:sink:)``.
  public var acknowledgesWhenRead: Bool {
    state.mayReceiveText
      && policy.isDueWhenRead(receive.next - receive.lastAcknowledgment, configuration)
  }

  /// TCP_QUICKACK. On: acknowledgments go at once for a while, and one that waits goes with the next read; off: they
  /// wait for answers. Not kept: the exchange decides anew (Linux's way).
  ///
  /// - Parameters:
  ///   - isOn: which.
  ///   - unread: bytes that the application has not read.
  ///   - now: the time.
  ///   - sink: where an acknowledgment goes.
  public mutating func setQuickAcknowledgments(
    _ isOn: Bool, unread: Int, now: Instant, sink: inout some TCPSink & ~Copyable
  ) -> TCPEffects {
    policy.setQuick(isOn, configuration)
    if isOn, unread == 0, acknowledgesWhenRead { transmitAcknowledgment(now: now, sink: &sink) }
    return TCPEffects()
  }

  /// What held output back is over: the sink takes segments with text again. Sends what may go.
  ///
  /// - Parameters:
  ///   - now: the time.
  ///   - sink: where it goes.
  public mutating func resumeOutput(now: Instant, sink: inout some TCPSink & ~Copyable) -> TCPEffects {
    output(now: now, sink: &sink)
    return TCPEffects()
  }

  /// Another size of the receive buffer, SO_RCVBUF on a live connection. What was offered stays; the window scale,
  /// which the SYNs settled, bounds what a larger one can offer. It does not grow by itself from here on.
  ///
  /// - Parameter bytes: the largest window to offer from now on; the bound on out-of-order packets follows.
  public mutating func setReceiveBuffer(_ bytes: UInt32) {
    guard bytes != receive.buffer else { return }
    configuration.receiveBufferMaximum = 0
    receive.setBuffer(bytes)
    reassembly.limit = Self.reassemblyLimit(buffer: bytes)
  }

  /// The receive buffer does not grow by itself from here on.
  public mutating func fixReceiveBuffer() { configuration.receiveBufferMaximum = 0 }

  /// The application has read, or has been given more room: `free` more bytes would be taken beyond those
  /// delivered so far. Tells the peer when that is worth a segment (RFC 9293 section 3.8.6.2.2). Less room than
  /// before never takes back what was offered.
  ///
  /// - Parameters:
  ///   - free: bytes, not negative.
  ///   - unread: bytes that were delivered and the application has not read; nil: the buffer less `free`.
  ///   - now: the time.
  ///   - sink: where a window update goes.
  public mutating func receiveSpace(
    _ free: Int, unread: Int? = nil, now: Instant, sink: inout some TCPSink & ~Copyable
  ) -> TCPEffects {
    receive.free = max(0, free)
    let unread = unread ?? max(0, Int(receive.buffer) - receive.free)
    noteUnread(unread)
    tuneReceiveBuffer(unread: unread, now: now)
    guard state.mayReceiveText else { return TCPEffects() }
    if unread == 0 && acknowledgesWhenRead
      || isWindowWorthUpdate
    {
      transmitAcknowledgment(now: now, sink: &sink)
    }
    return TCPEffects()
  }

  /// Nothing more will be enqueued: a FIN follows what is queued (RFC 9293 section 3.10.4). Before the
  /// connection is open it waits for that.
  ///
  /// - Parameters:
  ///   - now: the time.
  ///   - sink: where segments go.
  public mutating func shutdownSend(now: Instant, sink: inout some TCPSink & ~Copyable) -> TCPEffects {
    switch state {
    case .synSent, .synReceived:
      queueFin()
    case .established: end(.finWait1, now: now, sink: &sink)
    case .closeWait: end(.lastAck, now: now, sink: &sink)
    case .closed, .listen, .finWait1, .finWait2, .closing, .lastAck, .timeWait:
      break
    }
    return TCPEffects()
  }

  /// The FIN follows what is queued, in the state in which it is waited for to be acknowledged.
  private mutating func end(_ next: TCPState, now: Instant, sink: inout some TCPSink & ~Copyable) {
    let isAlone = leavesAlone
    queueFin()
    state = next
    if isAlone { endAlone(now: now, sink: &sink) } else { output(now: now, sink: &sink) }
  }

  private mutating func queueFin() {
    send.finQueued = true
    send.pushed = send.queueEnd
  }

  /// No one will read or write any more: what is queued is still sent, what arrives is answered with a reset.
  ///
  /// - Parameters:
  ///   - hasUnread: bytes were delivered that no one has read. The connection is then reset, so that the peer
  ///     does not take its FIN for success (RFC 9293 section 3.10.4, RFC 2525 section 2.17).
  ///   - now: the time.
  ///   - sink: where segments go.
  public mutating func close(
    hasUnread: Bool, now: Instant, sink: inout some TCPSink & ~Copyable
  ) -> TCPEffects {
    isOrphan = true
    switch state {
    case .closed, .listen, .closing, .lastAck, .timeWait:
      return TCPEffects()
    case .synSent:
      var effects = TCPEffects()
      end(nil, &effects)
      return effects
    case .finWait2 where !hasUnread && configuration.finWait2 < .zero:
      return abort(now: now, sink: &sink)
    case .finWait2 where !hasUnread:
      deadlines.linger.arm(now + configuration.finWait2)
      return TCPEffects()
    case .synReceived, .established, .finWait1, .closeWait, .finWait2:
      if hasUnread || !reassembly.isEmpty {
        return abort(now: now, sink: &sink)
      }
      return shutdownSend(now: now, sink: &sink)
    }
  }

  /// Ends the connection at once: RFC 9293 section 3.10.5. The peer is told by a reset where it has a
  /// connection to end. `error` is `aborted`; cannot fail.
  ///
  /// - Parameters:
  ///   - now: the time.
  ///   - sink: where the reset goes.
  public mutating func abort(now: Instant, sink: inout some TCPSink & ~Copyable) -> TCPEffects {
    var effects = TCPEffects()
    switch state {
    case .closed, .listen:
      return effects
    case .synReceived, .established, .finWait1, .finWait2, .closeWait:
      transmitReset(now: now, sink: &sink)
    case .synSent, .closing, .lastAck, .timeWait:
      break
    }
    end(.aborted, &effects)
    return effects
  }

  /// Changes what a socket option may change on a live connection: Nagle, delayed acknowledgments, keep-alive, user
  /// timeout, the attempts, and who rules the congestion window. What the SYNs have settled (segment size, scales,
  /// timestamps, selective acknowledgments, the receive buffer) stays as it is.
  ///
  /// - Parameters:
  ///   - new: the new settings.
  ///   - now: the time.
  ///   - sink: where segments go that no longer have to wait.
  public mutating func reconfigure(
    _ new: TCPConfiguration, now: Instant, sink: inout some TCPSink & ~Copyable
  ) -> TCPEffects {
    let old = configuration
    configuration = new
    configuration.maximumSegment = old.maximumSegment
    configuration.segmentLimit = old.segmentLimit
    configuration.receiveBuffer = old.receiveBuffer
    configuration.receiveBufferMaximum = old.receiveBufferMaximum
    configuration.personality = old.personality
    configuration.signatureBytes = old.signatureBytes
    configuration.windowScaling = old.windowScaling
    configuration.timestamps = old.timestamps
    configuration.selectiveAcknowledgments = old.selectiveAcknowledgments
    if new.keepaliveIdle != old.keepaliveIdle, state.isSynchronized, state != .timeWait {
      deadlines.keepalive.disarm()
      if new.keepaliveIdle > .zero {
        deadlines.keepalive.arm(max(now, lastArrival + new.keepaliveIdle))
      }
    }
    if new.userTimeout != old.userTimeout {
      deadlines.user.disarm()
      // Set by the application, it is not the peer's to change (RFC 5482 section 3), unless it said so along with it.
      if new.userTimeoutOption.isChangeable == old.userTimeoutOption.isChangeable {
        configuration.userTimeoutOption.isChangeable = false
      }
    }
    if new.userTimeoutOption != old.userTimeoutOption || new.userTimeout != old.userTimeout {
      isUserTimeoutUntold = true
    }
    if new.congestionControl != old.congestionControl { chooseControl(now: now) }
    output(now: now, sink: &sink)
    return TCPEffects()
  }

  /// Memory is short: throws away what waits ahead of a hole. The peer sends it again (RFC 2018 section 8).
  public mutating func discardOutOfOrder() {
    reassembly.removeAll()
    selective.clear()
  }

  /// Bytes of memory that what waits ahead of a hole occupies.
  public var reassemblyOccupied: Int { reassembly.occupied }
}
