public import Timing

/// Between which limits the bytes in flight of a queue may be held.
public struct ByteLimitParameters: Sendable, Hashable {
  /// Bytes that may always be in flight.
  public var minimum: Int
  /// Bytes that may ever be in flight; 0 switches the limit off.
  public var maximum: Int
  /// How long slack is watched before the limit shrinks by it.
  public var hold: Nanoseconds

  /// No minimum, 1.8 MB at the most (a tenth of a second at 150 Mbit/s), a second of hold, unless told otherwise.
  public init(minimum: Int = 0, maximum: Int = 1_875_000, hold: Nanoseconds = .seconds(1)) {
    self.minimum = max(0, minimum)
    self.maximum = max(self.minimum, maximum)
    self.hold = hold
  }
}

/// How many bytes a device may have in flight: enough to keep it busy from one completion to the next, and no more,
/// so that what waits, waits where disciplines and small queues see it. In the manner of Linux's byte queue limits,
/// it is found by trying:
///
/// * the device ran dry although the limit had held packets back: it was too small, and grows by what was missing;
/// * through a whole interval between completions the device was busy, and the least that was left over in any of
///   those within the hold time could have been done without: it shrinks by that slack.
///
/// Private to the owner of the queue's gate.
struct ByteLimit {
  let parameters: ByteLimitParameters
  /// Bytes that may be in flight now.
  private(set) var limit: Int
  /// Bytes given to the device and not completed.
  private(set) var inFlight = 0

  /// In flight just after the completion before, and how much of that was beyond the limit: the packet that met
  /// the limit is let through whole.
  private var inFlightBefore = 0
  private var excessBefore = 0
  /// The last packet given: it alone may be what exceeded the limit.
  private var lastGiven = 0
  private var lastGivenBefore = 0
  /// The least slack of this hold time, and when that began.
  private var leastSlack = Int.max
  private var heldSince: Instant

  init(_ parameters: ByteLimitParameters, now: Instant = .zero) {
    self.parameters = parameters
    limit = max(1, parameters.minimum)
    heldSince = now
  }

  var isOn: Bool { parameters.maximum > 0 }
  /// Whether another packet may be given: one always may exceed the limit, or nobody would know that it is too
  /// small; and with nothing in flight none would come back to say more.
  var mayGive: Bool { !isOn || inFlight <= limit }

  /// A packet went to the device.
  mutating func given(_ bytes: Int) {
    inFlight += bytes
    lastGiven = bytes
  }

  /// What a lockless driver's senders have counted.
  mutating func adopt(inFlight bytes: Int) { inFlight = bytes }

  /// `bytes` came back together, more than 0.
  mutating func completed(_ bytes: Int, now: Instant) {
    let limitBefore = limit
    let excess = max(0, inFlight - limit)
    let left = max(0, inFlight - bytes)
    let isPastPrevious = bytes >= inFlightBefore
    let ranDry = excess > 0 && left == 0
    // What was held back at the completion before could have been sent between the two.
    let wouldHaveRunDry = excessBefore > 0 && isPastPrevious
    if ranDry || wouldHaveRunDry {
      limit += max(0, bytes - inFlightBefore) + excessBefore
      beginHold(now)
    } else if left > 0, inFlightBefore > 0, !isPastPrevious {
      // Busy all the time: twice what was completed would have sufficed until the next completion.
      let unused = max(0, limit + excessBefore - 2 * bytes)
      let byLast = excessBefore > 0 ? max(0, lastGivenBefore - excessBefore) : 0
      leastSlack = min(leastSlack, max(unused, byLast))
      if now - heldSince > parameters.hold {
        limit = max(0, limit - leastSlack)
        beginHold(now)
      }
    }
    limit = min(max(limit, parameters.minimum, 1), max(1, parameters.maximum))
    inFlight = left
    inFlightBefore = left
    // A limit that has just changed has made up for it.
    excessBefore = limit == limitBefore ? excess : 0
    lastGivenBefore = lastGiven
  }

  private mutating func beginHold(_ now: Instant) {
    leastSlack = .max
    heldSince = now
  }
}
