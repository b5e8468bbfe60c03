import Timing
import Wire

// The sender's side of accurate feedback: the handshake, and what the peer's counts say (RFC 9768 sections 3.1, 3.2.2).
extension TCPConnection {
  // MARK: The handshake

  /// The flags of our SYN, or of the SYN-ACK. What is not answered goes again without the offer, which some box on the way
  /// may not have borne: RFC 3168's at once (section 6.1.1.1), accurate feedback's after another attempt (RFC 9768
  /// sections 3.1.4.1 and 3.2.3.2.2).
  mutating func synFlags(isAnswer: Bool, isRetransmission: Bool) -> TCPFlags {
    guard isAnswer else {
      let mayOffer = !configuration.notificationFallback || attempts < 2
      switch configuration.congestionNotification.offered {
      case .none: return .syn
      case .classic:
        let mayAsk = attempts > 0 && attempts <= configuration.notificationRepeats
        return isRetransmission && configuration.notificationFallback && !mayAsk ? .syn : [.syn, .cwr, .ece]
      case .accurate: return mayOffer ? [.syn, .ae, .cwr, .ece] : .syn
      }
    }
    switch ecn.feedback {
    case .none: return [.syn, .ack]
    case .classic: return [.syn, .ack, .ece]
    case .accurate:
      defer { accurate.feedback.answers += accurate.feedback.answers < .max ? 1 : 0 }
      guard accurate.feedback.answers < 2 else {
        accurate.feedback.isPlain = true
        accurate.feedback.failures.insert(.fieldSent)
        return [.syn, .ack]
      }
      return accurate.feedback.synMark.reflection.union([.syn, .ack])
    }
  }

  /// The option of our SYN-ACK, the first time that it is sent. To be asked after the flags.
  func addCountersToSynAck(_ options: inout TCPOptions) {
    guard ecn.isAccurate, accurate.feedback.answers == 1 else { return }
    options.addFirstCounters(configuration)
  }

  /// The SYN, or SYN-ACK, that agreed on accurate feedback.
  mutating func beginFeedback(with segment: TCPSegment) {
    guard segment.flags.contains(.ack) else {
      accurate.feedback.synMark = segment.notification
      accurate.feedback.expects = .reflection
      accurate.feedback.demandOptions(1)
      // A SYN of ours that asked for nothing is one without flags, too.
      accurate.feedback.isPlain = !isPassive && configuration.congestionNotification.offered != .accurate
      return
    }
    accurate.feedback.expects = .first
    accurate.feedback.demandOptions(2)
    takeSynAckMarks(segment)
  }

  /// What a SYN-ACK says of our SYN's mark, and its own.
  private mutating func takeSynAckMarks(_ segment: TCPSegment) {
    accurate.feedback.synAckArrived(segment.notification)
    if segment.notification == .experienced { counters.congestionMarks &+= 1 }
    accurate.feedback.look(at: segment.options.accurateECN, sent: 0)
    if takeReflectedMark(segment.flags.marks) { accurate.feedback.synWasMarked = true }
  }

  /// The mark with which our SYN, or SYN-ACK, arrived, which left without one: any other was made on the way, and no
  /// router makes it (section 3.2.2.3). True: it met congestion.
  private mutating func takeReflectedMark(_ marks: UInt8) -> Bool {
    guard let mark = CongestionNotification(reflectedBy: marks) else { return false }
    if mark != .notCapable, configuration.notificationFallback {
      accurate.feedback.isMangled = true
      accurate.feedback.failures.insert(.fieldReceived)
    }
    return mark == .experienced
  }

  /// The peer's SYN came again in SYN-RECEIVED. True: it asks for another kind of feedback than before, which must not
  /// be (section 3.1.5): a reset.
  mutating func takeRepeatedSyn(_ segment: TCPSegment) -> Bool {
    if ecn.feedback.isContradicted(bySyn: segment.flags, configuration) { return true }
    guard ecn.isAccurate else { return false }
    accurate.feedback.synMark = segment.notification
    if segment.flags.marks == 0 { accurate.feedback.isPlain = true }
    return false
  }

