// Reading and writing integers in network byte order. All parsers and emitters go through these members,
// which are bounds-checked; they, `InlineBytes` and the checksum's loop are where this target says `unsafe`.

extension RawSpan {
  /// The byte at `offset`. Traps outside the span, as every member of this file does.
  @inlinable @inline(__always)
  public func uint8(at offset: Int) -> UInt8 {
    unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt8.self)
  }

  /// The two bytes from `offset`, in network byte order.
  @inlinable @inline(__always)
  public func uint16(at offset: Int) -> UInt16 {
    unsafe UInt16(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }

  /// The four bytes from `offset`, in network byte order.
  @inlinable @inline(__always)
  public func uint32(at offset: Int) -> UInt32 {
    unsafe UInt32(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }

  /// The eight bytes from `offset`, in network byte order.
  @inlinable @inline(__always)
  public func uint64(at offset: Int) -> UInt64 {
    unsafe UInt64(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }
}

extension MutableRawSpan {
  /// Stores an integer of any width in network byte order. Traps outside the span.
  @inlinable @inline(__always)
  public mutating func set<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at offset: Int) {
    storeBytes(of: value.bigEndian, toByteOffset: offset, as: Value.self)
  }

  /// Copies `source` to the bytes from `offset`. Traps if they do not fit.
  @inlinable
  public mutating func copy(_ source: RawSpan, at offset: Int) {
    precondition(offset >= 0 && source.byteCount <= byteCount - offset, "copy beyond the end of a span")
    guard source.byteCount > 0 else { return }
    unsafe withUnsafeMutableBytes { target in
      unsafe source.withUnsafeBytes { bytes in
        // Both base addresses exist: neither span is empty here.
        unsafe target.baseAddress.unsafelyUnwrapped.advanced(by: offset)
          .copyMemory(from: bytes.baseAddress.unsafelyUnwrapped, byteCount: bytes.count)
      }
    }
  }

  /// Stores zero into `range`.
  @inlinable
  public mutating func clear(_ range: Range<Int>) {
    for offset in range { storeBytes(of: 0, toByteOffset: offset, as: UInt8.self) }
  }
}
