import Chance

/// The bytes of streams: what a byte is follows from the stream and its place, so that every byte can be checked
/// wherever it comes out.
enum Pattern {
  /// A prime, so that no segment size divides it.
  private static let period = 65521
  /// Bytes of one piece at most.
  static let longest = 65536
  private static let table: [UInt8] = {
    var random = SeededGenerator(seed: 0x5EED)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(period + longest)
    for _ in 0..<period { bytes.append(UInt8(truncatingIfNeeded: random.next() >> 24)) }
    for place in 0..<longest { bytes.append(bytes[place % period]) }
    return bytes
  }()

  /// Calls `body` with up to `count` bytes of the stream, from `position` on.
  static func withBytes<R>(
    of stream: UInt64, from position: Int, count: Int, _ body: (UnsafeRawBufferPointer) -> R
  ) -> R {
    let start = Int((stream &+ UInt64(position)) % UInt64(period))
    return unsafe table.withUnsafeBytes {
      unsafe body(UnsafeRawBufferPointer(rebasing: $0[start..<start + min(count, longest)]))
    }
  }

  /// Where `bytes`, at most ``longest``, differ from the stream at `position`; nil: nowhere.
  static func mismatch(of stream: UInt64, from position: Int, _ bytes: UnsafeRawBufferPointer) -> Int? {
    unsafe withBytes(of: stream, from: position, count: bytes.count) { expected in
      let words = bytes.count / 8
      for word in 0..<words
      where unsafe bytes.loadUnaligned(fromByteOffset: word * 8, as: UInt64.self)
        != expected.loadUnaligned(fromByteOffset: word * 8, as: UInt64.self)
      {
        return (word * 8..<word * 8 + 8).first { unsafe bytes[$0] != expected[$0] }
      }
      return (words * 8..<bytes.count).first { unsafe bytes[$0] != expected[$0] }
    }
  }
}
