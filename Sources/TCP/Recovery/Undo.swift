import Timing
import Wire

// Taking a reduction back that was not needed: RFC 3522 and 4015 (Eifel), RFC 3708 (DSACK), RFC 5682 (F-RTO).
extension TCPConnection {
  /// Nothing was lost: the peer reported every repetition as a duplicate, or acknowledged the original.
  private func mayUndo(_ segment: TCPSegment) -> Bool {
    recovery.undoMarker != nil && (recovery.undoRetransmissions == 0 || wasOnlyLate(segment))
  }

  /// RFC 3522 section 3.2: the timestamp echoed is older than the first repetition, so that an original has arrived;
  /// or nothing has been sent again yet.
  private func wasOnlyLate(_ segment: TCPSegment) -> Bool {
    guard let first = recovery.firstRetransmission else {
      return isSelective || send.unacknowledged < recovery.end
    }
    guard timestamps.isEnabled, let stamps = segment.options.timestamps, stamps.echo != 0 else {
      return false
    }
    return Int32(bitPattern: stamps.echo &- first) < 0
  }

  /// Gives back what the reduction took. `forgetsLosses`: nothing counts as lost any more.
  private mutating func undoReduction(forgetsLosses: Bool, now: Instant) {
    if forgetsLosses {
      for index in 0..<outstanding.count { outstanding.clear(index, .lost) }
    }
    if let prior = recovery.priorThreshold {
      window.set(max(window.segments, recovery.priorWindow))
      control.undone()
      window.threshold = max(window.threshold, prior)
      ecn.reductionIsQueued = false
    }
    window.touch(now)
    recovery.undoMarker = nil
    recent.undone()
    counters.undone &+= 1
  }

  /// Recovery has come to its end. True: it goes on until something beyond it is acknowledged, since without SACK the
  /// duplicates of its repetitions would begin another (RFC 6582 section 3.2, step 4).
  mutating func undoesRecovery(_ segment: TCPSegment, now: Instant) -> Bool {
    if mayUndo(segment) { undoReduction(forgetsLosses: false, now: now) }
    if preventsReopening() { return true }
    recovery.become(.open)
    return false
  }

  private mutating func preventsReopening() -> Bool {
    guard send.unacknowledged == recovery.end, !isSelective else { return false }
    if outstanding.repeating == 0 { recovery.firstRetransmission = nil }
    return true
  }

  /// Every repetition was reported as a duplicate.
  mutating func undoesByDuplicates(now: Instant) -> Bool {
    guard recovery.undoMarker != nil, recovery.undoRetransmissions == 0 else { return false }
    undoReduction(forgetsLosses: false, now: now)
    return true
  }

  /// A partial acknowledgment in recovery that an original has caused. True: nothing more follows from it.
  mutating func undoesPartially(
    _ segment: TCPSegment, _ report: AcknowledgmentReport, now: Instant
  ) -> Bool {
    guard recovery.undoMarker != nil, wasOnlyLate(segment) else { return false }
    noteReordering(from: report.priorUnacknowledged, highest: highestReported)
    // Where a repetition is out its acknowledgment will tell more.
    if outstanding.repeating > 0 { return true }
    recovery.firstRetransmission = nil
    undoReduction(forgetsLosses: true, now: now)
    recovery.become(.open)
    stayOpen()
    return false
  }

  /// After a timeout: whether it was spurious. `isCertain`: F-RTO says so.
  private mutating func undoesTimeout(_ segment: TCPSegment, isCertain: Bool, now: Instant) -> Bool {
    guard isCertain || mayUndo(segment) else { return false }
    undoReduction(forgetsLosses: true, now: now)
    counters.spuriousTimeouts &+= 1
    attempts = 0
    if preventsReopening() { return true }
    if isCertain || isSelective {
      recovery.become(.open)
    }
    return true
  }

  /// An acknowledgment after a timeout: F-RTO (RFC 5682 section 3.1, with SACK), and the end of the phase.
  mutating func judgeTimeout(
    _ report: AcknowledgmentReport, _ segment: TCPSegment, now: Instant
  ) -> Repetition {
    let isRecovered = send.unacknowledged >= recovery.end
    if report.advanced, undoesTimeout(segment, isCertain: false, now: now) { return .none }
    if recovery.isProbingTimeout {
      // Step 3b: what was not sent again has arrived.
      if report.deliveredOriginal, undoesTimeout(segment, isCertain: true, now: now) { return .none }
      if send.next > recovery.end {
        // Step 3a: what is new was overtaken, the losses are real.
        if report.sacked || report.isDuplicate { recovery.isProbingTimeout = false }
      } else if report.advanced, !isRecovered {
        recovery.end = send.next
        // Step 2b.
        if mayProbeWithNew { return .new }
        recovery.isProbingTimeout = false
      }
    }
    if isRecovered {
      _ = undoesRecovery(segment, now: now)
      return .none
    }
    if !isSelective {
      if send.next > recovery.end, report.isDuplicate {
        addPresumed()
      } else if report.advanced {
        outstanding.presumed = 0
      }
    }
    return .lost
  }

  /// There is something new to send, and the peer has room for it.
  private var mayProbeWithNew: Bool { (send.unsentBytes > 0 || send.finPending) && send.room > 0 }
}
