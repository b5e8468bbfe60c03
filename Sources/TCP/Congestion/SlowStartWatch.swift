import Timing
import Wire

/// Watches the round trips of slow start, to leave it when a queue builds up and before that overflows.
struct SlowStartWatch {
  /// How it is left.
  let exit: SlowStartExit
  /// Where the present round ends: what was out when it began.
  private var roundEnd: SequenceNumber?
  /// When it began.
  private var roundStart = Instant.zero
  /// Smallest round trip of this round, and of the last.
  private var current: Nanoseconds?
  private var last: Nanoseconds?
  /// Samples of this round.
  private var samples = 0
  /// The last acknowledgment of the train (HyStart).
  private var lastArrival = Instant.zero
  /// Left for good.
  private var isLeft = false
  /// Conservative slow start (RFC 9406): its rounds, and the round trip that began it.
  private var conservativeRounds = 0
  private var baseline: Nanoseconds?
  /// Segments acknowledged in it that have not made the window grow.
  private var credit = 0

  // RFC 9406 section 4.3.
  private static var divisor: Int { 4 }
  private static var rounds: Int { 5 }
  private static var wantedSamples: Int { 8 }
  private static var burst: Int { 8 }
  /// Bounds of the growth of the round trip that counts.
  private static func threshold(_ roundTrip: Nanoseconds) -> Nanoseconds {
    max(.milliseconds(4), min(roundTrip / 8, .milliseconds(16)))
  }

  init(_ exit: SlowStartExit) { self.exit = exit }

  /// How many of the segments acknowledged may make the window grow: RFC 9406 section 4.2.
  mutating func allowed(_ acknowledged: Int, isPaced: Bool) -> Int {
    guard exit == .hyStartPlusPlus else { return acknowledged }
    let bounded = isPaced ? acknowledged : min(acknowledged, Self.burst)
    guard baseline != nil else { return bounded }
    credit += bounded
    defer { credit %= Self.divisor }
    return credit / Self.divisor
  }

  /// A round trip was measured. Inlined, with what calls it: of the sample, which is large, each takes a few words.
  @inline(__always) mutating func observe(
    _ sample: AcknowledgmentSample, minimum: Nanoseconds, _ window: inout CongestionWindow
  ) {
    guard let roundTrip = sample.roundTrip, !isLeft, window.isInSlowStart else { return }
    let round = Round(unacknowledged: sample.unacknowledged, next: sample.next)
    switch exit {
    case .loss: break
    case .hyStartPlusPlus: observeRounds(round, roundTrip, &window)
    case .hyStart:
      observeTrain(round, roundTrip, minimum, isPaced: sample.isPaced, now: sample.now, &window)
    }
  }
  /// Where an acknowledgment stands.
  private struct Round {
    /// SND.UNA.
    let unacknowledged: SequenceNumber
    /// SND.NXT.
    let next: SequenceNumber
  }

  /// RFC 9406 section 4.2.
  private mutating func observeRounds(
    _ sample: Round, _ roundTrip: Nanoseconds, _ window: inout CongestionWindow
  ) {
    if roundEnd.map({ sample.unacknowledged > $0 }) ?? true {
      if baseline != nil {
        conservativeRounds += 1
        if conservativeRounds >= Self.rounds { return leave(&window) }
      }
      roundEnd = sample.next
      if let current { last = current }
      current = nil
      samples = 0
    }
    current = current.map { min($0, roundTrip) } ?? roundTrip
    samples += 1
    guard samples >= Self.wantedSamples, let current, let last else { return }
    if let started = baseline {
      // The round trip shrank again: it was no queue.
      if current < started { baseline = nil }
    } else if current >= last + Self.threshold(last) {
      baseline = current
      conservativeRounds = 0
    }
  }

  /// HyStart: the acknowledgments of one flight, close behind each other, last as long as half the round trip, which is
  /// when the path is full; or the round trip itself has grown.
  private mutating func observeTrain(
    _ sample: Round, _ roundTrip: Nanoseconds, _ minimum: Nanoseconds, isPaced: Bool, now: Instant,
    _ window: inout CongestionWindow
  ) {
    guard window.segments >= 16 else { return }
    if roundEnd.map({ sample.unacknowledged > $0 }) ?? true {
      roundEnd = sample.next
      roundStart = now
      lastArrival = now
      current = nil
      samples = 0
    }
    if now - lastArrival <= .milliseconds(2) {
      lastArrival = now
      // A millisecond more for what this host holds back.
      let whole = minimum + .milliseconds(1)
      let limit = isPaced ? whole : whole / 2
      if now - roundStart > limit { return leave(&window) }
    }
    current = current.map { min($0, roundTrip) } ?? roundTrip
    if samples < Self.wantedSamples {
      samples += 1
    } else if let current, current > minimum + Self.threshold(minimum) {
      leave(&window)
    }
  }

  private mutating func leave(_ window: inout CongestionWindow) {
    isLeft = true
    baseline = nil
    window.threshold = window.segments
  }
}
