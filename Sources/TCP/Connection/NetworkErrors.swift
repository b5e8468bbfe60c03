import Timing
import Wire

/// What an ICMP or ICMPv6 error says of a segment that we sent.
@frozen public enum TCPNetworkError: Hashable, Sendable {
  /// No route to the host, or it does not answer.
  case hostUnreachable
  /// No route to the network.
  case networkUnreachable
  /// Forbidden on the way.
  case prohibited
  /// The hop limit was used up, or fragments are missing.
  case timeExceeded
  /// No one listens at the port.
  case portUnreachable
  /// The host does not speak TCP.
  case protocolUnreachable
  /// Time exceeded, parameter problem and the like.
  case other

  /// The reason that it gives, and whether it is hard: what a repetition of the SYN will not change (RFC 1122 section
  /// 4.2.3.9). BSD takes a filter's word as the port's own, and a path that is too long as final.
  fileprivate func meaning(_ personality: TCPPersonality) -> (reason: TCPError, isHard: Bool)? {
    switch self {
    case .hostUnreachable: (.hostUnreachable, false)
    case .networkUnreachable: (.networkUnreachable, false)
    case .prohibited: personality == .bsd ? (.refused, true) : (.hostUnreachable, false)
    case .timeExceeded: (.hostUnreachable, personality == .bsd)
    case .portUnreachable, .protocolUnreachable: (.refused, true)
    case .other: nil
    }
  }
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
  ///   - isTaken: a connection that was opened fast was accepted already, and is treated as an open one.
  public mutating func icmpError(
    _ error: TCPNetworkError, sequence: SequenceNumber, isTaken: Bool = false
  ) -> TCPEffects {
    var effects = TCPEffects()
    guard send.unacknowledged <= sequence, sequence < send.maximum else {
      counters.errorsOutOfWindow &+= 1
      return effects
    }
    guard let (reason, isHard) = error.meaning(configuration.personality) else { return effects }
    let isOpening = state == .synSent || (state == .synReceived && (!isPassive || isFastOpened && !isTaken))
    if isOpening, isHard ? configuration.hardErrorsEndHandshake : configuration.softErrorsEndHandshake {
      end(reason, &effects)
    } else if isOpening, !isHard, attempts > 3, softError != nil, configuration.personality == .bsd {
      // Said before, and the SYN was in vain often enough since.
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
}
