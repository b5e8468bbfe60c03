import Timing
import Wire

extension TCPConnection {
  /// Payload of a full segment: what the segment size leaves after the options that every segment carries
  /// (RFC 9293 section 3.7.1, RFC 6691).
  var fullSegment: Int { Int(send.segment) - fixedOptions }

  /// Text of a full segment that leaves now: what a report of bytes ahead of holes needs is taken off, as Linux does.
  /// A sender that is also a receiver would else never report while it has text to send.
  @inline(__always) var fullTextSegment: Int {
    guard isSelective && !selective.isEmpty || ecn.isAccurate else { return fullSegment }
    return max(fullSegment - optionPlan(besides: 0).byteCount, 1)
  }

  /// Bytes of options that every segment carries.
  var fixedOptions: Int { (timestamps.isEnabled ? 12 : 0) + Int(configuration.signatureBytes) }

  /// The selective acknowledgment of a segment with room for so many blocks (RFC 2018 section 4).
  mutating func selectiveBlocks(limit: Int) -> SACKBlocks {
    guard !selective.isEmpty else { return SACKBlocks() }
    if limit > 0, selective.duplicate != nil { counters.duplicatesReported &+= 1 }
    return selective.take(limit: limit)
  }

  /// The peer's SYN, alone or with an ACK: sequence numbers, options and the window, which a SYN does not scale.
  mutating func takeSyn(_ segment: TCPSegment, now: Instant) {
    receive.synchronize(segment.sequence)
    policy.begin(now: now)
    var negotiation = TCPNegotiation(segment, configuration)
    if !isPassive, !segment.flags.contains(.ack) {
      // Where SYNs cross we answer as a server, but a SYN of one kind and a SYN-ACK of another must not be.
      let use = configuration.congestionNotification
      negotiation.notification = CongestionFeedback(
        askedBy: segment.flags, most: use.offered == .none ? use.accepted : use.offered)
    }
    agree(negotiation)
    if ecn.isAccurate { beginFeedback(with: segment) }
    takeUserTimeout(segment.options, now: now)
    if timestamps.isEnabled, let stamps = segment.options.timestamps {
      timestamps.set(stamps.value, now: now)
    }
    send.setWindow(
      UInt32(segment.window), sequence: segment.sequence, acknowledgment: segment.acknowledgment)
  }

  /// Puts into force what both SYNs have agreed on.
  mutating func agree(_ negotiation: TCPNegotiation) {
    send.segmentLimit = negotiation.segmentLimit
    settleSegment()
    isScaled = negotiation.scale != nil
    send.scale = negotiation.scale ?? 0
    if !isScaled { receive.scale = 0 }
    timestamps.isEnabled = negotiation.timestamps
    isSelective = negotiation.selective
    agreeOnFeedback(negotiation.notification)
  }

  /// The SYN goes unanswered: it may be what it offers.
  mutating func offerNothing() {
    configuration.windowScaling = false
    configuration.timestamps = false
    configuration.selectiveAcknowledgments = false
    receive.scale = 0
  }

  /// The options of our SYN, or of the SYN-ACK, where only what the peer offered is answered.
  func synOptions(isAnswer: Bool, isRetransmission: Bool = false, now: Instant) -> TCPOptions {
    var options = TCPOptions()
    if configuration.sendsNoOptions { return options }
    options.mss = configuration.maximumSegment
    if isAnswer ? isScaled : configuration.windowScaling { options.windowScale = receive.scale }
    if isAnswer ? timestamps.isEnabled : configuration.timestamps {
      options.timestamps = timestamps.option(now: now, acknowledges: isAnswer)
    }
    options.sackPermitted = isAnswer ? isSelective : configuration.selectiveAcknowledgments
    // What somebody on the way may not have borne is not repeated (RFC 7413 section 4.2.2).
    if isAnswer, !isRetransmission { addFastOpenAnswer(to: &options) }
    options.userTimeout = toldUserTimeout
    if isAnswer { addCountersToSynAck(&options) }
    return options
  }

  /// IW in segments: RFC 6928 equation 1, for the configured number of segments; fewer where they are large.
  var initialWindow: Int {
    let count = Int(configuration.initialWindowSegments)
    return max(1, min(count, max(2 * fullSegment, count * 1460) / fullSegment))
  }

  /// Our SYN is acknowledged: the congestion window begins; with one segment if the handshake needed several
  /// attempts (RFC 5681 section 3.1).
  mutating func beginSending(isCautious: Bool, now: Instant) {
    window = CongestionWindow(initial: isCautious ? 1 : initialWindow, next: send.next, now: now)
    if rememberedThreshold > 0 { window.threshold = max(Int(rememberedThreshold), 2) }
    if configuration.windowValidation == .preserving, !control.hasModel {
      window.validation = WindowValidation()
    }
    recovery.end = send.next
    beginSearch(now: now)
    followPace()
  }
}
