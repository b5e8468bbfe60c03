import Timing
import Wire

/// The timestamps option in use: our clock, TS.Recent, and PAWS (RFC 7323 sections 3 to 5).
struct TimestampState {
  /// Both SYNs carried the option.
  var isEnabled = false
  /// TS.Recent means something.
  private var hasRecent = false
  /// TS.Recent.
  private(set) var recent: UInt32 = 0
  /// When TS.Recent was taken.
  private var recentAt = Instant.zero
  /// Where our clock begins, so that it tells nothing of the host (RFC 7323 section 7.1).
  let offset: UInt32

  /// Section 5.5: after 24 days the sign of a difference of millisecond clocks says nothing.
  private static let validity = Nanoseconds.seconds(24 * 24 * 3600)

  init(offset: UInt32) { self.offset = offset }

  /// TSval now; one tick is a millisecond.
  func clock(_ now: Instant) -> UInt32 { UInt32(truncatingIfNeeded: now.nanoseconds / 1_000_000) &+ offset }

  /// The option of a segment that leaves; `acknowledges` says whether TSecr means something.
  func option(now: Instant, acknowledges: Bool) -> TCPTimestamps {
    TCPTimestamps(value: clock(now), echo: acknowledges && hasRecent ? recent : 0)
  }

  /// Section 5.3, R1: whether PAWS refuses a segment with this TSval.
  func isStale(_ value: UInt32, now: Instant) -> Bool {
    guard hasRecent, Int32(bitPattern: value &- recent) < 0 else { return false }
    return now - recentAt <= Self.validity
  }

  /// A TSval that PAWS takes whatever the time is.
  @inline(__always) func isNext(_ value: UInt32) -> Bool {
    !hasRecent || Int32(bitPattern: value &- recent) >= 0
  }

  /// Section 4.3: takes TS.Recent from a segment that begins at or before the last acknowledgment sent.
  mutating func take(
    _ value: UInt32, sequence: SequenceNumber, lastAcknowledgment: SequenceNumber, now: Instant
  ) {
    guard sequence <= lastAcknowledgment else { return }
    if !hasRecent || Int32(bitPattern: value &- recent) >= 0 || now - recentAt > Self.validity {
      set(value, now: now)
    }
  }

  /// Takes TS.Recent from the peer's SYN.
  mutating func set(_ value: UInt32, now: Instant) {
    recent = value
    recentAt = now
    hasRecent = true
  }

  /// The round trip that an echoed clock tells, section 4.1; nil if the echo is not one of ours.
  func roundTrip(echo: UInt32, arrival: Instant) -> Nanoseconds? {
    let ticks = Int32(bitPattern: clock(arrival) &- echo)
    guard ticks >= 0, ticks < 3_600_000 else { return nil }
    // Half a tick on average has passed unseen; nothing is less than a fraction of a tick.
    return ticks == 0 ? Nanoseconds(500_000) : Nanoseconds.milliseconds(Int64(ticks))
  }
}
