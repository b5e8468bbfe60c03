import Timing
import Wire

// Which segments are lost: RFC 8985 section 6.2, RFC 6675 section 4, RFC 6582.
extension TCPConnection {
  /// Marks what is found lost.
  mutating func findLosses(_ report: inout AcknowledgmentReport, now: Instant) {
    guard !outstanding.isEmpty else { return }
    if !isSelective {
      let isFirst = recovery.phase != .recovery && recovery.phase != .loss
      if isFirst
        ? outstanding.presumed >= recovery.reordering
        : recovery.phase == .recovery && report.advanced
      {
        markLost(0)
      }
      return
    }
    let repeating = outstanding.repeating
    if configuration.recentAcknowledgment {
      if findOvertaken(now: now) { report.restartsTimer = false }
    } else {
      findByCount()
    }
    if repeating > outstanding.repeating { report.lostRepetition = true }
  }

  /// RACK's step 5. True: segments may be lost, and a timer is set to tell.
  mutating func findOvertaken(now: Instant) -> Bool {
    guard recent.hasAdvanced else { return false }
    recent.hasAdvanced = false
    guard let wait = markOvertaken(now: now) else { return false }
    // Not for less than the clock of the peers' acknowledgments can tell apart.
    armRetransmission(.reordering, now + wait + .milliseconds(2))
    return true
  }

  /// Marks what was overtaken long enough ago. Returns how long the next one still has.
  mutating func markOvertaken(now: Instant) -> Nanoseconds? {
    let isImpatient =
      !recovery.sawReordering
      && (recovery.phase == .recovery || recovery.phase == .loss
        || outstanding.sacked >= recovery.reordering)
    let allowance = recent.window(
      isImpatient: isImpatient, minimum: roundTrip.minimum, smoothed: roundTrip.smoothed)
    var longest: Nanoseconds?
    for index in 0..<outstanding.count {
      let segment = outstanding[index]
      let marks = segment.marks
      // In order of sequence, what was sent once is in order of time: nothing beyond the newest that arrived was
      // overtaken.
      if !marks.contains(.repeated), !recent.isOvertaken(segment) { break }
      if marks.contains(.sacked) || (marks.contains(.lost) && !marks.contains(.repeating)) { continue }
      guard recent.isOvertaken(segment) else { continue }
      let remaining = recent.remaining(segment, window: allowance, now: now)
      if remaining <= .zero {
        markLost(index)
      } else {
        longest = longest.map { max($0, remaining) } ?? remaining
      }
    }
    return longest
  }

  /// RFC 6675, IsLost: DupThresh segments beyond it have arrived.
  private mutating func findByCount() {
    var beyond = outstanding.sacked
    guard beyond >= recovery.reordering else { return }
    for index in 0..<outstanding.count {
      let marks = outstanding[index].marks
      if marks.contains(.sacked) {
        beyond -= 1
        if beyond < recovery.reordering { return }
      } else if !marks.contains(.lost), !marks.contains(.repeating) {
        markLost(index)
      }
    }
  }

  /// Marks the segment at `index` lost; a repetition of it that is out is lost with it.
  mutating func markLost(_ index: Int) {
    let marks = outstanding[index].marks
    if marks.contains(.sacked) { return }
    if marks.contains(.lost) {
      guard marks.contains(.repeating) else { return }
    } else {
      outstanding.mark(index, .lost)
    }
    outstanding.clear(index, .repeating)
    count.lost &+= 1
    counters.lost &+= 1
    noteLost(index)
  }

  /// The reordering timer went off: what was waited for is lost.
  mutating func reorderingTimedOut(now: Instant, sink: inout some TCPSink & ~Copyable) {
    let inFlight = outstanding.inFlight
    let lostBefore = count.lost
    let wait = markOvertaken(now: now)
    if outstanding.inFlight != inFlight {
      if recovery.phase != .recovery, !search.isOn || !takesProbeLoss() {
        enterRecovery(isCongestionEcho: false, now: now)
        if !control.hasModel,
          let size = recovery.proportionalWindow(
            newlyDelivered: 1, newlyLost: Int(count.lost &- lostBefore), advanced: false,
            inFlight: outstanding.inFlight, threshold: window.threshold)
        {
          window.set(size)
        }
      }
      retransmitLost(now: now, sink: &sink)
    }
    if let wait, deadlines.retransmission.purpose != .timeout {
      armRetransmission(.reordering, now + wait + .milliseconds(2))
    } else if !deadlines.retransmission.isArmed {
      restartRetransmissionTimer(isProgress: false, now: now)
    }
  }
}
