import Buffers
import Exclusion
import Timing
import Wire

/// One neighbour, in a type-stable slot. (c) constant while in the cache, (a) atomic, (o) owner of the
/// cache's gate.
struct NeighborEntry: ~Copyable {
  // The owner's comes first: the thread sanitizer takes a change of any field for one of the first.
  /// (o) packets until the station is known, oldest first.
  var waiting = PacketQueue()
  /// (a) see ``NeighborWord``.
  let word = AtomicWord(0)
  /// (a) when an upper layer last saw its packets answered, in nanoseconds.
  let confirmed = AtomicWord(0)
  /// (c)
  let cache: NeighborCacheRef
  /// (c)
  let address: IPAddress
  /// (c)
  let hash: UInt64
  /// (o)
  var state = NeighborState.incomplete
  /// (o) when `state` was entered.
  var since: Instant
  /// (o) solicitations sent in this state.
  var probes = 0
  /// (o) the router flag of its last advertisement.
  var isRouter = false
  /// (o) the address that a waiting packet has as source: solicitations come from it (RFC 4861 7.2.2).
  var requester: IPAddress
  /// (o) home context: the timer has fired, the owner has not yet looked.
  var isExpired = false
  /// (o) next in the list of expired entries.
  var nextExpired: NeighborRef?
  /// (o) place in the cache's ring.
  var place: Int

  init(
    cache: NeighborCacheRef, address: IPAddress, hash: UInt64, requester: IPAddress, now: Instant, place: Int
  ) {
    self.cache = cache
    self.address = address
    self.hash = hash
    self.requester = requester
    since = now
    self.place = place
  }
}

/// A handle to a neighbour's slot. Valid in the grace section in which it was found, and for the owner as
/// long as the entry is in the ring.
@safe
struct NeighborRef: Hashable, @unchecked Sendable {
  let item: ItemRef
  init(_ item: ItemRef) { self.item = item }

  // The item and the pool's words, the timer, then the entry.
  private static var timerOffset: Int { 64 }
  private static var offset: Int { 128 }
  static var slotBytes: Int { (offset + MemoryLayout<NeighborEntry>.size + 63) & ~63 }

  /// Makes a slot an entry that nobody can find yet.
  static func initialize(_ slot: ItemRef, _ entry: consuming NeighborEntry) -> NeighborRef {
    slot.kind = InternetKind.neighborUse
    let neighbor = NeighborRef(slot)
    _ = unsafe TimerRef.initialize(
      at: slot.raw + timerOffset, kind: InternetKind.neighborTimer, owner: slot.address)
    unsafe neighbor.entry.initialize(to: entry)
    return neighbor
  }

  /// The entry. Only the owner touches its (o) fields.
  var entry: UnsafeMutablePointer<NeighborEntry> {
    unsafe (item.raw + Self.offset).assumingMemoryBound(to: NeighborEntry.self)
  }
  /// (o) armed on home's wheel.
  var timer: TimerRef {
    unsafe TimerRef((item.raw + Self.timerOffset).assumingMemoryBound(to: TimerNode.self))
  }

  var cache: NeighborCacheRef { unsafe entry.pointee.cache }
  var address: IPAddress { unsafe entry.pointee.address }
  /// (a)
  func loadWord() -> NeighborWord { unsafe NeighborWord(rawValue: entry.pointee.word.load()) }
  func replaceWord(_ seen: inout NeighborWord, with new: UInt64) -> Bool {
    unsafe entry.pointee.word.compareExchange(&seen.rawValue, new)
  }
  func addPending() { unsafe entry.pointee.word.add(NeighborWord.onePending) }
  /// After the packet was given to its transmit queue, or dropped.
  func removePending() { unsafe entry.pointee.word.subtract(NeighborWord.onePending) }
  /// Owner: the entry's own item may be posted again.
  func clearUseNotice() { unsafe entry.pointee.word.formAnd(~NeighborWord.used) }
  /// Any context: an upper layer's packets are being answered.
  func confirm(at now: Instant) { unsafe entry.pointee.confirmed.storeRelaxed(now.nanoseconds) }

  var state: NeighborState {
    get { unsafe entry.pointee.state }
    nonmutating set { unsafe entry.pointee.state = newValue }
  }

  /// Owner: changes all but the pending count. Who finds TELL posts the entry's item, so it is not set while that is
  /// on its way already: the use that it reports is a use of what is set here too (keeps PCB-POST).
  func setWord(station: MACAddress, usable: Bool, tell: Bool) {
    var seen = loadWord()
    while true {
      let kept = seen.rawValue & ~(NeighborWord.stationMask | NeighborWord.usable | NeighborWord.tell)
      let asks = tell && !seen.isUseNoticePosted
      let new =
        kept | station.rawValue | (usable ? NeighborWord.usable : 0) | (asks ? NeighborWord.tell : 0)
      if replaceWord(&seen, with: new) { return }
    }
  }
}
