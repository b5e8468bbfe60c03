import Timing

// What is learned of the path: rounds, bandwidth, round trip, aggregation. Draft section 5.5.
extension BBRModel {
  /// BBR.max_bw.
  var maximumBandwidth: Double { max(bandwidths.last, bandwidths.current) }

  /// BBR.bdp.
  var bandwidthDelayProduct: Int {
    guard let minimumRoundTrip else { return 0 }
    return Int((bandwidth * Double(minimumRoundTrip.count) / 1e9).rounded(.up))
  }

  /// StartRound: the round trip ends with the arrival of something sent from here on.
  mutating func startRound() { roundEnd = rate.total }

  /// UpdateMaxBw, with UpdateRound: sections 5.5.1 and 5.5.5.
  mutating func noteBandwidth() {
    isRoundStart = Int32(bitPattern: sample.priorDelivered &- roundEnd) >= 0
    if isRoundStart {
      startRound()
      rounds += 1
      roundsSinceUp += 1
    }
    // What the application limited says only that there is at least so much.
    if sample.rate > 0, sample.rate >= maximumBandwidth || !sample.isApplicationLimited {
      bandwidths.current = max(bandwidths.current, sample.rate)
    }
  }

  /// AdvanceMaxBwFilter. A cycle that measured nothing changes nothing.
  mutating func forgetBandwidth() {
    guard bandwidths.current > 0 else { return }
    bandwidths = (bandwidths.current, 0)
  }

  /// UpdateACKAggregation, section 5.5.9: how much more arrives at once than the bandwidth accounts for.
  mutating func noteAggregation(_ delivered: Int, _ window: Int, now: Instant) {
    var expected = bandwidth * Double((now - extraStart).count) / 1e9
    if Double(extraDelivered) <= expected {
      extraDelivered = 0
      extraStart = now
      expected = 0
    }
    extraDelivered += delivered
    let more = min(Int((Double(extraDelivered) - expected).rounded(.down)), window)
    extra.take(max(0, more), time: rounds, length: isFull ? Self.aggregationRounds : 1)
  }

  /// UpdateMinRTT, section 5.3.4.3.
  mutating func noteRoundTrip(_ roundTrip: Nanoseconds?, now: Instant) {
    isRecentOld = now > recentStamp + Self.probeRoundTripInterval
    if let roundTrip, isRecentOld || recentRoundTrip.map({ roundTrip < $0 }) ?? true {
      recentRoundTrip = roundTrip
      recentStamp = now
    }
    let isOld = now > minimumStamp + Self.roundTripLife
    if let recentRoundTrip, isOld || minimumRoundTrip.map({ recentRoundTrip < $0 }) ?? true {
      minimumRoundTrip = recentRoundTrip
      minimumStamp = recentStamp
    }
  }
}
