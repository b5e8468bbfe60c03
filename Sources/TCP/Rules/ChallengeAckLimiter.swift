import Timing

/// Bounds how often a connection answers what it does not accept: RFC 5961 section 7.
///
/// One for each connection, since a shared one tells an attacker about other connections (CVE-2016-5696).
struct ChallengeAckLimiter {
  private var windowStart = Instant.zero
  private var used: UInt8 = 0

  /// Whether an answer may be sent now: at most `limit` in five seconds.
  mutating func allows(limit: UInt8, now: Instant) -> Bool {
    if used == 0 || now - windowStart >= .seconds(5) {
      windowStart = now
      used = 0
    }
    guard used < limit else { return false }
    used += 1
    return true
  }
}
