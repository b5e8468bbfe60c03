import Buffers
import Exclusion
import Wire

/// Segments that arrived ahead of a hole, in order of sequence, without overlap.
///
/// The packets themselves are the list: while they wait here their item words hold sequence number (`value`)
/// and length (`code`). Bounded in count, and in bytes by the window that was offered. Small segments that touch share
/// a packet, and when there is no more room what lies farthest ahead gives way (``prune(beyond:)``): the peer sends
/// it again. The most recently inserted one is remembered, so that the segments behind one hole find their places
/// without a walk.
struct ReassemblyQueue: ~Copyable {
  private var head: ItemRef?
  private var recent: ItemRef?
  /// Bytes held.
  private(set) var bytes = 0
  /// Packets held.
  private(set) var count: UInt32 = 0
  /// Memory held, in bytes.
  private(set) var occupied = 0
  /// Packets held at most.
  var limit: UInt32

  init(limit: UInt32) { self.limit = limit }

  deinit {
    var item = head
    while let current = item {
      item = current.next
      _ = Packet(item: current)
    }
  }

  var isEmpty: Bool { head == nil }
  var isFull: Bool { count >= limit }

  private static func start(_ item: ItemRef) -> SequenceNumber { SequenceNumber(item.value) }
  private static func end(_ item: ItemRef) -> SequenceNumber { SequenceNumber(item.value) + Int(item.code) }

  /// What became of a segment.
  enum Inserted: Hashable {
    /// It is a packet of the queue.
    case inserted
    /// Nothing of it was new, or there was no place.
    case refused
    /// It is in the queue, and so many packets came free, one of which may be its own.
    case collapsed(Int)
  }

  /// Takes a segment in, trimmed where it overlaps what is there.
  ///
  /// What came first stays, except that a segment which covers others wholly replaces them. At most two packets'
  /// bytes are copied.
  ///
  /// `report` learns what of it was here before (RFC 2883 section 4.2).
  mutating func insert(
    _ segment: consuming Packet, at sequence: SequenceNumber, _ report: inout SelectiveReport
  ) -> Inserted {
    var start = sequence
    var end = sequence + segment.totalCount
    guard segment.totalCount > 0, segment.totalCount <= Int(UInt16.max), !isFull else { return .refused }

    var before: ItemRef?
    var after = head
    if let recent, Self.start(recent) <= start {
      before = recent
      after = recent.next
    }
    while let item = after, Self.start(item) <= start {
      before = item
      after = item.next
    }
    if let before {
      let overlap = Self.end(before) - start
      if overlap >= segment.totalCount {
        report.repeated(start, end)
        return .refused
      }
      if overlap > 0 {
        report.repeated(start, start + overlap)
        segment.trimFront(overlap)
        start += overlap
      }
    }
    while let item = after, Self.start(item) < end {
      if Self.end(item) > end {
        let overlap = end - Self.start(item)
        report.repeatedToo(Self.start(item), end)
        segment.trimBack(overlap)
        end = end - overlap
        break
      }
      report.repeatedToo(Self.start(item), Self.end(item))
      after = item.next
      release(item)
    }
    guard segment.totalCount > 0 else {
      link(before, after)
      return .refused
    }
    bytes += segment.totalCount
    if let before, Self.end(before) == start, Self.append(segment, to: before) {
      link(before, after)
      recent = before
      return .collapsed(absorb(after, into: before) ? 2 : 1)
    }
    count += 1
    occupied += segment.occupiedBytes
    let length = UInt16(segment.totalCount)
    let item = segment.intoItem()
    item.value = start.rawValue
    item.code = length
    link(before, item)
    item.next = after
    recent = item
    return absorb(after, into: item) ? .collapsed(1) : .inserted
  }

  /// Copies the bytes of `segment` behind those of a packet that ends where it begins, if there is room.
  private static func append(_ segment: borrowing Packet, to item: ItemRef) -> Bool {
    var packet = Packet(item: item)
    let fits = packet.pieceCount == 0 && segment.pieceCount == 0 && segment.count <= packet.tailroom
    if fits {
      let end = packet.count
      packet.append(segment.count)
      unsafe (packet.dataAddress + end).copyMemory(from: segment.dataAddress, byteCount: segment.count)
      item.code = UInt16(packet.count)
    }
    _ = packet.intoItem()
    return fits
  }
  /// The same for the packet that follows `item`, which is freed.
  private mutating func absorb(_ following: ItemRef?, into item: ItemRef) -> Bool {
    guard let following, Self.start(following) == Self.end(item) else { return false }
    let packet = Packet(item: following)
    let fits = Self.append(packet, to: item)
    let next = following.next
    if fits { (count, occupied) = (count - 1, occupied - packet.occupiedBytes) }
    _ = packet.intoItem()
    guard fits else { return false }
    item.next = next
    _ = Packet(item: following)
    return true
  }

  /// Whether one packet has all of these bytes.
  func covers(_ start: SequenceNumber, _ count: Int) -> Bool {
    var item = head
    if let recent, Self.start(recent) <= start { item = recent }
    while let current = item, Self.start(current) <= start {
      if start + count <= Self.end(current) { return true }
      item = current.next
    }
    return false
  }

  /// Throws the farther half of what lies beyond `sequence` away, one packet at least if there is one. Returns how
  /// many packets and how many bytes of memory that were.
  mutating func prune(beyond sequence: SequenceNumber) -> (packets: Int, bytes: Int) {
    var (last, beyond) = (head, 0)
    var before: ItemRef?
    while let item = last, Self.start(item) <= sequence {
      before = item
      last = item.next
    }
    var item = last
    while let current = item {
      beyond += 1
      item = current.next
    }
    guard beyond > 0 else { return (0, 0) }
    item = last
    for _ in 0..<beyond / 2 {
      before = item
      item = item?.next
    }
    link(before, nil)
    let memory = occupied
    while let current = item {
      item = current.next
      release(current)
    }
    return ((beyond + 1) / 2, memory - occupied)
  }

  private mutating func link(_ before: ItemRef?, _ item: ItemRef?) {
    if let before { before.next = item } else { head = item }
  }

  /// Frees a packet that the caller has taken out of the list.
  private mutating func release(_ item: ItemRef) {
    if recent == item { recent = nil }
    bytes -= Int(item.code)
    count -= 1
    let packet = Packet(item: item)
    occupied -= packet.occupiedBytes
  }

  /// The first packet, if it begins at `next` or before and holds something new; what is old is trimmed, and was
  /// repeated as far as it lies before `arrived`, the end of the segment that came.
  mutating func popFirst(
    at next: SequenceNumber, arrived: SequenceNumber, _ report: inout SelectiveReport
  ) -> Packet? {
    while let item = head, Self.start(item) <= next {
      head = item.next
      let old = next - Self.start(item)
      let length = Int(item.code)
      if Self.start(item) < arrived {
        report.repeatedToo(Self.start(item), SequenceNumber.earlier(Self.end(item), arrived))
      }
      if old >= length {
        release(item)
        continue
      }
      if recent == item { recent = nil }
      bytes -= length
      count -= 1
      var packet = Packet(item: item)
      occupied -= packet.occupiedBytes
      if old > 0 { packet.trimFront(old) }
      return packet
    }
    return nil
  }

  /// Throws everything away: nothing more will be delivered, or memory is short (the peer sends it again).
  mutating func removeAll() {
    while let item = head {
      head = item.next
      release(item)
    }
  }

  /// One past the last byte held; nil: nothing is.
  var end: SequenceNumber? {
    guard var item = recent ?? head else { return nil }
    while let following = item.next { item = following }
    return Self.end(item)
  }
}
