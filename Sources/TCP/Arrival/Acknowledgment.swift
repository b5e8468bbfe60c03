import Buffers
import Timing
import Wire

// The ACK field: RFC 9293 section 3.10.7.4, fifth.
extension TCPConnection {
  /// RFC 5961 section 5.2: what acknowledges the future, or a past beyond any window, is not from the peer.
  func isPlausible(_ acknowledgment: SequenceNumber) -> Bool {
    acknowledgment <= send.maximum && acknowledgment >= send.unacknowledged - Int(send.largestWindow)
  }

  /// Takes the ACK field of an acceptable segment. False: nothing further is done with the segment.
  mutating func takeAcknowledgment(
    _ segment: TCPSegment, payloadCount: Int, now: Instant, sink: inout some TCPSink & ~Copyable,
    _ effects: inout TCPEffects
  ) -> Bool {
    let acknowledgment = segment.acknowledgment
    guard isPlausible(acknowledgment) else {
      counters.rejected &+= 1
      // RFC 9293 section 3.10.7.4 has an answer to the future; Linux has none while the connection is open.
      let isUnanswered = acknowledgment > send.maximum && state == .established
      if !isUnanswered || configuration.personality != .linux { transmitChallenge(now: now, sink: &sink) }
      return false
    }
    noteApplicationLimit()
    var report = AcknowledgmentReport(
      priorUnacknowledged: send.unacknowledged, priorHighest: highestReported,
      priorDelivered: count.delivered, priorLost: count.lost, priorMarked: count.marked,
      priorCount: outstanding.count)
    report.carriesText = payloadCount > 0 || segment.flags.contains(.fin)
    let offered = UInt32(segment.window) << UInt32(send.scale)
    report.isDuplicate =
      acknowledgment == send.unacknowledged && !report.carriesText && !outstanding.isEmpty
      && offered == send.window

    if acknowledgment >= send.unacknowledged {
      takeWindow(offered, segment, &report)
    }
    if ecn.isClassic, segment.flags.contains(.ece), !segment.flags.contains(.syn) {
      report.echoesCongestion = true
    }
    takeBlocks(of: segment, now: now, &report)
    if acknowledgment > send.unacknowledged {
      advance(to: segment, now: now, sink: &sink, &report, &effects)
    }
    if ecn.isAccurate { takeMarks(of: segment, payloadCount: payloadCount, now: now, &report) }
    respond(to: &report, segment, now: now, sink: &sink)
    armSendTimers(now: now)

    switch state {
    case .finWait1:
      if send.finAcknowledged {
        if isOrphan, configuration.finWait2 < .zero {
          // Nobody will read, and nobody waits for the end.
          transmit(TCPResetRule.reply(to: segment, payloadCount: payloadCount), sink: &sink)
          end(nil, &effects)
          return false
        }
        enterFinWait2(now: now)
      }
    case .closing:
      if send.finAcknowledged { enterTimeWait(now: now, &effects) }
    case .lastAck:
      if send.finAcknowledged {
        end(nil, &effects)
        return false
      }
    case .closed, .listen, .synSent, .synReceived, .established, .finWait2, .closeWait, .timeWait:
      break
    }
    return true
  }

  /// Header prediction for a receiver: nothing of ours is out, and nothing waits to be sent. An acknowledgment that comes
  /// with text, and without blocks, can then say nothing but a window.
  var isQuiet: Bool { state == .established && isIdle && !ecn.isAccurate }

  /// Nothing of ours is out, nothing waits to be sent, and something may be.
  @inline(__always) var isIdle: Bool {
    outstanding.isEmpty && send.unacknowledged == send.queueEnd && !send.finQueued
      && send.next == send.unacknowledged && send.maximum == send.next && send.window > 0
  }

  /// The same as ``takeAcknowledgment(_:payloadCount:now:sink:_:)`` for text that acknowledges SND.UNA once more while all
  /// is quiet, which leaves nothing to judge, measure or repeat.
  mutating func takeQuietAcknowledgment(_ segment: TCPSegment) {
    if control.hasModel { noteApplicationLimit() }
    _ = send.takeWindow(
      UInt32(segment.window) << UInt32(send.scale), sequence: segment.sequence,
      acknowledgment: segment.acknowledgment)
    probes = 0
    if send.window > 0 { probeBackoff = 0 } else { attempts = 0 }
  }

