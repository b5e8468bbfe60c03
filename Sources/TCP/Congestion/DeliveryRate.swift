import Timing

/// What a segment remembers of the moment when it was sent (draft-ietf-ccwg-bbr section 4.1: P.delivered and its
/// companions).
struct DeliveryStamp {
  /// Segments delivered until then.
  var delivered: UInt32 = 0
  /// Segments lost until then.
  var lost: UInt32 = 0
  /// Segments in flight then, this one included.
  var inFlight: UInt32 = 0
  /// When the last of those delivered was.
  var deliveredAt = Instant.zero
  /// When the first of the flight was sent that this belongs to.
  var firstSent = Instant.zero
}

/// A measurement of how fast the path delivers, made with each acknowledgment.
struct RateSample {
  /// Segments delivered between the sending of the newest segment acknowledged and now; 0: nothing was measured.
  var delivered = 0
  /// How long that took.
  var interval = Nanoseconds.zero
  /// Segments delivered before that newest segment was sent: what `delivered` counts from.
  var priorDelivered = 0
  /// Segments in flight when it was sent.
  var sentInFlight = 0
  /// Segments lost since it was sent.
  var lost = 0
  /// The round trip of the newest segment that was sent only once; nil: none was.
  var roundTrip: Nanoseconds?
  /// It was sent when there was nothing further to send: the rate says little of the path.
  var isApplicationLimited = false
}

/// Counts what is delivered, and how fast.
struct DeliveryRate {
  /// Segments delivered, in order or not.
  private(set) var delivered: UInt32 = 0
  /// Of them, those of which the peer said that they met congestion (RFC 3168).
  var deliveredMarked: UInt32 = 0
  /// Segments found lost.
  private(set) var lost: UInt32 = 0
  /// When the last segment was delivered.
  private var deliveredAt = Instant.zero
  /// When the first segment was sent of those that are measured with.
  private var firstSent = Instant.zero
  /// What is sent until `delivered` reaches this is limited by the application; 0: nothing is.
  private var applicationLimitedUntil: UInt32 = 0
  private var newest: (stamp: DeliveryStamp, sent: Instant, marks: SentSegment.Marks)?

  /// The stamp of a segment that leaves now, with `inFlight` segments before it.
  mutating func stamp(inFlight: Int, now: Instant) -> (DeliveryStamp, SentSegment.Marks) {
    if inFlight == 0 {
      // The pipe was empty: the interval begins here.
      firstSent = now
      deliveredAt = now
    }
    let stamp = DeliveryStamp(
      delivered: delivered, lost: lost, inFlight: UInt32(inFlight + 1), deliveredAt: deliveredAt,
      firstSent: firstSent)
    return (stamp, applicationLimitedUntil != 0 ? .applicationLimited : [])
  }

  /// A segment arrived, by an acknowledgment at `now`.
  mutating func segmentDelivered(_ segment: SentSegment, now: Instant) {
    delivered &+= 1
    deliveredAt = now
    observe(segment, now: now)
  }

  /// What the stamp of a segment that arrived tells.
  mutating func observe(_ segment: SentSegment, now: Instant) {
    guard newest.map({ segment.sent > $0.sent || segment.delivery.delivered >= $0.stamp.delivered }) ?? true
    else { return }
    newest = (segment.delivery, segment.sent, segment.marks)
    firstSent = segment.sent
  }

  /// So many segments arrived of which nothing more is known: duplicate acknowledgments count them.
  mutating func presumedDelivered(_ count: Int, now: Instant) {
    delivered &+= UInt32(count)
    deliveredAt = now
  }

  /// A segment was found lost.
  mutating func segmentLost() { lost &+= 1 }

  /// The application had nothing to send while the window had room, with `inFlight` segments out.
  mutating func applicationLimited(inFlight: Int) {
    applicationLimitedUntil = max(1, delivered &+ UInt32(inFlight))
  }

  /// What the acknowledgment that was just taken has measured, and the beginning of the next.
  mutating func sample(minimumRoundTrip: Nanoseconds, now: Instant) -> RateSample {
    var sample = RateSample()
    if applicationLimitedUntil != 0, Int32(bitPattern: delivered &- applicationLimitedUntil) > 0 {
      applicationLimitedUntil = 0
    }
    guard let newest else { return sample }
    self.newest = nil
    sample.priorDelivered = Int(newest.stamp.delivered)
    sample.sentInFlight = Int(newest.stamp.inFlight)
    sample.lost = Int(lost &- newest.stamp.lost)
    sample.isApplicationLimited = newest.marks.contains(.applicationLimited)
    if !newest.marks.contains(.repeated) { sample.roundTrip = now - newest.sent }
    // The slower of the rates of sending and of acknowledging: neither compressed ACKs nor bursts fool it.
    let interval = max(newest.sent - newest.stamp.firstSent, now - newest.stamp.deliveredAt)
    guard interval >= minimumRoundTrip, interval > .zero else { return sample }
    sample.interval = interval
    sample.delivered = Int(delivered &- newest.stamp.delivered)
    return sample
  }
}
