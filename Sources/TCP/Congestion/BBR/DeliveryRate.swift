import Timing
import Wire

/// What is kept of a segment that is out, for the sample that its arrival will give (draft-ietf-ccwg-bbr section
/// 4.1.2.1.2). When it was sent, and how many had arrived by then, `SentSegment` knows.
struct DeliverySnapshot {
  /// P.delivered_time: when something had arrived last; zero: nothing is known of this segment.
  var deliveredAt = Instant.zero
  /// P.first_send_time: when the segment was sent that had arrived last.
  var firstSent = Instant.zero
  /// P.lost: segments found lost until then.
  var lost: UInt32 = 0
  /// P.tx_in_flight, and P.is_app_limited in the highest bit.
  private var flightAndLimit: UInt32 = 0

  init() {}
  init(deliveredAt: Instant, firstSent: Instant, lost: UInt32, flight: Int, isApplicationLimited: Bool) {
    self.deliveredAt = deliveredAt
    self.firstSent = firstSent
    self.lost = lost
    flightAndLimit = UInt32(clamping: min(flight, 1 << 30)) | (isApplicationLimited ? 1 << 31 : 0)
  }

  /// P.tx_in_flight: segments in flight when it had been sent, itself among them.
  var flight: Int { Int(flightAndLimit & (1 << 31 - 1)) }
  /// P.is_app_limited: the application, not the path, had limited what was sent.
  var isApplicationLimited: Bool { flightAndLimit >> 31 == 1 }
}

/// What one acknowledgment says of the rate at which the path delivers: RS of the draft. Volumes are in segments, rates
/// in segments a second.
struct DeliverySample {
  /// Something arrived whose snapshot is known.
  var hasData = false
  /// RS.delivery_rate; zero: no reliable sample.
  var rate = 0.0
  /// RS.interval.
  var interval = Nanoseconds.zero
  /// RS.delivered.
  var delivered = 0
  /// RS.prior_delivered.
  var priorDelivered: UInt32 = 0
  /// RS.is_app_limited.
  var isApplicationLimited = false
  /// RS.tx_in_flight: in flight when the newest segment that arrived had been sent.
  var flight = 0
  /// RS.lost: found lost since then.
  var lost = 0
}

/// Samples of the delivery rate, draft section 4.1: how much arrives between two acknowledgments a round trip apart,
/// over the longer of the times in which it was sent and in which it arrived.
struct DeliveryRate {
  /// C.delivered, as far as told.
  private(set) var total: UInt32 = 0
  /// C.delivered_time.
  private(set) var deliveredAt = Instant.zero
  /// C.first_send_time.
  private var firstSent = Instant.zero
  /// C.app_limited: when so many have arrived the gap that the application left has passed; nil: there is none.
  private(set) var bubbleEnd: UInt32?

  // The acknowledgment that is being taken.
  private var sample = DeliverySample()
  private var priorTime = Instant.zero
  private var priorLost: UInt32 = 0
  private var sendElapsed = Nanoseconds.zero
  private var arrivalElapsed = Nanoseconds.zero
  private var newestEnd = SequenceNumber(0)

  /// The last sample worth telling: segments and the time that they took.
  private(set) var told: (delivered: Int, interval: Nanoseconds, isApplicationLimited: Bool) = (
    0, .zero, false
  )

  /// A segment leaves, section 4.1.2.2. `flight`: segments in flight with it; `isAlone`: nothing else is.
  mutating func sent(flight: Int, isAlone: Bool, lost: UInt32, now: Instant) -> DeliverySnapshot {
    if isAlone {
      firstSent = now
      deliveredAt = now
    }
    return DeliverySnapshot(
      deliveredAt: deliveredAt, firstSent: firstSent, lost: lost, flight: flight,
      isApplicationLimited: bubbleEnd != nil)
  }

  /// A segment has arrived, section 4.1.2.3 (UpdateRateSample). `total`: C.delivered with it.
  mutating func delivered(_ segment: SentSegment, _ snapshot: DeliverySnapshot, total: UInt32, now: Instant) {
    self.total = total
    guard snapshot.deliveredAt != .zero else { return }
    deliveredAt = now
    let isNewest = segment.sent > firstSent || (segment.sent == firstSent && segment.end > newestEnd)
    guard !sample.hasData || isNewest else { return }
    sample.hasData = true
    sample.priorDelivered = segment.delivered
    sample.isApplicationLimited = snapshot.isApplicationLimited
    sample.flight = snapshot.flight
    priorTime = snapshot.deliveredAt
    priorLost = snapshot.lost
    sendElapsed = segment.sent - snapshot.firstSent
    arrivalElapsed = now - snapshot.deliveredAt
    newestEnd = segment.end
    firstSent = segment.sent
  }

  /// The acknowledgment is taken (GenerateRateSample). `minimum`: the smallest round trip, in less than which nothing
  /// can be measured.
  mutating func finish(_ count: DeliveryCount, minimum: Nanoseconds) -> DeliverySample {
    defer { sample = DeliverySample() }
    total = count.delivered
    if let end = bubbleEnd, Int32(bitPattern: total &- end) > 0 { bubbleEnd = nil }
    guard sample.hasData else { return sample }
    sample.lost = Int(count.lost &- priorLost)
    sample.delivered = Int(total &- sample.priorDelivered)
    sample.interval = max(sendElapsed, arrivalElapsed)
    if sample.interval >= minimum, sample.interval > .zero {
      sample.rate = Double(sample.delivered) * 1e9 / Double(sample.interval.count)
      tell()
    }
    return sample
  }

  /// What the application limited is told where it is more than what was known.
  private mutating func tell() {
    let known = Double(told.delivered) * 1e9 / Double(max(1, told.interval.count))
    if !sample.isApplicationLimited || sample.rate >= known {
      told = (sample.delivered, sample.interval, sample.isApplicationLimited)
    }
  }

  /// MarkConnectionAppLimited: the pipe has a gap behind what is in flight.
  mutating func leaveGap(delivered: UInt32, flight: Int) { bubbleEnd = delivered &+ UInt32(clamping: flight) }
}
