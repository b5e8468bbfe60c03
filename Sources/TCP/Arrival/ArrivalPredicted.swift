import Timing
import Wire

// Header prediction for a receiver of bulk (Van Jacobson's, as TCP implementations have it since): the next segment of a
// quiet connection says nothing but its text. What RFC 9293 section 3.10.7.4 asks of it can then be asked with a few
// comparisons, and what the general way does for it is done here, and nothing else.
extension TCPConnection {
  /// Whether segments may be predicted: the connection is open both ways, nothing of ours is out, nothing is missing,
  /// and the peer has not ended it. True as long as only ``takePredicted(_:count:segmentSize:arrival:now:)`` changes it.
  public var isPredictable: Bool {
    isQuiet && reassembly.isEmpty && selective.isEmpty && receive.finSequence == nil && !isOrphan
      && !configuration.countsMemory
  }

  /// Whether a segment is the predicted one, `count` bytes of text with this header: the next in order, in the window,
  /// acknowledging what was acknowledged, with no flag but ACK and PSH, and not from the past (RFC 7323 section 5.3).
  /// Only while ``isPredictable``.
  @inline(__always) public func predicts(_ glance: TCPGlance, count: Int) -> Bool {
    glance.sequence == receive.next && glance.acknowledgment == send.unacknowledged
      && glance.flags.subtracting(.psh) == .ack && glance.window > 0 && count > 0 && count <= receive.window
      && glance.hasTimestamps == timestamps.isEnabled && timestamps.isNext(glance.timestamps.value)
  }

  /// Takes a predicted segment, all but the text itself, which the environment has admitted, and delivers.
  /// ``answerPredicted(holdsAnswer:now:sink:)`` follows.
  ///
  /// - Parameters:
  ///   - glance: its header.
  ///   - count: bytes of its text; 0: there was no memory for it, and it is lost as on a network.
  ///   - segmentSize: as in ``TCPSegment/segmentSize``.
  ///   - arrival: as in ``TCPSegment/arrival``.
  ///   - now: the time.
  public mutating func takePredicted(
    _ glance: TCPGlance, count: Int, segmentSize: UInt16, arrival: Instant, now: Instant
  ) {
    takePredictedHeader(glance, now: now)
    guard count > 0 else {
      counters.refused &+= 1
      return
    }
    receive.next += count
    receive.free -= count
    receive.hasUnread = true
    counters.bytesReceived &+= UInt64(count)
    noteArrival(
      ArrivedText(
        count: count, segmentSize: segmentSize, isLast: glance.flags.contains(.psh),
        timestamps: glance.hasTimestamps ? glance.timestamps : nil,
        optionBytes: glance.headerByteCount - TCPHeader.fixedByteCount, arrival: arrival),
      now)
  }

  /// Answers a predicted segment, or holds the answer back for the one that comes with it, as
  /// ``arrive(_:_:holdsAnswer:now:sink:)`` does.
  public mutating func answerPredicted(
    holdsAnswer: Bool, now: Instant, sink: inout some TCPSink & ~Copyable
  ) {
    isAnswerHeld = holdsAnswer
    if !holdsAnswer { answer(now: now, sink: &sink) }
  }
}

/// What in-order text says beside its bytes.
struct ArrivedText {
  /// Bytes.
  let count: Int
  /// As in ``TCPSegment/segmentSize``.
  let segmentSize: UInt16
  /// PSH, URG or FIN: nothing need follow it.
  let isLast: Bool
  let timestamps: TCPTimestamps?
  /// Bytes of the segment's options.
  let optionBytes: Int
  /// When it came to this host.
  let arrival: Instant
}
