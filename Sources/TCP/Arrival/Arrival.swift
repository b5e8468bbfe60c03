import Buffers
import Timing
import Wire

extension TCPConnection {
  /// Takes a segment that arrived for this connection: RFC 9293 section 3.10.7.
  ///
  /// - Parameters:
  ///   - segment: its header, checked and parsed.
  ///   - payload: its payload, exactly; nil or empty if there is none.
  ///   - holdsAnswer: another segment comes at once that continues its text: an acknowledgment of in-order text may
  ///     wait for that. ``answerHeld(now:sink:)`` follows the last one.
  ///   - now: the time, not before `segment.arrival`.
  ///   - sink: where answers and the stream go.
  public mutating func arrive(
    _ segment: TCPSegment, _ payload: consuming Packet?, holdsAnswer: Bool = false, now: Instant,
    sink: inout some TCPSink & ~Copyable
  ) -> TCPEffects {
    var effects = TCPEffects()
    counters.segmentsReceived &+= 1
    switch state {
    case .closed, .listen:
      break
    case .synSent:
      arriveInSynSent(segment, payload, now: now, sink: &sink, &effects)
    case .synReceived, .established, .finWait1, .finWait2, .closeWait, .closing, .lastAck:
      arriveInWindow(segment, payload, holdsAnswer: holdsAnswer, now: now, sink: &sink, &effects)
    case .timeWait:
      arriveInTimeWait(segment, payloadCount: byteCount(payload), now: now, sink: &sink, &effects)
    }
    send.queueFront = send.dataStart
    return effects
  }

  /// The segments that came together end: what their acknowledgment waited for will not come.
  public mutating func answerHeld(now: Instant, sink: inout some TCPSink & ~Copyable) {
    guard isAnswerHeld else { return }
    isAnswerHeld = false
    answer(now: now, sink: &sink)
  }

  /// Answers, when a segment has been taken: data if there is some to send, else an acknowledgment if one is
  /// due, else the delayed-acknowledgment timer.
  mutating func answer(now: Instant, sink: inout some TCPSink & ~Copyable) {
    guard state.isSynchronized else { return }
    if isQuiet { restSendTimers(now: now) } else { output(now: now, sink: &sink) }
    if isAcknowledgmentDue(now: now) { transmitAcknowledgment(now: now, sink: &sink) }
  }

  /// Whether an acknowledgment is to leave now. One that waits has its timer afterwards.
  @inline(__always) mutating func isAcknowledgmentDue(now: Instant) -> Bool {
    // Before the policy is asked, which this may change.
    let offersLess = configuration.countsMemory && offersLess()
    if policy.isDue(unacknowledged, offersLess: offersLess, configuration) { return true }
    return policy.isScheduled && hasWaitedLong(now: now)
  }

  /// Bytes that arrived in order and were not acknowledged.
  private var unacknowledged: Int { receive.next - receive.lastAcknowledgment }

  /// Whether an acknowledgment of more than a segment could not offer what the one before did. With more than half of the
  /// memory in use none goes quickly any more.
  private mutating func offersLess() -> Bool {
    guard policy.isScheduled, unacknowledged > policy.segment else { return false }
    if receive.isHalfUsed { policy.endQuick() }
    let window = receive.windowByMemory(segment: policy.segment, isExact: configuration.movesWindowBack)
    return window < receive.offered
  }

  /// An acknowledgment waits for company: its timer is armed. One that has waited long already does not wait for more of it.
  @inline(__always) private mutating func hasWaitedLong(now: Instant) -> Bool {
    let delay = policy.delay(smoothed: roundTrip.smoothed, configuration)
    let armed = deadlines.acknowledgment
    guard armed.isArmed else {
      deadlines.acknowledgment.arm(now + delay)
      return false
    }
    guard configuration.personality == .linux else { return false }
    if armed.instant <= now + delay / 4 { return true }
    if now + delay < armed.instant { deadlines.acknowledgment.arm(now + delay) }
    return false
  }

  /// The acknowledgment has waited long enough.
  mutating func acknowledgmentTimedOut(now: Instant, sink: inout some TCPSink & ~Copyable) {
    policy.timedOut(retransmissionTimeout: roundTrip.timeout(configuration), configuration)
    counters.delayedAcknowledgments &+= 1
    transmitAcknowledgment(now: now, sink: &sink)
  }
}

/// The length of a payload that may not be there.
func byteCount(_ payload: borrowing Packet?) -> Int {
  switch payload {
  case .some(let packet): packet.totalCount
  case .none: 0
  }
}
