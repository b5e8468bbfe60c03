import Wire

/// AES with keys of 128 bits, encryption only (FIPS 197), byte by byte. Its table look-ups depend on the key: a program
/// that shares this core's cache could learn of it. Why it is no package's: ``SHA1``.
struct AES128 {
  private var schedule = InlineArray<176, UInt8>(repeating: 0)

  /// The S-box: the inverse in GF(2⁸), and an affine map (FIPS 197 section 5.1.1).
  private static let box: InlineArray<256, UInt8> = [
    0x63, 0x7C, 0x77, 0x7B, 0xF2, 0x6B, 0x6F, 0xC5, 0x30, 0x01, 0x67, 0x2B, 0xFE, 0xD7, 0xAB, 0x76,
    0xCA, 0x82, 0xC9, 0x7D, 0xFA, 0x59, 0x47, 0xF0, 0xAD, 0xD4, 0xA2, 0xAF, 0x9C, 0xA4, 0x72, 0xC0,
    0xB7, 0xFD, 0x93, 0x26, 0x36, 0x3F, 0xF7, 0xCC, 0x34, 0xA5, 0xE5, 0xF1, 0x71, 0xD8, 0x31, 0x15,
    0x04, 0xC7, 0x23, 0xC3, 0x18, 0x96, 0x05, 0x9A, 0x07, 0x12, 0x80, 0xE2, 0xEB, 0x27, 0xB2, 0x75,
    0x09, 0x83, 0x2C, 0x1A, 0x1B, 0x6E, 0x5A, 0xA0, 0x52, 0x3B, 0xD6, 0xB3, 0x29, 0xE3, 0x2F, 0x84,
    0x53, 0xD1, 0x00, 0xED, 0x20, 0xFC, 0xB1, 0x5B, 0x6A, 0xCB, 0xBE, 0x39, 0x4A, 0x4C, 0x58, 0xCF,
    0xD0, 0xEF, 0xAA, 0xFB, 0x43, 0x4D, 0x33, 0x85, 0x45, 0xF9, 0x02, 0x7F, 0x50, 0x3C, 0x9F, 0xA8,
    0x51, 0xA3, 0x40, 0x8F, 0x92, 0x9D, 0x38, 0xF5, 0xBC, 0xB6, 0xDA, 0x21, 0x10, 0xFF, 0xF3, 0xD2,
    0xCD, 0x0C, 0x13, 0xEC, 0x5F, 0x97, 0x44, 0x17, 0xC4, 0xA7, 0x7E, 0x3D, 0x64, 0x5D, 0x19, 0x73,
    0x60, 0x81, 0x4F, 0xDC, 0x22, 0x2A, 0x90, 0x88, 0x46, 0xEE, 0xB8, 0x14, 0xDE, 0x5E, 0x0B, 0xDB,
    0xE0, 0x32, 0x3A, 0x0A, 0x49, 0x06, 0x24, 0x5C, 0xC2, 0xD3, 0xAC, 0x62, 0x91, 0x95, 0xE4, 0x79,
    0xE7, 0xC8, 0x37, 0x6D, 0x8D, 0xD5, 0x4E, 0xA9, 0x6C, 0x56, 0xF4, 0xEA, 0x65, 0x7A, 0xAE, 0x08,
    0xBA, 0x78, 0x25, 0x2E, 0x1C, 0xA6, 0xB4, 0xC6, 0xE8, 0xDD, 0x74, 0x1F, 0x4B, 0xBD, 0x8B, 0x8A,
    0x70, 0x3E, 0xB5, 0x66, 0x48, 0x03, 0xF6, 0x0E, 0x61, 0x35, 0x57, 0xB9, 0x86, 0xC1, 0x1D, 0x9E,
    0xE1, 0xF8, 0x98, 0x11, 0x69, 0xD9, 0x8E, 0x94, 0x9B, 0x1E, 0x87, 0xE9, 0xCE, 0x55, 0x28, 0xDF,
    0x8C, 0xA1, 0x89, 0x0D, 0xBF, 0xE6, 0x42, 0x68, 0x41, 0x99, 0x2D, 0x0F, 0xB0, 0x54, 0xBB, 0x16,
  ]

