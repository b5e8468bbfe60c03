import Buffers

/// `count` bytes that tell where they are from.
func pattern(_ count: Int, seed: Int = 0) -> [UInt8] {
  var result = [UInt8](repeating: UInt8(truncatingIfNeeded: seed), count: count)
  var index = 1
  while index < count {
    result[index] = result[index &- 1] &+ (index & 255 == 0 ? 32 : 31)
    index &+= 1
  }
  return result
}

extension Packet {
  /// All the packet's bytes, attached ones included.
  borrowing func allBytes() -> [UInt8] {
    let total = totalCount
    return unsafe [UInt8](unsafeUninitializedCapacity: max(total, 1)) { target, count in
      unsafe copyBytes(from: 0, count: total, into: target.baseAddress!)
      count = total
    }
  }
  /// Appends bytes.
  mutating func write(_ content: [UInt8]) {
    let at = count
    append(content.count)
    var span = mutableBytes
    for (index, byte) in content.enumerated() { span.store(byte, at: at + index) }
  }
}

extension ByteChain {
  /// All the chain's bytes.
  borrowing func allBytes() -> [UInt8] {
    copied(offset: 0, count: count)
  }
  /// Some of the chain's bytes, copied out in one go.
  borrowing func copied(offset: Int, count: Int) -> [UInt8] {
    unsafe [UInt8](unsafeUninitializedCapacity: max(count, 1)) { target, filled in
      unsafe copy(offset: offset, count: count, into: target.baseAddress!)
      filled = count
    }
  }
}

extension ChunkPoolRef {
  /// A chain of `content`.
  func chain(_ content: [UInt8]) -> ByteChain? {
    unsafe makeChain(copying: content.span.bytes)
  }
}

extension RawSpan {
  func unsafeByte(_ index: Int) -> UInt8 { unsafe unsafeLoad(fromByteOffset: index, as: UInt8.self) }
}
extension MutableRawSpan {
  mutating func store(_ byte: UInt8, at index: Int) {
    precondition(index >= 0 && index < byteCount)
    storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
  }
}
