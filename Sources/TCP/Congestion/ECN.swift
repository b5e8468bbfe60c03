/// How a connection tells its sender of congestion that routers have marked.
@frozen public enum CongestionFeedback: UInt8, Sendable {
  /// It does not: packets are lost instead.
  case none
  /// Once for a window of data (RFC 3168 section 6.1).
  case classic
  /// Mark by mark (RFC 9768).
  case accurate
}

/// What a connection does about explicit congestion notification (RFC 3168 section 6.1.1, RFC 9768 section 3.1). The
/// numbers are those of `net.ipv4.tcp_ecn`.
@frozen public enum CongestionNotificationUse: UInt8, Sendable {
  /// It is neither offered nor taken.
  case off
  /// It is offered, and taken where it is offered.
  case request
  /// It is taken where it is offered.
  case accept
  /// Accurate feedback is offered, and taken where it is offered.
  case accurate
  /// Accurate feedback is taken where it is offered, RFC 3168's is offered.
  case acceptAccurateRequest
  /// Accurate feedback is taken where it is offered; nothing is.
  case acceptAccurate

  /// What our SYN asks for.
  public var offered: CongestionFeedback {
    switch self {
    case .off, .accept, .acceptAccurate: .none
    case .request, .acceptAccurateRequest: .classic
    case .accurate: .accurate
    }
  }

  /// The most that a SYN gets that asks for it.
  public var accepted: CongestionFeedback {
    switch self {
    case .off: .none
    case .request, .accept: .classic
    case .accurate, .acceptAccurateRequest, .acceptAccurate: .accurate
    }
  }
}

/// Explicit congestion notification: what both SYNs agreed on, and RFC 3168's state of both sides of one connection.
struct ECNState {
  /// What both SYNs agreed on.
  var feedback = CongestionFeedback.none
  /// A packet arrived that had met congestion, and the sender has not said yet that it slows down: every segment that
  /// leaves echoes it (section 6.1.3).
  var echoes = false
  /// The window was reduced: the next new segment says so (section 6.1.2). Accurate feedback needs no such word.
  var reductionIsQueued = false

  /// RFC 3168 is what was agreed on.
  var isClassic: Bool { feedback == .classic }
  /// Accurate feedback is what was agreed on.
  var isAccurate: Bool { feedback == .accurate }
}
