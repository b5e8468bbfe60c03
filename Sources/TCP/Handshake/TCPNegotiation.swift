import Wire

/// What a peer's SYN offers and we agree to: RFC 9293 section 3.7.1, RFC 7323 sections 2.2 and 3.2, RFC 2018
/// section 2.
@frozen public struct TCPNegotiation: Hashable, Sendable {
  /// Largest payload of a segment to the peer, before options.
  public var segment: UInt16
  /// The same, were there nothing but the peer and TCP_MAXSEG to heed: routes change.
  public var segmentLimit: UInt16
  /// Shift of the peer's window fields, 0...14; nil: neither side scales.
  public var scale: UInt8?
  /// Every segment carries timestamps.
  public var timestamps: Bool
  /// Selective acknowledgments may be sent.
  public var selective: Bool
  /// Whether congestion is notified, not only found by losses, and how (RFC 3168 section 6.1.1, RFC 9768 Table 2).
  public var notification = CongestionFeedback.none

  /// What comes of a SYN's options under our configuration. Pure.
  public init(_ options: TCPOptions, _ configuration: TCPConfiguration) {
    // Who offers nothing is given nothing.
    let options = configuration.sendsNoOptions ? TCPOptions() : options
    let announced = options.mss ?? configuration.peerSegmentDefault
    segmentLimit = min(max(announced, configuration.minimumSegment), configuration.segmentLimit)
    segment = min(segmentLimit, configuration.ownSegment)
    scale = configuration.windowScaling ? options.windowScale.map { min($0, 14) } : nil
    timestamps = configuration.timestamps && options.timestamps != nil
    selective = configuration.selectiveAcknowledgments && options.sackPermitted
  }

  /// What comes of a SYN, alone or with an ACK, under our configuration. Pure.
  public init(_ syn: TCPSegment, _ configuration: TCPConfiguration) {
    self.init(syn.options, configuration)
    // A signature beside timestamps leaves no room for what is held ahead of holes. Linux gives the timestamps up.
    if configuration.signatureBytes > 0, configuration.personality == .linux, !syn.flags.contains(.ack),
      selective
    {
      timestamps = false
    }
    let use = configuration.congestionNotification
    notification =
      syn.flags.contains(.ack)
      ? CongestionFeedback(agreedBy: syn.flags, offered: use.offered)
      : CongestionFeedback(askedBy: syn.flags, most: use.accepted)
  }
}

extension TCPConfiguration {
  /// What our SYN announces.
  var ownSegment: UInt16 { max(maximumSegment, minimumSegment) }

  /// The window of a SYN is a multiple of this, in bytes: Linux offers whole segments, where it does not have more of
  /// them than the field of a SYN can say.
  var synWindowQuantum: Int {
    switch personality {
    case .linux: receiveSpace - receiveSpace % UInt32(ownSegment) > 65535 ? 1 : Int(ownSegment)
    case .bsd: 1
    }
  }
  /// The window of our SYN, in bytes.
  var synWindow: Int { ReceiveSequence.unscaled(Int(receiveBuffer), synWindowQuantum) }
}
