// The half-open connections of one context: what listeners keep between a SYN and the end of its handshake, in
// place of control blocks (RFC 4987 section 3.4).
//
// Everything here is (o) the context's alone. A flow's entry is at the flow's home, and nowhere else, so that the
// same SYN finds it again (AQ-DUP); whoever gets a segment elsewhere passes it on.

import Exclusion
import TCP
import Timing
import Wire

/// One half-open connection; plain data in type-stable memory.
@safe
struct HalfOpenEntry {
  /// The 4-tuple.
  var key: FlowKey
  /// Its keyed hash.
  var hash: UInt64
  /// The listener that it belongs to, with a reference.
  var listener: ListenerRef
  /// What the engine knows.
  var handshake: TCPHalfOpen
  /// The option of its SYN, for the IDs in it (RFC 5925).
  var authentication: TCPAuthentication?
  /// The child that the last ACK made, with a reference, until the connection table has it. What arrives
  /// meanwhile is the child's (Q1).
  var child: ConnectionRef?
  /// TCP_DEFER_ACCEPT: the SYN-ACK was answered, and data is waited for.
  var isAcknowledged = false
  /// When the SYN-ACK is sent again, or the child is looked after.
  var deadline = Instant.distantFuture
}

/// A place in a doubly linked list of entries, by number; -1 at the ends.
struct SynCacheLink {
  var previous: Int32 = -1
  var next: Int32 = -1
}

/// A list of entries, oldest first.
struct SynCacheList {
  var first: Int32 = -1
  var last: Int32 = -1
  var count: Int32 = 0
}

/// The table. Bounded by `capacity` entries in all and `bucketLimit` in each bucket, which a keyed hash chooses;
/// its memory is taken once, and touched as it is needed.
@safe
struct SynCache: ~Copyable {
  /// Entries at most.
  let capacity: Int
  /// Entries with the same bucket at most: what a look-up costs.
  static var bucketLimit: Int { 8 }
  /// Entries that were sent their SYN-ACK n times wait equally long, in the order of that: a list for each n
  /// is in order of deadlines by itself, and nothing is sorted. The last rung is for all above.
  static var rungs: Int { 16 }

  private let entries: UnsafeMutablePointer<HalfOpenEntry>
  /// The entries' places in their buckets, and on their rungs.
  private let inBucket: UnsafeMutablePointer<SynCacheLink>
  private let inLadder: UnsafeMutablePointer<SynCacheLink>
  private let buckets: UnsafeMutablePointer<SynCacheList>
  private let bucketMask: Int
  private let ladder: UnsafeMutablePointer<SynCacheList>
  /// The timer's node, on a line of its own: the wheel writes it.
  private let node: UnsafeMutableRawPointer
  private var free: Int32 = -1
  private var used: Int32 = 0
  /// Entries now.
  private(set) var count = 0

  init(capacity: Int) {
    self.capacity = capacity
    var size = 16
    while size * Self.bucketLimit < capacity * 4 { size *= 2 }
    bucketMask = size - 1
    unsafe entries = .allocate(capacity: capacity)
    unsafe inBucket = .allocate(capacity: capacity)
    unsafe inLadder = .allocate(capacity: capacity)
    unsafe buckets = .allocate(capacity: size)
    unsafe buckets.initialize(repeating: SynCacheList(), count: size)
    unsafe ladder = .allocate(capacity: Self.rungs)
    unsafe ladder.initialize(repeating: SynCacheList(), count: Self.rungs)
    unsafe node = .allocate(byteCount: 64, alignment: 64)
    _ = unsafe TimerRef.initialize(at: node, kind: SocketKind.synTimer, owner: 0)
  }
  deinit {
    unsafe entries.deallocate()
    unsafe inBucket.deallocate()
    unsafe inLadder.deallocate()
    unsafe buckets.deallocate()
    unsafe ladder.deallocate()
    unsafe node.deallocate()
  }

  /// The one timer of all entries, on the context's wheel.
  var timer: TimerRef { unsafe TimerRef(node.assumingMemoryBound(to: TimerNode.self)) }

  /// An entry for its context's use until it is removed.
  func entry(_ index: Int32) -> UnsafeMutablePointer<HalfOpenEntry> { unsafe entries + Int(index) }

  private func bucket(_ hash: UInt64) -> UnsafeMutablePointer<SynCacheList> {
    unsafe buckets + (Int(truncatingIfNeeded: hash) & bucketMask)
  }

