/// The window of a reference sender, in segments: textbook congestion control, written without a look at the engine,
/// so that a mistake of one shows beside the other.
enum ReferenceControl {
  case newReno(window: Double, threshold: Double)
  case cubic(Cubic)
  case bbr(ReferenceBandwidth)

  /// RFC 9438: a window that grows with the cube of the time since the last loss.
  struct Cubic {
    static let scale = 0.4
    static let decrease = 0.7
    var window: Double
    var threshold = Double.infinity
    /// The window before the last reduction, and since when it has been climbed back to, in seconds.
    var maximum = 0.0
    var epoch: Double?
    /// What Reno would have by now.
    var friendly = 0.0
  }

  static func newReno(_ initial: Double) -> ReferenceControl {
    .newReno(window: initial, threshold: .infinity)
  }
  static func cubic(_ initial: Double) -> ReferenceControl { .cubic(Cubic(window: initial)) }
  static func bbr(_ initial: Double) -> ReferenceControl { .bbr(ReferenceBandwidth(window: initial)) }

  var window: Double {
    switch self {
    case .newReno(let window, _): window
    case .cubic(let cubic): cubic.window
    case .bbr(let bandwidth): bandwidth.window
    }
  }

  /// Segments a second at which segments leave; nil: as the window has it.
  var pace: Double? {
    switch self {
    case .newReno, .cubic: nil
    case .bbr(let bandwidth): bandwidth.pace
    }
  }

  /// A segment arrived: for those who measure. See ``ReferenceBandwidth``.
  mutating func arrived(
    now: Double, sent: Double, delivered: Int, before: Int, since: Double, inFlight: Int
  ) {
    guard case .bbr(var bandwidth) = self else { return }
    bandwidth.arrived(
      now: now, sent: sent, delivered: delivered, before: before, since: since, inFlight: inFlight)
    self = .bbr(bandwidth)
  }

  /// A segment was acknowledged at `now`, in seconds; `roundTrip` is what that took.
  mutating func acknowledged(now: Double, roundTrip: Double) {
    switch self {
    case .newReno(var window, let threshold):
      window += window < threshold ? 1 : 1 / window
      self = .newReno(window: window, threshold: threshold)
    case .cubic(var cubic):
      cubic.acknowledged(now, roundTrip)
      self = .cubic(cubic)
    case .bbr: break
    }
  }

  /// Something was lost; once for each round trip.
  mutating func lost() {
    switch self {
    case .newReno(let window, _):
      let half = max(2, window / 2)
      self = .newReno(window: half, threshold: half)
    case .cubic(var cubic):
      cubic.lost()
      self = .cubic(cubic)
    case .bbr: break
    }
  }

  /// The retransmission timer went off.
  mutating func timedOut() {
    lost()
    switch self {
    case .newReno(_, let threshold): self = .newReno(window: 1, threshold: threshold)
    case .cubic(var cubic):
      cubic.window = 1
      self = .cubic(cubic)
    case .bbr: break
    }
  }
}

extension ReferenceControl.Cubic {
  mutating func acknowledged(_ now: Double, _ roundTrip: Double) {
    guard window >= threshold else {
      window += 1
      return
    }
    if epoch == nil {
      epoch = now
      friendly = window
      maximum = max(maximum, window)
    }
    let toMaximum = ((maximum * (1 - Self.decrease)) / Self.scale).cubeRoot
    let ahead = now - (epoch ?? now) + roundTrip - toMaximum
    let target = min(1.5 * window, Self.scale * ahead * ahead * ahead + maximum)
    friendly += 3 * (1 - Self.decrease) / (1 + Self.decrease) / window
    if target > window { window += (target - window) / window }
    window = max(window, friendly)
  }

  mutating func lost() {
    // Fast convergence: a flow that loses before it is back where it was makes room for others.
    maximum = window < maximum ? window * (1 + Self.decrease) / 2 : window
    window = max(2, window * Self.decrease)
    threshold = window
    epoch = nil
  }
}

extension Double {
  /// By Newton's method: no mathematics library below.
  fileprivate var cubeRoot: Double {
    guard self > 0 else { return 0 }
    var root = max(1, self / 3)
    for _ in 0..<60 {
      let next = (2 * root + self / (root * root)) / 3
      if abs(next - root) < 1e-9 * root { return next }
      root = next
    }
    return root
  }
}
