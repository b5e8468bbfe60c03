import Buffers
import Exclusion
import Timing
import Wire

/// One TCP connection as a value: RFC 9293 with its companions, and nothing else.
///
/// Every function is `(state, event, now) → effects`: no clock, no lock, no input or output, no allocation. Segments
/// and payload leave through an `inout` sink; what else there is to do is in the `TCPEffects` returned. The send
/// queue lies with the environment, which tells how many bytes it grew by (`enqueue`) and is told how many to
/// drop. Time comes in with each call; `nextDeadline` says when to call `timeout` at the latest.
///
/// Calling context: whoever owns the control block, one at a time (keeps PCB-OWN). Fixed size; may lie in raw
/// memory that is initialised and deinitialised by hand. Deinitialising gives held packets back to their pools.
public struct TCPConnection: ~Copyable {
  /// The state, RFC 9293 section 3.3.2.
  public internal(set) var state: TCPState
  /// How it behaves; changed by `reconfigure`.
  public internal(set) var configuration: TCPConfiguration
  /// What ICMP reported and did not end the connection (RFC 9293 section 3.9.2.2); until it is read.
  public internal(set) var softError: TCPError?

  /// Opened by a SYN that arrived: the connection goes back to LISTEN, that is, it vanishes, where the RFC
  /// has a difference.
  let isPassive: Bool
  private let place = InPlace()
  /// No one will read any more: data that arrives is answered with a reset (`close`).
  var isOrphan = false
  /// Both SYNs carried a window scale.
  var isScaled = false
  /// Both SYNs permitted selective acknowledgments.
  var isSelective = false
  /// A SYN with a good cookie opened it: text comes and goes before the handshake is complete.
  var isFastOpened = false
  /// The SYN brought text that was taken.
  var synDataTaken = false
  /// The attempt to open fast, as client; the answer to one, as server.
  var fastOpen: FastOpenClient?
  /// One past the last byte that was sent as urgent.
  var urgentEnd: SequenceNumber?
  /// Places that segments respect; nil: there are none.
  var marks: SendMarks?
  /// Text was taken, and the answer waits for the segment that comes with it.
  var isAnswerHeld = false
  /// What keeps text from leaving, for statistics.
  var limits = SendLimits()
  /// The user timeout has still to be told.
  var isUserTimeoutUntold = true
  /// Retransmissions of the same sequence number in a row.
  var attempts: UInt8 = 0
  /// Window probes in a row without answer.
  var probes: UInt8 = 0
  /// How many times the interval of window probes was doubled.
  var probeBackoff: UInt8 = 0
  /// What of the path was found out and not yet told.
  var pathNews: TCPPathNews = []
  /// Keep-alive probes in a row without answer.
  var keepaliveProbes: UInt8 = 0
  /// ssthresh that the congestion window begins with, in segments; 0: it has to find out.
  var rememberedThreshold: UInt16 = 0

  var send: SendSequence
  var receive: ReceiveSequence
  var reassembly: ReassemblyQueue
  var timestamps: TimestampState
  var roundTrip = RoundTripEstimator()
  var window: CongestionWindow
  var control: CongestionController
  var outstanding = RetransmissionQueue()
  var search = PathSearch()
  var recovery: LossRecovery
  var recent: RecentAcknowledgment
  var count = DeliveryCount()
  var pacer = Pacer()
  var ecn = ECNState()
  var accurate = AccurateState()
  /// The blocks of the last acknowledgment that had any.
  var knownBlocks = SACKBlocks()
  /// One past the highest number that the peer reported, while it has reported any. It lies in what the blocks leave of
  /// a word.
  var reportedEnd: SequenceNumber
  var policy: AcknowledgmentPolicy
  var selective = SelectiveReport()
  var tuning: ReceiveTuning
  var deadlines = Deadlines()
  var challenges = ChallengeAckLimiter()
  var counters = TCPCounters()
  /// When the last acceptable segment arrived.
  var lastArrival: Instant

