import Timing

// ProbeRTT, draft section 5.3.4: every five seconds the window shrinks for 200 ms, so that the queue drains and the round
// trip without it can be seen; and what happens after a pause, section 5.4.
extension BBRModel {
  /// CheckProbeRTT.
  mutating func checkProbeRoundTrip(_ heard: AcknowledgmentSample, _ window: inout CongestionWindow) {
    if state != .probeRoundTrip, isRecentOld, !isRestarting {
      saveWindow(window.segments)
      state = .probeRoundTrip
      probeRoundTripEnd = nil
      feedback = .stopping
      startRound()
    }
    if state == .probeRoundTrip { probeRoundTrip(heard, &window) }
    if sample.delivered > 0 { isRestarting = false }
  }

  /// HandleProbeRTT.
  private mutating func probeRoundTrip(_ heard: AcknowledgmentSample, _ window: inout CongestionWindow) {
    // What is measured now is no measure of the path.
    rate.leaveGap(delivered: heard.count.delivered, flight: heard.inFlight)
    if probeRoundTripEnd != nil {
      if isRoundStart { isProbeRoundTripRoundOver = true }
      if isProbeRoundTripRoundOver { endProbeRoundTrip(&window, now: heard.now) }
    } else if heard.inFlight <= probeRoundTripWindow {
      probeRoundTripEnd = heard.now + Self.probeRoundTripDuration
      isProbeRoundTripRoundOver = false
      startRound()
    }
  }

  /// CheckProbeRTTDone.
  mutating func endProbeRoundTrip(_ window: inout CongestionWindow, now: Instant) {
    guard let end = probeRoundTripEnd, now > end else { return }
    recentStamp = now
    restoreWindow(&window)
    resetShortTerm()
    if isFull {
      startDown(now: now)
      startCruise()
    } else {
      enterStartup()
    }
  }

  /// HandleRestartFromIdle: something is about to be sent, and nothing is in flight because the application had nothing.
  mutating func restart(
    segment: Int, _ window: inout CongestionWindow, _ pacer: inout Pacer, now: Instant
  ) {
    guard rate.bubbleEnd != nil else { return }
    isRestarting = true
    extraStart = now
    extraDelivered = 0
    if state.isProbingBandwidth {
      setPace(1, segment: segment, &pacer)
    } else if state == .probeRoundTrip {
      endProbeRoundTrip(&window, now: now)
    }
  }
}
