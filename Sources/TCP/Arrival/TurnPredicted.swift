import Timing
import Wire

// Header prediction where a connection goes from one state to the next: the acknowledgment that completes a passive
// handshake, the peer's FIN, the acknowledgment of ours, both in one segment. Nearly every connection has each of them once,
// in order, while nothing else is under way, and then there is as little to be judged as of text that was predicted.
extension TCPConnection {
  /// Whether a segment is the one that the state waits for, with this header and `count` bytes of text, which only the end
  /// of a handshake may have: the next in order, acknowledging everything, with no flag but ACK, PSH and the FIN, and not
  /// from the past (RFC 7323 section 5.3).
  public func predictsTurn(_ glance: TCPGlance, count: Int) -> Bool {
    guard glance.sequence == receive.next, glance.acknowledgment == send.maximum, glance.window > 0,
      send.window > 0, glance.hasTimestamps == timestamps.isEnabled,
      timestamps.isNext(glance.timestamps.value), sendsPlainly, reassembly.isEmpty, selective.isEmpty
    else { return false }
    let flags = glance.flags.subtracting(.psh)
    switch state {
    case .synReceived:
      return flags == .ack && isPassive && isHandshakeAlone && count <= receive.window
    case .established:
      return count == 0 && flags == [.ack, .fin] && isPredictable
    case .finWait1:
      return count == 0 && (flags == .ack || flags == [.ack, .fin]) && isFinAlone
        && receive.finSequence == nil && !(isOrphan && configuration.finWait2 < .zero)
    case .finWait2:
      return count == 0 && flags == [.ack, .fin] && receive.finSequence == nil
    case .lastAck:
      return count == 0 && flags == .ack && isFinAlone
    case .closed, .listen, .synSent, .closeWait, .closing, .timeWait:
      return false
    }
  }

  /// Nothing is out but our SYN, and nothing waits to be sent.
  @inline(__always) private var isHandshakeAlone: Bool {
    outstanding.isEmpty && !isFastOpened && send.isSynOut && !send.finQueued
      && send.queueEnd == send.initial + 1 && send.maximum == send.queueEnd
  }

  /// Nothing is out but one segment with our FIN, sent once.
  @inline(__always) private var isFinAlone: Bool {
    outstanding.count == 1 && send.next == send.queueEnd + 1 && send.maximum == send.next && isSelective
      && outstanding[0].marks.isSubset(of: .joined) && recovery.phase == .open && recovery.probeEnd == nil
  }

  /// Takes a segment that ``predictsTurn(_:count:)`` predicted. What else the one says that completes a handshake is for
  /// ``takePredicted(_:count:segmentSize:arrival:now:)``, or, without text, for ``takePredictedHeader(_:now:)``.
  /// ``answerPredicted(holdsAnswer:now:sink:)`` follows.
  ///
  /// - Parameters:
  ///   - glance: its header.
  ///   - arrival: as in ``TCPSegment/arrival``.
  ///   - now: the time.
  public mutating func takePredictedTurn(_ glance: TCPGlance, arrival: Instant, now: Instant) -> TCPEffects {
    var effects = TCPEffects()
    switch state {
    case .synReceived:
      takeHandshakeAcknowledgment(glance.hasTimestamps ? glance.timestamps : nil, arrival: arrival)
      send.setWindow(
        UInt32(glance.window) << UInt32(send.scale), sequence: glance.sequence,
        acknowledgment: glance.acknowledgment)
      send.queueFront = send.dataStart
      establish(now: now, &effects)
    case .established, .finWait2:
      takePredictedHeader(glance, now: now)
      takePredictedFin(now: now, &effects)
    case .finWait1:
      takePredictedFinAcknowledgment(glance.acknowledgment, arrival: arrival, now: now, &effects)
      takePredictedHeader(glance, now: now)
      enterFinWait2(now: now)
      if glance.flags.contains(.fin) { takePredictedFin(now: now, &effects) }
    case .lastAck:
      takePredictedFinAcknowledgment(glance.acknowledgment, arrival: arrival, now: now, &effects)
      takePredictedFields(glance, now: now)
      end(nil, &effects)
    case .closed, .listen, .synSent, .closeWait, .closing, .timeWait:
      preconditionFailure("a turn was predicted in a state that has none")
    }
    return effects
  }

  @inline(__always) private mutating func takePredictedFin(now: Instant, _ effects: inout TCPEffects) {
    receive.finSequence = receive.next
    takeFin(isArriving: true, now: now, &effects)
  }

  @inline(__always) private mutating func takePredictedFinAcknowledgment(
    _ acknowledgment: SequenceNumber, arrival: Instant, now: Instant, _ effects: inout TCPEffects
  ) {
    effects.acknowledgedBytes = takeOnlyAcknowledgment(acknowledgment, arrival: arrival, now: now)
    restSendTimers(now: now)
    effects.events.insert(.sendFinished)
  }
}
