// What connections have learned of their peers' paths, for those that follow (RFC 9040 section 4; Linux's tcp_metrics).
// Contexts write and read; neither waits. A destination has three words, each whole whenever it is read:
//
//   63        32 31                     0
//   tag          SRTT in microseconds
//   tag          variation in microseconds
//   tag          stamp 8 · reordering 8 · ssthresh 16
//
// The tag is of the address. Words of one destination may be of two connections that ended at once: each says something
// true of the path. What two contexts write at once one of them writes in vain.

import Exclusion
import SoftInterrupts
import TCP
import Timing
import Wire

/// What a stack remembers of the paths to its peers.
public struct RememberedPaths: OptionSet, Hashable, Sendable {
  /// The bits.
  public let rawValue: UInt8
  /// Unknown bits are ignored.
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// The round trip, and how far segments were reordered. Nothing of a path is remembered without it (Linux:
  /// net.ipv4.tcp_no_metrics_save = 0).
  public static let roundTrip = RememberedPaths(rawValue: 1 << 0)
  /// The slow start threshold too: who comes next does not find out anew where the path ends, though it may have more room
  /// by then (Linux: net.ipv4.tcp_no_ssthresh_metrics_save = 0).
  public static let threshold = RememberedPaths(rawValue: 1 << 1)
}

/// The memory: of several destinations with the same place the one heard of last.
@safe
final class DestinationMemory: @unchecked Sendable {  // all words are atomic
  static var capacity: Int { 4096 }
  private static var words: Int { 3 }
  /// What a stamp counts in: 2³⁸ ns, some 275 s. Its eight bits go round in 19 hours.
  private static var unit: UInt64 { 38 }
  /// What is known counts for an hour (Linux's TCP_METRICS_TIMEOUT).
  private static var lifetime: UInt8 { 13 }

  private let table: UnsafeMutablePointer<AtomicWord>
  private let key: HashKey
  /// Whether anything was ever noted.
  private let isUsed = AtomicWord(0)

  init(key: HashKey) {
    self.key = key
    unsafe table = .allocate(capacity: Self.capacity * Self.words)
    for index in 0..<Self.capacity * Self.words { unsafe (table + index).initialize(to: AtomicWord(0)) }
  }
  deinit {
    unsafe table.deinitialize(count: Self.capacity * Self.words)
    unsafe table.deallocate()
  }

  /// Where what is known of a destination is.
  struct Place {
    fileprivate let address: IPAddress
    fileprivate let index: Int
    fileprivate let tag: UInt64
  }

  /// The place of `address`, which is `last` if that was the same one's.
  func place(_ address: IPAddress, _ last: inout Place?) -> Place {
    if let last, last.address == address { return last }
    let hash = keyedHash(key, address.high, address.low, 0x5254)
    // No word that was written is zero.
    let place = Place(
      address: address, index: Int(truncatingIfNeeded: hash % UInt64(Self.capacity)) * Self.words,
      tag: hash & 0xFFFF_FFFF_0000_0000 | 1 << 63)
    last = place
    return place
  }
  private static func stamp(_ now: Instant) -> UInt8 { UInt8(truncatingIfNeeded: now.nanoseconds >> unit) }

  /// What is known of the path to `address`; nil: nothing is, or it is too old. Any context, which keeps `last`.
  func find(_ address: IPAddress, _ last: inout Place?, now: Instant) -> TCPPathMemory? {
    guard isUsed.load() != 0 else { return nil }
    return find(at: place(address, &last), now: now)
  }
  private func find(at place: Place, now: Instant) -> TCPPathMemory? {
    let (index, tag) = (place.index, place.tag)
    func value(_ offset: Int) -> UInt32? {
      let word = unsafe table[index + offset].load()
      return word & 0xFFFF_FFFF_0000_0000 == tag ? UInt32(truncatingIfNeeded: word) : nil
    }
    guard let smoothed = value(0), let variation = value(1), let facts = value(2),
      Self.stamp(now) &- UInt8(truncatingIfNeeded: facts >> 24) <= Self.lifetime
    else { return nil }
    var memory = TCPPathMemory()
    memory.smoothed = .microseconds(Int64(smoothed))
    memory.variation = .microseconds(Int64(variation))
    memory.threshold = Int(facts & 0xFFFF)
    memory.reordering = Int(facts >> 16 & 0xFF)
    return memory
  }

  /// A connection to `address` has learned this. Any context, which keeps `last`.
  func note(_ address: IPAddress, _ last: inout Place?, _ news: TCPPathMemory, now: Instant) {
    let place = place(address, &last)
    let memory = find(at: place, now: now)?.updated(by: news) ?? news
    let (index, tag) = (place.index, place.tag)
    func microseconds(_ span: Nanoseconds) -> UInt64 { UInt64(UInt32(clamping: span.count / 1000)) }
    let facts =
      UInt64(Self.stamp(now)) << 24 | UInt64(UInt8(clamping: memory.reordering)) << 16
      | UInt64(UInt16(clamping: memory.threshold))
    unsafe table[index].store(tag | microseconds(memory.smoothed))
    unsafe table[index + 1].store(tag | microseconds(memory.variation))
    unsafe table[index + 2].store(tag | facts)
    isUsed.store(1)
  }

  /// Forgets everything. Any thread.
  func forget() {
    for index in 0..<Self.capacity * Self.words { unsafe table[index].store(0) }
  }
}

extension SocketLayer {
  /// Forgets what connections have learned of the paths to their peers: round trips, reordering, thresholds (Linux: `ip
  /// tcp_metrics flush`). What routers said of them stays. Any thread.
  public func forgetPaths() { destinations.forget() }
}

extension ConnectionRef {
  /// A new connection begins with what others have learned of its path.
  func recallDestination(_ cx: inout SoftInterrupt) {
    let (address, now) = unsafe (shared.pointee.key.remoteAddress, cx.now)
    let sockets = SocketContextRef(cx)
    let known = sockets.withLayer { layer -> TCPPathMemory? in
      guard layer.configuration.remembers.contains(.roundTrip) else { return nil }
      let known = unsafe layer.destinations.find(address, &sockets.pointer.pointee.destination, now: now)
      guard var known else { return nil }
      if !layer.configuration.remembers.contains(.threshold) { known.threshold = 0 }
      return known
    }
    if let known { unsafe owned.pointee.engine.recall(known) }
  }

  /// Owner: the connection has come to its end in order, and what it has learned counts for others.
  func noteDestination(_ cx: inout SoftInterrupt) {
    guard let news = unsafe owned.pointee.engine.pathMemory else { return }
    let (address, now) = unsafe (shared.pointee.key.remoteAddress, cx.now)
    let sockets = SocketContextRef(cx)
    sockets.withLayer { layer in
      guard layer.configuration.remembers.contains(.roundTrip) else { return }
      unsafe layer.destinations.note(address, &sockets.pointer.pointee.destination, news, now: now)
    }
  }
}
