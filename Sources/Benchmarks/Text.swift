import Glibc

/// The bytes of a stream, known by their place in it, so that what arrives can be judged: random bytes that begin
/// anew after a prime number of them. No lost, doubled or exchanged piece of a round size leaves them as they were.
@safe
struct Text: ~Copyable {
  private static var period: Int { 4093 }
  /// (c) A period, and the longest piece behind it.
  private let bytes: UnsafeMutableRawBufferPointer

  /// Pieces of it are no longer than `longest` bytes.
  init(longest: Int) {
    unsafe bytes = .allocate(byteCount: Self.period + longest, alignment: 64)
    var word: UInt64 = 0x9E37_79B9_7F4A_7C15
    for place in unsafe bytes.indices {
      if place < Self.period {
        word ^= word << 13
        word ^= word >> 7
        word ^= word << 17
        unsafe bytes[place] = UInt8(truncatingIfNeeded: word >> 24)
      } else {
        unsafe bytes[place] = bytes[place - Self.period]
      }
    }
  }
  deinit { unsafe bytes.deallocate() }

  /// `count` bytes from the place `start` of the stream on, as long as the text lives.
  func piece(from start: Int, count: Int) -> UnsafeRawBufferPointer {
    let place = start % Self.period
    return unsafe UnsafeRawBufferPointer(rebasing: bytes[place..<place + count])
  }

  /// Whether `piece` is what lies at `start`.
  func matches(_ piece: RawSpan, at start: Int) -> Bool {
    let count = piece.byteCount
    let own = unsafe self.piece(from: start, count: count)
    return unsafe piece.withUnsafeBytes { bytes in
      unsafe count == 0 || memcmp(own.baseAddress!, bytes.baseAddress!, count) == 0
    }
  }

  /// Whether its first and its last bytes are, eight of each where there are as many: costs next to nothing.
  func edgesMatch(_ piece: RawSpan, at start: Int) -> Bool {
    let tail = piece.byteCount - 8
    guard tail >= 0 else { return matches(piece, at: start) }
    let own = unsafe self.piece(from: start, count: piece.byteCount)
    return unsafe own.loadUnaligned(as: UInt64.self) == piece.unsafeLoadUnaligned(as: UInt64.self)
      && own.loadUnaligned(fromByteOffset: tail, as: UInt64.self)
        == piece.unsafeLoadUnaligned(fromByteOffset: tail, as: UInt64.self)
  }
}
