/// Up to 16 bytes as they lie in what is copied often: two words and a length, where ``InlineBytes`` has 17 fields.
@frozen @usableFromInline struct InlineWords: Hashable, Sendable {
  @usableFromInline var low: UInt64 = 0
  @usableFromInline var high: UInt64 = 0
  @usableFromInline var length: UInt8 = 0

  @inlinable init() {}
  @usableFromInline init(_ bytes: InlineBytes<16>) {
    for index in 0..<bytes.count {
      let byte = UInt64(bytes[index]) &<< UInt64(8 * (index & 7))
      if index < 8 { low |= byte } else { high |= byte }
    }
    length = bytes.length
  }

  @inlinable var count: Int { Int(length) }
  @usableFromInline var bytes: InlineBytes<16> {
    var bytes = InlineBytes<16>()
    for index in 0..<Int(length) {
      bytes.append(UInt8(truncatingIfNeeded: (index < 8 ? low : high) &>> UInt64(8 * (index & 7))))
    }
    return bytes
  }
}
