import Wire

/// A hash over blocks of 64 bytes: MD5, SHA-1.
protocol BlockFunction {
  /// The value before the first block.
  init()
  /// Words and lengths are big-endian.
  static var isBigEndian: Bool { get }
  /// Takes a block of sixteen words in.
  mutating func compress(_ block: InlineArray<16, UInt32>)
  /// The value in 32-bit words, and how many there are.
  var words: InlineArray<5, UInt32> { get }
  static var wordCount: Int { get }
}

/// Cuts what comes into blocks. Fixed size; nothing is allocated.
struct BlockHash<Function: BlockFunction>: ByteSink {
  private var function = Function()
  private var block = InlineArray<16, UInt32>(repeating: 0)
  private var total: UInt64 = 0

  /// One byte.
  mutating func update(_ byte: UInt8) {
    let place = Int(total & 63)
    let shift = UInt32(Function.isBigEndian ? 24 - 8 * (place & 3) : 8 * (place & 3))
    let word = place >> 2
    if place & 3 == 0 { block[word] = 0 }
    block[word] |= UInt32(byte) << shift
    total += 1
    if place == 63 { function.compress(block) }
  }

  /// Many bytes; whole words at a time where they fall on words.
  mutating func update(_ bytes: RawSpan) {
    var at = 0
    while at < bytes.byteCount {
      guard total & 3 == 0, bytes.byteCount - at >= 4 else {
        update(bytes.uint8(at: at))
        at += 1
        continue
      }
      let word = bytes.uint32(at: at)
      let place = Int(total & 63) >> 2
      block[place] = Function.isBigEndian ? word : word.byteSwapped
      total += 4
      at += 4
      if place == 15 { function.compress(block) }
    }
  }

  /// The hash of what came.
  consuming func finish() -> InlineBytes<20> {
    let bits = total * 8
    update(0x80)
    while total & 63 != 56 { update(0) }
    for index in 0..<8 {
      let shift = UInt64(Function.isBigEndian ? 56 - 8 * index : 8 * index)
      update(UInt8(truncatingIfNeeded: bits >> shift))
    }
    var digest = InlineBytes<20>()
    let words = function.words
    for word in 0..<Function.wordCount {
      for index in 0..<4 {
        let shift = UInt32(Function.isBigEndian ? 24 - 8 * index : 8 * index)
        digest.append(UInt8(truncatingIfNeeded: words[word] >> shift))
      }
    }
    return digest
  }
}
