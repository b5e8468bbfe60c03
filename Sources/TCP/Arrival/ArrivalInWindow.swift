import Buffers
import Timing
import Wire

extension TCPConnection {
  /// RFC 9293 section 3.10.7.4, from SYN-RECEIVED to LAST-ACK.
  mutating func arriveInWindow(
    _ arrived: TCPSegment, _ payload: consuming Packet?, holdsAnswer: Bool, now: Instant,
    sink: inout some TCPSink & ~Copyable, _ effects: inout TCPEffects
  ) {
    guard state == .synReceived, arrived.flags.contains(.syn), arrived.sequence == receive.initial,
      !arrived.flags.contains(.rst)
    else {
      return takeInWindow(
        arrived, payload, repeatsSyn: false, holdsAnswer: holdsAnswer, now: now, sink: &sink, &effects)
    }
    let count = byteCount(payload)
    // The SYN that we have answered, again: the answer was lost. With an ACK it is the other half of a
    // simultaneous open, whose SYN stands before the window although it is expected (section 3.5, figure 8).
    guard arrived.flags.contains(.ack) else {
      if takeRepeatedSyn(arrived) { return refuse(arrived, count, sink: &sink, &effects) }
      transmitSyn(now: now, sink: &sink)
      return
    }
    if takeCrossingSynAck(arrived) { return refuse(arrived, count, sink: &sink, &effects) }
    var segment = arrived
    segment.sequence += 1
    segment.flags.remove(.syn)
    takeInWindow(
      segment, payload, repeatsSyn: true, holdsAnswer: holdsAnswer, now: now, sink: &sink, &effects)
  }

  /// The segment does not change from here on: one that did would be copied for each call.
  private mutating func takeInWindow(
    _ segment: TCPSegment, _ payload: consuming Packet?, repeatsSyn: Bool, holdsAnswer: Bool, now: Instant,
    sink: inout some TCPSink & ~Copyable, _ effects: inout TCPEffects
  ) {
    let count = byteCount(payload)
    switch judge(segment, payloadCount: count, now: now) {
    case .accept:
      break
    case .drop:
      counters.rejected &+= 1
      return
    case .acknowledge:
      counters.rejected &+= 1
      if ecn.isAccurate { countRepetition(of: segment, count) }
      noteRepetition(segment, count)
      if reachesBeyond(segment.sequence, count) {
        sink.refused(acceptedWindow == 0 && segment.sequence <= receive.next ? .closedWindow : .beyondWindow)
      }
      // BSD looks at the ACK field of what it has already.
      if configuration.personality == .bsd, segment.flags.contains(.ack), segment.sequence < receive.next,
        state.isSynchronized
      {
        guard takeAcknowledgment(segment, payloadCount: 0, now: now, sink: &sink, &effects) else { return }
      }
      transmitAcknowledgment(now: now, sink: &sink)
      return
    case .challenge:
      counters.rejected &+= 1
      reflectAgain(segment)
      transmitChallenge(now: now, sink: &sink)
      return
    case .reset:
      takeReset(&effects)
      return
    case .abandon:
      end(.reset, &effects)
      return
    case .destroy:
      transmitReset(now: now, sink: &sink)
      end(.reset, &effects)
      return
    }

    if state == .synReceived {
      guard send.unacknowledged < segment.acknowledgment, segment.acknowledgment <= send.maximum else {
        counters.rejected &+= 1
        transmit(TCPResetRule.reply(to: segment, payloadCount: count), sink: &sink)
        return
      }
      takeHandshakeAcknowledgment(segment.options.timestamps, arrival: segment.arrival)
      send.setWindow(
        UInt32(segment.window) << UInt32(send.scale), sequence: segment.sequence,
        acknowledgment: segment.acknowledgment)
      establish(now: now, &effects)
      if !isPassive, !reassembly.isEmpty { deliverSynText(sink: &sink, &effects) }
      if repeatsSyn, configuration.personality == .linux {
        // Linux tells the peer that its SYN came twice.
        selective.repeated(receive.initial, receive.initial + 1)
        policy.now = true
      }
    }
    if ecn.isAccurate { countMark(of: segment, count) }
    // What is sent because of this segment echoes it. Accurate feedback asks whether its clock went on.
    let isFirst = !ecn.isAccurate && isPlausible(segment.acknowledgment)
    if isFirst { takeStamps(of: segment, now: now) }
    if count > 0, isQuiet, segment.acknowledgment == send.unacknowledged, segment.options.sack.isEmpty {
      takeQuietAcknowledgment(segment)
    } else if !takeAcknowledgment(segment, payloadCount: count, now: now, sink: &sink, &effects) {
      return
    }
    lastArrival = now
    keepaliveProbes = 0
    if ecn.isClassic { takeNotification(segment, count) }
    if !isFirst { takeStamps(of: segment, now: now) }
    if segment.options.userTimeout != nil { takeUserTimeout(segment.options, now: now) }
    // Urgent data is data (RFC 6093): the sixth step has nothing to do but count.
    if segment.flags.contains(.urg), segment.urgentPointer > 0 { counters.urgentSegments &+= 1 }
    receiveText(
      segment, at: segment.sequence, count: count, payload, now: now, sink: &sink, &effects)
    // Holes, repetitions and congestion are told of one by one.
    isAnswerHeld =
      holdsAnswer && reassembly.isEmpty && selective.isEmpty && !segment.congestionExperienced
    if !isAnswerHeld { answer(now: now, sink: &sink) }
  }

