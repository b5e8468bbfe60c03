import Timing
import Wire

// Fast Open, the connecting side: RFC 7413 section 4.2.1.

/// What became of the attempt so far.
struct FastOpenClient {
  var attempt: TCPFastOpenAttempt
  /// Bytes of text in the first SYN.
  var sent = 0
  var outcome: TCPFastOpenOutcome?
}

extension TCPConnection {
  /// What came of the attempt to open fast, once the peer has answered; nil: there was none, or it has not.
  public var fastOpenOutcome: TCPFastOpenOutcome? { fastOpen?.outcome }
  /// It is tried, or was: without that there is no outcome.
  public var triesFastOpen: Bool { fastOpen != nil }

  /// One past the text that went with the SYN.
  var synTextEnd: SequenceNumber { send.initial + 1 + (fastOpen?.sent ?? 0) }

  /// A router says that the SYN was too large for the path. Without its text it is not: it goes again at once, and says
  /// what the path takes (Linux). FreeBSD's next one says so over IPv6.
  mutating func narrowSyn(to segment: UInt16, now: Instant, sink: inout some TCPSink & ~Copyable) {
    let isLinux = configuration.personality == .linux
    guard isLinux || configuration.isIPv6 else { return }
    configuration.maximumSegment = min(configuration.maximumSegment, segment)
    guard isLinux, let client = fastOpen, client.sent > 0, attempts == 0 else { return }
    transmitSyn(now: now, sink: &sink)
  }

  /// Bytes that a SYN holds at most, as Linux has it: a segment of the size that the peer said last time, less all
  /// options that there might be.
  public static func fastOpenRoom(_ attempt: TCPFastOpenAttempt, _ configuration: TCPConfiguration) -> Int {
    guard attempt.sendsData else { return 0 }
    return max(0, Int(min(configuration.ownSegment, max(attempt.segment, configuration.minimumSegment))) - 40)
  }

  /// The first SYN of an attempt, with the option and as much text as it holds. What is repeated after this is a plain
  /// SYN: whoever does not like the option, or the text, gets neither twice.
  mutating func transmitFastSyn(now: Instant, sink: inout some TCPSink & ~Copyable) {
    guard var client = fastOpen else { return }
    var options = synOptions(isAnswer: false, now: now)
    if !client.attempt.needsNoCookie || client.attempt.cookie.count > 0 {
      options.fastOpenCookie = client.attempt.cookie
      options.fastOpenIsExperimental = client.attempt.form == .experimental
    }
    let count = min(send.queuedBytes, Self.fastOpenRoom(client.attempt, configuration))
    client.sent = count
    fastOpen = client
    send.next = send.initial + 1 + count
    send.maximum = send.next
    roundTrip.sentSyn(isRetransmission: false, now: now)
    send.lastTransmission = now
    counters.segmentsSent &+= 1
    counters.bytesSent &+= UInt64(count)
    sink.send(
      TCPOutgoing(
        sequence: send.initial, acknowledgment: SequenceNumber(0),
        flags: synFlags(isAnswer: false, isRetransmission: false),
        window: receive.offerUnscaled(), options: options, payloadOffset: 0, payloadCount: count))
    armSendTimers(now: now)
  }

  /// The SYN-ACK: what it acknowledges of the text is done, the rest is sent again at once, and what it tells of
  /// cookies is for the environment to remember.
  mutating func takeFastSynAck(_ segment: TCPSegment, attempts: UInt8, _ effects: inout TCPEffects) {
    let first = send.initial + 1
    let acknowledged = max(0, segment.acknowledgment - first)
    if acknowledged > 0 {
      send.unacknowledged = segment.acknowledgment
      effects.acknowledgedBytes += acknowledged
      counters.bytesAcknowledged &+= UInt64(acknowledged)
    }
    send.next = send.unacknowledged
    guard var client = fastOpen else { return }
    // A cookie that nobody asked for is nobody's (Linux).
    let hasAsked = !client.attempt.needsNoCookie || client.attempt.cookie.count > 0
    let option = hasAsked ? segment.options.fastOpenCookie : nil
    let cookie = option.flatMap { $0.count >= 4 ? $0 : nil }
    let wasRepeated = attempts > 0
    let isData = client.sent > 0 && acknowledged > 0
    client.outcome = TCPFastOpenOutcome(
      cookie: cookie,
      form: cookie == nil
        ? client.attempt.form : segment.options.fastOpenIsExperimental ? .experimental : .standard,
      segment: segment.options.mss ?? configuration.peerSegmentDefault,
      dataTaken: isData && acknowledged >= client.sent,
      synLost: wasRepeated && cookie == nil && client.sent > 0 && !isData,
      wasIgnored: !wasRepeated && cookie == nil && client.sent == 0 && client.attempt.cookie.count == 0
        && !client.attempt.needsNoCookie,
      isRefused: configuration.personality == .bsd && cookie == nil && !isData
        && !client.attempt.needsNoCookie)
    fastOpen = client
  }
}
