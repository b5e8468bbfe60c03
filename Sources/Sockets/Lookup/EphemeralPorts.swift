import Exclusion
import Wire

/// Chooses local ports that outsiders cannot predict, and that differ for each destination: RFC 6056 algorithm 4, a
/// secret offset for each destination and a counter for some of them together. What a search passed over is not looked
/// at again by the next one, so that many used ports in a row cost one search, and not each. The range never wraps to 0
/// (L10).
struct EphemeralPorts: Sendable {
  private let range: ClosedRange<UInt16>
  private let key: HashKey
  private let counters = PortCounters()

  init(_ range: ClosedRange<UInt16>, key: HashKey) {
    self.range = max(1, range.lowerBound)...max(1, range.upperBound)
    self.key = key
  }

  /// How many there are.
  private var count: UInt64 { UInt64(range.upperBound) - UInt64(range.lowerBound) + 1 }
  private func port(_ number: UInt64) -> UInt16 { UInt16(UInt64(range.lowerBound) + number % count) }

  /// The first port for `flow` that `isFree`, each looked at once, beginning where the destination's offset and counter
  /// say; nil: none is. Any thread: who is late by a little begins where another did, and goes on.
  func first(for flow: FlowKey, where isFree: (UInt16) -> Bool) -> UInt16? {
    let hash = keyedHash(
      key, flow.localAddress.high, flow.localAddress.low, flow.remoteAddress.high, flow.remoteAddress.low,
      UInt64(flow.remotePort))
    let counter = unsafe counters[keyedHash(key, hash)]
    let start = unsafe (hash >> 1) &+ counter.pointee.load()
    for step in 0..<count {
      let port = port(start &+ step)
      if isFree(port) {
        unsafe counter.pointee.add(step + 1)
        return port
      }
    }
    return nil
  }

  /// The first port that `isFree`, each looked at once, for a socket without a destination; nil: none is.
  func firstOfAny(where isFree: (UInt16) -> Bool) -> UInt16? {
    let counter = unsafe counters[0]
    let start = keyedHash(key, unsafe counter.pointee.add(1)) >> 1
    for step in 0..<count {
      let port = port(start &+ step)
      if isFree(port) { return port }
    }
    return nil
  }
}

/// The counters of RFC 6056 section 3.3.4, by a hash of the destination.
@safe private final class PortCounters: @unchecked Sendable {  // each is atomic
  private static var count: Int { 1024 }
  private let words: UnsafeMutablePointer<NarrowWord>

  init() {
    unsafe words = SharedMemory.allocate(byteCount: Self.count * 4, alignment: 64)
      .bindMemory(to: NarrowWord.self, capacity: Self.count)
    for index in 0..<Self.count { unsafe (words + index).initialize(to: NarrowWord(0)) }
  }
  deinit {
    unsafe words.deinitialize(count: Self.count)
    unsafe SharedMemory.deallocate(words, byteCount: Self.count * 4)
  }

  subscript(hash: UInt64) -> UnsafePointer<NarrowWord> {
    unsafe UnsafePointer(words + Int(truncatingIfNeeded: hash) & (Self.count - 1))
  }
}
