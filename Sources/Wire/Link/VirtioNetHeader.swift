/// What stands before each frame of a device that shares work on checksums and segments with its driver: virtio 1.2
/// section 5.1.6, in the form without the number of buffers, which is what TUN, TAP and packet sockets of Linux use.
@frozen public struct VirtioNetHeader: Hashable, Sendable {
  /// Length of every header.
  @inlinable public static var byteCount: Int { 10 }

  /// What is known of the checksum.
  @frozen public struct Flags: OptionSet, Hashable, Sendable {
    /// The bits.
    public let rawValue: UInt8
    /// Any bits.
    @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// The transport's checksum is to be completed.
    @inlinable public static var needsChecksum: Flags { Flags(rawValue: 1) }
    /// It was verified.
    @inlinable public static var dataValid: Flags { Flags(rawValue: 2) }
  }

  /// What a super-segment is made of.
  @frozen public struct Kind: RawRepresentable, Hashable, Sendable {
    /// The number.
    public let rawValue: UInt8
    /// Any number.
    @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// It is none.
    @inlinable public static var none: Kind { Kind(rawValue: 0) }
    /// TCP over IPv4.
    @inlinable public static var tcp4: Kind { Kind(rawValue: 1) }
    /// TCP over IPv6.
    @inlinable public static var tcp6: Kind { Kind(rawValue: 4) }
    /// Datagrams of UDP, over either.
    @inlinable public static var udp: Kind { Kind(rawValue: 5) }
  }

  /// What is known of the checksum.
  public var flags: Flags
  /// What it is made of.
  public var kind: Kind
  /// The first of the segments has CWR, and it alone (RFC 3168).
  public var hasCWR: Bool
  /// Bytes of headers in front of the payload; a hint.
  public var headerLength: UInt16
  /// Bytes of payload in each segment but the last.
  public var segmentSize: UInt16
  /// Where the checksum starts, from the frame's first byte.
  public var checksumStart: UInt16
  /// Where it is stored, from there.
  public var checksumOffset: UInt16

  /// Of a frame that leaves nothing to do.
  @inlinable public init() {
    (flags, kind, hasCWR) = ([], .none, false)
    (headerLength, segmentSize, checksumStart, checksumOffset) = (0, 0, 0, 0)
  }

  /// Parses the header at the start of `bytes`; whether it fits the frame behind it is for the caller to see.
  public static func parse(_ bytes: RawSpan) throws(WireError) -> VirtioNetHeader {
    try bytes.require(byteCount)
    var header = VirtioNetHeader()
    header.flags = Flags(rawValue: bytes.uint8(at: 0))
    header.kind = Kind(rawValue: bytes.uint8(at: 1) & 0x7F)
    header.hasCWR = bytes.uint8(at: 1) & 0x80 != 0
    // Little-endian, which network byte order is not.
    header.headerLength = bytes.uint16(at: 2).byteSwapped
    header.segmentSize = bytes.uint16(at: 4).byteSwapped
    header.checksumStart = bytes.uint16(at: 6).byteSwapped
    header.checksumOffset = bytes.uint16(at: 8).byteSwapped
    return header
  }

  /// Writes the header to the start of `span`.
  public func emit(into span: inout MutableRawSpan) {
    span.set(flags.rawValue, at: 0)
    span.set(kind.rawValue & 0x7F | (hasCWR ? 0x80 : 0), at: 1)
    span.set(headerLength.byteSwapped, at: 2)
    span.set(segmentSize.byteSwapped, at: 4)
    span.set(checksumStart.byteSwapped, at: 6)
    span.set(checksumOffset.byteSwapped, at: 8)
  }
}
