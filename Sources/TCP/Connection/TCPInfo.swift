import Timing

/// What a connection has counted since it began. Wrapping.
@frozen public struct TCPCounters: Sendable {
  /// Bytes of payload sent, repetitions included.
  public var bytesSent: UInt64 = 0
  /// Of those, bytes of segments that held anything sent before.
  public var bytesRetransmitted: UInt64 = 0
  /// Bytes of payload that the peer acknowledged.
  public var bytesAcknowledged: UInt64 = 0
  /// Bytes of payload delivered in order.
  public var bytesReceived: UInt64 = 0
  /// Segments sent, all kinds.
  public var segmentsSent: UInt32 = 0
  /// Segments that arrived, all kinds.
  public var segmentsReceived: UInt32 = 0
  /// Segments sent that held anything sent before, SYN and FIN included.
  public var retransmissions: UInt32 = 0
  /// Retransmissions of segments that were found lost without a timeout.
  public var fastRetransmissions: UInt32 = 0
  /// Retransmission timeouts.
  public var timeouts: UInt32 = 0
  /// Segments that arrived with an urgent pointer; their data is delivered in line (RFC 6093).
  public var urgentSegments: UInt32 = 0
  /// User timeouts that the peer told and that counted (RFC 5482).
  public var userTimeoutsTaken: UInt32 = 0
  /// Acknowledgments that waited for company in vain.
  public var delayedAcknowledgments: UInt32 = 0
  /// Repetitions reported to the peer, of bytes that were acknowledged, or held (RFC 2883).
  public var duplicatesReported: UInt32 = 0
  /// Segments that arrived ahead of a hole.
  public var outOfOrder: UInt32 = 0
  /// Packets that came free because their bytes went into others ahead of a hole.
  public var collapsed: UInt32 = 0
  /// Packets ahead of a hole that were thrown away because memory was short.
  public var pruned: UInt32 = 0
  /// Segments whose text was thrown away, unacknowledged, because memory was short.
  public var refused: UInt32 = 0
  /// Acknowledgments that arrived and acknowledged nothing new while data was out (RFC 5681 section 2).
  public var duplicateAcknowledgments: UInt32 = 0
  /// Challenge ACKs sent (RFC 5961).
  public var challenges: UInt32 = 0
  /// Segments that were not acceptable: sequence, timestamp or acknowledgment.
  public var rejected: UInt32 = 0
  /// Probes sent: of the window and of an idle peer.
  public var probes: UInt32 = 0
  /// Segments that arrived with a mark of congestion (RFC 3168).
  public var congestionMarks: UInt32 = 0
  /// ICMP errors that quote what is not out (RFC 5927 section 4.1).
  public var errorsOutOfWindow: UInt32 = 0
  /// Segments found lost.
  public var lost: UInt32 = 0
  /// Times that losses were found and repaired without a timeout.
  public var recoveries: UInt32 = 0
  /// Tail loss probes sent (RFC 8985 section 7).
  public var lossProbes: UInt32 = 0
  /// Times that segments arrived behind others without having been lost.
  public var reorderings: UInt32 = 0
  /// Duplicates that the peer reported (RFC 2883).
  public var duplicateReports: UInt32 = 0
  /// Times that the peer had thrown away what it had reported (RFC 2018 section 8).
  public var renegings: UInt32 = 0
  /// Reductions of the window taken back because nothing was lost.
  public var undone: UInt32 = 0
  /// Timeouts of them (RFC 5682, RFC 3522).
  public var spuriousTimeouts: UInt32 = 0

  /// Probes of the path's size sent (RFC 4821).
  public var pathProbes: UInt32 = 0
  /// Of them, those that arrived (Linux's TCPMTUPSuccess).
  public var pathProbesDelivered: UInt32 = 0
  /// Of them, those that were lost (Linux's TCPMTUPFail).
  public var pathProbesLost: UInt32 = 0
  /// Times that segments became smaller because nothing of their size was acknowledged.
  public var blackHoles: UInt32 = 0

  /// All zero.
  public init() {}
}

/// What recovery is about, with Linux's numbers.
@frozen public enum TCPRecoveryPhase: UInt8, Sendable {
  /// All is well.
  case open
  /// Something arrived out of order, or was reported twice.
  case disorder
  /// The window is being reduced (`CWR`): congestion was notified, or a probe repaired a loss.
  case reduction
  /// Losses are repaired.
  case recovery
  /// The retransmission timer went off.
  case loss

  init(_ phase: LossRecovery.Phase) {
    switch phase {
    case .open: self = .open
    case .disorder: self = .disorder
    case .reduction: self = .reduction
    case .recovery: self = .recovery
    case .loss: self = .loss
    }
  }
}

/// What BBR believes of the path (Linux: `tcp_bbr_info`, TCP_CC_INFO).
@frozen public struct TCPBandwidthInfo: Sendable, Hashable {
  /// Bytes of payload a second (`bbr_bw_lo`, `bbr_bw_hi`).
  public var bandwidth: Int
  /// The round trip without queues; zero before the first measurement (`bbr_min_rtt`).
  public var minimumRoundTrip: Nanoseconds
  /// How much faster than that segments leave (`bbr_pacing_gain`).
  public var pacingGain: Double
  /// How many bandwidth-delay products may be in flight (`bbr_cwnd_gain`).
  public var windowGain: Double
}

