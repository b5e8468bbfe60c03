// What routers have said of paths (RFC 1191 section 5.2, RFC 8201 section 5.2): how large the segments to a destination may
// be, for the connections that follow. Contexts write and read; neither waits. An entry is one word, so that it is whole
// whenever it is read:
//
//   63        32 31        16 15         0
//   tag          segment      expiry
//
// The tag is of the address and of the generation of the routes: what was said of other routes is not found. Two
// destinations with the same tag share what is known of either, which costs the other one some bytes for each segment.

import Exclusion
import TCP
import Timing
import Wire

/// The sizes of segments by destination: one of several destinations with the same place, the one heard of last.
@safe
final class PathCache: @unchecked Sendable {  // all words are atomic
  static var capacity: Int { 4096 }
  /// How long a router's word counts (RFC 1191 section 6.3, RFC 8201 section 5.3; Linux's net.ipv4.route.mtu_expires).
  static var lifetime: Nanoseconds { .seconds(600) }
  /// What expiry counts in: 2³⁰ ns. Its 16 bits go round in 19 hours.
  private static var unit: UInt64 { 30 }

  private let words: UnsafeMutablePointer<AtomicWord>
  private let key: HashKey
  /// Whether a router ever said anything: most stacks need not look any further.
  private let isUsed = AtomicWord(0)

  init(key: HashKey) {
    self.key = key
    unsafe words = .allocate(capacity: Self.capacity)
    for index in 0..<Self.capacity { unsafe (words + index).initialize(to: AtomicWord(0)) }
  }
  deinit {
    unsafe words.deinitialize(count: Self.capacity)
    unsafe words.deallocate()
  }

  private func place(_ address: IPAddress, _ generation: UInt64) -> (word: Int, tag: UInt64) {
    let hash = keyedHash(key, address.high, address.low, generation)
    return (Int(truncatingIfNeeded: hash % UInt64(Self.capacity)), hash & 0xFFFF_FFFF_0000_0000)
  }

  /// Bytes of payload before options that a segment to `address` may have, if a router said so within ``lifetime``; nil:
  /// none did. `generation`: of the routes. Any context.
  func find(_ address: IPAddress, generation: UInt64, now: Instant) -> Int? {
    guard isUsed.load() != 0 else { return nil }
    let (index, tag) = place(address, generation)
    let word = unsafe words[index].load()
    guard word != 0, word & 0xFFFF_FFFF_0000_0000 == tag else { return nil }
    let left = UInt16(truncatingIfNeeded: word) &- UInt16(truncatingIfNeeded: now.nanoseconds >> Self.unit)
    guard UInt64(left) <= UInt64(Self.lifetime.count) >> Self.unit + 1 else { return nil }
    return Int(word >> 16 & 0xFFFF)
  }

  /// A router said that a segment to `address` may have so many bytes, 1...65535. Any context.
  func note(_ address: IPAddress, segment: Int, generation: UInt64, now: Instant) {
    let (index, tag) = place(address, generation)
    let expiry = UInt16(truncatingIfNeeded: (now + Self.lifetime).nanoseconds >> Self.unit)
    unsafe words[index].store(tag | UInt64(UInt16(clamping: segment)) << 16 | UInt64(expiry))
    isUsed.store(1)
  }
}

extension ConnectionRef {
  /// A new connection begins with what is known of its path. Its SYN says what this host takes, as ever.
  func recallPath(_ cx: inout SoftInterrupt) {
    guard unsafe owned.pointee.shape.marks.pathDiscovery == .routers else { return }
    let (address, now) = unsafe (shared.pointee.key.remoteAddress, cx.now)
    let sockets = SocketContextRef(cx)
    let known = sockets.withLayer { $0.paths.find(address, generation: $0.internet.generation, now: now) }
    let overhead = unsafe sockets.overhead(shared.pointee.key)
    if let known { unsafe owned.pointee.engine.pathKnown(segment: known - overhead) }
  }

  /// What a router said counts for others too, whatever their segments travel in.
  func notePath(_ segment: Int, _ cx: inout SoftInterrupt) {
    let (address, now) = unsafe (shared.pointee.key.remoteAddress, cx.now)
    let sockets = SocketContextRef(cx)
    let plain = unsafe segment + sockets.overhead(shared.pointee.key)
    sockets.withLayer {
      $0.paths.note(address, segment: plain, generation: $0.internet.generation, now: now)
    }
  }
}
