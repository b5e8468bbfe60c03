import Timing

// ProbeBW, draft section 5.3.3: down, to drain what the last probe left; cruise, with room for others; refill the pipe;
// up, until it is full or too much.
extension BBRModel {
  mutating func startDown(now: Instant) {
    resetCongestion()
    upPeriod = .max
    pickWait()
    cycleStart = now
    feedback = .stopping
    startRound()
    state = .probeDown
  }

  mutating func startCruise() { state = .probeCruise }

  mutating func startRefill() {
    resetShortTerm()
    upRounds = 0
    upAcknowledged = 0
    wasProbePrecautionary = false
    feedback = .refilling
    startRound()
    state = .probeRefill
  }

  private mutating func startUp(_ window: Int) {
    feedback = .starting
    startRound()
    resetFull()
    fullBandwidth = sample.rate
    state = .probeUp
    raiseSlope(window)
  }

  /// PickProbeWait: two to three seconds, or as many round trips as Reno would need.
  private mutating func pickWait() {
    roundsSinceUp = Int(draw(below: 2))
    probeWait = .seconds(2) + Nanoseconds(Int64(draw(below: 1_000_000_000)))
  }

  /// UpdateProbeBWCyclePhase.
  mutating func advanceCycle(_ heard: AcknowledgmentSample, _ window: Int) {
    guard isFull else { return }
    if adaptLongTerm(heard, window) { return }
    switch state {
    case .startup, .drain, .probeRoundTrip: break
    case .probeDown:
      if isTimeToProbe(window, now: heard.now) {
        startRefill()
      } else if isTimeToCruise(heard) {
        startCruise()
      }
    case .probeCruise:
      if isTimeToProbe(window, now: heard.now) { startRefill() }
    case .probeRefill:
      if isRoundStart {
        isProbeSample = true
        startUp(window)
      }
    case .probeUp:
      if isTimeToGoDown(heard, window) {
        wasProbeTooHigh = false
        startDown(now: heard.now)
      }
    }
  }

  /// IsTimeToProbeBW, with IsRenoCoexistenceProbeTime.
  private func isTimeToProbe(_ window: Int, now: Instant) -> Bool {
    now > cycleStart + probeWait || roundsSinceUp >= min(targetVolume(window), 63)
  }

  /// IsTimeToCruise.
  private func isTimeToCruise(_ heard: AcknowledgmentSample) -> Bool {
    heard.inFlight <= volumeWithHeadroom && heard.inFlight <= volume(1, heard.segment)
  }

  /// IsTimeToGoDown.
  private mutating func isTimeToGoDown(_ heard: AcknowledgmentSample, _ window: Int) -> Bool {
    if wasProbeTooHigh, heard.inFlight >= longVolume {
      wasProbePrecautionary = true
      return true
    }
    if heard.isWindowFull, window >= longVolume {
      // The volume limits, so that the rate says nothing.
      resetFull()
      fullBandwidth = sample.rate
      return false
    }
    return isFullNow
  }

  /// InflightWithHeadroom.
  var volumeWithHeadroom: Int {
    guard longVolume != .max else { return .max }
    let room = max(1, Int(Self.headroom * Double(longVolume)))
    return max(longVolume - room, Self.minimumWindow)
  }

  /// RaiseInflightLongtermSlope: twice as steep in each round trip.
  private mutating func raiseSlope(_ window: Int) {
    let growth = 1 << upRounds
    upRounds = min(upRounds + 1, 30)
    upPeriod = max(window / growth, 1)
  }

  /// ProbeInflightLongtermUpward.
  private mutating func raiseLongVolume(_ heard: AcknowledgmentSample, _ window: Int) {
    guard heard.isWindowFull, window >= longVolume else { return }
    upAcknowledged += heard.delivered
    if upAcknowledged >= upPeriod {
      let steps = upAcknowledged / upPeriod
      upAcknowledged -= steps * upPeriod
      longVolume += steps
    }
    if isRoundStart { raiseSlope(window) }
  }

  /// AdaptLongTermModel. True: it has decided on a state.
  private mutating func adaptLongTerm(_ heard: AcknowledgmentSample, _ window: Int) -> Bool {
    if feedback == .starting, isRoundStart { feedback = .probing }
    if feedback == .stopping, isRoundStart {
      isProbeSample = false
      feedback = .none
      if state.isProbingBandwidth, !sample.isApplicationLimited { forgetBandwidth() }
      if state.isProbingBandwidth, wasProbePrecautionary, !wasProbeTooHigh {
        startRefill()
        return true
      }
    }
    guard longVolume != .max, !isTooHigh(sample, isSelective: heard.isSelective) else { return false }
    longVolume = max(longVolume, sample.flight)
    if state == .probeUp { raiseLongVolume(heard, window) }
    return false
  }
}
