import Timing

/// Bounds how often a connection answers what it does not accept: RFC 5961 section 7.
///
/// One for each connection, since a shared one tells an attacker about other connections (CVE-2016-5696).
struct ChallengeAckLimiter {
  private var windowStart = Instant.zero
  private var used: UInt8 = 0
  private var last: Instant?

  /// Whether an answer may be sent now: at most `challengeLimit` in five seconds; and, with Linux's habits, one in each
  /// `refusalInterval`, so that two ends that refuse each other's segments do not answer for ever.
  mutating func allows(_ configuration: TCPConfiguration, now: Instant) -> Bool {
    let interval = configuration.personality == .linux ? configuration.refusalInterval : .zero
    if let last, interval > .zero, now - last < interval { return false }
    guard counts(limit: configuration.challengeLimit, now: now) else { return false }
    last = now
    return true
  }

  private mutating func counts(limit: UInt8, now: Instant) -> Bool {
    if used == 0 || now - windowStart >= .seconds(5) {
      windowStart = now
      used = 0
    }
    guard used < limit else { return false }
    used += 1
    return true
  }
}