  private static func doubled(_ byte: UInt8) -> UInt8 { byte << 1 ^ (byte & 0x80 != 0 ? 0x1B : 0) }

  /// `key` has 16 bytes.
  init(_ key: InlineArray<16, UInt8>) {
    for index in 0..<16 { schedule[index] = key[index] }
    var round: UInt8 = 1
    for word in 4..<44 {
      var bytes: InlineArray<4, UInt8> = [
        schedule[4 * word - 4], schedule[4 * word - 3], schedule[4 * word - 2], schedule[4 * word - 1],
      ]
      if word & 3 == 0 {
        bytes = [
          Self.box[Int(bytes[1])] ^ round, Self.box[Int(bytes[2])], Self.box[Int(bytes[3])],
          Self.box[Int(bytes[0])],
        ]
        round = Self.doubled(round)
      }
      for index in 0..<4 { schedule[4 * word + index] = schedule[4 * word - 16 + index] ^ bytes[index] }
    }
  }

  /// One block.
  func encrypt(_ plain: InlineArray<16, UInt8>) -> InlineArray<16, UInt8> {
    var block = plain
    for index in 0..<16 { block[index] ^= schedule[index] }
    for round in 1...10 {
      var shifted = InlineArray<16, UInt8>(repeating: 0)
      // The bytes stand in columns; the row r moves by r columns.
      for index in 0..<16 { shifted[index] = Self.box[Int(block[(index + 4 * (index & 3)) & 15])] }
      if round < 10 {
        for column in 0..<4 {
          let (a, b, c, d) = (
            shifted[4 * column], shifted[4 * column + 1], shifted[4 * column + 2], shifted[4 * column + 3]
          )
          let all = a ^ b ^ c ^ d
          shifted[4 * column] = a ^ all ^ Self.doubled(a ^ b)
          shifted[4 * column + 1] = b ^ all ^ Self.doubled(b ^ c)
          shifted[4 * column + 2] = c ^ all ^ Self.doubled(c ^ d)
          shifted[4 * column + 3] = d ^ all ^ Self.doubled(d ^ a)
        }
      }
      for index in 0..<16 { block[index] = shifted[index] ^ schedule[16 * round + index] }
    }
    return block
  }
}

/// AES-CMAC (RFC 4493). A copy of one that has taken nothing in begins another message.
struct AESCMAC: ByteSink {
  private let cipher: AES128
  private var state = InlineArray<16, UInt8>(repeating: 0)
  private var block = InlineArray<16, UInt8>(repeating: 0)
  private var fill = 0

  /// `key` has 16 bytes.
  init(key: InlineArray<16, UInt8>) { cipher = AES128(key) }

  mutating func update(_ byte: UInt8) {
    // The last block is treated apart: one is kept until more comes.
    if fill == 16 {
      absorb()
      fill = 0
    }
    block[fill] = byte
    fill += 1
  }
  mutating func update(_ bytes: RawSpan) {
    for index in 0..<bytes.byteCount { update(bytes.uint8(at: index)) }
  }

  private mutating func absorb() {
    for index in 0..<16 { state[index] ^= block[index] }
    state = cipher.encrypt(state)
  }

  private static func doubled(_ block: InlineArray<16, UInt8>) -> InlineArray<16, UInt8> {
    var result = block
    for index in 0..<16 { result[index] = block[index] << 1 | (index < 15 ? block[index + 1] >> 7 : 0) }
    if block[0] & 0x80 != 0 { result[15] ^= 0x87 }
    return result
  }

  consuming func finish() -> InlineBytes<20> {
    var subkey = Self.doubled(cipher.encrypt(InlineArray(repeating: 0)))
    if fill < 16 {
      subkey = Self.doubled(subkey)
      for index in fill..<16 { block[index] = index == fill ? 0x80 : 0 }
    }
    for index in 0..<16 { block[index] ^= subkey[index] }
    absorb()
    var code = InlineBytes<20>()
    for index in 0..<16 { code.append(state[index]) }
    return code
  }
}
