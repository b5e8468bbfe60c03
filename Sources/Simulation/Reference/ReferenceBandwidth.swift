/// BBR's idea as a reference sender: the most that arrived in a round trip, times the least round trip, is what the path
/// holds; twice that may be out, and it leaves at that pace, a little faster now and then to see whether there is more.
/// Losses mean nothing to it: what it reaches is a bound.
struct ReferenceBandwidth {
  private enum Phase: Equatable { case startup, drain, steady(round: Int) }

  /// Segments that may be out.
  private(set) var window: Double
  /// Segments a second; nil: not yet known, nothing waits.
  private(set) var pace: Double?
  private var phase = Phase.startup
  private var leastRoundTrip = Double.infinity
  /// The most of each of the last ten round trips.
  private var rates: [Double] = [0]
  private var roundEnd = 0
  private var fullRate = 0.0
  private var fullRounds = 0

  init(window: Double) { self.window = window }

  /// A segment arrived at `now`, in seconds, sent at `sent` when `before` others had arrived, the last one at `since`;
  /// `delivered` have by now, and `inFlight` are out.
  mutating func arrived(
    now: Double, sent: Double, delivered: Int, before: Int, since: Double, inFlight: Int
  ) {
    leastRoundTrip = min(leastRoundTrip, now - sent)
    let rate = Double(delivered - before) / max(now - since, leastRoundTrip)
    rates[rates.count - 1] = max(rates[rates.count - 1], rate)
    if before >= roundEnd {
      roundEnd = delivered
      endRound()
    }
    let most = rates.max() ?? 0
    let product = most * leastRoundTrip
    if phase == .drain, Double(inFlight) <= product { phase = .steady(round: 0) }
    pace = most * gain
    window = phase == .startup ? max(window + 1, 2 * product) : max(4, 2 * product)
  }

  private var gain: Double {
    switch phase {
    case .startup: 2.77
    case .drain: 0.5
    case .steady(let round): round % 8 == 0 ? 1.25 : round % 8 == 1 ? 0.75 : 1
    }
  }

  private mutating func endRound() {
    let most = rates.max() ?? 0
    switch phase {
    case .startup:
      fullRounds = most >= fullRate * 1.25 ? 0 : fullRounds + 1
      if fullRounds == 0 { fullRate = most }
      if fullRounds >= 3 { phase = .drain }
    case .drain: break
    case .steady(let round): phase = .steady(round: round + 1)
    }
    rates.append(0)
    if rates.count > 10 { rates.removeFirst() }
  }
}
