import Timing
import Wire

/// Which congestion control a connection uses.
@frozen public enum CongestionAlgorithm: UInt8, Sendable, CaseIterable {
  /// CUBIC, RFC 9438.
  case cubic
  /// NewReno, RFC 5681 and 6582.
  case newReno
  /// BBR, version 3: draft-ietf-ccwg-bbr.
  case bbr
}

/// How CUBIC leaves the first slow start before it overshoots.
@frozen public enum SlowStartExit: UInt8, Sendable {
  /// HyStart++ (RFC 9406): a phase of conservative slow start when round trips become longer.
  case hyStartPlusPlus
  /// HyStart as Linux has it: the window stops growing at once, by the length of a train of acknowledgments or by the
  /// round trip.
  case hyStart
  /// Only a loss ends it.
  case loss
}

/// What a congestion control is told of an acknowledgment.
struct AcknowledgmentSample {
  /// Segments newly delivered, in order or not.
  var delivered: Int
  /// Segments of which it newly says that they met congestion (`DeliveryCount.marked`); at most about as many as were
  /// delivered, acknowledgments besides.
  var marked: Int
  /// The round trip that it measured, of a segment sent only once; nil: none.
  var roundTrip: Nanoseconds?
  /// Smoothed round trip; zero if not yet known.
  var smoothed: Nanoseconds
  /// Smallest round trip; zero if not yet known.
  var minimum: Nanoseconds
  /// SND.UNA.
  var unacknowledged: SequenceNumber
  /// SND.NXT.
  var next: SequenceNumber
  /// Nothing else than the window held us back.
  var isLimiting: Bool
  /// Segments leave in time with the round trip, not in bursts.
  var isPaced: Bool
  /// How many arrived and were lost in all.
  var count: DeliveryCount
  /// Segments that are on their way now.
  var inFlight: Int
  /// Losses are being repaired, with or without a timeout.
  var isRepairing: Bool
  /// The peer tells what arrived out of order.
  var isSelective: Bool
  /// The window was full when something was sent last.
  var isWindowFull: Bool
  /// Payload of a full segment in bytes.
  var segment: Int
  /// The window at the beginning, in segments.
  var initialWindow: Int
  /// Now.
  var now: Instant
}

/// What a congestion control hears of besides acknowledgments.
enum CongestionEvent {
  /// The retransmission timer went off: what was learned of the path is old.
  case timedOut
  /// Something is sent after nothing was out for so long.
  case resumed(after: Nanoseconds)
  /// The network said that there is congestion (RFC 3168); `threshold` was called before.
  case notified
}

/// How the congestion window follows from what happens: the narrow border of a congestion control.
///
/// It grows the window outside of recovery, and says what the threshold becomes when congestion is found. How the
/// window gets there is `LossRecovery`'s (proportional rate reduction, RFC 6937), the same for all but those that have
/// a model of the path. Calling context: the owner of the connection.
protocol CongestionControl: ~Copyable {
  /// ssthresh after congestion was found with `window`; at least two segments.
  mutating func threshold(after window: CongestionWindow, now: Instant) -> Int
  /// An acknowledgment arrived; called for each, before `grow`.
  mutating func observe(_ sample: AcknowledgmentSample, _ window: inout CongestionWindow)
  /// `sample.delivered` segments arrived outside of recovery: the window may grow.
  mutating func grow(_ sample: AcknowledgmentSample, _ window: inout CongestionWindow)
  /// Something else happened.
  mutating func note(_ event: CongestionEvent, now: Instant)
  /// The reduction was undone: nothing had been lost.
  mutating func undone()
}

/// The congestion control of a connection: one of those that there are, in place and of fixed size. A further
/// one is a further field. What needs more than a few numbers lies elsewhere, and only where it is chosen.
///
/// A structure and not an enumeration with a case for each, whose values would be moved out and back in for every
/// acknowledgment, and copied to be asked which it is.
struct CongestionController: ~Copyable {
  /// Which one it is.
  let algorithm: CongestionAlgorithm
  /// Means something if it is CUBIC.
  private var cubic: Cubic
  /// There is one if it is BBR.
  let model: BBR?

  /// `seed`: a number that no onlooker knows.
  init(
    _ algorithm: CongestionAlgorithm, exit: SlowStartExit, seed: UInt64, delivered: UInt32 = 0, now: Instant
  ) {
    self.algorithm = algorithm
    cubic = Cubic(exit: exit)
    switch algorithm {
    case .newReno, .cubic: model = nil
    case .bbr: model = BBR(seed: seed, delivered: delivered, now: now)
    }
  }

  /// Pace and window follow from a model of the path, in recovery and after pauses too.
  var hasModel: Bool { algorithm == .bbr }
  /// It hears with profit of every pause, however short.
  @inline(__always) var keepsTime: Bool { algorithm == .bbr || algorithm == .cubic && cubic.isRunning }
}

extension CongestionController: CongestionControl {
  mutating func threshold(after window: CongestionWindow, now: Instant) -> Int {
    switch algorithm {
    case .newReno: return NewReno().threshold(after: window, now: now)
    case .cubic: return cubic.threshold(after: window, now: now)
    case .bbr: break
    }
    switch model {
    case .none: return window.threshold
    case .some(let model): return model.threshold(after: window, now: now)
    }
  }
  @inline(__always) mutating func observe(_ sample: AcknowledgmentSample, _ window: inout CongestionWindow) {
    switch algorithm {
    case .newReno, .bbr: break
    case .cubic: cubic.observe(sample, &window)
    }
  }
  @inline(__always) mutating func grow(_ sample: AcknowledgmentSample, _ window: inout CongestionWindow) {
    switch algorithm {
    case .newReno: NewReno().grow(sample, &window)
    case .cubic: cubic.grow(sample, &window)
    case .bbr: break
    }
  }
  mutating func note(_ event: CongestionEvent, now: Instant) {
    switch algorithm {
    case .newReno: return
    case .cubic: return cubic.note(event, now: now)
    case .bbr: break
    }
    switch model {
    case .none: break
    case .some(let model): model.note(event, now: now)
    }
  }
  mutating func undone() {
    switch algorithm {
    case .newReno: return
    case .cubic: return cubic.undone()
    case .bbr: break
    }
    switch model {
    case .none: break
    case .some(let model): model.undone()
    }
  }
}