  /// The entry of a 4-tuple, whatever its segments travel in.
  func find(hash: UInt64, _ key: FlowKey) -> Int32? {
    var index = unsafe bucket(hash).pointee.last
    while index >= 0 {
      if unsafe entries[Int(index)].key.hasEnds(of: key) { return index }
      index = unsafe inBucket[Int(index)].previous
    }
    return nil
  }

  /// Whether there is a place for another entry with this hash.
  func hasRoom(hash: UInt64) -> Bool {
    unsafe count < capacity && Int(bucket(hash).pointee.count) < Self.bucketLimit
  }
  /// The oldest entry that shares its bucket with this hash.
  func oldest(hash: UInt64) -> Int32? {
    let first = unsafe bucket(hash).pointee.first
    return first >= 0 ? first : nil
  }

  /// Adds an entry. `hasRoom` said that it fits.
  mutating func insert(_ entry: consuming HalfOpenEntry) -> Int32 {
    let index: Int32
    if free >= 0 {
      index = free
      free = unsafe inBucket[Int(index)].next
    } else {
      index = used
      used += 1
    }
    let hash = entry.hash
    unsafe (entries + Int(index)).initialize(to: entry)
    unsafe append(index, to: bucket(hash), inBucket)
    unsafe append(index, to: rung(index), inLadder)
    count += 1
    return index
  }

  /// Removes an entry; what it referred to is the caller's.
  mutating func remove(_ index: Int32) -> HalfOpenEntry {
    let entry = unsafe entries[Int(index)]
    unsafe unlink(index, from: bucket(entry.hash), inBucket)
    unsafe unlink(index, from: rung(index), inLadder)
    unsafe inBucket[Int(index)].next = free
    free = index
    count -= 1
    return entry
  }

  /// Waits anew, on the rung of its retransmissions after `change`.
  func rearm(_ index: Int32, at deadline: Instant, _ change: (inout TCPHalfOpen) -> Void) {
    unsafe unlink(index, from: rung(index), inLadder)
    unsafe change(&entries[Int(index)].handshake)
    unsafe entries[Int(index)].deadline = deadline
    unsafe append(index, to: rung(index), inLadder)
  }

  /// An entry whose deadline has passed.
  func due(_ now: Instant) -> Int32? {
    for number in 0..<Self.rungs {
      let first = unsafe ladder[number].first
      if first >= 0, unsafe entries[Int(first)].deadline <= now { return first }
    }
    return nil
  }
  /// When the next one is due.
  var nextDeadline: Instant? {
    var earliest: Instant?
    // Mostly all are on the first rungs.
    var rest = count
    for number in 0..<Self.rungs where rest > 0 {
      let list = unsafe ladder[number]
      guard list.first >= 0 else { continue }
      rest -= Int(list.count)
      let deadline = unsafe entries[Int(list.first)].deadline
      earliest = min(earliest ?? deadline, deadline)
    }
    return earliest
  }

  /// Every entry for which `wanted` says yes, in no order; `body` may remove it.
  mutating func forEach(where wanted: (HalfOpenEntry) -> Bool, _ body: (inout SynCache, Int32) -> Void) {
    for number in 0..<Self.rungs {
      var index = unsafe ladder[number].first
      while index >= 0 {
        let next = unsafe inLadder[Int(index)].next
        if unsafe wanted(entries[Int(index)]) { body(&self, index) }
        index = next
      }
    }
  }

  // MARK: Lists

  private func rung(_ index: Int32) -> UnsafeMutablePointer<SynCacheList> {
    unsafe ladder + min(Int(entries[Int(index)].handshake.retransmissions), Self.rungs - 1)
  }

  private func append(
    _ index: Int32, to list: UnsafeMutablePointer<SynCacheList>,
    _ links: UnsafeMutablePointer<SynCacheLink>
  ) {
    let last = unsafe list.pointee.last
    unsafe links[Int(index)] = SynCacheLink(previous: last, next: -1)
    if last >= 0 {
      unsafe links[Int(last)].next = index
    } else {
      unsafe list.pointee.first = index
    }
    unsafe list.pointee.last = index
    unsafe list.pointee.count += 1
  }

  private func unlink(
    _ index: Int32, from list: UnsafeMutablePointer<SynCacheList>,
    _ links: UnsafeMutablePointer<SynCacheLink>
  ) {
    let place = unsafe links[Int(index)]
    if place.previous >= 0 {
      unsafe links[Int(place.previous)].next = place.next
    } else {
      unsafe list.pointee.first = place.next
    }
    if place.next >= 0 {
      unsafe links[Int(place.next)].previous = place.previous
    } else {
      unsafe list.pointee.last = place.previous
    }
    unsafe list.pointee.count -= 1
  }
}
