import Timing
import Wire

// Losses and notices of congestion: draft sections 5.5.10 and 5.5.11, and section 3.5 (ECN).
extension BBRModel {
  /// NoteLoss: the round trip has seen congestion.
  mutating func noteLoss(_ window: Int) {
    if !isLossInRound { lossRoundEnd = rate.total }
    isLossInRound = true
    if !isSaved { saveState(window) }
  }

  /// HandleLostPacket: while probing, more than 2 % lost means that too much was in flight.
  mutating func lost(
    _ segment: SentSegment, _ snapshot: DeliverySnapshot, _ count: DeliveryCount, window: Int,
    isSelective: Bool
  ) {
    noteLoss(window)
    if lossRangeEnd != segment.start { lossRanges += 1 }
    lossRangeEnd = segment.end
    guard isProbeSample, snapshot.deliveredAt != .zero else { return }
    var sample = DeliverySample()
    sample.flight = snapshot.flight
    sample.lost = Int(count.lost &- snapshot.lost)
    sample.isApplicationLimited = snapshot.isApplicationLimited
    guard isTooHigh(sample, isSelective: isSelective) else { return }
    sample.flight = Self.flightAtLoss(sample)
    // What arrived last has told.
    reduceVolume(sample, window, now: rate.deliveredAt)
  }

  /// IsInflightTooHigh.
  func isTooHigh(_ sample: DeliverySample, isSelective: Bool) -> Bool {
    Double(sample.lost) > Double(sample.flight) * Self.lossThreshold || (sample.lost > 0 && !isSelective)
  }

  /// InflightAtLoss: at how much in flight losses crossed the threshold.
  static func flightAtLoss(_ sample: DeliverySample) -> Int {
    let flightBefore = max(0, sample.flight - 1)
    let lostBefore = max(0, sample.lost - 1)
    let prefix = (lossThreshold * Double(flightBefore) - Double(lostBefore)) / (1 - lossThreshold)
    return flightBefore + Int(max(0, prefix))
  }

  /// HandleInflightTooHigh: once for each probe.
  mutating func reduceVolume(_ sample: DeliverySample, _ window: Int, now: Instant) {
    wasProbeTooHigh = true
    isProbeSample = false
    if !sample.isApplicationLimited {
      longVolume = max(sample.flight, Int(Double(targetVolume(window)) * Self.beta))
    }
    if state == .probeUp {
      undoState = .probeUp
      startDown(now: now)
    }
  }

  /// TargetInflight: our estimate, unless congestion cut the window.
  func targetVolume(_ window: Int) -> Int { min(bandwidthDelayProduct, window) }

  /// The network's word counts as a loss above the threshold does.
  mutating func takeNotice(_ window: Int, now: Instant) {
    guard wasNotified else { return }
    wasNotified = false
    isNotifiedInRound = true
    if isProbeSample, state != .startup { reduceVolume(sample, window, now: now) }
  }

  /// UpdateLatestDeliverySignals.
  mutating func noteLatest() {
    latestBandwidth = max(latestBandwidth, sample.rate)
    latestVolume = max(latestVolume, sample.delivered)
    isLossRoundStart = Int32(bitPattern: sample.priorDelivered &- lossRoundEnd) >= 0
    if isLossRoundStart { lossRoundEnd = rate.total }
  }

  /// UpdateCongestionSignals: what was lost in a round trip makes the short-term model smaller, once.
  mutating func noteCongestion(_ window: Int) {
    noteBandwidth()
    guard isLossRoundStart else { return }
    if !state.isAccelerating, isLossInRound {
      if shortBandwidth == .infinity { shortBandwidth = maximumBandwidth }
      if shortVolume == .max { shortVolume = window }
      shortBandwidth = max(latestBandwidth, Self.beta * shortBandwidth)
      shortVolume = max(latestVolume, Int(Self.beta * Double(shortVolume)))
    }
    isLossInRound = false
  }

  /// ResetCongestionSignals.
  mutating func resetCongestion() {
    isLossInRound = false
    latestBandwidth = 0
    latestVolume = 0
  }

  /// ResetShortTermModel.
  mutating func resetShortTerm() {
    shortBandwidth = .infinity
    shortVolume = .max
  }

  // MARK: Recovery, and that it was not needed

  /// SaveStateUponLoss: once for each episode of losses, so that what it changed is not what is restored.
  private mutating func saveState(_ window: Int) {
    isSaved = true
    saveWindow(window)
    undoState = nil
    undoBandwidth = shortBandwidth
    undoShortVolume = shortVolume
    undoLongVolume = longVolume
  }

  /// SaveCwnd.
  mutating func saveWindow(_ window: Int) {
    priorWindow = !wasRepairing && state != .probeRoundTrip ? window : max(priorWindow, window)
  }

  /// RestoreCwnd.
  func restoreWindow(_ window: inout CongestionWindow) { window.set(max(window.segments, priorWindow)) }

  /// HandleSpuriousLossDetection. The window is given back by whoever took it.
  mutating func undone() {
    isLossInRound = false
    resetFull()
    shortBandwidth = max(shortBandwidth, undoBandwidth)
    shortVolume = max(shortVolume, undoShortVolume)
    longVolume = max(longVolume, undoLongVolume)
    if undoState == .startup, state != .startup {
      isFull = false
      if state != .probeRoundTrip { enterStartup() }
    } else if undoState == .probeUp, state != .probeUp, state != .probeRoundTrip {
      startRefill()
    }
    undoState = nil
    isSaved = false
  }
}
