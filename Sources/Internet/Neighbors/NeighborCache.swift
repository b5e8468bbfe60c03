// The neighbours of one interface. The cache is a gate that always runs on its home context, where its
// timers are; everyone finds entries without entering (NB-PEND: see NeighborWord).

import Buffers
import Exclusion
import SoftInterrupts
import Timing
import Wire

/// The phantom type that gives the gate its behaviour.
struct NeighborCache: GatedBlock, ~Copyable {
  /// Packets and notices run per entry before the context does something else.
  static var budget: Int { 64 }

  static func run(_ item: ItemRef, on block: GateRef<NeighborCache>, _ cx: inout SoftInterrupt) {
    let cache = unsafe NeighborCacheRef(block.raw)
    if item.kind == InternetKind.neighborUse {
      cache.layer.neighborWasUsed(NeighborRef(item), cache, &cx)
      return
    }
    let kind = item.kind
    let packet = Packet(item: item)
    switch kind {
    case InternetKind.neighborARP: cache.layer.runARP(packet, cache, &cx)
    case InternetKind.neighborDiscovery: cache.layer.runNeighborDiscovery(packet, cache, &cx)
    default:
      cache.layer.neighborResolve(packet, isCounted: kind == InternetKind.neighborWaiter, cache, &cx)
    }
  }

  static func run(events: GateEvents, on block: GateRef<NeighborCache>, _ cx: inout SoftInterrupt) {
    let cache = unsafe NeighborCacheRef(block.raw)
    while let neighbor = cache.takeExpired() { cache.layer.neighborExpired(neighbor, cache, &cx) }
    if events.contains(.forget) { cache.forgetAll(&cx) }
  }

  /// Caches end with their layer, not by themselves.
  static func retire(_ block: GateRef<NeighborCache>, _ cx: inout SoftInterrupt) {}
}

extension GateEvents {
  /// Neighbour cache: timers have fired.
  static let expired = GateEvents(rawValue: 1 << 0)
}

/// What lies behind the gate.
struct NeighborCacheState: ~Copyable {
  /// (o) every entry, in no order; the hand walks over it to find one that may go.
  var ring: [NeighborRef] = []
  /// (c)
  unowned(unsafe) let layer: InternetLayer
  let interface: UInt16
  let home: ContextPortRef
  let hashKey: HashKey
  let limit: Int
  let queueLimit: Int
  /// (a) packets under way that found no entry. While there are any, all senders go through the gate.
  let strangers = AtomicWord(0)
  /// Lock-free for readers, the owner writes.
  let table: PublishedTable
  /// (o) home
  let pool: SlotPool
  var hand = 0
  /// (o) home context
  var firstExpired: NeighborRef?
  /// (o)
  var random: UInt64
}

/// A handle to a cache of a living layer.
@safe
struct NeighborCacheRef: Hashable, @unchecked Sendable {
  let gate: GateRef<NeighborCache>
  private static var stateOffset: Int { 128 }

  init(_ raw: UnsafeMutableRawPointer) { unsafe gate = GateRef(raw) }

  static func make(layer: InternetLayer, interface: UInt16, home: ContextPortRef, grace: GraceDomain)
    -> NeighborCacheRef
  {
    let configuration = layer.configuration
    let bytes = stateOffset + MemoryLayout<NeighborCacheState>.size
    let raw = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    unsafe raw.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    unsafe GateRef<NeighborCache>.initialize(
      raw, kind: InternetKind.neighborCache, home: home, segmentLimit: 1023, budget: NeighborCache.budget)
    let seed = configuration.seed &+ UInt64(interface) &* 0x9E37_79B9_7F4A_7C15
    let state = NeighborCacheState(
      layer: layer, interface: interface, home: home, hashKey: HashKey(seed: seed),
      limit: max(configuration.neighborLimit, 1), queueLimit: max(configuration.neighborQueueLimit, 1),
      table: PublishedTable(capacity: 64, domain: grace),
      pool: SlotPool(
        slotBytes: NeighborRef.slotBytes, slotsPerSlab: 64, limit: configuration.neighborLimit * 2 + 64),
      random: seed | 1)
    unsafe (raw + stateOffset).initializeMemory(as: NeighborCacheState.self, to: state)
    return unsafe NeighborCacheRef(raw)
  }

  /// Frees the cache and what waits in it. The contexts have stopped.
  func destroy() {
    for neighbor in unsafe state.pointee.ring {
      // The sources of packets that still wait go away as well.
      while var packet = unsafe neighbor.entry.pointee.waiting.popFirst() { packet.forfeitCredit() }
      unsafe neighbor.entry.deinitialize(count: 1)
      unsafe state.pointee.pool.ref.giveBack(neighbor.item)
    }
    unsafe state.deinitialize(count: 1)
    unsafe gate.raw.deallocate()
  }

  var state: UnsafeMutablePointer<NeighborCacheState> {
    unsafe (gate.raw + Self.stateOffset).assumingMemoryBound(to: NeighborCacheState.self)
  }
  var layer: InternetLayer { unsafe state.pointee.layer }
  var interface: UInt16 { unsafe state.pointee.interface }
  /// How many neighbours there are. Any thread; may be out of date.
  var count: Int { unsafe state.pointee.table.count }

  // MARK: Any context

  func hash(_ address: IPAddress) -> UInt64 {
    unsafe keyedHash(state.pointee.hashKey, address.high, address.low)
  }

  /// The entry of `address`, in this grace section.
  func find(_ address: IPAddress) -> NeighborRef? {
    unsafe state.pointee.table.find(hash: hash(address)) { NeighborRef($0).address == address }
      .map { NeighborRef($0) }
  }

