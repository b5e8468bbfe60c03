import Timing
import Wire

/// RACK, RFC 8985: a segment is lost when one that was sent after it has arrived, and enough time has passed that
/// it cannot merely be late.
struct RecentAcknowledgment {
  /// RACK.xmit_ts: when the most recently sent of the segments was sent that have arrived.
  private(set) var sent = Instant.zero
  /// RACK.end_seq.
  private(set) var end: SequenceNumber
  /// Segments that had been delivered when it was sent.
  private var priorDelivered: UInt32 = 0
  /// RACK.rtt.
  private(set) var roundTrip = Nanoseconds.zero
  /// It has moved since losses were looked for.
  var hasAdvanced = false
  /// RACK.reo_wnd_mult.
  private(set) var windowSteps = 1
  /// RACK.reo_wnd_persist: recoveries until the window is small again.
  private var persistence = 0
  /// A duplicate was reported since the window was looked at.
  private var sawDuplicate = false
  /// Segments delivered when it was widened last: once in a round trip.
  private var widenedAt: UInt32 = 0

  // RFC 8985 section 7.
  private static var recoveries: Int { 16 }

  init(initial: SequenceNumber) { end = initial }

  /// Step 2: a segment has arrived.
  mutating func delivered(_ segment: SentSegment, minimumRoundTrip: Nanoseconds, now: Instant) {
    let trip = now - segment.sent
    // Faster than the path ever was: it answers an earlier transmission.
    if segment.marks.contains(.repeated), trip < minimumRoundTrip { return }
    hasAdvanced = true
    roundTrip = trip
    if segment.sent > sent || segment.sent == sent && isBefore(segment) {
      sent = segment.sent
      end = segment.end
      priorDelivered = segment.delivered
    }
  }

  /// Whether a segment was sent before the most recent one that arrived.
  func isOvertaken(_ segment: SentSegment) -> Bool {
    segment.sent < sent || segment.sent == sent && segment.end != end && !isBefore(segment)
  }

  /// Of two that left at one moment by the clock, whether the most recent one that arrived was before `segment`: what had
  /// been delivered by then tells, and where that is the same, the numbers (RFC 8985 section 5.2). By numbers alone what goes
  /// again would be before what it follows.
  private func isBefore(_ segment: SentSegment) -> Bool {
    let since = Int32(bitPattern: segment.delivered &- priorDelivered)
    return since != 0 ? since > 0 : segment.end > end
  }

  /// How long a segment still has before it counts as lost; not positive: it does. Step 5.
  func remaining(_ segment: SentSegment, window: Nanoseconds, now: Instant) -> Nanoseconds {
    segment.sent + roundTrip + window - now
  }

  /// Step 4: the reordering window.
  ///
  /// - Parameters:
  ///   - isImpatient: reordering was never seen, and losses are being repaired already or as many segments arrived
  ///     as DupThresh wants: no time is given.
  ///   - minimum: the smallest round trip.
  ///   - smoothed: the smoothed round trip, which bounds it.
  func window(isImpatient: Bool, minimum: Nanoseconds, smoothed: Nanoseconds) -> Nanoseconds {
    if isImpatient { return .zero }
    return min(minimum / 4 * Int64(windowSteps), smoothed)
  }

  /// The peer got something twice: a repetition was needless.
  mutating func duplicateReported() { sawDuplicate = true }

  /// Step 4, adaptation: wider by a quarter of the round trip for each round trip with needless repetitions, back to
  /// one quarter after 16 recoveries without. `priorDelivered`: segments delivered before the newest one that this
  /// acknowledgment reports was sent.
  mutating func adapt(priorDelivered: UInt32, delivered: UInt32) {
    if Int32(bitPattern: priorDelivered &- widenedAt) < 0 { sawDuplicate = false }
    if sawDuplicate {
      windowSteps = min(windowSteps + 1, 255)
      sawDuplicate = false
      widenedAt = delivered
      persistence = Self.recoveries
    } else if persistence == 0 {
      windowSteps = 1
    }
  }

  /// A recovery has ended.
  mutating func recoveryEnded() { if persistence > 0 { persistence -= 1 } }
  /// A recovery was undone, by duplicates that were reported.
  mutating func undone() {
    hasAdvanced = true
  }
}
