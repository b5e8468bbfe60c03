import Timing

/// CUBIC, RFC 9438: the window follows a cubic function of the time since the last reduction, flat where that
/// happened, and never slower than NewReno would.
///
/// Time counts in 1/1024 s and the constants as fractions of 1024: C is 410/1024, beta_cubic 717/1024 (RFC 9438
/// section 4.6 has 0.4 and 0.7).
struct Cubic: CongestionControl {
  private static var beta: Int { 717 }
  private static var one: Int { 1024 }

  /// W_max: the window before the last reduction.
  private var maximum = 0
  /// The window for which `period` was computed.
  private var window = 0
  private var computedAt = Instant.zero
  /// t_epoch: when congestion avoidance began; nil: it has not since the last reduction.
  private var epoch: Instant?
  /// W_est: what NewReno's window would be.
  private var estimate = 0
  /// Segments acknowledged towards the next step of `estimate`.
  private var estimateCredit = 0
  /// K: when the function reaches its origin, in 1/1024 s after the epoch.
  private var inflection = 0
  /// The window there.
  private var origin = 0
  /// How many acknowledged segments make the window grow by one.
  private var period = 0
  /// The smallest round trip of the connection, since the last timeout.
  private var minimumRoundTrip: Nanoseconds?
  private var slowStart: SlowStartWatch

  /// The function runs.
  @inline(__always) var isRunning: Bool { epoch != nil }

  init(exit: SlowStartExit) { slowStart = SlowStartWatch(exit) }

  mutating func threshold(after window: CongestionWindow, now: Instant) -> Int {
    epoch = nil
    // Section 4.7, fast convergence: less than last time means that someone else wants a share.
    maximum =
      window.segments < maximum
      ? window.segments * (Self.one + Self.beta) / (2 * Self.one) : window.segments
    return max(window.segments * Self.beta / Self.one, 2)
  }

  @inline(__always) mutating func observe(_ sample: AcknowledgmentSample, _ window: inout CongestionWindow) {
    guard let roundTrip = sample.roundTrip else { return }
    // What was measured while the queue of the last loss drained says nothing of a new one.
    if let epoch, sample.now - epoch < .seconds(1) { return }
    minimumRoundTrip = minimumRoundTrip.map { min($0, roundTrip) } ?? roundTrip
    slowStart.observe(sample, minimum: minimumRoundTrip ?? roundTrip, &window)
  }

  @inline(__always) mutating func grow(_ sample: AcknowledgmentSample, _ window: inout CongestionWindow) {
    guard sample.isLimiting else { return }
    var acknowledged = sample.delivered
    if window.isInSlowStart {
      acknowledged = window.growExponentially(slowStart.allowed(acknowledged, isPaced: sample.isPaced))
      if acknowledged == 0 { return }
    }
    update(window.segments, acknowledged, now: sample.now)
    window.growLinearly(acknowledged, period: period)
  }

  mutating func note(_ event: CongestionEvent, now: Instant) {
    switch event {
    case .timedOut:
      self = Cubic(exit: slowStart.exit)
    case .notified: break
    case .resumed(let idle):
      // The function does not run while nothing is sent (section 5.8).
      if let epoch, idle > .zero { self.epoch = min(epoch + idle, now) }
    }
  }

  /// Section 4.9: nothing was lost. The window is given back by whoever took it; the function begins anew.
  mutating func undone() { epoch = nil }

  /// Computes `period` for a window of `current` segments, section 4.2 to 4.5.
  private mutating func update(_ current: Int, _ acknowledged: Int, now: Instant) {
    estimateCredit += acknowledged
    // Once for a window, or 32 times in a second.
    if window == current, now - computedAt <= .milliseconds(31) { return }
    if epoch == nil || now != computedAt {
      window = current
      computedAt = now
      if epoch == nil {
        epoch = now
        estimateCredit = acknowledged
        estimate = current
        inflection = maximum > current ? Self.cubeRoot((maximum - current) << 40 / 410) : 0
        origin = max(maximum, current)
      }
      follow(current, now: now)
    }
    keepUpWithReno(current)
    // No more than one segment for each two acknowledged: half as fast as slow start (section 4.4 bounds the target by
    // 1.5 windows in a round trip).
    period = max(period, 2)
  }

  /// Sections 4.2, 4.4 and 4.5: how fast to go to where the function will be in a round trip.
  private mutating func follow(_ current: Int, now: Instant) {
    let elapsed = now - (epoch ?? now) + (minimumRoundTrip ?? .zero)
    let time = Int(clamping: elapsed.count / 1000) * 1024 / 1_000_000
    let distance = min(abs(time - inflection), 1 << 16)
    let rise = (410 * distance * distance * distance) >> 40
    let target = time < inflection ? origin - rise : origin + rise
    period = target > current ? current / (target - current) : 100 * current
    // Before the first loss there is no maximum to return to: at least 5 % in a round trip.
    if maximum == 0, period > 20 { period = 20 }
  }

  /// Section 4.3: alpha_cubic is 3 (1 - beta) / (1 + beta) segments for a window.
  private mutating func keepUpWithReno(_ current: Int) {
    let step = max(1, current * (8 * (Self.one + Self.beta) / 3 / (Self.one - Self.beta)) / 8)
    while estimateCredit > step {
      estimateCredit -= step
      estimate += 1
    }
    if estimate > current { period = min(period, current / (estimate - current)) }
  }

  /// The whole cube root.
  private static func cubeRoot(_ value: Int) -> Int {
    var (low, high) = (0, 1 << 21)
    while low < high {
      let middle = (low + high + 1) / 2
      if middle * middle * middle <= value { low = middle } else { high = middle - 1 }
    }
    return low
  }
}
