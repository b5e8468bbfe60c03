// How the state of a connection at rest is kept small, without a word of it being lost: as what differs from a state
// that others of its kind once had (the *basis*), word by word and byte by byte. Most of an idle connection's state is
// its configuration, counters that are zero, and buffers that are empty.
//
//   bit map: a bit for each word that differs     then for each of these, in order:
//     a byte that says which bytes of it differ     then those bytes, xor the basis's
//
// What is packed is moved, bit for bit: it may hold references and pointers to other memory, though not to itself.

import Exclusion

/// Packs words against a basis.
enum PackedState {
  /// Packs `count` words at `words` into at most `limit` bytes. Returns how many it took; nil: they do not suffice.
  static func pack(
    _ words: UnsafePointer<UInt64>, _ count: Int, against basis: UnsafePointer<UInt64>,
    into bytes: UnsafeMutablePointer<UInt8>, limit: Int
  ) -> Int? {
    var end = (count + 7) / 8
    guard end <= limit else { return nil }
    for index in 0..<end { unsafe bytes[index] = 0 }
    for index in 0..<count {
      var rest = unsafe words[index] ^ basis[index]
      if rest == 0 { continue }
      // The longest a word can be.
      guard end + 9 <= limit else { return nil }
      unsafe bytes[index >> 3] |= 1 << UInt8(truncatingIfNeeded: index & 7)
      let place = end
      end += 1
      var mask: UInt8 = 0
      var bit: UInt8 = 1
      while rest != 0 {
        let byte = UInt8(truncatingIfNeeded: rest)
        if byte != 0 {
          mask |= bit
          unsafe bytes[end] = byte
          end += 1
        }
        rest >>= 8
        bit &<<= 1
      }
      unsafe bytes[place] = mask
    }
    return end
  }

  /// Puts back what `pack` has packed against the same basis.
  static func unpack(
    _ bytes: UnsafePointer<UInt8>, _ count: Int, against basis: UnsafePointer<UInt64>,
    into words: UnsafeMutablePointer<UInt64>
  ) {
    unsafe words.update(from: basis, count: count)
    var next = (count + 7) / 8
    for group in 0..<next {
      var map = unsafe bytes[group]
      while map != 0 {
        let index = group * 8 + map.trailingZeroBitCount
        map &= map - 1
        var mask = unsafe bytes[next]
        next += 1
        var difference: UInt64 = 0
        while mask != 0 {
          unsafe difference |= UInt64(bytes[next]) << UInt64(mask.trailingZeroBitCount * 8)
          next += 1
          mask &= mask - 1
        }
        unsafe words[index] ^= difference
      }
    }
  }
}

/// The bases of a stack: states of connections that were among the first of their kind to rest. Made when what there is
/// does not make a state small enough, and kept as long as the stack. Any thread.
@safe
final class RestBases: @unchecked Sendable {  // published once each
  /// Kinds of connections: client and server, of few configurations.
  static var limit: Int { 8 }

  private let places: InlineArray<8, AtomicWordBox>
  private let words: Int

  /// Each of `words` words.
  init(words: Int) {
    self.words = words
    places = InlineArray { _ in AtomicWordBox() }
  }
  deinit {
    for index in 0..<Self.limit { unsafe self[index]?.deallocate() }
  }

  /// The basis of a number below ``limit``; nil: there is none yet.
  subscript(index: Int) -> UnsafePointer<UInt64>? {
    unsafe UnsafePointer(bitPattern: UInt(truncatingIfNeeded: places[index].word.load()))
  }

  /// The basis of a number below ``limit``; if there is none yet, a copy of `state` becomes it. Of two who find none one
  /// makes it, and both get that: what is packed against a basis is found by its number.
  func obtain(_ index: Int, from state: UnsafePointer<UInt64>) -> UnsafePointer<UInt64> {
    if let basis = unsafe self[index] { return unsafe basis }
    let copy = UnsafeMutablePointer<UInt64>.allocate(capacity: words)
    unsafe copy.initialize(from: state, count: words)
    var seen: UInt64 = 0
    if places[index].word.compareExchange(&seen, UInt64(UInt(bitPattern: copy))) {
      return unsafe UnsafePointer(copy)
    }
    #if Explore
      if Mutation.restsOnLostBasis.isOn { return unsafe UnsafePointer(copy) }
    #endif
    unsafe copy.deallocate()
    return unsafe UnsafePointer(bitPattern: UInt(truncatingIfNeeded: seen)).unsafelyUnwrapped
  }
}

/// A word in an array.
final class AtomicWordBox: Sendable {
  let word = AtomicWord(0)
}