  /// The SYN-ACK of a simultaneous open came in SYN-RECEIVED. True: it agrees to another kind of feedback than the SYN
  /// asked for: a reset.
  mutating func takeCrossingSynAck(_ segment: TCPSegment) -> Bool {
    let offered = configuration.congestionNotification.offered
    switch (ecn.feedback, CongestionFeedback(agreedBy: segment.flags, offered: offered)) {
    case (.accurate, .classic), (.classic, .accurate): return true
    case (.accurate, .none): accurate.feedback.isPlain = true
    case (.accurate, .accurate), (.classic, _), (.none, _): break
    }
    guard ecn.isAccurate else { return false }
    takeSynAckMarks(segment)
    accurate.feedback.isWithoutCount = true
    return false
  }

  // MARK: Acknowledgments

  /// Takes the feedback of an acknowledgment, when it is known what it acknowledges.
  mutating func takeMarks(
    of segment: TCPSegment, payloadCount: Int, now: Instant, _ report: inout AcknowledgmentReport
  ) {
    accurate.feedback.look(at: segment.options.accurateECN, sent: counters.bytesSent)
    if accurate.feedback.isWithoutCount {
      accurate.feedback.isWithoutCount = false
      return
    }
    let marks = segment.flags.marks
    switch accurate.feedback.expects {
    case .reflection:
      accurate.feedback.expects = .first
      // Text, a FIN and blocks go with a count.
      if payloadCount == 0, !segment.flags.contains(.fin), segment.options.sack.isEmpty {
        return takeReflection(marks, now: now, &report)
      }
      expectCount(marks)
    case .first: expectCount(marks)
    case .count: break
    }
    guard !accurate.feedback.isZeroed, report.advanced || report.sacked || isNewer(segment) else { return }
    let new = accurate.feedback.take(
      marks, segment.options.accurateECN, counted: count.marked,
      segments: Int(count.delivered &- report.priorDelivered), size: fullSegment)
    guard new > 0 else { return }
    count.marked &+= UInt32(new)
    report.echoesCongestion = true
  }

  /// The ACK of our SYN-ACK: Table 4.
  private mutating func takeReflection(
    _ marks: UInt8, now: Instant, _ report: inout AcknowledgmentReport
  ) {
    if marks == 0 { return stopMarking() }
    guard takeReflectedMark(marks) else { return }
    count.marked &+= 1
    if outstanding.isEmpty {
      beginSending(isCautious: true, now: now)
    } else {
      report.echoesCongestion = true
    }
  }

  /// The first count: not zero, whatever it is (section 3.2.2.4).
  private mutating func expectCount(_ marks: UInt8) {
    accurate.feedback.expects = .count
    if marks == 0 { stopMarking() }
  }

  /// The peer does not count, or somebody on the way zeroes it: our packets do not say that they are capable, and what is
  /// fed back is not believed.
  private mutating func stopMarking() {
    accurate.feedback.isZeroed = true
    accurate.feedback.failures.insert(.fieldReceived)
  }

  /// It acknowledges nothing new, but its clock says that it was not overtaken (Appendix A.1).
  private func isNewer(_ segment: TCPSegment) -> Bool {
    guard timestamps.isEnabled, let stamps = segment.options.timestamps,
      segment.sequence <= receive.lastAcknowledgment
    else { return false }
    return Int32(bitPattern: stamps.value &- timestamps.recent) > 0
  }

  /// The retransmission timer went off for the first text that we sent, and it had an option: that may be what somebody on
  /// the way does not bear (section 3.2.3.2.2).
  mutating func suspectOption() {
    guard ecn.isAccurate, send.unacknowledged == send.initial + 1, outstanding.sacked == 0,
      optionPlan(besides: 0).fields != nil
    else { return }
    accurate.feedback.failures.insert(.optionSent)
  }
}

extension CongestionFeedback {
  /// Whether a SYN asks for RFC 3168's feedback where another, with the same numbers, asked for accurate feedback, or
  /// the other way round.
  func isContradicted(bySyn flags: TCPFlags, _ configuration: TCPConfiguration) -> Bool {
    let most = configuration.congestionNotification.accepted
    switch (self, CongestionFeedback(askedBy: flags, most: most)) {
    case (.accurate, .classic), (.classic, .accurate): return true
    case (.none, _), (.classic, _), (.accurate, _): return false
    }
  }
}

extension TCPOptions {
  /// The option of a SYN-ACK that agrees to accurate feedback, as far as there is room beside the others.
  mutating func addFirstCounters(_ configuration: TCPConfiguration) {
    guard configuration.accurateOption != .never else { return }
    let room = 40 - Int(configuration.signatureBytes) - byteCount
    accurateECN = AccurateFeedback.fieldsOfFirst(room: room).map { AccurateFeedback.first(fields: $0) }
  }
}