  /// All entries, for reports.
  func list() -> [NeighborStatistics] {
    var found: [NeighborStatistics] = []
    unsafe state.pointee.table.forEach { item in
      let neighbor = NeighborRef(item)
      let word = neighbor.loadWord()
      found.append(
        NeighborStatistics(
          address: neighbor.address, station: word.isUsable ? word.station : nil, pending: word.pending))
    }
    return found
  }

  var hasStrangers: Bool { unsafe state.pointee.strangers.load() != 0 }
  /// False if too many are under way.
  func addStranger() -> Bool {
    if unsafe state.pointee.strangers.add(1) < UInt64(NeighborWord.pendingLimit) { return true }
    removeStranger()
    return false
  }
  func removeStranger() { unsafe state.pointee.strangers.subtract(1) }

  /// Gives work to the owner, who runs on home. From elsewhere a free gate is handed over there at once.
  func submit(_ item: ItemRef, _ cx: inout SoftInterrupt) {
    if unsafe cx.core.port == state.pointee.home {
      _ = gate.submit(item, isSegment: false, &cx)
    } else {
      _ = gate.post(item)
    }
  }

  func submit(_ packet: consuming Packet, as kind: WorkKind, _ cx: inout SoftInterrupt) {
    let item = packet.intoItem()
    item.kind = kind
    submit(item, &cx)
  }

  // MARK: Home

  /// The timer of an entry fired; the owner looks at it (TM-OWNER).
  func expire(_ neighbor: NeighborRef, _ cx: inout SoftInterrupt) {
    unsafe neighbor.entry.pointee.isExpired = true
    unsafe neighbor.entry.pointee.nextExpired = state.pointee.firstExpired
    unsafe state.pointee.firstExpired = neighbor
    _ = gate.submit(events: .expired, &cx)
  }

  // MARK: Owner

  func takeExpired() -> NeighborRef? {
    guard let neighbor = unsafe state.pointee.firstExpired else { return nil }
    unsafe state.pointee.firstExpired = neighbor.entry.pointee.nextExpired
    unsafe neighbor.entry.pointee.nextExpired = nil
    unsafe neighbor.entry.pointee.isExpired = false
    return neighbor
  }

  /// xorshift64: spreads reachable times, needs no secrecy.
  func nextRandom() -> UInt64 {
    var value = unsafe state.pointee.random
    value ^= value << 13
    value ^= value >> 7
    value ^= value << 17
    unsafe state.pointee.random = value
    return value
  }

  /// A new entry for `address`, which has none (NB-ONE: only the owner makes entries). When the cache is
  /// full another one gives way; nil if none can.
  func create(_ address: IPAddress, requester: IPAddress, _ cx: inout SoftInterrupt) -> NeighborRef? {
    if unsafe state.pointee.ring.count >= state.pointee.limit, !evictOne(&cx) { return nil }
    guard let slot = unsafe state.pointee.pool.ref.allocate() else { return nil }
    let hash = hash(address)
    let entry = NeighborEntry(
      cache: self, address: address, hash: hash, requester: requester, now: cx.now,
      place: unsafe state.pointee.ring.count)
    let neighbor = NeighborRef.initialize(slot, entry)
    unsafe state.pointee.ring.append(neighbor)
    unsafe state.pointee.table.insert(hash: hash, slot)  // last: now others find it whole
    layer.count(.neighborsCreated, cx)
    return neighbor
  }

  /// Looks at a few entries from the hand on, and gives up the one that is worth least.
  private func evictOne(_ cx: inout SoftInterrupt) -> Bool {
    var victim: NeighborRef?
    let count = unsafe state.pointee.ring.count
    for step in 0..<count {
      // Sixteen are enough to choose from, unless all of them were in use.
      if step >= 16, victim != nil { break }
      let position = unsafe (state.pointee.hand + step) % count
      let candidate = unsafe state.pointee.ring[position]
      guard isIdle(candidate) else { continue }
      if let current = victim, candidate.state.evictionRank <= current.state.evictionRank { continue }
      victim = candidate
    }
    unsafe state.pointee.hand = (state.pointee.hand + 16) % max(count, 1)
    guard let victim else { return false }
    layer.dropWaiting(victim, self, &cx)
    guard remove(victim, &cx) else { return false }
    layer.count(.neighborsEvicted, cx)
    return true
  }

  /// Whether nothing of it is on its way to the owner.
  private func isIdle(_ neighbor: NeighborRef) -> Bool {
    let word = neighbor.loadWord()
    return unsafe !word.isUseNoticePosted && !neighbor.entry.pointee.isExpired
      && word.pending == neighbor.entry.pointee.waiting.count
  }

  /// Takes an entry without waiting packets out of the cache, unless a sender was faster: a packet that is
  /// under way, or a notice of use, will need it.
  func remove(_ neighbor: NeighborRef, _ cx: inout SoftInterrupt) -> Bool {
    var seen = neighbor.loadWord()
    while true {
      guard seen.pending == 0, !seen.isUseNoticePosted, unsafe !neighbor.entry.pointee.isExpired else {
        return false
      }
      if neighbor.replaceWord(&seen, with: NeighborWord.dead) { break }
    }
    cx.cancel(neighbor.timer)
    let hash = unsafe neighbor.entry.pointee.hash
    let place = unsafe neighbor.entry.pointee.place
    _ = unsafe state.pointee.table.remove(hash: hash, neighbor.item)
    let last = unsafe state.pointee.ring.removeLast()
    if last != neighbor {
      unsafe state.pointee.ring[place] = last
      unsafe last.entry.pointee.place = place
    }
    cx.retire(neighbor.item)  // keeps PCB-GRACE: a reader may still hold it
    return true
  }
}
