import Timing
import Wire

/// What an ICMP or ICMPv6 error says of a segment that we sent.
@frozen public enum TCPNetworkError: Hashable, Sendable {
  /// No route to the host, or it does not answer.
  case hostUnreachable
  /// No route to the network, or forbidden on the way.
  case networkUnreachable
  /// No one listens at the port.
  case portUnreachable
  /// The host does not speak TCP.
  case protocolUnreachable
  /// Time exceeded, parameter problem and the like.
  case other
}

extension TCPConnection {
  /// An ICMP error arrived that quotes a segment of this connection: RFC 9293 section 3.9.2.2.
  ///
  /// It counts only if the quoted sequence number is out at present (RFC 5927 section 4.1). Before the
  /// connection is open it ends it, unless the configuration wants soft errors waited out; afterwards it is
  /// kept as `softError`, and is the reason given should the connection time out.
  ///
  /// - Parameters:
  ///   - error: what it says.
  ///   - sequence: the sequence number of the quoted segment.
  public mutating func icmpError(_ error: TCPNetworkError, sequence: SequenceNumber) -> TCPEffects {
    var effects = TCPEffects()
    guard send.unacknowledged <= sequence, sequence < send.maximum else { return effects }
    let reason: TCPError
    let isHard: Bool
    switch error {
    case .hostUnreachable: (reason, isHard) = (.hostUnreachable, false)
    case .networkUnreachable: (reason, isHard) = (.networkUnreachable, false)
    case .portUnreachable, .protocolUnreachable: (reason, isHard) = (.refused, true)
    case .other: return effects
    }
    let isOpening = state == .synSent || (state == .synReceived && !isPassive)
    if isOpening, isHard || configuration.softErrorsEndHandshake {
      end(reason, &effects)
    } else if state != .closed, !isHard {
      // In an open connection hard errors are soft: RFC 5461 section 4.2 tells why.
      softError = reason
    }
    return effects
  }

  /// Reads `softError` and clears it.
  public mutating func takeSoftError() -> TCPError? {
    defer { softError = nil }
    return softError
  }

  /// The path takes segments of at most `segment` bytes of payload before options (its MTU less the headers of
  /// IP and TCP). What is out and was larger is sent again at once, without a change of the congestion window:
  /// the loss was not congestion (RFC 1191 section 6.5).
  ///
  /// - Parameters:
  ///   - segment: bytes; values below 48 count as 48. A larger one than in use is ignored.
  ///   - sequence: the sequence number of the quoted segment, which must be out (RFC 5927 section 7); nil if
  ///     the path was learned otherwise.
  ///   - now: the time.
  ///   - sink: where segments go.
  public mutating func pathSegment(
    _ segment: Int, sequence: SequenceNumber?, now: Instant, sink: inout some TCPSink & ~Copyable
  ) -> TCPEffects {
    if let sequence, !(send.unacknowledged <= sequence && sequence < send.maximum) { return TCPEffects() }
    let bounded = UInt16(clamping: max(segment, Int(Self.smallestSegment)))
    guard bounded < send.segment else { return TCPEffects() }
    send.segment = bounded
    guard state.maySendText, !outstanding.isEmpty else { return TCPEffects() }
    let lost = outstanding.lost
    for index in 0..<outstanding.count where outstanding[index].length > fullSegment { markLost(index) }
    guard outstanding.lost > lost else { return TCPEffects() }
    if recovery.phase != .loss {
      window.threshold = window.knownThreshold
      recovery.priorThreshold = nil
      recovery.undoMarker = nil
      recovery.enter(.loss, until: send.next)
    }
    retransmitLost(now: now, sink: &sink)
    armSendTimers(now: now)
    return TCPEffects()
  }
}
