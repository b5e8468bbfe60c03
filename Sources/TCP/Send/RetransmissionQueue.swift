import Timing
import Wire

/// The retransmission queue of RFC 9293 section 3.8.1: what has been sent and is not acknowledged, segment by
/// segment, in order of sequence without gaps; and the scoreboard of RFC 6675, which is the segments' marks and how
/// many have each.
///
/// A ring. Two segments have room in place, so that an exchange of requests and answers allocates nothing; more
/// are kept in memory that doubles when it is full and is given back when the last one is acknowledged. No more
/// than ``limit``: what would be beyond waits in the send queue.
///
/// Calling context: the owner of the connection.
@safe struct RetransmissionQueue: ~Copyable {
  /// Segments at most, of 24 bytes each.
  static var limit: Int { 1 << 17 }

  private var inline: InlineArray<2, SentSegment>
  private var memory: UnsafeMutablePointer<SentSegment>?
  /// Beside `memory`, place by place, what a model of the path wants to know; only where there is one.
  private var snapshots: UnsafeMutablePointer<DeliverySnapshot>?
  private(set) var keepsSnapshots = false
  /// Places, a power of two.
  private var capacity = 2
  /// Where the first one is.
  private var head = 0
  /// Segments.
  private(set) var count = 0
  /// Segments that the peer holds.
  private(set) var sacked = 0
  /// Segments that count as lost.
  private(set) var lost = 0
  /// Segments of which a repetition is on its way.
  private(set) var repeating = 0
  /// Before this one none is lost without being repeated: where the search for what to repeat begins, so that it is not
  /// the whole window with each acknowledgment.
  private(set) var repeatFrom = 0
  /// Segments that have left the network by the number of duplicate acknowledgments, where the peer does not say
  /// which (RFC 5681 section 3.2).
  var presumed = 0

  init() {
    inline = InlineArray(
      repeating: SentSegment(
        start: SequenceNumber(0), end: SequenceNumber(0), sent: .zero, delivered: 0))
  }

  deinit {
    unsafe memory?.deallocate()
    unsafe snapshots?.deallocate()
  }

  var isEmpty: Bool { count == 0 }
  var isFull: Bool { count >= Self.limit }
  /// Segments that it takes.
  var room: Int { Self.limit - count }
  /// Segments that have left the network without being acknowledged in order.
  var left: Int { sacked + lost + presumed }
  /// Segments on their way: the pipe of RFC 6675 section 4.
  var inFlight: Int { max(0, count - left + repeating) }

  /// The segment at `index`, which is below `count`. Changing marks is for `mark` and `clear`, which count.
  private(set) subscript(index: Int) -> SentSegment {
    get {
      assert(index >= 0 && index < count)
      let place = (head + index) & (capacity - 1)
      if let memory = unsafe memory { return unsafe memory[place] }
      return inline[place]
    }
    set {
      let place = (head + index) & (capacity - 1)
      if let memory = unsafe memory { unsafe memory[place] = newValue } else { inline[place] = newValue }
    }
  }

  /// Takes a segment that is sent for the first time, the next in order. Not when `isFull`.
  mutating func append(_ segment: SentSegment) {
    let isBare = unsafe keepsSnapshots && snapshots == nil
    if isBare || count == capacity { grow() }
    count += 1
    self[count - 1] = segment
    self[snapshot: count - 1] = DeliverySnapshot()
  }

  /// The same where nothing is out: mostly it lies in place.
  @inline(__always) mutating func appendAlone(_ segment: SentSegment) {
    guard count == 0, head == 0, !keepsSnapshots, unsafe memory == nil else { return append(segment) }
    count = 1
    inline[0] = segment
  }

  /// Takes a row of so many segments, as many as there is ``room`` for, of `size` bytes each from `start` on, which are
  /// sent for the first time, in one burst with what follows. Not where snapshots are kept.
  mutating func append(
    _ number: Int, from start: SequenceNumber, size: Int, sent: Instant, delivered: UInt32
  ) {
    assert(!keepsSnapshots && number <= room)
    if count + number > capacity { grow(for: count + number) }
    var segment = SentSegment(
      start: start, end: start + size, sent: sent, delivered: delivered, marks: .joined)
    let first = count
    count += number
    for index in first..<count {
      self[index] = segment
      (segment.start, segment.end) = (segment.end, segment.end + size)
    }
  }