  private init(
    state: TCPState, isPassive: Bool, initial: SequenceNumber, timestampOffset: UInt32,
    configuration: TCPConfiguration, now: Instant
  ) {
    self.state = state
    self.isPassive = isPassive
    self.configuration = configuration
    self.configuration.maximumSegment = configuration.ownSegment
    send = SendSequence(initial: initial, segment: self.configuration.maximumSegment, now: now)
    receive = ReceiveSequence(
      buffer: configuration.receiveBuffer,
      scale: configuration.windowScaling ? configuration.windowScale : 0,
      quantum: configuration.synWindowQuantum, ceiling: UInt32(configuration.firstWindow),
      space: configuration.receiveSpace, roundsUp: !configuration.isEarlierBSD)
    reassembly = ReassemblyQueue(limit: Self.reassemblyLimit(buffer: configuration.receiveBuffer))
    timestamps = TimestampState(offset: timestampOffset)
    window = CongestionWindow(initial: 1, next: initial, now: now)
    control = CongestionController(.newReno, exit: .loss, seed: 0, now: now)
    recovery = LossRecovery(initial: initial)
    recovery.reordering = Int(configuration.duplicateThreshold)
    recent = RecentAcknowledgment(initial: initial)
    reportedEnd = initial
    policy = AcknowledgmentPolicy(
      announced: configuration.ownSegment, buffer: configuration.receiveBuffer, now: now)
    tuning = ReceiveTuning(initial: min(Int(configuration.receiveBuffer), 10 * Int(configuration.ownSegment)))
    lastArrival = now
    chooseControl(now: now)
  }

  /// A connection that opens: SYN-SENT once `start` has sent the SYN.
  ///
  /// - Parameters:
  ///   - iss: the initial sequence number, from `InitialSequenceGenerator`.
  ///   - timestampOffset: where the timestamp clock begins, from the same.
  ///   - configuration: how it behaves.
  ///   - fastOpen: what is known of Fast Open with the peer; what is enqueued before `start` then goes with the SYN.
  ///     Nil: it is not tried.
  ///   - now: the time.
  public static func active(
    iss: SequenceNumber, timestampOffset: UInt32 = 0, configuration: TCPConfiguration,
    fastOpen: TCPFastOpenAttempt? = nil, now: Instant
  ) -> TCPConnection {
    var connection = TCPConnection(
      state: .synSent, isPassive: false, initial: iss, timestampOffset: timestampOffset,
      configuration: configuration, now: now)
    connection.fastOpen = fastOpen.map { FastOpenClient(attempt: $0) }
    return connection
  }

  /// A connection that a SYN opens, for which `TCPListenRule` said `open`: SYN-RECEIVED; `start` sends the
  /// SYN-ACK. Data in the SYN is left to be sent again (RFC 9293 section 3.10.7.2).
  ///
  /// - Parameters:
  ///   - syn: the segment.
  ///   - iss: the initial sequence number, from `InitialSequenceGenerator`.
  ///   - timestampOffset: where the timestamp clock begins, from the same.
  ///   - configuration: how it behaves.
  ///   - now: the time.
  public static func passive(
    syn: TCPSegment, iss: SequenceNumber, timestampOffset: UInt32 = 0,
    configuration: TCPConfiguration, now: Instant
  ) -> TCPConnection {
    var connection = TCPConnection(
      state: .synReceived, isPassive: true, initial: iss, timestampOffset: timestampOffset,
      configuration: configuration, now: now)
    connection.takeSyn(syn, now: now)
    return connection
  }

  /// No connection yet: CLOSED, and it stays so.
  ///
  /// - Parameters:
  ///   - configuration: how one would behave.
  ///   - now: the time.
  public static func idle(configuration: TCPConfiguration, now: Instant) -> TCPConnection {
    TCPConnection(
      state: .closed, isPassive: false, initial: SequenceNumber(0), timestampOffset: 0,
      configuration: configuration, now: now)
  }

  /// A passive connection whose SYN-ACK is out: `TCPHalfOpen` as a whole.
  static func resuming(
    _ halfOpen: TCPHalfOpen, configuration: TCPConfiguration, now: Instant
  ) -> TCPConnection {
    var connection = TCPConnection(
      state: .synReceived, isPassive: true, initial: halfOpen.initialSend,
      timestampOffset: halfOpen.timestampOffset, configuration: configuration, now: now)
    connection.receive.synchronize(halfOpen.initialReceive)
    connection.agree(halfOpen.negotiation)
    if connection.ecn.isAccurate { halfOpen.takeOver(&connection.accurate.feedback) }
    if halfOpen.negotiation.timestamps {
      connection.timestamps.set(halfOpen.recentTimestamp, now: halfOpen.begun)
    }
    connection.send.setWindow(
      UInt32(halfOpen.window), sequence: halfOpen.initialReceive, acknowledgment: SequenceNumber(0))
    connection.synAckIsOut(sent: halfOpen.sent, retransmissions: halfOpen.retransmissions, now: now)
    return connection
  }

  /// How large a send buffer can be of use now, in bytes: two congestion windows, so that a window waits when another
  /// is acknowledged, and at least two initial ones (Linux's tcp_sndbuf_expand).
  public var usefulSendBuffer: Int { 2 * max(window.segments, initialWindow) * fullSegment }

