import Timing
import Wire

/// What is sent before anything else after an acknowledgment.
enum Repetition {
  case none
  /// What is marked lost.
  case lost
  /// Something new, to find out whether a timeout was spurious.
  case new
}

// What an acknowledgment means for recovery, and what it changes there.
extension TCPConnection {
  /// Judges an acknowledgment that is dubious: whether losses began, go on, are repaired, or never were.
  mutating func judgeLosses(
    _ report: inout AcknowledgmentReport, _ segment: TCPSegment, now: Instant
  ) -> Repetition {
    // What is found by the explicit word of the network is no mistake.
    if report.echoesCongestion { recovery.priorThreshold = nil }
    if forgetsReported(now: now, &report) { return .none }
    if recovery.phase == .open {
      recovery.firstRetransmission = nil
    } else if send.unacknowledged >= recovery.end {
      switch recovery.phase {
      case .reduction:
        // It ends with something beyond what was out when it began.
        if send.unacknowledged != recovery.end {
          endReduction(now: now)
          recovery.become(.open)
        }
      case .recovery:
        if !isSelective { outstanding.presumed = 0 }
        if undoesRecovery(segment, now: now) { return .none }
        endReduction(now: now)
      case .open, .disorder, .loss:
        break
      }
    }
    switch recovery.phase {
    case .recovery:
      if !report.advanced {
        if !isSelective, report.isDuplicate { addPresumed() }
      } else if undoesPartially(segment, report, now: now) {
        return .none
      }
      if undoesByDuplicates(now: now) { stayOpen() }
      findLosses(&report, now: now)
      if recovery.phase == .recovery { return .lost }
    case .loss:
      let repeats = judgeTimeout(report, segment, now: now)
      findLosses(&report, now: now)
      if recovery.phase != .open { return repeats }
    case .open, .disorder, .reduction:
      if !isSelective {
        if report.advanced { outstanding.presumed = 0 }
        if report.isDuplicate { addPresumed() }
      }
      if recovery.phase == .open || recovery.phase == .disorder { _ = undoesByDuplicates(now: now) }
      findLosses(&report, now: now)
    }
    guard outstanding.lost > 0 else {
      tryToOpen(report, now: now)
      return .none
    }
    if search.isOn, !report.echoesCongestion, takesProbeLoss() { return .lost }
    enterRecovery(isCongestionEcho: report.echoesCongestion, now: now)
    return .lost
  }

  /// RFC 2018 section 8: the peer acknowledges up to what it had reported, and not that. It has thrown it away: nothing
  /// that it reported is believed, and the timer will send it again.
  private mutating func forgetsReported(now: Instant, _ report: inout AcknowledgmentReport) -> Bool {
    guard report.advanced, !outstanding.isEmpty, outstanding[0].marks.contains(.sacked) else { return false }
    let delay = max(roundTrip.smoothed / 2, .milliseconds(10))
    report.restartsTimer = false
    armRetransmission(.timeout, now + delay)
    return true
  }

  /// Nothing is known to be lost: the phase follows from what is still unclear.
  private mutating func tryToOpen(_ report: AcknowledgmentReport, now: Instant) {
    if outstanding.repeating == 0 { recovery.firstRetransmission = nil }
    if report.echoesCongestion { enterReduction(now: now) }
    if recovery.phase != .reduction { stayOpen() }
  }

  /// Open, or disorder while something is out of order or repeated.
  mutating func stayOpen() {
    let new: LossRecovery.Phase =
      outstanding.left > 0 || outstanding.repeating > 0 ? .disorder : .open
    if new != recovery.phase { recovery.enter(new, until: send.next) }
  }

  /// The beginning of every reduction: RFC 6937 section 3, and what is kept to undo it.
  mutating func beginReduction(now: Instant) {
    recovery.probeEnd = nil
    window.forgetCredit()
    let reduced = reduceToUse(now: now)
    recovery.priorWindow = window.segments
    recovery.delivered = 0
    recovery.out = 0
    window.threshold = control.threshold(after: window, now: now)
    if let reduced { window.threshold = reduced }
    ecn.reductionIsQueued = ecn.isClassic
  }

  /// The window is reduced though nothing was lost: RFC 3168 section 6.1.2, once in a window of data.
  mutating func enterReduction(now: Instant) {
    recovery.priorThreshold = nil
    guard recovery.phase == .open || recovery.phase == .disorder else { return }
    recovery.undoMarker = nil
    beginReduction(now: now)
    control.note(.notified, now: now)
    recovery.enter(.reduction, until: send.next)
  }

  /// A loss was found, RFC 5681 section 3.2, RFC 6675 section 5.
  mutating func enterRecovery(isCongestionEcho: Bool, now: Instant) {
    recovery.priorThreshold = nil
    prepareUndo()
    let wasReducing = recovery.isReducing
    if !wasReducing {
      if !isCongestionEcho { recovery.priorThreshold = window.knownThreshold }
      beginReduction(now: now)
      if isCongestionEcho { control.note(.notified, now: now) }
    }
    recovery.enter(.recovery, until: wasReducing ? recovery.end : send.next)
    counters.recoveries &+= 1
  }

  /// What undoing will need.
  mutating func prepareUndo() {
    recovery.undoMarker = send.unacknowledged
    var out = outstanding.repeating
    if recovery.probeEnd != nil, recovery.probeRepeats { out += 1 }
    recovery.undoRetransmissions = out > 0 ? out : nil
  }

  /// The reduction is complete: the window is what the threshold says.
  mutating func endReduction(now: Instant) {
    if let validation = window.validation,
      let size = validation.end(retransmissions: counters.retransmissions)
    {
      window.threshold = size
    }
    if window.threshold != .max, recovery.phase == .reduction || recovery.undoMarker != nil {
      window.set(window.threshold, now: now)
    }
    if recovery.phase == .recovery { recent.recoveryEnded() }
  }
}
