import Buffers
import Timing
import Wire

// Every segment leaves by one of these.
extension TCPConnection {
  /// What every segment has in common: options, window, and the bookkeeping of the acknowledgment it carries.
  mutating func transmit(
    at sequence: SequenceNumber, _ flags: TCPFlags, payloadOffset: Int = 0, payloadCount: Int = 0,
    segmentSize: Int = 0, isRetransmission: Bool = false, isCapable: Bool = false, now: Instant,
    sink: inout some TCPSink & ~Copyable
  ) {
    if payloadCount == 0, !isRetransmission, isPlain(flags) {
      return transmitPlain(at: sequence, flags, now: now, sink: &sink)
    }
    // What one segment has.
    let text = segmentSize > 0 ? segmentSize : payloadCount
    var flags = flags
    var options = TCPOptions()
    let acknowledges = flags.contains(.ack)
    if ecn.echoes, acknowledges { flags.insert(.ece) }
    if !configuration.duplicateReports { selective.forgetDuplicate() }
    if ecn.isAccurate, acknowledges { noteBeacon(now: now) }
    var plan = optionPlan(besides: text)
    if payloadCount == 0, leavesOutBlocks { plan.blocks = 0 }
    if timestamps.isEnabled {
      options.timestamps = timestamps.option(now: now, acknowledges: acknowledges)
    }
    if ecn.isAccurate, acknowledges { tellMarks(&flags, &options, plan, text: payloadCount, now: now) }
    if isSelective, acknowledges, plan.blocks > 0 { options.sack = selectiveBlocks(limit: plan.blocks) }
    addUserTimeout(to: &options, besides: text)
    let urgent = urgentPointer(from: sequence)
    if urgent > 0 { flags.insert(.urg) }
    // Who resets has no room any more, says BSD.
    let isOver = flags.contains(.rst) && configuration.personality == .bsd
    let window = isOver ? 0 : offeredWindow()
    if acknowledges {
      receive.lastAcknowledgment = receive.next
      policy.sent(withText: payloadCount > 0, now: now, configuration)
      deadlines.acknowledgment.disarm()
    }
    counters.segmentsSent &+= segmentSize > 0 ? UInt32((payloadCount + segmentSize - 1) / segmentSize) : 1
    if isRetransmission {
      counters.retransmissions &+= 1
      counters.bytesRetransmitted &+= UInt64(payloadCount)
    }
    counters.bytesSent &+= UInt64(payloadCount)
    var segment = TCPOutgoing(
      sequence: sequence, acknowledgment: acknowledges ? receive.next : SequenceNumber(0),
      flags: flags, window: window, options: options, payloadOffset: payloadOffset,
      payloadCount: payloadCount, isRetransmission: isRetransmission,
      isCapable: isCapable || marksEverySegment)
    segment.urgentPointer = urgent
    segment.segmentSize = segmentSize
    sink.send(segment)
  }

  /// Whether of a segment without text there is nothing to say but an acknowledgment, and perhaps the end of our text.
  private func isPlain(_ flags: TCPFlags) -> Bool {
    flags.subtracting(.fin) == .ack && ecn.feedback == .none && urgentEnd == nil && selective.isEmpty
      && !configuration.countsMemory
      && !(isUserTimeoutUntold && configuration.userTimeoutOption.isEnabled)
  }
  mutating func transmitPlain(
    at sequence: SequenceNumber, _ flags: TCPFlags, now: Instant, sink: inout some TCPSink & ~Copyable
  ) {
    let window = receive.offer(segment: Int(configuration.maximumSegment), configuration.personality)
    receive.lastAcknowledgment = receive.next
    policy.sent(withText: false, now: now, configuration)
    deadlines.acknowledgment.disarm()
    counters.segmentsSent &+= 1
    sink.sendPlain(
      TCPGlance(
        sequence: sequence, acknowledgment: receive.next, flags: flags, window: window,
        timestamps: timestamps.isEnabled ? timestamps.option(now: now, acknowledges: true) : nil),
      payloadOffset: 0, payloadCount: 0)
  }

  /// The window field of a segment that is about to leave.
  @inline(__always) private mutating func offeredWindow() -> UInt16 {
    configuration.countsMemory
      ? receive.offerByMemory(segment: policy.segment, isExact: configuration.movesWindowBack)
      : receive.offer(segment: Int(configuration.maximumSegment), configuration.personality)
  }

  /// Our SYN in SYN-SENT, the SYN-ACK in SYN-RECEIVED, first or again.
  mutating func transmitSyn(now: Instant, sink: inout some TCPSink & ~Copyable) {
    let isAnswer = state == .synReceived
    let isRetransmission = send.maximum > send.initial
    send.next = SequenceNumber.later(send.next, send.initial + 1)
    send.maximum = SequenceNumber.later(send.maximum, send.next)
    roundTrip.sentSyn(isRetransmission: isRetransmission, now: now)
    send.lastTransmission = now
    counters.segmentsSent &+= 1
    if isRetransmission { counters.retransmissions &+= 1 }
    if isAnswer { receive.lastAcknowledgment = receive.next }
    let flags = synFlags(isAnswer: isAnswer, isRetransmission: isRetransmission)
    sink.send(
      TCPOutgoing(
        sequence: send.initial, acknowledgment: isAnswer ? receive.next : SequenceNumber(0), flags: flags,
        window: receive.offerUnscaled(),
        options: synOptions(isAnswer: isAnswer, isRetransmission: isRetransmission, now: now),
        isRetransmission: isRetransmission))
    armSendTimers(now: now)
  }

