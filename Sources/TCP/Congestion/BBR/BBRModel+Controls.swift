import Timing

// What follows from the model: pace and window. Draft section 5.6.
extension BBRModel {
  /// InitPacingRate: the initial window in a round trip, or in a millisecond before one was measured.
  mutating func adoptRoundTrip(
    _ smoothed: Nanoseconds, _ initialWindow: Int, _ segment: Int, _ pacer: inout Pacer
  ) {
    guard !hasPace else { return }
    hasPace = smoothed > .zero
    if hasPace, minimumRoundTrip == nil { minimumRoundTrip = smoothed }
    let trip = hasPace ? smoothed : .milliseconds(1)
    let nominal = Double(initialWindow) * 1e9 / Double(trip.count)
    pacer.rate = Self.bytes(State.startup.pacingGain * nominal, segment)
  }

  /// SetPacingRateWithGain, with BBR.PacingMarginPercent.
  func setPace(_ gain: Double, segment: Int, _ pacer: inout Pacer) {
    let rate = Self.bytes(gain * bandwidth * 0.99, segment)
    if rate > 0, isFull || rate > pacer.rate { pacer.rate = rate }
  }

  /// Segments a second in bytes of packets, headers included.
  private static func bytes(_ rate: Double, _ segment: Int) -> Int {
    Int(min(rate * Double(segment + 40), 1e15))
  }

  /// BBR.offload_budget in segments: three quanta (SetSendQuantum), each what goes in a millisecond.
  private func budget(_ pacer: Int, _ segment: Int) -> Int {
    3 * max(2, min(pacer / 1000, 65536) / max(1, segment))
  }

  /// BDPMultiple. Before a round trip was measured, the initial window.
  private func product(_ gain: Double, _ initialWindow: Int) -> Int {
    guard let minimumRoundTrip else { return initialWindow }
    return Int(min(gain * bandwidth * Double(minimumRoundTrip.count) / 1e9, 1e9).rounded(.up))
  }

  /// QuantizationBudget.
  private func quantized(_ volume: Int, pace: Int, _ segment: Int) -> Int {
    max(volume, budget(pace, segment), Self.minimumWindow) + (state == .probeUp ? 2 : 0)
  }

  /// Inflight(gain): what the path holds, at the pace that the state wants.
  func volume(_ gain: Double, _ segment: Int) -> Int {
    quantized(
      product(gain, Self.minimumWindow), pace: Self.bytes(state.pacingGain * bandwidth, segment), segment)
  }

  /// ProbeRTTCwnd.
  var probeRoundTripWindow: Int {
    max(product(State.probeRoundTrip.windowGain, Self.minimumWindow), Self.minimumWindow)
  }

  /// SetCwnd: no more than what has arrived is added at once.
  func setWindow(_ heard: AcknowledgmentSample, _ pacer: Pacer, _ window: inout CongestionWindow) {
    let most = quantized(
      product(state.windowGain, heard.initialWindow) + extra.value, pace: pacer.rate, heard.segment)
    var size = window.segments
    if isFull {
      size = min(size + heard.delivered, most)
    } else if size < most || Int(rate.total) < heard.initialWindow {
      size += heard.delivered
    }
    size = max(size, Self.minimumWindow)
    if state == .probeRoundTrip { size = min(size, probeRoundTripWindow) }
    window.set(min(size, cap), now: heard.now)
  }

  /// BoundCwndForModel.
  private var cap: Int {
    var cap = Int.max
    switch state {
    case .startup, .drain: break
    case .probeDown, .probeRefill, .probeUp: cap = longVolume
    case .probeCruise, .probeRoundTrip: cap = volumeWithHeadroom
    }
    return max(min(cap, shortVolume), Self.minimumWindow)
  }
}