/// A snapshot of a connection for statistics and for `TCP_INFO`.
@frozen public struct TCPInfo: Sendable {
  /// The state.
  public var state: TCPState = .closed
  /// Smoothed round trip; zero before the first measurement.
  public var smoothedRoundTrip: Nanoseconds = .zero
  /// Variation of the round trip.
  public var roundTripVariation: Nanoseconds = .zero
  /// Smallest round trip seen; zero before the first measurement.
  public var minimumRoundTrip: Nanoseconds = .zero
  /// Retransmission timeout as it stands, backed off.
  public var retransmissionTimeout: Nanoseconds = .zero
  /// How many times in a row the timeout has been doubled.
  public var backoff = 0
  /// Congestion window in segments (`tcpi_snd_cwnd`).
  public var congestionWindow = 0
  /// Slow-start threshold in segments; `Int.max` before the first loss (`tcpi_snd_ssthresh`).
  public var slowStartThreshold = 0
  /// What recovery is about (`tcpi_ca_state`).
  public var phase = TCPRecoveryPhase.open
  /// Losses are repaired without a timeout.
  public var isRecovering: Bool { phase == .recovery }
  /// Who rules the congestion window.
  public var congestionControl = CongestionAlgorithm.cubic
  /// Segments sent and not acknowledged in order (`tcpi_unacked`).
  public var unacknowledgedSegments = 0
  /// Segments that the peer reported, or duplicate acknowledgments stand for (`tcpi_sacked`).
  public var sackedSegments = 0
  /// Segments that count as lost (`tcpi_lost`).
  public var lostSegments = 0
  /// Segments of which a repetition is on its way (`tcpi_retrans`).
  public var repeatingSegments = 0
  /// Segments by which this path disturbs the order, as far as known (`tcpi_reordering`).
  public var reordering = 0
  /// Segments that have arrived at the peer (`tcpi_delivered`). Wrapping.
  public var deliveredSegments: UInt32 = 0
  /// Bytes a second at which segments leave; nil: they are not paced.
  public var pacingRate: Int?
  /// What the congestion control believes of the path; nil: it has no model of it.
  public var bandwidth: TCPBandwidthInfo?
  /// Bytes of payload a second that the path delivered last (`tcpi_delivery_rate`); zero before the first measurement;
  /// nil: nobody measures.
  public var deliveryRate: Int?
  /// The application, and not the path, limited that (`tcpi_delivery_rate_app_limited`).
  public var isDeliveryApplicationLimited = false
  /// What both sides agreed on of explicit congestion notification (`tcpi_ecn_mode`; RFC 3168, RFC 9768).
  public var congestionFeedback = CongestionFeedback.none
  /// Segments that met congestion on their way, as the peer says (`tcpi_delivered_ce`). Wrapping.
  public var markedSegments: UInt32 = 0
  /// The counts of accurate feedback; all zero without it.
  public var accurateFeedback = TCPAccurateInfo()
  /// The window that the peer offers, in bytes.
  public var sendWindow = 0
  /// The receiver's round trip, by which the receive buffer grows; zero before the first measurement.
  public var receiveRoundTrip: Nanoseconds = .zero
  /// The receive buffer in bytes, as far as it has grown.
  public var receiveBuffer = 0
  /// The wait of an acknowledgment for company, as it adapts; zero before text arrived.
  public var acknowledgmentTimeout: Nanoseconds = .zero
  /// The window that we offered last, in bytes, less what has arrived since.
  public var receiveWindow = 0
  /// Payload of a full segment, options taken off.
  public var sendSegment = 0
  /// What the peer was told to send at most.
  public var receiveSegment = 0
  /// Payload before options that the path takes, as far as route and routers tell: its MTU (`tcpi_pmtu`) less the
  /// headers of IP and TCP.
  public var pathSegment = 0
  /// What the path takes is found by trying it (RFC 4821).
  public var isSearchingPath = false
  /// Bytes queued and not acknowledged, sent or not.
  public var queuedBytes = 0
  /// Bytes of sequence space sent and not acknowledged.
  public var outstandingBytes = 0
  /// Bytes held ahead of a hole.
  public var outOfOrderBytes = 0
  /// Shift of the peer's window field.
  public var sendWindowScale: UInt8 = 0
  /// Shift of our window field.
  public var receiveWindowScale: UInt8 = 0
  /// Text went with the SYN and was acknowledged with it, or came with it (TCPI_OPT_SYN_DATA).
  public var synData = false
  /// Selective acknowledgments are in use.
  public var selectiveAcknowledgments = false
  /// Window probes in a row that were not answered (`tcpi_probes`).
  public var windowProbes = 0
  /// Timestamps are in use.
  public var timestamps = false
  /// How long something was to be sent, or out (`tcpi_busy_time`).
  public var busyTime: Nanoseconds = .zero
  /// Of that, how long the peer's window kept it from leaving (`tcpi_rwnd_limited`).
  public var windowLimitedTime: Nanoseconds = .zero
  /// And how long all was sent that the send buffer held, while a writer waited for room (`tcpi_sndbuf_limited`).
  public var bufferLimitedTime: Nanoseconds = .zero
  /// Since a segment with sequence space was sent last (`tcpi_last_data_sent`).
  public var sinceTextSent: Nanoseconds = .zero
  /// Since text arrived last in order, or the peer's SYN (`tcpi_last_data_recv`).
  public var sinceTextReceived: Nanoseconds = .zero
  /// Since an acceptable segment arrived last (`tcpi_last_ack_recv`).
  public var sinceAcknowledgment: Nanoseconds = .zero
  /// What a full segment of the peer's seems to hold, in bytes (`tcpi_rcv_mss`).
  public var peerSegment = 0
  /// Segments that arrived ahead of a hole (`tcpi_rcv_ooopack`). Wrapping.
  public var outOfOrderSegments: UInt32 = 0
  /// What has been counted.
  public var counters = TCPCounters()

  /// All zero.
  public init() {}
}
