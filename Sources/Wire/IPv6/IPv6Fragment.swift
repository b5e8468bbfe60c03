/// A fragment header (RFC 8200 section 4.5).
@frozen public struct IPv6Fragment: Hashable, Sendable {
  /// Length of every fragment header.
  @inlinable public static var byteCount: Int { 8 }

  /// What follows the header in the first fragment.
  public var nextHeader: IPProtocol
  /// Where the payload belongs in the fragmentable part, in bytes: a multiple of 8 (lower bits are dropped).
  public var offset: UInt16
  /// M.
  public var moreFragments: Bool
  /// Identification, which the fragments of a packet share.
  public var identification: UInt32

  /// All fields.
  @inlinable
  public init(nextHeader: IPProtocol, offset: UInt16, moreFragments: Bool, identification: UInt32) {
    self.nextHeader = nextHeader
    self.offset = offset & ~7
    self.moreFragments = moreFragments
    self.identification = identification
  }

  /// A packet in one piece that carries the header all the same (RFC 6946).
  @inlinable public var isAtomic: Bool { offset == 0 && !moreFragments }

  /// Parses the header at the start of `bytes`.
  @inlinable
  public static func parse(_ bytes: RawSpan) throws(WireError) -> IPv6Fragment {
    try bytes.require(byteCount)
    let word = bytes.uint16(at: 2)
    return IPv6Fragment(
      nextHeader: IPProtocol(rawValue: bytes.uint8(at: 0)), offset: word & ~7, moreFragments: word & 1 != 0,
      identification: bytes.uint32(at: 4))
  }

  /// Bytes that `emit` writes.
  @inlinable public var byteCount: Int { Self.byteCount }

  /// Writes the header to the start of `span`.
  public func emit(into span: inout MutableRawSpan) {
    span.set(UInt16(nextHeader.rawValue) &<< 8, at: 0)
    span.set(offset & ~7 | (moreFragments ? 1 : 0), at: 2)
    span.set(identification, at: 4)
  }
}