  /// The window that the peer offers.
  private mutating func takeWindow(
    _ offered: UInt32, _ segment: TCPSegment, _ report: inout AcknowledgmentReport
  ) {
    let wasClosed = send.window == 0
    report.changedWindow = send.takeWindow(
      offered, sequence: segment.sequence, acknowledgment: segment.acknowledgment)
    probes = 0
    if send.window > 0 {
      probeBackoff = 0
      if wasClosed {
        deadlines.persist.disarm()
        // What probed the closed window was not taken: it goes again at once.
        if recovery.phase == .loss, !outstanding.isEmpty { outstanding.clear(0, .repeating) }
      }
    } else {
      // The peer lives and has no room: it is never given up for that (RFC 9293 section 3.8.6.1).
      attempts = 0
    }
  }

  /// SND.UNA moves.
  private mutating func advance(
    to segment: TCPSegment, now: Instant, sink: inout some TCPSink & ~Copyable,
    _ report: inout AcknowledgmentReport, _ effects: inout TCPEffects
  ) {
    let acknowledgment = segment.acknowledgment
    let first = send.dataStart
    send.unacknowledged = acknowledgment
    if send.next < acknowledgment { send.next = acknowledgment }
    if let marks { marks.drop(before: acknowledgment) }
    report.advanced = true

    let text = max(0, SequenceNumber.earlier(acknowledgment, send.queueEnd) - first)
    effects.acknowledgedBytes += text
    counters.bytesAcknowledged &+= UInt64(text)
    if send.finAcknowledged { effects.events.insert(.sendFinished) }
    attempts = 0
    deadlines.user.disarm()
    removeAcknowledged(now: now, &report)
  }

  /// Takes what is acknowledged off the retransmission queue, and learns from each segment.
  private mutating func removeAcknowledged(now: Instant, _ report: inout AcknowledgmentReport) {
    let acknowledgment = send.unacknowledged
    var firstSent: Instant?
    var lastSent = Instant.zero
    let plain = removePlain(upTo: acknowledgment, now: now, &report)
    if let plain { (firstSent, lastSent) = plain }
    while !outstanding.isEmpty {
      let segment = outstanding[0]
      if segment.end > acknowledgment {
        if segment.start < acknowledgment { outstanding.trimFirst(to: acknowledgment) }
        break
      }
      if segment.marks.contains(.repeated) {
        report.acknowledgedRepeated = true
      } else if !segment.marks.contains(.sacked) {
        firstSent = firstSent ?? segment.sent
        lastSent = segment.sent
        if segment.end <= recovery.end { report.deliveredOriginal = true }
        if report.lowestReordered.map({ segment.start < $0 }) ?? true {
          report.lowestReordered = segment.start
        }
      }
      if !segment.marks.contains(.sacked) {
        if isSelective { noteDelivered(0, segment, now: now, &report) } else { noteArrived(0, now: now) }
      }
      if search.isOn, !segment.marks.contains(.repeated) { pathTook(segment) }
      outstanding.removeFirst()
      report.acknowledged += 1
      report.acknowledgedText = true
    }
    if let firstSent, !report.acknowledgedRepeated {
      report.roundTrip = now - firstSent
      report.newestRoundTrip = now - lastSent
    }
    guard report.acknowledgedText else { return }
    report.restartsTimer = true
    if !isSelective {
      removePresumed(report.acknowledged)
      // Without blocks nothing tells an original from its repetition.
      if report.acknowledgedRepeated { report.deliveredOriginal = false }
    } else if let lowest = report.lowestReordered, lowest < report.priorHighest {
      noteReordering(from: lowest, highest: report.priorHighest)
    }
  }

  /// Takes a row off the front of the retransmission queue that was sent once and not reported: what each of its segments
  /// teaches is what the first and the last do, as they were sent in the order of their numbers. Returns when those two
  /// were sent; nil: there is no such row, or each of its segments is asked for.
  private mutating func removePlain(
    upTo acknowledgment: SequenceNumber, now: Instant, _ report: inout AcknowledgmentReport
  ) -> (first: Instant, last: Instant)? {
    guard isSelective, !search.isOn, !control.hasModel else { return nil }
    let number = outstanding.plainCount(upTo: acknowledgment)
    guard number > 0 else { return nil }
    let (first, last) = (outstanding[0], outstanding[number - 1])
    if first.end <= recovery.end { report.deliveredOriginal = true }
    if report.lowestReordered.map({ first.start < $0 }) ?? true { report.lowestReordered = first.start }
    recent.delivered(last, minimumRoundTrip: roundTrip.minimum, now: now)
    count.delivered &+= UInt32(number)
    report.newestPriorDelivered = last.delivered
    report.acknowledged += number
    report.acknowledgedText = true
    outstanding.removePlain(number)
    return (first.sent, last.sent)
  }

