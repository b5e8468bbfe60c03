/// The secret of a keyed hash.
@frozen public struct HashKey: Hashable, Sendable {
  @usableFromInline let low: UInt64
  @usableFromInline let high: UInt64

  /// From the system's random numbers: one that attackers do not know.
  public init() {
    var system = SystemRandomNumberGenerator()
    (low, high) = (system.next(), system.next())
  }
  /// From a seed, for simulations that must repeat.
  public init(seed: UInt64) {
    // splitmix64
    func mixed(_ step: UInt64) -> UInt64 {
      var word = seed &+ step &* 0x9E37_79B9_7F4A_7C15
      word = (word ^ (word &>> 30)) &* 0xBF58_476D_1CE4_E5B9
      word = (word ^ (word &>> 27)) &* 0x94D0_49BB_1331_11EB
      return word ^ (word &>> 31)
    }
    (low, high) = (mixed(1), mixed(2))
  }
  /// The 16 bytes of the key as two little-endian words.
  @inlinable public init(low: UInt64, high: UInt64) { (self.low, self.high) = (low, high) }
}

/// SipHash-1-3 over 64-bit words (Aumasson and Bernstein), of which attackers cannot find collisions without the
/// key. One round per word, three at the end.
@frozen public struct KeyedHasher: Sendable {
  @usableFromInline var v0: UInt64
  @usableFromInline var v1: UInt64
  @usableFromInline var v2: UInt64
  @usableFromInline var v3: UInt64
  @usableFromInline var bytes: UInt64 = 0

  /// Nothing hashed yet.
  @inlinable @inline(__always) public init(_ key: HashKey) {
    v0 = key.low ^ 0x736f_6d65_7073_6575
    v1 = key.high ^ 0x646f_7261_6e64_6f6d
    v2 = key.low ^ 0x6c79_6765_6e65_7261
    v3 = key.high ^ 0x7465_6462_7974_6573
  }

  @inlinable @inline(__always) static func rotate(_ word: UInt64, _ by: UInt64) -> UInt64 {
    word &<< by | word &>> (64 &- by)
  }
  @inlinable @inline(__always) mutating func round() {
    v0 &+= v1
    v1 = Self.rotate(v1, 13) ^ v0
    v0 = Self.rotate(v0, 32)
    v2 &+= v3
    v3 = Self.rotate(v3, 16) ^ v2
    v0 &+= v3
    v3 = Self.rotate(v3, 21) ^ v0
    v2 &+= v1
    v1 = Self.rotate(v1, 17) ^ v2
    v2 = Self.rotate(v2, 32)
  }
  /// Adds eight bytes.
  @inlinable @inline(__always) public mutating func combine(_ word: UInt64) {
    v3 ^= word
    round()
    v0 ^= word
    bytes &+= 8
  }
  /// The hash of what was added.
  @inlinable @inline(__always) public consuming func finish() -> UInt64 {
    let last = bytes &<< 56
    v3 ^= last
    round()
    v0 ^= last
    v2 ^= 0xff
    round()
    round()
    round()
    return v0 ^ v1 ^ v2 ^ v3
  }
}

/// The keyed hash of one word.
@inlinable @inline(__always) public func keyedHash(_ key: HashKey, _ a: UInt64) -> UInt64 {
  var hasher = KeyedHasher(key)
  hasher.combine(a)
  return hasher.finish()
}
/// The keyed hash of two words.
@inlinable @inline(__always) public func keyedHash(_ key: HashKey, _ a: UInt64, _ b: UInt64) -> UInt64 {
  var hasher = KeyedHasher(key)
  hasher.combine(a)
  hasher.combine(b)
  return hasher.finish()
}
/// The keyed hash of three words.
@inlinable @inline(__always)
public func keyedHash(_ key: HashKey, _ a: UInt64, _ b: UInt64, _ c: UInt64) -> UInt64 {
  var hasher = KeyedHasher(key)
  hasher.combine(a)
  hasher.combine(b)
  hasher.combine(c)
  return hasher.finish()
}
/// The keyed hash of five words: two addresses, and ports with a protocol.
@inlinable @inline(__always)
public func keyedHash(
  _ key: HashKey, _ a: UInt64, _ b: UInt64, _ c: UInt64, _ d: UInt64, _ e: UInt64
) -> UInt64 {
  var hasher = KeyedHasher(key)
  hasher.combine(a)
  hasher.combine(b)
  hasher.combine(c)
  hasher.combine(d)
  hasher.combine(e)
  return hasher.finish()
}
