import Buffers
import Exclusion
import Wire

/// Segments that arrived ahead of a hole, in order of sequence, without overlap.
///
/// The packets themselves are the list: while they wait here their item words hold sequence number (`value`)
/// and length (`code`). Bounded in count, and in bytes by the window that was offered; what exceeds the count
/// is thrown away, the peer sends it again. The most recently inserted one is remembered, so that the segments
/// behind one hole find their places without a walk.
struct ReassemblyQueue: ~Copyable {
  private var head: ItemRef?
  private var recent: ItemRef?
  /// Bytes held.
  private(set) var bytes = 0
  /// Packets held.
  private(set) var count: UInt32 = 0
  /// Packets held at most.
  let limit: UInt32

  init(limit: UInt32) { self.limit = limit }

  deinit {
    var item = head
    while let current = item {
      item = current.next
      _ = Packet(item: current)
    }
  }

  var isEmpty: Bool { head == nil }

  private static func start(_ item: ItemRef) -> SequenceNumber { SequenceNumber(item.value) }
  private static func end(_ item: ItemRef) -> SequenceNumber { SequenceNumber(item.value) + Int(item.code) }

  /// Takes a segment in, trimmed where it overlaps what is there. False: nothing of it was new, or there was
  /// no place.
  ///
  /// What came first stays, except that a segment which covers others wholly replaces them.
  mutating func insert(_ segment: consuming Packet, at sequence: SequenceNumber) -> Bool {
    var start = sequence
    var end = sequence + segment.totalCount
    guard segment.totalCount > 0, segment.totalCount <= Int(UInt16.max), count < limit else { return false }

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
      if overlap >= segment.totalCount { return false }
      if overlap > 0 {
        segment.trimFront(overlap)
        start += overlap
      }
    }
    while let item = after, Self.start(item) < end {
      if Self.end(item) > end {
        let overlap = end - Self.start(item)
        segment.trimBack(overlap)
        end = end - overlap
        break
      }
      after = item.next
      release(item)
    }
    guard segment.totalCount > 0 else {
      link(before, after)
      return false
    }
    bytes += segment.totalCount
    count += 1
    let length = UInt16(segment.totalCount)
    let item = segment.intoItem()
    item.value = start.rawValue
    item.code = length
    link(before, item)
    item.next = after
    recent = item
    return true
  }

  private mutating func link(_ before: ItemRef?, _ item: ItemRef?) {
    if let before { before.next = item } else { head = item }
  }

  /// Frees a packet that the caller has taken out of the list.
  private mutating func release(_ item: ItemRef) {
    if recent == item { recent = nil }
    bytes -= Int(item.code)
    count -= 1
    _ = Packet(item: item)
  }

  /// The first packet, if it begins at `next` or before and holds something new; what is old is trimmed.
  mutating func popFirst(at next: SequenceNumber) -> Packet? {
    while let item = head, Self.start(item) <= next {
      head = item.next
      let old = next - Self.start(item)
      let length = Int(item.code)
      if old >= length {
        release(item)
        continue
      }
      if recent == item { recent = nil }
      bytes -= length
      count -= 1
      var packet = Packet(item: item)
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

  /// The runs of bytes held, most recent first, then in order of sequence (RFC 2018 section 4).
  func blocks() -> SACKBlocks {
    var blocks = SACKBlocks()
    guard let head else { return blocks }
    let recentStart = recent.map(Self.start)
    for pass in 0..<2 {
      if pass == 0, recentStart == nil { continue }
      var item: ItemRef? = head
      while let first = item {
        var end = Self.end(first)
        item = first.next
        while let following = item, Self.start(following) == end {
          end = Self.end(following)
          item = following.next
        }
        let block = SACKBlock(left: Self.start(first), right: end)
        let holdsRecent = recentStart.map { block.left <= $0 && $0 < block.right } ?? false
        if holdsRecent == (pass == 0), !blocks.append(block) { return blocks }
      }
    }
    return blocks
  }
}
