import Timing
import Wire

/// BBR, version 3 (draft-ietf-ccwg-bbr): a model of the path, from which pace and window follow, instead of a window
/// that grows until something is lost. What it is: the bandwidth that the path delivers at most, the round trip without
/// queues, and how much may be in flight without losses above a few percent.
///
/// Volumes are in segments, as windows are; rates in segments a second. Names are the draft's, in this house's spelling.
/// The parts are in files of their own: what is learned (`BBRModel+Path`, `BBRModel+Congestion`), the states that probe
/// (`BBRModel+ProbeBandwidth`, `BBRModel+ProbeRoundTrip`), and what follows (`BBRModel+Controls`).
struct BBRModel {
  /// BBR.state.
  enum State: UInt8 {
    case startup, drain, probeDown, probeCruise, probeRefill, probeUp, probeRoundTrip

    /// IsInAProbeBWState.
    var isProbingBandwidth: Bool {
      switch self {
      case .probeDown, .probeCruise, .probeRefill, .probeUp: true
      case .startup, .drain, .probeRoundTrip: false
      }
    }
    /// IsProbingBW: it sends faster, to learn.
    var isAccelerating: Bool {
      switch self {
      case .startup, .probeRefill, .probeUp: true
      case .drain, .probeDown, .probeCruise, .probeRoundTrip: false
      }
    }
    /// BBR.pacing_gain: section 5.6.1.
    var pacingGain: Double {
      switch self {
      case .startup: 2.77
      case .drain: 0.5
      case .probeDown: 0.9
      case .probeUp: 1.25
      case .probeCruise, .probeRefill, .probeRoundTrip: 1
      }
    }
    /// BBR.cwnd_gain.
    var windowGain: Double {
      switch self {
      case .probeUp: 2.25
      case .probeRoundTrip: 0.5
      case .startup, .drain, .probeDown, .probeCruise, .probeRefill: 2
      }
    }
  }

  /// BBR.ack_phase: what acknowledgments answer to.
  enum Feedback: UInt8 { case none, refilling, starting, probing, stopping }

  // Section 2.7 and after.
  /// BBR.LossThresh.
  static var lossThreshold: Double { 0.02 }
  /// BBR.Beta.
  static var beta: Double { 0.7 }
  /// BBR.Headroom.
  static var headroom: Double { 0.15 }
  /// BBR.MinPipeCwnd.
  static var minimumWindow: Int { 4 }
  /// BBRStartupFullLossCnt.
  static var startupLosses: Int { 6 }
  /// BBR.ExtraAckedFilterLen, in round trips.
  static var aggregationRounds: Int { 10 }
  /// BBR.MinRTTFilterLen.
  static var roundTripLife: Nanoseconds { .seconds(10) }
  /// BBR.ProbeRTTInterval.
  static var probeRoundTripInterval: Nanoseconds { .seconds(5) }
  /// BBR.ProbeRTTDuration.
  static var probeRoundTripDuration: Nanoseconds { .milliseconds(200) }

  var state = State.startup
  var feedback = Feedback.none
  var rate = DeliveryRate()
  /// RS, of the last acknowledgment.
  var sample = DeliverySample()

  // Round trips, counted by what was sent in one and arrived in the next (section 5.5.1).
  var rounds = 0
  var isRoundStart = false
  var roundEnd: UInt32 = 0

  // The bandwidth: the most of this probing cycle, and of the one before (section 5.5.5).
  var bandwidths: (last: Double, current: Double) = (0, 0)
  /// BBR.bw_shortterm.
  var shortBandwidth = Double.infinity
  /// BBR.bw: what is believed.
  var bandwidth = 0.0

  // The round trip (section 5.3.4.3).
  /// BBR.min_rtt; nil: none was measured.
  var minimumRoundTrip: Nanoseconds?
  var minimumStamp: Instant
  /// BBR.probe_rtt_min_delay and its stamp.
  var recentRoundTrip: Nanoseconds?
  var recentStamp: Instant
  var isRecentOld = false
  /// BBR.probe_rtt_done_stamp; nil: not yet small enough.
  var probeRoundTripEnd: Instant?
  var isProbeRoundTripRoundOver = false

  // Volumes; `Int.max` stands for none.
  /// BBR.inflight_longterm.
  var longVolume = Int.max
  /// BBR.inflight_shortterm.
  var shortVolume = Int.max

  // What was delivered in this round trip, and whether anything was lost (section 5.5.10.3).
  var latestBandwidth = 0.0
  var latestVolume = 0
  var isLossInRound = false
  var isLossRoundStart = false
  var lossRoundEnd: UInt32 = 0
  /// Ranges of numbers lost in it, and where the last one ends.
  var lossRanges = 0
  var lossRangeEnd: SequenceNumber?
  /// The network said that there is congestion (RFC 3168).
  var wasNotified = false
  /// In this round trip.
  var isNotifiedInRound = false

  // Whether the pipe is full (section 5.3.1.2).
  var isFull = false
  var isFullNow = false
  var fullBandwidth = 0.0
  var fullCount = 0
  var drainStart = 0

