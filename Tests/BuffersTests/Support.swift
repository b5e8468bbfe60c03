import Buffers

/// `count` bytes that tell where they are from.
func pattern(_ count: Int, seed: Int = 0) -> [UInt8] {
  (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 &>> 8 &+ seed) }
}

extension Packet {
  /// All the packet's bytes, attached ones included.
  borrowing func allBytes() -> [UInt8] {
    var result: [UInt8] = []
    forEachSpan(from: 0, count: totalCount) { span in
      for index in 0..<span.byteCount { result.append(span.unsafeByte(index)) }
    }
    return result
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
    var result: [UInt8] = []
    forEachSpan(offset: 0, count: count) { span in
      for index in 0..<span.byteCount { result.append(span.unsafeByte(index)) }
    }
    return result
  }
  /// Some of the chain's bytes, copied out in one go.
  borrowing func copied(offset: Int, count: Int) -> [UInt8] {
    var result = [UInt8](repeating: 0, count: count)
    unsafe result.withUnsafeMutableBytes { target in
      guard let base = target.baseAddress else { return }
      unsafe copy(offset: offset, count: count, into: base)
    }
    return result
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
