/// Why bytes are not the message that they were taken for. Fixed size, so throwing one does not allocate.
@frozen public enum WireError: Error, Hashable, Sendable {
  /// Fewer bytes than the fixed part, or than a length field that bounds the header, asks for.
  case truncated(needed: Int, available: Int)
  /// The IP version field says something else than the parser's version.
  case badVersion(UInt8)
  /// A header length below the fixed header or beyond the bytes; in bytes.
  case badHeaderLength(Int)
  /// A length field that contradicts the bytes at hand: IPv4 total length, IPv6 payload length, UDP length.
  case badLength(Int)
  /// The checksum does not fit the bytes.
  case badChecksum
  /// An option whose length is impossible; `offset` is from the start of the options.
  case badOption(kind: UInt8, offset: Int)
  /// An ICMP code that the message's definition forbids.
  case badCode(type: UInt8, code: UInt8)
  /// Well-formed, of a kind that this stack does not speak: ARP for other networks.
  case unsupported
}

extension RawSpan {
  /// Throws `.truncated` unless the span holds `needed` bytes.
  @inlinable @inline(__always)
  func require(_ needed: Int) throws(WireError) {
    guard byteCount >= needed else { throw .truncated(needed: needed, available: byteCount) }
  }
}
