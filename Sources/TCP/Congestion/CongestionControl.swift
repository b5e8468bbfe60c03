import Timing

/// What a congestion control is told of an acknowledgment of new data outside of recovery.
struct AcknowledgmentSample {
  /// Bytes newly acknowledged.
  var acknowledged: Int
  /// Bytes that were out before this acknowledgment.
  var flight: Int
  /// Effective segment in bytes.
  var segment: Int
  /// Smoothed round trip; zero if not yet known.
  var roundTrip: Nanoseconds
  /// Now.
  var now: Instant
}

/// How much may be on its way: the narrow border of a congestion control.
///
/// It answers with a window and is told of the events that change it. What recovery adds for a moment (the
/// inflation of RFC 6582) is not its business. Calling context: the owner of the connection.
protocol CongestionControl {
  /// cwnd in bytes; at least one segment.
  var window: Int { get }
  /// ssthresh in bytes.
  var threshold: Int { get }
  /// New data was acknowledged, outside of recovery.
  mutating func acknowledged(_ sample: AcknowledgmentSample)
  /// A loss was found by duplicate acknowledgments while `flight` bytes were out.
  mutating func lost(flight: Int, segment: Int, now: Instant)
  /// Recovery has ended; `flight` bytes are out.
  mutating func recovered(flight: Int, segment: Int, now: Instant)
  /// The retransmission timer went off while `flight` bytes were out; `isFirst` unless it did so before for
  /// the same data.
  mutating func timedOut(flight: Int, segment: Int, isFirst: Bool)
  /// Nothing was sent for a retransmission timeout.
  mutating func restartAfterIdle(initialWindow: Int)
}

/// The congestion control of a connection: one of those that there are, in place and of fixed size. A further
/// one is a further case.
enum CongestionController: CongestionControl {
  case newReno(NewReno)

  /// NewReno with a window of `initialWindow` bytes.
  init(initialWindow: Int) { self = .newReno(NewReno(initialWindow: initialWindow)) }

  var window: Int {
    switch self {
    case .newReno(let control): control.window
    }
  }
  var threshold: Int {
    switch self {
    case .newReno(let control): control.threshold
    }
  }
  mutating func acknowledged(_ sample: AcknowledgmentSample) {
    switch self {
    case .newReno(var control):
      control.acknowledged(sample)
      self = .newReno(control)
    }
  }
  mutating func lost(flight: Int, segment: Int, now: Instant) {
    switch self {
    case .newReno(var control):
      control.lost(flight: flight, segment: segment, now: now)
      self = .newReno(control)
    }
  }
  mutating func recovered(flight: Int, segment: Int, now: Instant) {
    switch self {
    case .newReno(var control):
      control.recovered(flight: flight, segment: segment, now: now)
      self = .newReno(control)
    }
  }
  mutating func timedOut(flight: Int, segment: Int, isFirst: Bool) {
    switch self {
    case .newReno(var control):
      control.timedOut(flight: flight, segment: segment, isFirst: isFirst)
      self = .newReno(control)
    }
  }
  mutating func restartAfterIdle(initialWindow: Int) {
    switch self {
    case .newReno(var control):
      control.restartAfterIdle(initialWindow: initialWindow)
      self = .newReno(control)
    }
  }
}