  // Probing for bandwidth (section 5.3.3).
  var isProbeSample = false
  /// BBR.bw_probe_up_acked, .probe_up_acked_per_inc, .bw_probe_up_rounds.
  var upAcknowledged = 0
  var upPeriod = Int.max
  var upRounds = 0
  var roundsSinceUp = 0
  var probeWait = Nanoseconds.zero
  var cycleStart: Instant
  var wasProbeTooHigh = false
  var wasProbePrecautionary = false

  // Aggregation (section 5.5.9).
  var extraStart: Instant
  var extraDelivered = 0
  var extra = WindowedMaximum()

  // What is restored (sections 5.5.11 and 5.6.4.4).
  /// BBR.prior_cwnd.
  var priorWindow = 0
  var wasRepairing = false
  /// What would have to be restored has been saved.
  var isSaved = false
  /// BBR.undo_state; nil: none.
  var undoState: State?
  var undoBandwidth = Double.infinity
  var undoShortVolume = Int.max
  var undoLongVolume = Int.max

  var isRestarting = false
  /// The pace has been set from a measured round trip.
  var hasPace = false
  private var random: UInt64

  /// - Parameters:
  ///   - seed: what random waits follow from; whatever an onlooker cannot know.
  ///   - delivered: segments that have arrived so far.
  init(seed: UInt64, delivered: UInt32, now: Instant) {
    random = seed
    minimumStamp = now
    recentStamp = now
    cycleStart = now
    extraStart = now
    roundEnd = delivered
    lossRoundEnd = delivered
  }

  /// A random number below `bound` (SplitMix64): waits differ between flows.
  mutating func draw(below bound: UInt64) -> UInt64 {
    random &+= 0x9E37_79B9_7F4A_7C15
    var mixed = random
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return (mixed ^ (mixed >> 31)) % bound
  }

  // MARK: Acknowledgments

  /// UpdateOnACK, section 5.2.3.
  mutating func steer(
    _ heard: AcknowledgmentSample, _ window: inout CongestionWindow, _ pacer: inout Pacer
  ) {
    sample = rate.finish(heard.count, minimum: heard.minimum)
    adoptRoundTrip(heard.smoothed, heard.initialWindow, heard.segment, &pacer)
    if sample.hasData { learn(heard, &window) }
    isLossRoundStart = false
    isRoundStart = false
    if wasRepairing, !heard.isRepairing { restoreWindow(&window) }
    wasRepairing = heard.isRepairing
    if !wasRepairing { isSaved = false }
    setPace(state.pacingGain, segment: heard.segment, &pacer)
    setWindow(heard, pacer, &window)
  }

  /// UpdateModelAndState.
  private mutating func learn(_ heard: AcknowledgmentSample, _ window: inout CongestionWindow) {
    noteLatest()
    takeNotice(window.segments, now: heard.now)
    noteCongestion(window.segments)
    noteAggregation(heard.delivered, window.segments, now: heard.now)
    checkFull()
    checkStartup(heard)
    checkDrain(heard)
    advanceCycle(heard, window.segments)
    noteRoundTrip(heard.roundTrip, now: heard.now)
    checkProbeRoundTrip(heard, &window)
    if isLossRoundStart {
      latestBandwidth = sample.rate
      latestVolume = sample.delivered
    }
    bandwidth = min(maximumBandwidth, shortBandwidth)
  }

  // MARK: Startup and Drain

  /// CheckStartupDone, section 5.3.1.
  private mutating func checkStartup(_ heard: AcknowledgmentSample) {
    checkStartupLoss(heard)
    if isLossRoundStart {
      lossRanges = 0
      isNotifiedInRound = false
    }
    guard state == .startup, isFull else { return }
    state = .drain
    drainStart = rounds
  }

  /// CheckStartupHighLoss, section 5.3.1.3: a round trip of repairs, above 2 %, in six places; any loss where the peer
  /// does not tell where. A round trip in which the network said that there is congestion is as good.
  private mutating func checkStartupLoss(_ heard: AcknowledgmentSample) {
    guard !isFull, isLossRoundStart else { return }
    let isLossy =
      heard.isRepairing
      && (heard.isSelective ? lossRanges >= Self.startupLosses && isTooHigh(sample, isSelective: true) : true)
    guard isLossy || isNotifiedInRound else { return }
    undoState = .startup
    isFull = true
    isFullNow = true
    longVolume = max(bandwidthDelayProduct, latestVolume)
  }

  mutating func enterStartup() { state = .startup }

  /// CheckFullBWReached, section 5.3.1.2: three round trips without a quarter more.
  private mutating func checkFull() {
    guard !isFullNow, isRoundStart, !sample.isApplicationLimited else { return }
    if sample.rate >= fullBandwidth * 1.25 {
      resetFull()
      fullBandwidth = sample.rate
      return
    }
    fullCount += 1
    isFullNow = fullCount >= 3
    if isFullNow { isFull = true }
  }

  mutating func resetFull() {
    fullBandwidth = 0
    fullCount = 0
    isFullNow = false
  }

  /// CheckDrainDone, section 5.3.2.
  private mutating func checkDrain(_ heard: AcknowledgmentSample) {
    guard state == .drain else { return }
    if heard.inFlight <= volume(1, heard.segment) || rounds > drainStart + 3 { startDown(now: heard.now) }
  }
}
