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

  /// Whether the window has room for `count` more bytes behind `row`, whose segments were predicted and not taken yet.
  @inline(__always) public func predictsMore(_ row: TCPPredictedRow, count: Int) -> Bool {
    count <= room(behind: row)
  }
  /// What the window has room for behind `row`, whose segments were predicted and not taken yet; in bytes.
  public func room(behind row: TCPPredictedRow) -> Int { receive.window - row.count }

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
    takePredictedText(
      glance, count: count, isLast: glance.flags.contains(.psh), segmentSize: segmentSize, arrival: arrival,
      now: now)
  }

  /// Takes a row of predicted segments as if it had come as one, as Linux's GRO would have made of it; the row is not empty.
  /// The rest is as for ``takePredicted(_:count:segmentSize:arrival:now:)``.
  public mutating func takePredicted(_ row: TCPPredictedRow, arrival: Instant, now: Instant) {
    takePredictedHeader(row.first, now: now)
    counters.segmentsReceived &+= UInt32(row.segments - 1)
    // The last one's number is what an older segment's window is told from.
    send.windowSequence = SequenceNumber.later(send.windowSequence, row.lastSequence)
    takePredictedText(
      row.first, count: row.count, isLast: row.isPushed,
      segmentSize: UInt16(clamping: row.size), arrival: arrival, now: now)
  }

  @inline(__always) mutating func takePredictedText(
    _ glance: TCPGlance, count: Int, isLast: Bool, segmentSize: UInt16, arrival: Instant, now: Instant
  ) {
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
        count: count, segmentSize: segmentSize, isLast: isLast,
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

/// Predicted segments in a row, of one size but the last, which differ in their numbers and PSH alone: to the engine they
/// are one.
@frozen public struct TCPPredictedRow: Sendable {
  /// The header of the first one.
  public private(set) var first: TCPGlance
  /// Bytes of text of the first one.
  public private(set) var size = 0
  /// Bytes of text of all.
  public private(set) var count = 0
  /// How many.
  public private(set) var segments = 0
  /// SEG.SEQ of the last one.
  public private(set) var lastSequence = SequenceNumber(0)
  /// The last one was pushed.
  public private(set) var isPushed = false

  /// A row of none.
  public init() {
    first = TCPGlance(
      sequence: SequenceNumber(0), acknowledgment: SequenceNumber(0), flags: [], window: 0, timestamps: nil)
  }

  /// Whether there is none.
  public var isEmpty: Bool { segments == 0 }
  /// Whether a segment may follow that has the next number and says the same: those before it are of one size, and nothing
  /// was pushed.
  public var isOpen: Bool { count == segments * size && !isPushed }
  /// The number of the one that may follow.
  @inline(__always) public var nextSequence: SequenceNumber { first.sequence + count }

  /// Adds the next one, of at most ``size`` bytes; the first one is one that ``TCPConnection/predicts(_:count:)``.
  @inline(__always) public mutating func add(_ glance: TCPGlance, count: Int) {
    if segments == 0 { (first, size) = (glance, count) }
    (lastSequence, isPushed) = (glance.sequence, glance.flags.contains(.psh))
    self.count &+= count
    segments &+= 1
  }
  /// Adds another one to a row that ``isOpen``, as long as those before it, whose header is ``first`` with the next number.
  @inline(__always) public mutating func addAlike() {
    lastSequence = nextSequence
    count &+= size
    segments &+= 1
  }
  /// There is none any more.
  @inline(__always) public mutating func clear() { (count, segments) = (0, 0) }
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