  /// Begins, or ceases, to keep snapshots. What is out has none.
  mutating func keepSnapshots(_ keeps: Bool) {
    guard keeps != keepsSnapshots else { return }
    keepsSnapshots = keeps
    if keeps {
      if count > 0 { grow() }
    } else {
      unsafe snapshots?.deallocate()
      unsafe snapshots = nil
    }
  }

  /// The snapshot of the segment at `index`, which is below `count`; empty where none are kept.
  subscript(snapshot index: Int) -> DeliverySnapshot {
    get {
      assert(index >= 0 && index < count)
      guard let snapshots = unsafe snapshots else { return DeliverySnapshot() }
      return unsafe snapshots[(head + index) & (capacity - 1)]
    }
    set {
      guard let snapshots = unsafe snapshots else { return }
      unsafe snapshots[(head + index) & (capacity - 1)] = newValue
    }
  }

  private mutating func grow(for number: Int = 0) {
    var places = max(16, capacity * 2)
    while places < number { places *= 2 }
    let larger = UnsafeMutablePointer<SentSegment>.allocate(capacity: places)
    for index in 0..<count { unsafe (larger + index).initialize(to: self[index]) }
    if keepsSnapshots {
      let more = UnsafeMutablePointer<DeliverySnapshot>.allocate(capacity: places)
      for index in 0..<count { unsafe (more + index).initialize(to: self[snapshot: index]) }
      unsafe snapshots?.deallocate()
      unsafe snapshots = more
    }
    unsafe memory?.deallocate()
    unsafe memory = larger
    capacity = places
    head = 0
  }

  /// The first one is acknowledged.
  mutating func removeFirst() {
    uncount(self[0].marks)
    dropFirst(1)
  }

  /// The first one is acknowledged, which mostly is the only one and lies in place. Returns it.
  @inline(__always) mutating func popFirst() -> SentSegment {
    guard count == 1, head == 0, unsafe memory == nil, unsafe snapshots == nil else {
      let first = self[0]
      removeFirst()
      return first
    }
    let first = inline[0]
    if !first.marks.isEmpty { uncount(first.marks) }
    (count, presumed, repeatFrom) = (0, 0, 0)
    return first
  }
  /// The marks of the first one, of which there is one.
  @inline(__always) var firstMarks: SentSegment.Marks {
    guard head == 0, unsafe memory == nil else { return self[0].marks }
    return inline[0].marks
  }

  /// How many at the front end before or at `sequence`, were sent once, and were not reported in any way.
  func plainCount(upTo sequence: SequenceNumber) -> Int {
    var number = 0
    while number < count {
      let segment = self[number]
      guard segment.end <= sequence, segment.marks.isSubset(of: .joined) else { break }
      number += 1
    }
    return number
  }
  /// So many of them are acknowledged.
  mutating func removePlain(_ number: Int) {
    assert(number <= count)
    dropFirst(number)
  }
  private mutating func dropFirst(_ number: Int) {
    head = (head + number) & (capacity - 1)
    count -= number
    repeatFrom = max(0, repeatFrom - number)
    if count == 0 { reset() }
  }

  /// Nothing is out any more.
  mutating func removeAll() {
    (count, sacked, lost, repeating) = (0, 0, 0, 0)
    reset()
  }

  private mutating func reset() {
    unsafe memory?.deallocate()
    unsafe memory = nil
    unsafe snapshots?.deallocate()
    unsafe snapshots = nil
    (capacity, head, presumed, repeatFrom) = (2, 0, 0, 0)
  }

  /// The first one is acknowledged up to `sequence`, which lies within it.
  mutating func trimFirst(to sequence: SequenceNumber) { self[0].start = sequence }

