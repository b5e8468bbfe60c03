import Wire

/// SHA-1 (RFC 3174), which RFC 5926 makes codes and keys with. Here and not from a package: what there is allocates for
/// each message, which the path of packets does not, and comes with Foundation, which nothing below the interface has.
struct SHA1: BlockFunction {
  private var state: InlineArray<5, UInt32> = [
    0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0,
  ]

  static var isBigEndian: Bool { true }
  static var wordCount: Int { 5 }
  var words: InlineArray<5, UInt32> { state }

  private static func rotate(_ word: UInt32, _ by: UInt32) -> UInt32 { word << by | word >> (32 - by) }

  mutating func compress(_ block: InlineArray<16, UInt32>) {
    var schedule = block
    var (a, b, c, d, e) = (state[0], state[1], state[2], state[3], state[4])
    for step in 0..<80 {
      let slot = step & 15
      if step >= 16 {
        schedule[slot] = Self.rotate(
          schedule[(step + 13) & 15] ^ schedule[(step + 8) & 15] ^ schedule[(step + 2) & 15] ^ schedule[slot],
          1)
      }
      let mixed: UInt32
      let constant: UInt32
      switch step / 20 {
      case 0: (mixed, constant) = ((b & c) | (~b & d), 0x5A82_7999)
      case 1: (mixed, constant) = (b ^ c ^ d, 0x6ED9_EBA1)
      case 2: (mixed, constant) = ((b & c) | (b & d) | (c & d), 0x8F1B_BCDC)
      default: (mixed, constant) = (b ^ c ^ d, 0xCA62_C1D6)
      }
      let next = Self.rotate(a, 5) &+ mixed &+ e &+ constant &+ schedule[slot]
      (e, d, c, b, a) = (d, c, Self.rotate(b, 30), a, next)
    }
    state[0] &+= a
    state[1] &+= b
    state[2] &+= c
    state[3] &+= d
    state[4] &+= e
  }
}

/// HMAC with SHA-1 (RFC 2104). A copy of one that has taken nothing in begins another message: the key costs two
/// blocks once, and none for each.
struct HMACSHA1: ByteSink {
  private var inner = BlockHash<SHA1>()
  private var outer = BlockHash<SHA1>()

  init(key: RawSpan) {
    if key.byteCount > 64 {
      var hash = BlockHash<SHA1>()
      hash.update(key)
      let short = hash.finish()
      begin(short.bytes)
    } else {
      begin(key)
    }
  }

  private mutating func begin(_ key: RawSpan) {
    for index in 0..<64 {
      let byte = index < key.byteCount ? key.uint8(at: index) : 0
      inner.update(byte ^ 0x36)
      outer.update(byte ^ 0x5C)
    }
  }

  mutating func update(_ bytes: RawSpan) { inner.update(bytes) }
  mutating func update(_ byte: UInt8) { inner.update(byte) }

  consuming func finish() -> InlineBytes<20> {
    let digest = inner.finish()
    outer.update(digest.bytes)
    return outer.finish()
  }
}