  /// A packet occupies 2048 bytes whatever it holds: four times the buffer at the most.
  static func reassemblyLimit(buffer: UInt32) -> UInt32 { max(32, buffer / 512) }

  /// When `timeout` has to be called at the latest; nil: never. Calling it earlier does nothing.
  public var nextDeadline: Instant? { deadlines.next }
  /// The same; the distant future: never.
  public var earliestDeadline: Instant { deadlines.earliest }

  /// Whether `enqueue` takes bytes: false once the sending side was shut down, or the connection ended (P3).
  public var canEnqueue: Bool {
    switch state {
    case .synSent, .synReceived, .established, .closeWait: !send.finQueued
    case .closed, .listen, .finWait1, .finWait2, .closing, .lastAck, .timeWait: false
    }
  }

  /// Bytes in the send queue, as the engine counts them: what was enqueued less what was acknowledged.
  public var queuedBytes: Int { send.queuedBytes }

  /// Bytes of the send queue that have not been sent yet.
  public var unsentBytes: Int { max(0, send.queueEnd - send.maximum) }

  /// Segments that leave in a millisecond at the present rate, a window for each round trip; nil before the round
  /// trip was measured.
  public var segmentsPerMillisecond: Int? {
    let trip = roundTrip.smoothed.count
    guard trip > 0 else { return nil }
    return Int(clamping: Int64(window.segments) * 1_000_000 / trip)
  }

  /// ICMP errors that quoted what was not out (RFC 5927 section 4.1). Wrapping.
  public var errorsOutOfWindow: UInt32 { counters.errorsOutOfWindow }

  /// The largest payload of a segment, options taken off.
  public var sendSegment: Int { fullSegment }

  /// What was found out of the path since the last call.
  public mutating func takePathNews() -> TCPPathNews {
    if pathNews.isEmpty { return [] }
    defer { pathNews = [] }
    return pathNews
  }

  /// A snapshot for statistics, with what depends on the time, which is `now`.
  public func info(now: Instant) -> TCPInfo {
    var info = info
    (info.busyTime, info.windowLimitedTime, info.bufferLimitedTime) = limits.spans(now: now)
    info.sinceTextSent = now - send.lastTransmission
    info.sinceTextReceived = now - policy.lastArrival
    info.sinceAcknowledgment = now - lastArrival
    return info
  }

  /// A snapshot for statistics, without spans of time.
  public var info: TCPInfo {
    var info = TCPInfo()
    info.peerSegment = policy.segment
    info.outOfOrderSegments = counters.outOfOrder
    info.state = state
    info.smoothedRoundTrip = roundTrip.smoothed
    info.roundTripVariation = roundTrip.variation
    info.minimumRoundTrip = roundTrip.minimum
    info.retransmissionTimeout = roundTrip.timeout(configuration)
    info.backoff = Int(roundTrip.backoff)
    info.congestionWindow = window.segments
    info.slowStartThreshold = window.threshold
    info.phase = TCPRecoveryPhase(recovery.phase)
    info.congestionControl = control.algorithm
    info.unacknowledgedSegments = outstanding.count
    info.sackedSegments = outstanding.sacked + outstanding.presumed
    info.lostSegments = outstanding.lost
    info.repeatingSegments = outstanding.repeating
    info.reordering = recovery.reordering
    info.deliveredSegments = count.delivered
    info.pacingRate = pacer.isOn ? pacer.rate : nil
    addModel(to: &info)
    info.congestionFeedback = ecn.feedback
    info.markedSegments = count.marked
    if ecn.isAccurate { info.accurateFeedback = accurate.feedback.info }
    info.sendWindow = Int(send.window)
    info.receiveWindow = receive.window
    info.receiveRoundTrip = tuning.roundTrip
    info.receiveBuffer = Int(receive.buffer)
    info.acknowledgmentTimeout = policy.timeout
    info.sendSegment = fullSegment
    info.receiveSegment = Int(configuration.maximumSegment)
    info.pathSegment = Int(send.pathSegment)
    info.isSearchingPath = search.isOn
    info.queuedBytes = send.queuedBytes
    info.outstandingBytes = send.maximum - send.unacknowledged
    info.outOfOrderBytes = reassembly.bytes
    info.sendWindowScale = send.scale
    info.receiveWindowScale = isScaled ? receive.scale : 0
    info.synData = synDataTaken || fastOpen?.outcome?.dataTaken ?? false
    info.timestamps = timestamps.isEnabled
    info.selectiveAcknowledgments = isSelective
    info.windowProbes = Int(probes)
    info.counters = counters
    return info
  }
}