  /// Where `sequence` lies: the first segment that ends after it; `count` if none does.
  func index(of sequence: SequenceNumber) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if self[middle].end <= sequence { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// Cuts the segment at `index` in two at `sequence`, which lies within it. Both have its marks, and are two.
  mutating func split(_ index: Int, at sequence: SequenceNumber) {
    var rest = self[index]
    rest.start = sequence
    self[index].end = sequence
    self[index].marks.remove(.joined)
    if count == capacity { grow() }
    count += 1
    var place = count - 1
    while place > index + 1 {
      self[place] = self[place - 1]
      self[snapshot: place] = self[snapshot: place - 1]
      place -= 1
    }
    self[index + 1] = rest
    self[snapshot: index + 1] = self[snapshot: index]
    if rest.marks.contains(.sacked) { sacked += 1 }
    if rest.marks.contains(.lost) { lost += 1 }
    if rest.marks.contains(.repeating) { repeating += 1 }
  }

  /// Cuts what is to be sent again anew: each run of it, from its head on, into pieces of `size` bytes of text, so that only
  /// its last is shorter. The borders of the segments before are gone.
  ///
  /// - Parameters:
  ///   - size: bytes; less than 1 counts as that.
  ///   - finEnd: one past the FIN, which goes with the text before it; nil: none was sent.
  ///   - recordEnd: where the record ends that goes on after a number, which no piece goes beyond; nil: there is no end.
  mutating func recut(
    to size: Int, finEnd: SequenceNumber?, recordEnd: (SequenceNumber) -> SequenceNumber?
  ) {
    var cut = RetransmissionQueue()
    cut.keepSnapshots(keepsSnapshots)
    var index = 0
    while index < count {
      let first = index
      while index < count, self[index].marks.wantsRepetition { index += 1 }
      guard index > first else {
        cut.take(self[index], self[snapshot: index])
        index += 1
        continue
      }
      let end = self[index - 1].end
      let textEnd = end == finEnd ? end - 1 : end
      var (source, start) = (first, self[first].start)
      while start < end {
        while self[source].end <= start { source += 1 }
        var piece = self[source]
        piece.start = start
        piece.end = SequenceNumber.earlier(start + max(size, 1), textEnd)
        if let record = recordEnd(start), record < piece.end { piece.end = record }
        if piece.end == textEnd { piece.end = end }
        piece.marks.remove(.joined)
        cut.take(piece, self[snapshot: source])
        start = piece.end
      }
    }
    cut.presumed = presumed
    self = cut
  }

  /// Takes a segment with its marks, the next in order.
  private mutating func take(_ segment: SentSegment, _ snapshot: DeliverySnapshot) {
    append(segment)
    self[snapshot: count - 1] = snapshot
    if segment.marks.contains(.sacked) { sacked += 1 }
    if segment.marks.contains(.lost) { lost += 1 }
    if segment.marks.contains(.repeating) { repeating += 1 }
  }

  /// Makes one of the segment at `index` and the one behind it, neither of which the peer holds. What the second had of
  /// marks is gone.
  mutating func joinNext(_ index: Int) {
    let next = self[index + 1]
    uncount(next.marks)
    self[index].end = next.end
    for place in index + 1..<count - 1 {
      self[place] = self[place + 1]
      self[snapshot: place] = self[snapshot: place + 1]
    }
    count -= 1
    if repeatFrom > index + 1 { repeatFrom -= 1 }
  }

  /// Sets marks.
  mutating func mark(_ index: Int, _ marks: SentSegment.Marks) {
    let new = marks.subtracting(self[index].marks)
    if new.contains(.sacked) { sacked += 1 }
    if new.contains(.lost) { lost += 1 }
    if new.contains(.repeating) { repeating += 1 }
    self[index].marks.formUnion(new)
    noteToRepeat(index)
  }

  /// Takes marks away.
  mutating func clear(_ index: Int, _ marks: SentSegment.Marks) {
    let old = marks.intersection(self[index].marks)
    uncount(old)
    self[index].marks.subtract(old)
    noteToRepeat(index)
  }

  private mutating func noteToRepeat(_ index: Int) {
    if index < repeatFrom, self[index].marks.wantsRepetition { repeatFrom = index }
  }

  /// The first segment from `repeatFrom` on that is lost and not repeated; nil: there is none.
  mutating func nextToRepeat() -> Int? {
    guard lost > 0 else { return nil }
    while repeatFrom < count {
      if self[repeatFrom].marks.wantsRepetition { return repeatFrom }
      repeatFrom += 1
    }
    return nil
  }

  private mutating func uncount(_ marks: SentSegment.Marks) {
    if marks.contains(.sacked) { sacked -= 1 }
    if marks.contains(.lost) { lost -= 1 }
    if marks.contains(.repeating) { repeating -= 1 }
  }

  /// The segment at `index` was sent again, at `now`.
  mutating func resent(_ index: Int, now: Instant, delivered: UInt32) {
    mark(index, [.repeating, .repeated])
    self[index].sent = now
    self[index].delivered = delivered
  }
}
