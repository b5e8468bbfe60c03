import Buffers
import Timing
import Wire

/// A connection in SYN-RECEIVED that a SYN opened, as small as it can be kept: what a listener holds in the
/// place of a control block until the handshake is complete (RFC 4987 section 3.4).
///
/// A value, and pure: whoever holds it sends `synAck`, gives what arrives to `examine`, and makes the
/// connection when that says so.
@frozen public struct TCPHalfOpen: Sendable {
  /// ISS.
  public var initialSend: SequenceNumber
  /// IRS.
  public var initialReceive: SequenceNumber
  /// What the SYN and our configuration have agreed on.
  public var negotiation: TCPNegotiation
  /// The SYN's window field, which is never scaled.
  public var window: UInt16
  /// Where our timestamp clock begins, from `InitialSequenceGenerator`.
  public var timestampOffset: UInt32
  /// TS.Recent, if timestamps are in use.
  public var recentTimestamp: UInt32
  /// When the SYN came.
  public var begun: Instant
  /// When the SYN-ACK was sent last.
  public var sent: Instant
  /// How often the SYN-ACK was sent beyond the first time.
  public var retransmissions: UInt8 = 0
  /// Challenges sent since the last SYN-ACK (RFC 5961 section 7).
  public var challenges: UInt8 = 0
  /// The mark of the SYN that came last, which the SYN-ACK reflects (RFC 9768 section 3.1.5).
  public var synMark: CongestionNotification
  /// The SYN came again.
  public var repeatsSyn = false
  /// A SYN came that asks for no notification of congestion, whatever others asked for.
  public var hasPlainSyn = false
  /// The form in which the SYN-ACK gives a Fast Open cookie, which is not kept: it can be computed again.
  public var fastOpen = TCPFastOpenForm.none

  /// The beginning of a connection that `syn` opens, for which `TCPListenRule` said `open`. Data in the SYN is
  /// left to be sent again (RFC 9293 section 3.10.7.2).
  ///
  /// - Parameters:
  ///   - syn: the segment.
  ///   - iss: the initial sequence number, from `InitialSequenceGenerator` or `SynCookies`.
  ///   - timestampOffset: where the timestamp clock begins, from `InitialSequenceGenerator`.
  ///   - configuration: how the connection will behave.
  ///   - now: the time.
  public init(
    syn: TCPSegment, iss: SequenceNumber, timestampOffset: UInt32,
    configuration: TCPConfiguration, now: Instant
  ) {
    initialSend = iss
    initialReceive = syn.sequence
    negotiation = TCPNegotiation(syn, configuration)
    synMark = syn.notification
    window = syn.window
    self.timestampOffset = timestampOffset
    recentTimestamp = syn.options.timestamps?.value ?? 0
    begun = now
    sent = now
  }

  /// The SYN-ACK, to be sent now.
  ///
  /// `cookie`: the Fast Open cookie that goes with it, if ``fastOpen`` says that one does.
  public func synAck(
    _ configuration: TCPConfiguration, cookie: InlineBytes<16> = InlineBytes(), now: Instant
  ) -> TCPOutgoing {
    var options = TCPOptions()
    if !configuration.sendsNoOptions { options.mss = configuration.ownSegment }
    if negotiation.scale != nil { options.windowScale = configuration.windowScale }
    if negotiation.timestamps {
      let clock = TimestampState(offset: timestampOffset).clock(now)
      options.timestamps = TCPTimestamps(value: clock, echo: recentTimestamp)
    }
    options.sackPermitted = negotiation.selective
    // What somebody on the way may not have borne is not repeated (RFC 7413 section 4.2.2).
    if fastOpen != .none, retransmissions == 0 {
      options.fastOpenCookie = cookie
      options.fastOpenIsExperimental = fastOpen == .experimental
    }
    if negotiation.notification == .accurate, retransmissions == 0, !repeatsSyn {
      options.addFirstCounters(configuration)
    }
    return TCPOutgoing(
      sequence: initialSend, acknowledgment: initialReceive + 1, flags: synAckFlags,
      window: UInt16(clamping: configuration.synWindow), options: options,
      isRetransmission: retransmissions > 0)
  }

  /// RFC 9768 section 3.2.3.2.2: when two SYN-ACKs were not answered, some box on the way may not bear their flags.
  private var isPlain: Bool { retransmissions >= 2 }

  private var synAckFlags: TCPFlags {
    switch negotiation.notification {
    case .none: [.syn, .ack]
    case .classic: [.syn, .ack, .ece]
    case .accurate: isPlain ? [.syn, .ack] : synMark.reflection.union([.syn, .ack])
    }
  }

