import Wire

/// The receive sequence variables of RFC 9293 section 3.3.1, and the window that is offered.
struct ReceiveSequence {
  /// IRS.
  var initial = SequenceNumber(0)
  /// RCV.NXT: the next byte of the stream.
  var next = SequenceNumber(0)
  /// RCV.NXT + RCV.WND: the right edge of what was offered. It never moves left: whatever was offered once is
  /// accepted.
  var edge = SequenceNumber(0)
  /// What the peer was told last; a window field with a scale can fall short of `edge`.
  var visibleEdge = SequenceNumber(0)
  /// Last.ACK.sent of RFC 7323 section 4.3.
  var lastAcknowledgment = SequenceNumber(0)
  /// Where the peer's FIN stands, once it arrived, in order or not.
  var finSequence: SequenceNumber?
  /// What the environment takes beyond what was delivered, in bytes.
  var free: Int
  /// The largest window ever to be offered, in bytes.
  private(set) var buffer: UInt32
  /// The largest window to be offered for now, in bytes; never more than `buffer` is.
  private(set) var ceiling: UInt32
  /// Text that was delivered waits for the application.
  var hasUnread = false
  /// What the application has room for, in bytes: `buffer`, or more where a window field cannot say as much.
  private(set) var space: UInt32
  /// Bytes that wait for it, where memory is counted.
  var unread: UInt32 = 0
  /// What text occupies, where windows follow that.
  var memory = TextMemory()
  /// Shift of the window fields that we send.
  var scale: UInt8

  /// The window of a SYN is a multiple of this, in bytes, if it is larger.
  let quantum: UInt16
  /// With BSD's habits: window fields with a scale are rounded up.
  let roundsUp: Bool

  /// `ceiling`: 0 for none. `space`: what there is room for, where that is more than `buffer`.
  init(
    buffer: UInt32, scale: UInt8, quantum: Int = 1, ceiling: UInt32 = 0, space: UInt32 = 0,
    roundsUp: Bool = true
  ) {
    self.roundsUp = roundsUp
    self.quantum = UInt16(clamping: max(1, quantum))
    // What the SYN says is what the window begins with.
    self.ceiling = ceiling == 0 ? .max : UInt32(Self.unscaled(Int(min(buffer, ceiling)), quantum))
    // No window field can say more (RFC 7323 section 2.3), and sequence numbers could not be compared.
    self.buffer = min(buffer, 65535 << 14)
    self.space = max(space, self.buffer)
    self.scale = scale
    free = Int(self.buffer)
  }

  /// Another largest window; what was offered stays.
  mutating func setBuffer(_ bytes: UInt32) {
    if bytes > space { memory.isFull = false }
    space = bytes
    buffer = min(bytes, 65535 << 14)
  }

  /// A segment of the peer's brought so many bytes: the window may open by `step` more, if there is room.
  mutating func raiseCeiling(by step: Int) { raiseCeiling(by: step, within: min(max(free, 0), Int(buffer))) }

  /// The same, to `most` bytes at most.
  mutating func raiseCeiling(by step: Int, within most: Int) {
    guard Int(ceiling) < most else { return }
    ceiling = UInt32(min(Int(ceiling) + step, most))
  }

  /// The window opens no further than that until ``raiseCeiling(by:)`` lets it.
  mutating func lowerCeiling(to bytes: Int) { ceiling = UInt32(clamping: min(Int(ceiling), bytes)) }

  /// RCV.WND in bytes.
  var window: Int { max(0, edge - next) }

  /// What there is room for, in bytes.
  var room: Int { min(max(free, 0), Int(buffer), Int(ceiling)) }

  /// The window field that was sent last, in bytes.
  var offered: Int { max(0, visibleEdge - lastAcknowledgment) }

  /// The peer's SYN gave the first number. What our own SYN offered, if it went first, holds from there.
  mutating func synchronize(_ sequence: SequenceNumber) {
    let offered = window
    initial = sequence
    next = sequence + 1
    edge = next + offered
    visibleEdge = edge
    lastAcknowledgment = next
  }

  /// How far the right edge could move now, in bytes.
  var advance: Int { next + room - edge }

  /// The window field for a segment that is about to leave, and its effect on the right edge.
  ///
  /// The edge moves only by a worthwhile step: the receiver's side of silly-window avoidance, RFC 9293 section
  /// 3.8.6.2.2. It never moves back (section 3.8.6.2.1). A scaled field is rounded up, so that the peer does not
  /// see it move back either, while that offers less than one unit of the field more than there is room;
  /// beyond that the field falls short by less than a unit (RFC 7323 section 2.4).
  ///
  /// BSD says all of the room that there is, but for the last, which would be a silly window.
  mutating func offer(segment: Int, _ personality: TCPPersonality) -> UInt16 {
    let room = room
    let advance = next + room - edge
    let isWorthwhile =
      switch personality {
      // Where there is more room than is offered for now, what is offered stands ready again at once.
      case .linux:
        advance >= max(min(Int(buffer) / 2, segment), 1)
          || advance > 0 && Int(ceiling) < min(free, Int(buffer))
      case .bsd: advance > 0 && (room >= Int(buffer) / 4 || room >= segment)
      }
    if isWorthwhile { edge = edge + advance }
    let width = window
    guard scale > 0 else {
      visibleEdge = next + min(width, 65535)
      return UInt16(min(width, 65535))
    }
    let unit = 1 << Int(scale)
    let roof = next + room + (unit - 1)
    var field = width >> Int(scale)
    // BSD rounds up in any case, since FreeBSD 12.
    if personality == .bsd, roundsUp { field = (width + unit - 1) >> Int(scale) }
    if field << Int(scale) < visibleEdge - next, next + (field + 1) << Int(scale) <= roof { field += 1 }
    field = min(field, 65535)
    visibleEdge = next + field << Int(scale)
    edge = SequenceNumber.later(edge, visibleEdge)
    return UInt16(field)
  }

  /// The window field of a SYN, which is never scaled (RFC 7323 section 2.2).
  mutating func offerUnscaled() -> UInt16 {
    let width = Self.unscaled(room, Int(quantum))
    edge = SequenceNumber.later(edge, next + width)
    visibleEdge = edge
    return UInt16(width)
  }

  /// What of `bytes` the window field of a SYN offers.
  static func unscaled(_ bytes: Int, _ quantum: Int) -> Int {
    let width = min(bytes, 65535)
    return width > quantum ? width - width % quantum : width
  }

  /// Whether room has appeared that is worth a segment of its own: two segments or half of the buffer; or,
  /// when the peer was told that there is nothing left, what ends a silly window.
  func isWorthUpdate(segment: Int) -> Bool {
    let gain = next + room - visibleEdge
    let offered = visibleEdge - next
    if gain <= 0 { return false }
    if offered < segment, gain >= min(Int(buffer) / 2, segment) { return true }
    guard gain >= min(Int(buffer) / 2, 2 * segment) else { return false }
    return gain >= Int(buffer) / 4 || offered <= Int(buffer) / 8 || Int(buffer) <= 8 * segment
  }
}
