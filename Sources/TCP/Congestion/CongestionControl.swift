import Timing
import Wire

/// Which congestion control a connection uses.
@frozen public enum CongestionAlgorithm: UInt8, Sendable, CaseIterable {
  /// CUBIC, RFC 9438.
  case cubic
  /// NewReno, RFC 5681 and 6582.
  case newReno
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
  /// Now.
  var now: Instant
}

/// What a congestion control hears of besides acknowledgments.
enum CongestionEvent {
  /// The retransmission timer went off: what was learned of the path is old.
  case timedOut
  /// Something is sent after nothing was out for so long.
  case resumed(after: Nanoseconds)
}

/// How the congestion window follows from what happens: the narrow border of a congestion control.
///
/// It grows the window outside of recovery, and says what the threshold becomes when congestion is found. How the
/// window gets there is `LossRecovery`'s (proportional rate reduction, RFC 6937), the same for all. Calling
/// context: the owner of the connection.
protocol CongestionControl {
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
/// one is a further case.
enum CongestionController {
  case newReno(NewReno)
  case cubic(Cubic)

  init(_ algorithm: CongestionAlgorithm, exit: SlowStartExit) {
    switch algorithm {
    case .newReno: self = .newReno(NewReno())
    case .cubic: self = .cubic(Cubic(exit: exit))
    }
  }

  var algorithm: CongestionAlgorithm {
    switch self {
    case .newReno: .newReno
    case .cubic: .cubic
    }
  }
}

extension CongestionController: CongestionControl {
  mutating func threshold(after window: CongestionWindow, now: Instant) -> Int {
    switch self {
    case .newReno(var control):
      defer { self = .newReno(control) }
      return control.threshold(after: window, now: now)
    case .cubic(var control):
      defer { self = .cubic(control) }
      return control.threshold(after: window, now: now)
    }
  }
  mutating func observe(_ sample: AcknowledgmentSample, _ window: inout CongestionWindow) {
    switch self {
    case .newReno(var control):
      control.observe(sample, &window)
      self = .newReno(control)
    case .cubic(var control):
      control.observe(sample, &window)
      self = .cubic(control)
    }
  }
  mutating func grow(_ sample: AcknowledgmentSample, _ window: inout CongestionWindow) {
    switch self {
    case .newReno(var control):
      control.grow(sample, &window)
      self = .newReno(control)
    case .cubic(var control):
      control.grow(sample, &window)
      self = .cubic(control)
    }
  }
  mutating func note(_ event: CongestionEvent, now: Instant) {
    switch self {
    case .newReno(var control):
      control.note(event, now: now)
      self = .newReno(control)
    case .cubic(var control):
      control.note(event, now: now)
      self = .cubic(control)
    }
  }
  mutating func undone() {
    switch self {
    case .newReno(var control):
      control.undone()
      self = .newReno(control)
    case .cubic(var control):
      control.undone()
      self = .cubic(control)
    }
  }
}