  /// What the engine takes over of the handshake's feedback.
  func takeOver(_ feedback: inout AccurateFeedback) {
    feedback.synMark = synMark
    feedback.expects = .reflection
    feedback.isPlain = hasPlainSyn || isPlain
    if isPlain { feedback.failures.insert(.fieldSent) }
    feedback.demandOptions(1)
  }

  /// The SYN came again, for which `examine` said `resend`.
  public mutating func takeRepeatedSyn(_ syn: TCPSegment) {
    repeatsSyn = true
    synMark = syn.notification
    if syn.flags.marks == 0 { hasPlainSyn = true }
  }

  /// When the SYN-ACK that is out has to be answered: the timeout doubles with each (RFC 6298 section 5.5).
  public func deadline(_ configuration: TCPConfiguration) -> Instant {
    sent
      + RoundTripEstimator.backedOff(
        configuration.initialTimeout, retransmissions, configuration.maximumTimeout)
  }

  /// The deadline has passed: whether the SYN-ACK may be sent again, or were there enough (RFC 9293 section
  /// 3.8.3). Never more than fifteen times.
  public func mayRetransmit(_ configuration: TCPConfiguration) -> Bool {
    retransmissions < min(configuration.synAckAttempts, 15)
  }

  /// What is done with a segment for it.
  public enum Decision: Sendable {
    /// Nothing.
    case ignore
    /// The SYN came again: `takeRepeatedSyn`, and the SYN-ACK is sent again (Q6).
    case resend
    /// The SYN came again and asks for another kind of feedback than before, which must not be: this reset answers, and
    /// the entry is removed (RFC 9768 section 3.1.5).
    case refuse(TCPOutgoing)
    /// The peer learns where we stand (RFC 5961), by this.
    case answer(TCPOutgoing)
    /// It acknowledges what was never sent: this reset answers, and the entry stays (RFC 9293 section
    /// 3.10.7.4).
    case reset(TCPOutgoing)
    /// The peer gave up, or begins anew: back to LISTEN.
    case remove
    /// The handshake is complete: `connection` takes the segment.
    case complete
  }

  /// Looks at a segment that arrived for it, by the rules of SYN-RECEIVED: RFC 9293 section 3.10.7.4, RFC 5961,
  /// RFC 7323 section 5 (Q2). Pure.
  public func examine(
    _ segment: TCPSegment, payloadCount: Int, _ configuration: TCPConfiguration, now: Instant
  ) -> Decision {
    let repeatsSyn = segment.sequence == initialReceive && segment.flags.contains(.syn)
    if repeatsSyn, !segment.flags.contains(.rst), !segment.flags.contains(.ack) {
      guard negotiation.notification.isContradicted(bySyn: segment.flags, configuration) else {
        return .resend
      }
      return TCPResetRule.reply(to: segment, payloadCount: payloadCount).map { .refuse($0) } ?? .ignore
    }
    if completesPlainly(segment) { return .complete }
    var connection = connection(configuration, now: now)
    switch connection.judge(segment, payloadCount: payloadCount, now: now) {
    case .accept:
      guard segment.acknowledgment == initialSend + 1 else {
        return TCPResetRule.reply(to: segment, payloadCount: payloadCount).map { .reset($0) } ?? .ignore
      }
      return .complete
    case .drop:
      return .ignore
    case .acknowledge, .challenge:
      guard challenges < configuration.challengeLimit else { return .ignore }
      var reply = OneSegment()
      connection.transmitAcknowledgment(now: now, sink: &reply)
      return reply.segment.map { .answer($0) } ?? .ignore
    case .reset, .abandon, .destroy:
      return .remove
    }
  }

  /// The acknowledgment that nearly every handshake ends with, of which there is nothing to judge: it begins where the
  /// peer's SYN ended, which is in any window, acknowledges ours, and is no older than that. The text that may come with it
  /// is looked at by the connection.
  private func completesPlainly(_ segment: TCPSegment) -> Bool {
    guard segment.flags.subtracting(.psh) == .ack, segment.sequence == initialReceive + 1,
      segment.acknowledgment == initialSend + 1
    else { return false }
    guard negotiation.timestamps else { return true }
    guard let stamps = segment.options.timestamps else { return false }
    return Int32(bitPattern: stamps.value &- recentTimestamp) >= 0
  }

  /// The whole connection, in SYN-RECEIVED with its SYN-ACK out: for the segment that completes it, which it
  /// takes like any other. `start` has nothing to do.
  public func connection(_ configuration: TCPConfiguration, now: Instant) -> TCPConnection {
    TCPConnection.resuming(self, configuration: configuration, now: now)
  }
}

/// Keeps the last segment sent.
private struct OneSegment: TCPSink, ~Copyable {
  var segment: TCPOutgoing?
  mutating func send(_ segment: borrowing TCPOutgoing) { self.segment = copy segment }
  mutating func deliver(_ payload: consuming Packet) {}
}
