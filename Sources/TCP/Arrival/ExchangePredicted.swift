import Timing
import Wire

// Header prediction for an exchange of requests and answers: one segment of ours is out, nothing waits behind it, and what
// comes acknowledges it, mostly with the answer. Of all that RFC 9293 section 3.10.7.4 and the recovery of losses ask of
// an acknowledgment this leaves a measurement of the round trip and a look at the congestion window.
extension TCPConnection {
  /// Whether an acknowledgment of everything may be predicted: the connection is open both ways, exactly one segment is
  /// out, sent once, nothing waits to be sent, and nothing is being repaired or searched for.
  public var isExchanging: Bool {
    state == .established && outstanding.count == 1 && send.next == send.queueEnd && send.maximum == send.next
      && !send.finQueued && send.window > 0 && sendsPlainly && isSelective
      && outstanding[0].marks.isSubset(of: .joined) && recovery.phase == .open && recovery.probeEnd == nil
      && reassembly.isEmpty && selective.isEmpty && receive.finSequence == nil && !isOrphan
  }

  /// Nobody beside the common rules has a say in what leaves, in what is learned when that arrives, and in what is offered.
  @inline(__always) var sendsPlainly: Bool {
    ecn.feedback == .none && !control.hasModel && !pacer.isOn && marks == nil && urgentEnd == nil
      && fastOpen == nil && !search.isOn && window.validation == nil && !configuration.countsMemory
  }

  /// Whether a segment is the predicted one, `count` bytes of text, or none, with this header: the next in order, in the
  /// window, acknowledging everything, with no flag but ACK and PSH, and not from the past (RFC 7323 section 5.3). Only
  /// while ``isExchanging``.
  @inline(__always) public func predictsAnswer(_ glance: TCPGlance, count: Int) -> Bool {
    glance.sequence == receive.next && glance.acknowledgment == send.maximum
      && glance.flags.subtracting(.psh) == .ack && glance.window > 0 && count <= receive.window
      && glance.hasTimestamps == timestamps.isEnabled && timestamps.isNext(glance.timestamps.value)
  }

  /// Takes the ACK field of a predicted segment, after which the connection is ``isPredictable``; what else the segment says
  /// is for ``takePredicted(_:count:segmentSize:arrival:now:)``, or, without text, for ``takePredictedHeader(_:now:)``.
  ///
  /// - Parameters:
  ///   - acknowledgment: SEG.ACK.
  ///   - arrival: as in ``TCPSegment/arrival``.
  ///   - now: the time.
  /// - Returns: bytes to drop from the front of the send queue.
  public mutating func takePredictedAcknowledgment(
    _ acknowledgment: SequenceNumber, arrival: Instant, now: Instant
  ) -> Int {
    let segment = outstanding[0]
    let text = acknowledgment - send.unacknowledged
    send.unacknowledged = acknowledgment
    send.queueFront = acknowledgment
    counters.bytesAcknowledged &+= UInt64(text)
    attempts = 0
    recent.delivered(segment, minimumRoundTrip: roundTrip.minimum, now: now)
    count.delivered &+= 1
    outstanding.removeFirst()
    let trip = now - segment.sent
    roundTrip.measured(
      arrival == .zero || arrival > now ? trip : trip - (now - arrival),
      unacknowledged: acknowledgment, next: send.next, configuration)
    recent.adapt(priorDelivered: segment.delivered, delivered: count.delivered)
    // What only a model of the path asks for is not worked out.
    let sample = AcknowledgmentSample(
      delivered: 1, marked: 0, roundTrip: trip, smoothed: roundTrip.smoothed, minimum: roundTrip.minimum,
      unacknowledged: acknowledgment, next: send.next, isLimiting: window.isLimiting, isPaced: false,
      count: count, inFlight: 0, isRepairing: false, isSelective: true, isWindowFull: window.isFull,
      segment: 0, initialWindow: 0, now: now)
    control.observe(sample, &window)
    control.grow(sample, &window)
    restSendTimers(now: now)
    return text
  }

  /// What a predicted segment without text says beside its ACK field.
  public mutating func takePredictedHeader(_ glance: TCPGlance, now: Instant) {
    counters.segmentsReceived &+= 1
    if control.hasModel { noteApplicationLimit() }
    _ = send.takeWindow(
      UInt32(glance.window) << UInt32(send.scale), sequence: glance.sequence,
      acknowledgment: glance.acknowledgment)
    probes = 0
    probeBackoff = 0
    lastArrival = now
    keepaliveProbes = 0
    if timestamps.isEnabled {
      timestamps.take(
        glance.timestamps.value, sequence: glance.sequence, lastAcknowledgment: receive.lastAcknowledgment,
        now: now)
    }
  }
}