  private mutating func takeStamps(of segment: TCPSegment, now: Instant) {
    guard timestamps.isEnabled, let stamps = segment.options.timestamps else { return }
    timestamps.take(
      stamps.value, sequence: segment.sequence, lastAcknowledgment: receive.lastAcknowledgment, now: now)
  }

  /// A segment that is all old: the peer has not heard our acknowledgments, or did not wait for them. It learns that
  /// this came twice (RFC 2883 section 4.1), and the next acknowledgments go at once.
  private mutating func noteRepetition(_ segment: TCPSegment, _ count: Int) {
    guard segment.sequence < receive.next else { return }
    policy.hurry(window: receive.offered, configuration)
    let end = segment.sequence + segment.length(payload: count)
    selective.repeated(segment.sequence, SequenceNumber.earlier(end, receive.next))
  }

  /// RFC 3168 section 6.1.3: what met congestion is echoed until the sender says that it slows down, who may then have
  /// little out, and should not wait for our acknowledgments.
  private mutating func takeNotification(_ segment: TCPSegment, _ count: Int) {
    if segment.flags.contains(.cwr) {
      ecn.echoes = false
      if count > 0 { policy.now = true }
    }
    if segment.congestionExperienced, count > 0 {
      if !ecn.echoes { policy.hurry(window: receive.offered, configuration) }
      ecn.echoes = true
      counters.congestionMarks &+= UInt32(segment.segments(payload: count))
    }
  }

  /// Who asks for two kinds of feedback in one handshake could not know which it got (RFC 9768 section 3.1.5).
  private mutating func refuse(
    _ segment: TCPSegment, _ count: Int, sink: inout some TCPSink & ~Copyable, _ effects: inout TCPEffects
  ) {
    counters.rejected &+= 1
    transmit(TCPResetRule.reply(to: segment, payloadCount: count), sink: &sink)
    end(isPassive ? .reset : .refused, &effects)
  }

  /// A reset that was believed.
  private mutating func takeReset(_ effects: inout TCPEffects) {
    switch state {
    case .synReceived:
      end(isPassive ? .reset : .refused, &effects)
    case .established, .finWait1, .finWait2, .closeWait:
      end(.reset, &effects)
    case .closing, .lastAck:
      // Both have closed: RFC 9293 is silent. BSD tells whoever still asks.
      end(configuration.personality == .bsd ? .reset : nil, &effects)
    case .timeWait, .synSent, .closed, .listen:
      end(nil, &effects)
    }
  }

  /// The connection is over; nothing is sent.
  mutating func end(_ error: TCPError?, _ effects: inout TCPEffects) {
    state = .closed
    deadlines.clear()
    outstanding.removeAll()
    marks = nil
    reassembly.removeAll()
    selective.clear()
    effects.events.insert(.closed)
    effects.error = error
  }

  /// Both sides have closed: 2 MSL begin, RFC 9293 section 3.6.1.
  mutating func enterTimeWait(now: Instant, _ effects: inout TCPEffects) {
    state = .timeWait
    deadlines.clear()
    reassembly.removeAll()
    selective.clear()
    deadlines.linger.arm(now + configuration.timeWait)
    effects.events.insert(.enteredTimeWait)
  }
}