  /// The bookkeeping of a SYN-ACK that was sent in our place, `retransmissions` times beyond the first.
  mutating func synAckIsOut(sent: Instant, retransmissions: UInt8, now: Instant) {
    send.next = send.initial + 1
    send.maximum = send.next
    // Karn's rule: what was sent twice is not timed.
    roundTrip.sentSyn(isRetransmission: retransmissions > 0, now: sent)
    attempts = retransmissions
    send.lastTransmission = sent
    receive.lastAcknowledgment = receive.next
    _ = receive.offerUnscaled()
    armSendTimers(now: now)
  }

  /// Whether the segment with the bytes from `sequence` to before `end` has PSH: RFC 9293 section 3.9.1.2, where the
  /// application's last push ends.
  func pushes(from sequence: SequenceNumber, to end: SequenceNumber) -> Bool {
    let isMarked = marks?.isPushed(from: sequence, to: end) ?? false
    let endsSynText = fastOpen != nil && end > sequence && end == synTextEnd
    return isMarked || endsSynText || (sequence < send.pushed && send.pushed <= end)
  }

  /// A piece of the send queue, with the FIN if that follows it. `size`: it is several segments, of so many bytes each but
  /// the last; 0: it is one.
  mutating func transmitText(
    at sequence: SequenceNumber, count: Int, size: Int = 0, fin: Bool, isPushed: Bool = false,
    isRetransmission: Bool,
    now: Instant, sink: inout some TCPSink & ~Copyable
  ) {
    let end = sequence + count
    var flags: TCPFlags = .ack
    if fin { flags.insert(.fin) }
    if isPushed || pushes(from: sequence, to: end) { flags.insert(.psh) }
    send.maximum = SequenceNumber.later(send.maximum, fin ? end + 1 : end)
    send.lastTransmission = now
    // RFC 3168 section 6.1.5: what is sent again is not marked as capable.
    let mayMark = ecn.isClassic || ecn.isAccurate && accurate.feedback.mayMark
    let isNew = mayMark && count > 0 && !isRetransmission
    if isNew, ecn.reductionIsQueued {
      ecn.reductionIsQueued = false
      flags.insert(.cwr)
    }
    if !leavesUnpaced(count) {
      pacer.left(count + (size > 0 ? (count + size - 1) / size * 40 : 40), now: now)
    }
    transmit(
      at: sequence, flags, payloadOffset: sequence - send.queueFront, payloadCount: count, segmentSize: size,
      isRetransmission: isRetransmission, isCapable: isNew, now: now, sink: &sink)
  }

  /// Linux does not pace the first ten segments, but where a model of the path rules.
  private func leavesUnpaced(_ count: Int) -> Bool {
    configuration.personality == .linux && !control.hasModel
      && counters.bytesSent + UInt64(count) < 10 * UInt64(fullTextSegment)
  }

  /// The number that a segment without sequence space carries: SND.NXT, but never beyond the peer's window, or
  /// the peer would not accept what else it says.
  var acceptableSequence: SequenceNumber {
    SequenceNumber.earlier(send.maximum, send.unacknowledged + Int(send.window))
  }

  /// A segment that only acknowledges.
  mutating func transmitAcknowledgment(now: Instant, sink: inout some TCPSink & ~Copyable) {
    if configuration.personality == .bsd, repeatsFin {
      transmit(at: send.queueEnd, [.fin, .ack], isRetransmission: true, now: now, sink: &sink)
    } else {
      transmit(at: acceptableSequence, .ack, now: now, sink: &sink)
    }
  }

  /// BSD's habit: while our FIN is out, every acknowledgment has it again.
  private var repeatsFin: Bool {
    switch state {
    case .finWait1, .closing, .lastAck: send.next == send.queueEnd + 1 && send.next == send.maximum
    case .closed, .listen, .synSent, .synReceived, .established, .finWait2, .closeWait, .timeWait: false
    }
  }

  /// RFC 5961: says where we stand to a peer, or an attacker, whose segment was not accepted.
  mutating func transmitChallenge(now: Instant, sink: inout some TCPSink & ~Copyable) {
    guard challenges.allows(configuration, now: now) else { return }
    counters.challenges &+= 1
    transmit(at: acceptableSequence, .ack, now: now, sink: &sink)
  }

  /// A reset of a synchronized peer: <SEQ=SND.NXT><CTL=RST,ACK>.
  mutating func transmitReset(now: Instant, sink: inout some TCPSink & ~Copyable) {
    transmit(at: acceptableSequence, [.rst, .ack], now: now, sink: &sink)
  }

  /// A segment that a rule has made up.
  mutating func transmit(_ reply: TCPOutgoing?, sink: inout some TCPSink & ~Copyable) {
    guard let reply else { return }
    counters.segmentsSent &+= 1
    sink.send(reply)
  }
}
