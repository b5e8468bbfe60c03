import Timing
import Wire

/// What becomes of a congestion window that the application does not use.
@frozen public enum TCPWindowValidation: UInt8, Hashable, Sendable {
  /// It decays towards what is used, and halves with each timeout of a pause: RFC 2861, as Linux has it.
  case decaying
  /// It is kept for five minutes, so that who begins again goes on as fast as before; the first loss makes it half of
  /// what was really used: RFC 7661.
  case preserving
}

/// What RFC 7661 keeps of a path whose window may not be in use: how much it has been seen to carry (pipeACK), in segments
/// delivered in a round trip. Made where ``TCPWindowValidation/preserving`` was chosen.
final class WindowValidation {
  /// The non-validated period, section 4.4: as long a window is kept that nobody uses.
  static var period: Nanoseconds { .seconds(300) }

  /// The round trip that is being measured: it ends when `end` is acknowledged.
  private var trip: (end: SequenceNumber, delivered: UInt32)?
  private var maximum = WindowedMaximum()
  /// When the last sample was taken; nil: the estimate is undefined (section 4.1).
  private var sampled: Instant?
  /// How far back samples count: the pipeACK Sampling Period.
  private var memory = Nanoseconds.seconds(1)
  /// pipeACK ≥ cwnd / 2, or undefined (section 4.3).
  private(set) var isValidated = true
  /// Since when it is not.
  private var since = Instant.zero
  /// Max(pipeACK, LossFlightSize) of the repair that is going on, and what had been sent again before it; nil: the window
  /// was in use when it began, and the usual rules hold.
  private var repair: (basis: Int, retransmissions: UInt32)?

  /// Something was sent: the next round trip is measured from here, if none is.
  func sent(next: SequenceNumber, delivered: UInt32) {
    if trip == nil { trip = (next, delivered) }
  }

  /// An acknowledgment was taken, not while losses are repaired (section 4.2).
  func acknowledged(
    _ una: SequenceNumber, next: SequenceNumber, delivered: UInt32, smoothed: Nanoseconds, now: Instant
  ) {
    guard let measured = trip, una >= measured.end else { return }
    memory = max(.seconds(1), smoothed * 3)
    maximum.take(Int(delivered &- measured.delivered), time: Self.tick(now), length: Self.tick(memory))
    sampled = now
    trip = next > una ? (next, delivered) : nil
  }

  /// pipeACK now: the largest sample that still counts; zero if the last one was long ago; nil: undefined.
  func estimate(_ now: Instant) -> Int? {
    guard sampled != nil else { return nil }
    maximum.take(0, time: Self.tick(now), length: Self.tick(memory))
    return maximum.value
  }

  /// Looks which phase a window is in (section 4.3). Returns how often the period has ended since the last look.
  func look(_ window: Int, now: Instant) -> Int {
    guard let estimate = estimate(now), let sampled, 2 * estimate < window else {
      isValidated = true
      return 0
    }
    if isValidated {
      isValidated = false
      // After a pause: when the last sample ceased to count.
      since = min(now, sampled + memory)
    }
    var ended = 0
    while now - since > Self.period, ended < 32 {
      since = since + Self.period
      ended += 1
    }
    return ended
  }

  /// Congestion, while `flight` segments are out and `retransmissions` were made so far: what the path is believed to
  /// carry, if the window is more than was used (section 4.4.1); nil: the window is in use.
  func begin(_ window: Int, flight: Int, retransmissions: UInt32, now: Instant) -> Int? {
    repair = nil
    _ = look(window, now: now)
    guard !isValidated, let estimate = estimate(now) else { return nil }
    let basis = min(window, max(estimate, flight, 1))
    repair = (basis, retransmissions)
    return basis
  }

  /// The losses are repaired. Returns the window that follows, where a special rule holds (section 4.4.1): what was lost
  /// is taken off before the rest is halved. The estimate begins anew.
  func end(retransmissions: UInt32) -> Int? {
    defer { forget() }
    return repair.map { max(1, ($0.basis - Int(retransmissions &- $0.retransmissions)) / 2) }
  }

  /// The estimate is undefined until there is another sample.
  func forget() {
    (trip, sampled, repair) = (nil, nil, nil)
    maximum = WindowedMaximum()
    isValidated = true
  }

  /// In microseconds: steps of the maximum's clock.
  private static func tick(_ instant: Instant) -> Int { Int(instant.nanoseconds / 1000) }
  private static func tick(_ span: Nanoseconds) -> Int { Int(span.count / 1000) }
}

extension TCPConnection {
  /// A pause is over, or something was sent: a window that was not in use for five minutes halves, and remembers in the
  /// threshold what it was (section 4.4.3).
  mutating func validateWindow(_ validation: WindowValidation, now: Instant) {
    for _ in 0..<validation.look(window.segments, now: now) {
      window.threshold = window.knownThreshold
      window.set(max(window.segments / 2, min(initialWindow, window.segments)), now: now)
    }
  }

  /// The beginning of a reduction: a window that was not in use becomes what was (section 4.4.1). Returns the new threshold;
  /// nil: the control's.
  mutating func reduceToUse(now: Instant) -> Int? {
    guard let validation = window.validation,
      let basis = validation.begin(
        window.segments, flight: outstanding.count, retransmissions: counters.retransmissions, now: now)
    else { return nil }
    window.set(basis, now: now)
    return max(2, basis / 2)
  }
}