  /// The segment at `index` has arrived, whether in order or not.
  mutating func noteDelivered(
    _ index: Int, _ segment: SentSegment, now: Instant, _ report: inout AcknowledgmentReport
  ) {
    recent.delivered(segment, minimumRoundTrip: roundTrip.minimum, now: now)
    count.delivered &+= 1
    noteArrived(index, now: now)
    report.newestPriorDelivered = segment.delivered
  }

  /// What follows from an acknowledgment: the round trip, the reordering window, losses and their repair, the
  /// congestion window, and what may be sent again at once.
  private mutating func respond(
    to report: inout AcknowledgmentReport, _ segment: TCPSegment, now: Instant,
    sink: inout some TCPSink & ~Copyable
  ) {
    takeRoundTrip(segment, report, now: now)
    if report.isDuplicate { counters.duplicateAcknowledgments &+= 1 }
    // With nothing out only the report of a duplicate says something: what was sent again was not lost.
    guard report.priorCount > 0 || report.reportedDuplicate else { return }
    if let prior = report.newestPriorDelivered {
      recent.adapt(priorDelivered: prior, delivered: count.delivered)
    }
    takeProbeAnswer(segment.acknowledgment, report, now: now)
    var repeats = Repetition.none
    if report.isDubious(in: recovery.phase) { repeats = judgeLosses(&report, segment, now: now) }
    controlCongestion(report, now: now)
    if report.restartsTimer { restartRetransmissionTimer(isProgress: true, now: now) }
    switch repeats {
    case .none: break
    case .lost: retransmitLost(now: now, sink: &sink)
    case .new:
      // RFC 5682 section 2.1, step 2b: what is new tells whether the timeout was spurious.
      output(.flushing, now: now, sink: &sink)
      if send.next <= recovery.end {
        recovery.isProbingTimeout = false
        retransmitLost(now: now, sink: &sink)
      }
    }
  }

  private mutating func takeRoundTrip(
    _ segment: TCPSegment, _ report: AcknowledgmentReport, now: Instant
  ) {
    if let sample = report.roundTrip ?? report.sackedRoundTrip {
      roundTrip.measured(
        segment.arrival == .zero || segment.arrival > now ? sample : sample - (now - segment.arrival),
        unacknowledged: send.unacknowledged, next: send.next, configuration)
    } else if report.acknowledgedText, let echoed = echoedRoundTrip(segment) {
      roundTrip.measured(
        echoed, unacknowledged: send.unacknowledged, next: send.next, configuration)
    }
  }

  /// The congestion window after an acknowledgment.
  private mutating func controlCongestion(_ report: AcknowledgmentReport, now: Instant) {
    let delivered = Int(count.delivered &- report.priorDelivered)
    let lost = Int(count.lost &- report.priorLost)
    if ecn.isClassic, report.echoesCongestion { count.marked &+= UInt32(delivered) }
    if let validation = window.validation, recovery.phase == .open || recovery.phase == .disorder {
      validation.acknowledged(
        send.unacknowledged, next: send.next, delivered: count.delivered, smoothed: roundTrip.smoothed,
        now: now)
      validateWindow(validation, now: now)
    }
    let sample = AcknowledgmentSample(
      delivered: delivered, marked: Int(count.marked &- report.priorMarked),
      roundTrip: report.newestRoundTrip, smoothed: roundTrip.smoothed,
      minimum: roundTrip.minimum, unacknowledged: send.unacknowledged, next: send.next,
      isLimiting: window.isLimiting, isPaced: pacer.isOn, count: count, inFlight: outstanding.inFlight,
      isRepairing: recovery.phase == .recovery || recovery.phase == .loss, isSelective: isSelective,
      isWindowFull: window.isFull, segment: fullSegment, initialWindow: initialWindow, now: now)
    if steer(sample) { return }
    control.observe(sample, &window)
    if recovery.isReducing {
      if let size = recovery.proportionalWindow(
        newlyDelivered: delivered, newlyLost: lost, advanced: report.advanced,
        inFlight: outstanding.inFlight, threshold: window.threshold)
      {
        window.set(size)
      }
    } else if delivered > 0, mayGrow(report) {
      control.grow(sample, &window)
    }
    followPace()
  }

  /// Where the order of segments is known to be disturbed, anything that arrives lets the window grow; else only what is
  /// acknowledged in order, since a hole may be a loss.
  private func mayGrow(_ report: AcknowledgmentReport) -> Bool {
    recovery.reordering > LossRecovery.duplicateThreshold
      ? report.acknowledgedText || report.sacked : report.acknowledgedText
  }

  /// Our FIN is acknowledged, the peer may go on (P2). An orphan does not wait for that for ever.
  mutating func enterFinWait2(now: Instant) {
    state = .finWait2
    if isOrphan { deadlines.linger.arm(now + configuration.finWait2) }
  }
}
