import Wire

/// What text occupies beside its bytes, as Linux counts it, and the window that follows from that: a setting
/// (`TCPConfiguration.countsMemory`). A receive buffer counts memory there, not bytes: half of it is taken to be text at
/// first, and what the segments that come are really like is learned from them.
///
/// All in bytes. The owner's of the connection.
struct TextMemory {
  /// Memory of text that was delivered and waits to be read.
  private(set) var waiting: UInt32 = 0
  /// Memory of text that waits behind a hole.
  private(set) var ahead: UInt32 = 0
  /// Memory that text came free of and that is not given back: what follows in order is taken from it without a look at the
  /// limit.
  private(set) var spare: UInt32 = 0
  /// Bytes of text in 256 of memory.
  private(set) var ratio: UInt16 = 128
  /// There was no room: nothing is offered until something was read.
  var isFull = false

  /// What a packet with so many bytes of text occupies. A head of one page, which begins with room for headers and ends with
  /// what is kept about the packet, or whole pages behind it.
  static func occupied(_ count: Int) -> Int {
    let (headers, kept, packet, page) = (40, 386, 256, 4096)
    let head = count + headers + kept
    if head <= page {
      var block = 512
      while block < head { block *= 2 }
      return block + packet
    }
    return page + packet + (head - page + page - 1) / page * page
  }

  /// A segment came whose size is another than that of those before: what share of memory is text.
  mutating func measure(_ count: Int) {
    ratio = UInt16(clamping: max(1, (count << 8) / Self.occupied(count)))
  }

  /// Whether text of so many bytes is taken, that is next in order, by a buffer of `limit`. What came free lately is taken
  /// without a question.
  func takes(_ count: Int, limit: Int) -> Bool {
    Int(waiting) + Int(ahead) + count <= limit || Self.occupied(count) <= Int(spare)
  }

  /// Text was delivered.
  mutating func delivered(_ count: Int) {
    let memory = UInt32(clamping: Self.occupied(count))
    waiting &+= memory
    spare -= min(spare, memory)
  }
  /// Text was kept behind a hole. `isFirst`: nothing else is there.
  mutating func kept(_ count: Int, isFirst: Bool) {
    if isFirst { ahead = 0 }
    ahead &+= UInt32(clamping: Self.occupied(count))
  }
  /// It came out from there. `isLast`: nothing else is there.
  mutating func filled(_ count: Int, isLast: Bool) {
    ahead -= isLast ? ahead : min(ahead, UInt32(clamping: Self.occupied(count)))
  }

  /// The application has read: of `before` bytes so many still wait.
  mutating func read(before: Int, unread: Int) {
    guard unread < before else { return }
    let left = UInt32(Int(waiting) * unread / before)
    spare = UInt32(clamping: Int(spare) + Int(waiting - left))
    waiting = left
    isFull = false
  }

  /// The window that a buffer of `limit` makes.
  func whole(_ limit: Int) -> Int { (limit * Int(ratio)) >> 8 }
  /// The window that what is free of it makes.
  func space(_ limit: Int) -> Int { (max(0, limit - Int(waiting) - Int(ahead)) * Int(ratio)) >> 8 }
}

extension ReceiveSequence {
  /// What the receive buffer counts: twice the window that it begins with.
  private var memoryLimit: Int { 2 * Int(space) }
  /// The window that all of the buffer makes, and that what is free makes.
  private var wholeByMemory: Int { memory.whole(memoryLimit) }
  private var spaceByMemory: Int { memory.space(memoryLimit) }
  /// More than half is in use.
  var isHalfUsed: Bool { spaceByMemory < wholeByMemory / 2 }
  /// Whether text that is next in order is taken.
  func takesByMemory(_ count: Int) -> Bool { memory.takes(count, limit: memoryLimit) }
  /// As ``raiseCeiling(by:)``, by memory.
  mutating func raiseCeilingByMemory(by step: Int) {
    raiseCeiling(by: step, within: min(wholeByMemory, spaceByMemory))
  }

  /// There is no room: the window is closed, and begins anew with two segments when there is.
  mutating func closeForMemory(twoSegments: Int) {
    memory.isFull = true
    lowerCeiling(to: twoSegments)
  }

  /// The window that a segment is to offer, by memory: what is free, as far as the window has opened, in whole segments of
  /// the peer's (`segment` bytes) where a field has no scale, in whole units of it otherwise; less than one of its
  /// segments or a sixteenth is none. `isExact`: it moves back, and is rounded down.
  func windowByMemory(segment: Int, isExact: Bool) -> Int {
    let (unit, whole) = (1 << Int(scale), wholeByMemory)
    let mss = min(segment, whole)
    var space = spaceByMemory
    if isExact { space &= ~(unit - 1) }
    if space < whole / 2 {
      space &= ~(unit - 1)
      if space < whole >> 4 || space < mss || isExact && space < unit { return 0 }
    }
    if space > Int(ceiling) { space = isExact ? (Int(ceiling) + unit - 1) & ~(unit - 1) : Int(ceiling) }
    if scale > 0 { return (space + unit - 1) & ~(unit - 1) }
    // What is offered stays where it is within a segment of what there is.
    let before = offered
    if before <= space - mss || before > space { return space - space % max(1, mss) }
    return mss == whole && space > before + whole / 2 ? space : before
  }

  /// The window field by memory, and its effect on the right edge: what was offered once is taken, also where the window that
  /// the peer sees has moved back since (RFC 7323 section 2.4).
  mutating func offerByMemory(segment: Int, isExact: Bool) -> UInt16 {
    var width = memory.isFull ? 0 : windowByMemory(segment: segment, isExact: isExact)
    let (unit, seen) = (1 << Int(scale), max(0, visibleEdge - next))
    // It closes as text comes, and does not move back otherwise.
    if width < seen, !memory.isFull, !isExact { width = (seen + unit - 1) & ~(unit - 1) }
    let field = min(width >> Int(scale), 65535)
    visibleEdge = next + field << Int(scale)
    edge = SequenceNumber.later(edge, visibleEdge)
    return UInt16(field)
  }

  /// Whether what was read is worth a segment of its own: the window at least doubles by it.
  func isWorthUpdateByMemory(segment: Int, isExact: Bool) -> Bool {
    let seen = max(0, visibleEdge - next)
    guard 2 * seen <= wholeByMemory else { return false }
    let width = windowByMemory(segment: segment, isExact: isExact)
    return width > 0 && width >= 2 * seen
  }
}
