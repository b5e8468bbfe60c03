import Timing
import Wire

// The tail loss probe, RFC 8985 section 7: the last segments of a flight have nothing behind them that could tell
// of their loss, so that after two round trips something is sent that makes the peer say where it stands.
extension TCPConnection {
  /// Arms the timer for a probe, if one may be sent. `isProgress`: an acknowledgment has just moved things on.
  mutating func armLossProbe(isProgress: Bool, now: Instant) -> Bool {
    guard configuration.tailLossProbe, !outstanding.isEmpty, isSelective,
      recovery.phase == .open || recovery.phase == .reduction,
      recovery.probeEnd == nil
    else { return false }
    var wait = configuration.initialTimeout
    if roundTrip.isMeasured {
      wait = roundTrip.smoothed * 2
      // A single segment may meet a delayed acknowledgment.
      wait = wait + (outstanding.count == 1 ? configuration.minimumTimeout : .milliseconds(2))
    }
    let timeout =
      isProgress ? now + roundTrip.timeout(configuration) : retransmissionDue(now: now)
    armRetransmission(.lossProbe, timeout > now ? min(now + wait, timeout) : now + wait)
    return true
  }

  /// When the oldest segment that is out times out.
  func retransmissionDue(now: Instant) -> Instant {
    outstanding.isEmpty ? now : outstanding[0].sent + roundTrip.timeout(configuration)
  }

  /// The probe is due: a new segment if there is one that may go, else the last one again.
  mutating func lossProbeTimedOut(now: Instant, sink: inout some TCPSink & ~Copyable) {
    defer { restartRetransmissionTimer(isProgress: false, isFinal: true, now: now) }
    guard !outstanding.isEmpty, recovery.probeEnd == nil else { return }
    recovery.probeRepeats = false
    let end = send.next
    sendOneNew(now: now, sink: &sink)
    if send.next == end {
      if outstanding.count > 1 { outstanding.clear(outstanding.count - 2, .joined) }
      guard sink.mayTransmitText(), retransmit(outstanding.count - 1, now: now, sink: &sink) else { return }
      recovery.probeRepeats = true
    }
    recovery.probeEnd = send.next
    counters.lossProbes &+= 1
  }

  /// Section 7.4: what an acknowledgment says of the probe.
  mutating func takeProbeAnswer(
    _ acknowledgment: SequenceNumber, _ report: AcknowledgmentReport, now: Instant
  ) {
    guard let end = recovery.probeEnd, acknowledgment >= end else { return }
    if !recovery.probeRepeats || report.reportedProbe || report.reportedDuplicate {
      // It was new, or the original had arrived: nothing was lost.
      recovery.probeEnd = nil
    } else if acknowledgment > end {
      // It repaired a loss, which is congestion like any other.
      beginReduction(now: now)
      recovery.enter(.reduction, until: send.next)
      endReduction(now: now)
      recovery.undoMarker = nil
      stayOpen()
    } else if !report.advanced, !report.carriesText, !report.changedWindow, !report.sacked {
      // A duplicate acknowledgment: original and probe have both arrived.
      recovery.probeEnd = nil
    }
  }
}
