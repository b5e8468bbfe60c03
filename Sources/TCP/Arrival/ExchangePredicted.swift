import Timing
import Wire

// Header prediction for an exchange of requests and answers: one segment of ours is out, nothing waits behind it, and what
// comes acknowledges it, mostly with the answer. Of all that RFC 9293 section 3.10.7.4 and the recovery of losses ask of
// an acknowledgment this leaves a measurement of the round trip and a look at the congestion window.

/// What a segment that comes alone was foreseen to be.
@frozen public enum TCPForesight: Sendable {
  /// Something else.
  case nothing
  /// The next text, while nothing of ours is out.
  case text
  /// The acknowledgment of the only segment that is out, with text or without.
  case answer
}

/// What a foreseen segment leaves to do, and how the connection stands after it, as ``TCPStanding`` says it of others.
public struct TCPForeseen {
  /// Bytes to drop from the front of the send queue.
  public let acknowledgedBytes: Int
  /// An acknowledgment is to leave at once: ``TCPConnection/acknowledgeForeseen(now:sink:)``.
  public let isAcknowledgmentDue: Bool
  /// The largest window to be offered, in bytes.
  public let receiveBuffer: Int
  /// When something is due; the distant future: nothing is.
  public let deadline: Instant
  /// An acknowledgment goes at once when the application has read everything; none that is due now.
  public let acknowledgesWhenRead: Bool
}

extension TCPConnection {
  /// What a segment of `count` bytes of text with this header is: the next in order, in the window, with no flag but ACK and
  /// PSH, and not from the past (RFC 7323 section 5.3), of a connection that is open both ways, where nothing waits to be
  /// sent, is missing, is being repaired or searched for.
  public func foresees(_ glance: TCPGlance, count: Int) -> TCPForesight {
    guard glance.sequence == receive.next, glance.acknowledgment == send.maximum,
      glance.flags.subtracting(.psh) == .ack, glance.window > 0, count <= receive.window,
      glance.hasTimestamps == timestamps.isEnabled, timestamps.isNext(glance.timestamps.value),
      state == .established, send.next == send.queueEnd, send.maximum == send.next, !send.finQueued,
      send.window > 0, reassembly.isEmpty, selective.isEmpty, receive.finSequence == nil, !isOrphan,
      fastOpen == nil, !configuration.countsMemory, !limits.isBufferFull
    else { return .nothing }
    switch outstanding.count {
    case 0:
      let isQuiet = send.unacknowledged == send.queueEnd && !ecn.isAccurate
      return isQuiet && count > 0 ? .text : .nothing
    case 1:
      // Sent once, and nothing is being repaired.
      let isPlain =
        sendsPlainly && isSelective && outstanding.firstMarks.isSubset(of: .joined) && recovery.phase == .open
        && recovery.probeEnd == nil
      return isPlain ? .answer : .nothing
    default: return .nothing
    }
  }

  /// Nobody beside the common rules has a say in what leaves, in what is learned when that arrives, and in what is offered.
  @inline(__always) var sendsPlainly: Bool {
    ecn.feedback == .none && !control.hasModel && !pacer.isOn && marks == nil && urgentEnd == nil
      && fastOpen == nil && !search.isOn && window.validation == nil && !configuration.countsMemory
  }

  /// Takes a segment that was foreseen, all but the text itself, which the environment has admitted, and delivers.
  ///
  /// - Parameters:
  ///   - foresight: what it is; not `nothing`.
  ///   - glance: its header.
  ///   - count: bytes of its text.
  ///   - isAdmitted: there is memory for them; else they are lost as on a network.
  ///   - segmentSize: as in ``TCPSegment/segmentSize``.
  ///   - space: what is free of the receive buffer, and what waits to be read, as for
  ///     ``noteReceiveSpace(_:unread:now:)``; nil: as it was.
  ///   - arrival: as in ``TCPSegment/arrival``.
  ///   - now: the time.
  public mutating func takeForeseen(
    _ foresight: TCPForesight, _ glance: TCPGlance, count: Int, isAdmitted: Bool, segmentSize: UInt16,
    space: (free: Int, unread: Int)?, arrival: Instant, now: Instant
  ) -> TCPForeseen {
    if let space { noteReceiveSpace(space.free, unread: space.unread, now: now) }
    let acknowledged =
      foresight == .answer ? takeOnlyAcknowledgment(glance.acknowledgment, arrival: arrival, now: now) : 0
    takePredictedHeader(glance, now: now)
    if count > 0 {
      takePredictedText(
        glance, count: isAdmitted ? count : 0, isLast: glance.flags.contains(.psh), segmentSize: segmentSize,
        arrival: arrival, now: now)
    }
    // All is quiet now.
    restSendTimers(now: now)
    isAnswerHeld = false
    let isDue = isAcknowledgmentDue(now: now)
    return TCPForeseen(
      acknowledgedBytes: acknowledged, isAcknowledgmentDue: isDue, receiveBuffer: Int(receive.buffer),
      deadline: deadlines.earliest, acknowledgesWhenRead: !isDue && acknowledgesWhenRead)
  }

  /// Sends the acknowledgment that a foreseen segment has made due.
  ///
  /// - Parameters:
  ///   - now: the time.
  ///   - sink: where it goes.
  public mutating func acknowledgeForeseen(now: Instant, sink: inout some TCPSink & ~Copyable) {
    transmitAcknowledgment(now: now, sink: &sink)
  }

  /// Takes the ACK field of a segment that acknowledges the only one that is out, after which all is quiet. Returns bytes to
  /// drop from the front of the send queue.
  @inline(__always) mutating func takeOnlyAcknowledgment(
    _ acknowledgment: SequenceNumber, arrival: Instant, now: Instant
  ) -> Int {
    let segment = outstanding.popFirst()
    // A FIN that is acknowledged is no text.
    let text = SequenceNumber.earlier(acknowledgment, send.queueEnd) - send.unacknowledged
    send.unacknowledged = acknowledgment
    send.queueFront = acknowledgment
    counters.bytesAcknowledged &+= UInt64(text)
    attempts = 0
    recent.delivered(segment, minimumRoundTrip: roundTrip.minimum, now: now)
    count.delivered &+= 1
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
    return text
  }

  /// What a predicted segment without text says beside its ACK field.
  @inline(__always) public mutating func takePredictedHeader(_ glance: TCPGlance, now: Instant) {
    takePredictedFields(glance, now: now)
    lastArrival = now
    keepaliveProbes = 0
  }
  /// The same of the last segment of a connection.
  @inline(__always) mutating func takePredictedFields(_ glance: TCPGlance, now: Instant) {
    counters.segmentsReceived &+= 1
    if control.hasModel { noteApplicationLimit() }
    _ = send.takeWindow(
      UInt32(glance.window) << UInt32(send.scale), sequence: glance.sequence,
      acknowledgment: glance.acknowledgment)
    probes = 0
    probeBackoff = 0
    if timestamps.isEnabled {
      timestamps.take(
        glance.timestamps.value, sequence: glance.sequence, lastAcknowledgment: receive.lastAcknowledgment,
        now: now)
    }
  }
}
