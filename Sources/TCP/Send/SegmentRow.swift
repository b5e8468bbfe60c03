import Timing
import Wire

/// Segments of one burst that leave as one super-segment: text in a row, all of one size but the last, which were sent
/// before by none. To the engine they are segments like others, each with its place in the retransmission queue; only
/// what they have in common is made once.
struct SegmentRow {
  /// Bytes of text that it may have; 0: segments leave one by one.
  let limit: Int
  private(set) var start = SequenceNumber(0)
  /// Bytes of text.
  private(set) var count = 0
  /// Bytes of each segment but the last, which may have fewer.
  private(set) var size = 0
  private(set) var segments = 0
  /// What the last one has.
  var fin = false
  var isPushed = false

  init(limit: Int) { self.limit = limit }

  var isEmpty: Bool { segments == 0 }
  /// Whether a segment of `text` bytes can follow.
  func takes(_ text: Int) -> Bool { text > 0 && text <= size && count + text <= limit }
  /// Whether none can follow: the last one was short, or the next one would have no room.
  var isComplete: Bool { fin || isPushed || count < size * segments || count + size > limit }

  mutating func add(_ text: Int, at sequence: SequenceNumber) {
    if segments == 0 { (start, size) = (sequence, text) }
    count += text
    segments += 1
  }
  /// So many segments follow that are as large as the first, which is there.
  mutating func add(full segments: Int) {
    count += segments * size
    self.segments += segments
  }
  mutating func clear() { self = SegmentRow(limit: limit) }
}

extension TCPConnection {
  /// How much text may leave as one, where the environment takes `limit` bytes. None of what differs between segments
  /// may be in one: an urgent pointer counts from where its segment begins, and who cuts a super-segment clears CWR in
  /// all but the first, which is a part of a number with accurate feedback.
  func joinLimit(_ limit: Int) -> Int {
    limit > fullTextSegment && urgentEnd == nil && !ecn.isAccurate ? limit : 0
  }

  /// Sends the next piece of the queue for the first time, with those around it.
  mutating func join(
    _ piece: Piece, isPushed: Bool, endsBurst: Bool, to row: inout SegmentRow, now: Instant,
    sink: inout some TCPSink & ~Copyable
  ) {
    let start = send.next
    // The first one after a reduction says so, and it alone.
    let isAlone = piece.text == 0 || start < send.maximum || ecn.reductionIsQueued
    if isAlone || !row.isEmpty && !row.takes(piece.text) { transmit(&row, now: now, sink: &sink) }
    if isAlone { return sendNew(piece, isPushed: isPushed, isJoined: !endsBurst, now: now, sink: &sink) }
    let isFirst = outstanding.isEmpty
    _ = noteNew(piece, isJoined: !endsBurst, now: now)
    row.add(piece.text, at: start)
    row.fin = piece.fin
    row.isPushed = isPushed || pushes(from: start, to: start + piece.text)
    watchNew(isFirst: isFirst, now: now)
    if endsBurst || row.isComplete { transmit(&row, now: now, sink: &sink) }
  }

  /// Full segments go on with a row that has begun, at most `limit`, while nothing is to be decided between them: each is
  /// followed by another full one of the same burst, and nothing but its number tells it from the one before. What
  /// ``output(_:now:sink:)`` asks of each is asked of all at once. Returns how many joined; none of them ends the row.
  mutating func extend(
    _ row: inout SegmentRow, limit: Int, now: Instant, sink: inout some TCPSink & ~Copyable
  ) -> Int {
    let size = fullTextSegment
    guard limit > 0, !row.isEmpty, row.size == size, marks == nil, fastOpen == nil, !control.hasModel,
      !ecn.reductionIsQueued, send.next >= send.maximum
    else { return 0 }
    // The last one must not be what ends the queue, the peer's window, the congestion window or the row.
    let unsent = (send.queueEnd - send.next - 1) / size
    let offered = (send.dataStart + Int(send.window) - send.next) / size
    let taken = (row.limit - row.count) / size
    var number = min(limit, min(unsent, offered, taken) - 1)
    number = min(number, window.segments - outstanding.inFlight - 1, outstanding.room)
    // And none has the end of what was pushed.
    if send.next < send.pushed { number = min(number, (send.pushed - send.next - 1) / size) }
    guard number > 0 else { return 0 }
    number = sink.mayTransmitText(number, beside: row.segments)
    guard number > 0 else { return 0 }
    outstanding.append(number, from: send.next, size: size, sent: now, delivered: count.delivered)
    send.next += number * size
    if recovery.isReducing { recovery.out += number }
    row.add(full: number)
    return number
  }

  /// Sends what is in the row.
  mutating func transmit(_ row: inout SegmentRow, now: Instant, sink: inout some TCPSink & ~Copyable) {
    guard !row.isEmpty else { return }
    transmitText(
      at: row.start, count: row.count, size: row.segments > 1 ? row.size : 0, fin: row.fin,
      isPushed: row.isPushed, isRetransmission: false, now: now, sink: &sink)
    row.clear()
  }
}
