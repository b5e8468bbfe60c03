import Timing

/// How a connection behaves. A value: every connection has its own, and `TCPConnection.reconfigure` changes
/// what a socket option may change later. The defaults are Linux's.
@frozen public struct TCPConfiguration: Sendable {
  /// Whose habits the connection has where the RFCs leave a choice.
  public var personality = TCPPersonality.linux
  /// With BSD's habits: those of FreeBSD before 12. Window fields with a scale are rounded down, and a SYN-ACK that comes to
  /// a listener is reset.
  public var isEarlierBSD = false
  /// Largest payload of a segment that arrives, before options, as we announce it in our SYN; also the most
  /// that we send, as long as the route is what it is. 1460 for IPv4 and 1440 for IPv6 on an Ethernet link; less than
  /// `minimumSegment` counts as that.
  public var maximumSegment: UInt16 = 1460
  /// The most that we send, whatever the route and the peer take (TCP_MAXSEG); `UInt16.max`: no such bound.
  public var segmentLimit: UInt16 = .max
  /// No peer, no router and no black hole makes us send less than this in a segment, options included: a few bytes a
  /// segment would multiply our work (CVE-2019-11479). Linux: net.ipv4.tcp_min_snd_mss.
  public var minimumSegment: UInt16 = 48
  /// When the size that the path takes is looked for by trying it (RFC 4821; net.ipv4.tcp_mtu_probing). Linux leaves it
  /// off; here a black hole is looked for unless told otherwise: routers that drop without a word, and filters that
  /// drop the word, would else end a connection that could do with smaller segments (RFC 2923 section 2.1).
  public var pathProbing = TCPPathProbing.afterBlackHole
  /// Text of a segment that most paths take: where a search begins (net.ipv4.tcp_base_mss).
  public var probeBase: UInt16 = 1024
  /// Black holes do not make segments smaller than this (net.ipv4.tcp_mtu_probe_floor, which is 48: but a path that
  /// takes no 576 bytes is broken, and a link that is away for minutes is none that is too narrow).
  public var probeFloor: UInt16 = 512
  /// Sizes closer than this are not worth a probe (net.ipv4.tcp_probe_threshold), in bytes.
  public var probeThreshold: UInt16 = 8
  /// After so long the whole range is tried again (net.ipv4.tcp_probe_interval; RFC 8201 section 5.3).
  public var probeInterval: Nanoseconds = .seconds(600)
  /// What a peer takes that announced no maximum: 536 (IPv4) or 1220 (IPv6), RFC 9293 section 3.7.1.
  public var peerSegmentDefault: UInt16 = 536
  /// Bytes: the largest window that will ever be offered. The window scale is derived from it (RFC 7323
  /// section 2.3), as is the bound on out-of-order segments.
  public var receiveBuffer: UInt32 = 1 << 20
  /// Bytes that the application has room for, where that is more than `receiveBuffer`, which a window of 16 bits bounds
  /// at first; 0: it is not.
  public var receiveSpace: UInt32 = 0
  /// Bytes: as far as the receive buffer grows by itself while the application keeps up with what a round trip brings
  /// (dynamic right-sizing). Not more than `receiveBuffer`: it does not grow. Linux: the third value of
  /// net.ipv4.tcp_rmem; 0 stands for net.ipv4.tcp_moderate_rcvbuf being 0.
  public var receiveBufferMaximum: UInt32 = 0
  /// Bytes: the window that is offered at first, where that is less than `receiveBuffer`. Each segment that brings text
  /// opens it further, by twice what it brings and by two full segments at least, as long as there is room (Linux's
  /// rcv_ssthresh, which begins with 65,535). 0: the whole buffer is offered.
  public var firstWindow: UInt16 = 0
  /// A segment that reaches beyond the window is taken whole while nothing waits to be read, and not at all otherwise, as
  /// Linux does since 6.17. False: it is cut (RFC 9293 section 3.10.7.4).
  public var takesWholeSegments = false
  /// The receive buffer counts the memory that text occupies, half of it text at first, and then as the segments that come
  /// have it, as Linux does since 6.6: `receiveBuffer` is half of that memory. Acknowledgments that could not offer as much
  /// as before wait. False: a byte is a byte.
  public var countsMemory = false
  /// Where memory is counted: windows move back as it is used up (Linux: net.ipv4.tcp_shrink_window); what was offered once
  /// is taken all the same.
  public var movesWindowBack = false
  /// What the stack does of Fast Open. Linux: net.ipv4.tcp_fastopen.
  public var fastOpen: TCPFastOpen = .client
  /// Initial congestion window in segments, RFC 6928.
  public var initialWindowSegments: UInt8 = 10
  /// Who rules the congestion window (`net.ipv4.tcp_congestion_control`).
  public var congestionControl = CongestionAlgorithm.cubic
  /// How CUBIC leaves the first slow start.
  public var slowStartExit = SlowStartExit.hyStartPlusPlus
  /// What becomes of a window that the application does not use, except with BBR.
  public var windowValidation = TCPWindowValidation.decaying
  /// Begin anew with a small window after a pause, where windows decay (`net.ipv4.tcp_slow_start_after_idle`; RFC 5681
  /// section 4.1, RFC 2861).
  public var restartsAfterIdle = true
  /// Segments that may leave in one burst at any rate (`net.ipv4.tcp_min_tso_segs`).
  public var minimumBurst: UInt8 = 2
  /// Less than this part of a window waits for the rest of it, if an acknowledgment is near (Linux:
  /// net.ipv4.tcp_tso_win_divisor, 3). 0: what may go goes.
  public var deferralDivisor: UInt8 = 0
  /// Let segments leave in time with the round trip instead of in bursts.
  public var pacing = false
  /// Duplicate acknowledgments that make a loss, at first (`net.ipv4.tcp_reordering`, DupThresh of RFC 5681).
  public var duplicateThreshold: UInt8 = 3
  /// Find losses by time, RACK (`net.ipv4.tcp_recovery`; RFC 8985). False: by number, RFC 6675.
  public var recentAcknowledgment = true
  /// Probe for the loss of the last segments (`net.ipv4.tcp_early_retrans`; RFC 8985 section 7).
  public var tailLossProbe = true
  /// Find out whether a timeout was spurious (`net.ipv4.tcp_frto`; RFC 5682).
  public var forwardRecovery = true
  /// Probe a closed window with a byte beyond it, as RFC 9293 section 3.8.6.1 has it. False: with a segment that was
  /// acknowledged before, as Linux does.
  public var probesWithData = true
  /// Offer window scaling, RFC 7323 section 2.
  public var windowScaling = true
  /// Offer timestamps, RFC 7323 section 3.
  public var timestamps = true
  /// Tell the peer what arrived ahead of holes: RFC 2018, the receiver's side. Linux: net.ipv4.tcp_sack.
  public var selectiveAcknowledgments = true
  /// Tell the peer what arrived twice, in the first block of a selective acknowledgment: RFC 2883. Linux:
  /// net.ipv4.tcp_dsack.
  public var duplicateReports = true
  /// Drop segments that lack the negotiated timestamps (RFC 7323 section 3.2, a SHOULD; Linux takes them).
  public var requiresTimestamps = true
  /// Send small segments at once: switches the Nagle algorithm off (RFC 9293 section 3.7.4).
  public var noDelay = false
  /// Nothing goes but full segments, until this is taken back or `enqueue` is called with nothing (TCP_CORK); at most
  /// for a retransmission timeout once nothing is out.
  public var corked = false
  /// What of explicit congestion notification is offered and taken (`net.ipv4.tcp_ecn`; RFC 3168, RFC 9768).
  public var congestionNotification = CongestionNotificationUse.accept
  /// A SYN that asks for notification and is not answered goes again without, and marks that were mangled on their way
  /// are an end of it (`net.ipv4.tcp_ecn_fallback`; RFC 3168 section 6.1.1.1, RFC 9768 sections 3.1.4 and 3.2.2.3).
  public var notificationFallback = true
  /// When accurate feedback sends its counters of bytes (`net.ipv4.tcp_ecn_option`).
  public var accurateOption = AccurateOptionUse.whenever
  /// How often in a round trip at least, if sparingly; 0: only when they change (`net.ipv4.tcp_ecn_option_beacon`).
  public var accurateOptionBeacon: UInt8 = 3
  /// Repetitions of a SYN that still offer notification: some box on the way may not bear it (RFC 3168 section
  /// 6.1.1.1). Linux: 0; FreeBSD: net.inet.tcp.ecn.maxretries.
  public var notificationRepeats: UInt8 = 0
  /// An ICMP error that says the destination cannot be reached now ends a connection that is not yet open
  /// (RFC 5461 section 4.1). False: it waits and tries again (RFC 9293 section 3.9.2.2).
  public var softErrorsEndHandshake = true
  /// An ICMP error that RFC 1122 section 4.2.3.9 calls hard ends a connection that is not yet open; with BSD's habits
  /// so do "forbidden" and "hop limit exceeded". False: nothing that ICMP says does (FreeBSD: net.inet.tcp.icmp_may_rst).
  public var hardErrorsEndHandshake = true
  /// A listener keeps nothing of SYNs: each is answered with a cookie, whatever room there is (Linux:
  /// net.ipv4.tcp_syncookies = 2; FreeBSD: net.inet.tcp.syncookies_only).
  public var answersWithCookies = false
  /// Not 0: out of a black hole FreeBSD's way, and no search: after a repetition that was not acknowledged segments of so
  /// many bytes before options are tried, then of `blackHoleLeast`, then of what they were. FreeBSD:
  /// net.inet.tcp.pmtud_blackhole_detection with pmtud_blackhole_mss and mssdflt, and v6pmtud_blackhole_mss and v6mssdflt.
  public var blackHoleSegment: UInt16 = 0
  /// The smaller one of the two sizes, at least `minimumSegment`.
  public var blackHoleLeast: UInt16 = 536
  /// How long a connection may take to open; zero: its SYNs' number is the only limit (FreeBSD: TCP_KEEPINIT,
  /// net.inet.tcp.keepinit).
  public var connectTimeout: Nanoseconds = .zero
  /// SYNs carry no options, and the peer's are not looked at: segments are as large as any host takes (FreeBSD:
  /// TCP_NOOPT).
  public var sendsNoOptions = false
  /// The third repetition of a SYN and those that follow offer no more than a segment size: some box on the way may
  /// not bear the other options (FreeBSD: net.inet.tcp.rexmit_drop_options).
  public var dropsSynOptions = false
  /// At most this many acknowledgments at the beginning, and after a loss or a long silence, are sent at once, so
  /// that the peer's window opens quickly; answering with data ends that early. 0: none. Linux's habit (16).
  public var quickAcknowledgments: UInt8 = 16
  /// How long an acknowledgment waits for company at first, and at least, RFC 9293 section 3.8.6.3. With BSD's habits
  /// it is always this. Linux: net.ipv4.tcp_delack_min, 40 ms.
  public var delayedAcknowledgment: Nanoseconds = .milliseconds(40)
  /// How long an acknowledgment waits at most: with Linux's habits the wait follows the gaps between segments. No more
  /// than 500 ms (RFC 9293 section 3.8.6.3). Linux: TCP_DELACK_MAX, 200 ms.
  public var delayedAcknowledgmentMaximum: Nanoseconds = .milliseconds(200)
  /// So many answers with data, each soon after something arrived, make an exchange interactive: acknowledgments then
  /// wait for the next answer. Linux: net.ipv4.tcp_pingpong_thresh.
  public var pingPongThreshold: UInt8 = 1
  /// With Linux's habits a burst of several segments ends with PSH; Linux before 5.5 did not do that.
  public var pushesBursts = true
  /// Time between two answers to refused segments without text, with Linux's habits; zero: no such rule. Linux:
  /// net.ipv4.tcp_invalid_ratelimit.
  public var refusalInterval: Nanoseconds = .milliseconds(500)
  /// Retransmission timeout before the first measurement, RFC 6298 section 2.1.
  public var initialTimeout: Nanoseconds = .seconds(1)
  /// What the variation of the round trip counts at least in the retransmission timeout.
  public var minimumTimeout: Nanoseconds = .milliseconds(200)
  /// Bound on the backed-off retransmission timeout and on the interval of window probes.
  public var maximumTimeout: Nanoseconds = .seconds(120)
  /// Retransmissions of a SYN, and of a SYN that answers one, before the connection is given up.
  public var synAttempts: UInt8 = 6
  /// So many retransmissions of a SYN, beyond `synAttempts`, come before the timeout begins to double
  /// (`net.ipv4.tcp_syn_linear_timeouts`; RFC 6298 section 5.5 knows none).
  public var synLinearTimeouts: UInt8 = 0
  /// Retransmissions of a SYN-ACK before a passive connection is given up.
  public var synAckAttempts: UInt8 = 5
  /// Retransmissions of one segment, or probes without answer, before the connection is given up (R2 of RFC
  /// 9293 section 3.8.3).
  public var retransmissionAttempts: UInt8 = 15
  /// 2 MSL: how long TIME-WAIT lasts.
  public var timeWait: Nanoseconds = .seconds(60)
  /// How long an orphan (see `TCPConnection.close`) stays in FIN-WAIT-2; less than zero: not at all, it is reset (Linux:
  /// TCP_LINGER2 below zero).
  public var finWait2: Nanoseconds = .seconds(60)
  /// How long sent data may stay without acknowledgment, or queued data without a window, before the
  /// connection is given up; zero: no such limit (RFC 9293 section 3.9.1, RFC 5482).
  public var userTimeout: Nanoseconds = .zero
  /// Bytes of options that the environment adds to every segment, for what it signs them with: 0,
  /// `TCPSignature.optionBytes`, or `TCPAuthenticationKey.optionByteCount`. Segments are that much shorter.
  public var signatureBytes: UInt8 = 0
  /// Whether user timeouts are told and taken, RFC 5482.
  public var userTimeoutOption = TCPUserTimeoutUse()
  /// Silence after which probes are sent; zero: never (RFC 9293 section 3.8.4).
  public var keepaliveIdle: Nanoseconds = .zero
  /// Time between keep-alive probes.
  public var keepaliveInterval: Nanoseconds = .seconds(75)
  /// Keep-alive probes without answer before the connection is given up.
  public var keepaliveProbes: UInt8 = 9
  /// A SYN that carries a FIN opens nothing (FreeBSD: net.inet.tcp.drop_synfin).
  public var dropsSynFin = true
  /// Only a reset that stands exactly at RCV.NXT is believed (RFC 5961 section 3.2). False: any in the window, as
  /// before it (FreeBSD: net.inet.tcp.insecure_rst).
  public var strictResets = true
  /// A SYN within an open connection is answered with a challenge (RFC 5961 section 4.2). False: in the window it ends
  /// the connection (FreeBSD: net.inet.tcp.insecure_syn).
  public var strictSyns = true
  /// Challenge ACKs per connection in five seconds, RFC 5961 section 7.
  public var challengeLimit: UInt8 = 10

  /// The defaults.
  public init() {}

  /// The peer's default says so.
  var isIPv6: Bool { peerSegmentDefault > 536 }

  /// The smallest shift with which a 16-bit window spans the receive buffer, as large as it may become; at most 14 (RFC
  /// 7323 section 2.3).
  var windowScale: UInt8 {
    var shift: UInt8 = 0
    let largest = UInt64(max(receiveBuffer, receiveBufferMaximum))
    while shift < 14, UInt64(65535) << UInt64(shift) < largest { shift += 1 }
    return shift
  }
}
