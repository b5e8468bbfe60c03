/// An IPv4 packet in place, whose lengths have been checked (RFC 791, RFC 1122 section 3.2.1).
@frozen public struct IPv4View: ~Escapable {
  /// The packet, cut to its total length; a quoted one may be shorter than that.
  public let bytes: RawSpan

  /// Checks version, header length and total length against the bytes at hand. What follows the total length
  /// is link-layer padding and is left out. The checksum is looked at by `isChecksumValid`.
  @inlinable
  @_lifetime(copy packet)
  public init(_ packet: RawSpan) throws(WireError) {
    try Self.checkHeader(packet)
    let total = Int(packet.uint16(at: 2))
    guard total <= packet.byteCount else { throw .badLength(total) }
    bytes = packet.extracting(0..<total)
  }

  /// A packet quoted by an ICMP error: its end may be missing, its header may not.
  @inlinable
  @_lifetime(copy packet)
  public init(quoted packet: RawSpan) throws(WireError) {
    try Self.checkHeader(packet)
    bytes = packet.extracting(0..<min(packet.byteCount, Int(packet.uint16(at: 2))))
  }

  @inlinable
  static func checkHeader(_ packet: RawSpan) throws(WireError) {
    try packet.require(IPv4Header.fixedByteCount)
    let first = packet.uint8(at: 0)
    guard first &>> 4 == 4 else { throw .badVersion(first &>> 4) }
    let header = Int(first & 15) * 4
    guard header >= IPv4Header.fixedByteCount, header <= packet.byteCount else {
      throw .badHeaderLength(header)
    }
    let total = Int(packet.uint16(at: 2))
    guard total >= header else { throw .badLength(total) }
  }

  /// Length of header and options in bytes: 20...60.
  @inlinable public var headerByteCount: Int { Int(bytes.uint8(at: 0) & 15) * 4 }
  /// DSCP and ECN.
  @inlinable public var trafficClass: TrafficClass { TrafficClass(rawValue: bytes.uint8(at: 1)) }
  /// Length of the packet in bytes: 20...65535.
  @inlinable public var totalLength: Int { Int(bytes.uint16(at: 2)) }
  /// Identification, which the fragments of a packet share.
  @inlinable public var identification: UInt16 { bytes.uint16(at: 4) }
  /// DF.
  @inlinable public var dontFragment: Bool { bytes.uint8(at: 6) & 0x40 != 0 }
  /// MF.
  @inlinable public var moreFragments: Bool { bytes.uint8(at: 6) & 0x20 != 0 }
  /// Where the payload belongs in the reassembled packet's, in bytes: a multiple of 8 in 0...65528.
  @inlinable public var fragmentOffset: Int { Int(bytes.uint16(at: 6) & 0x1FFF) * 8 }
  /// The packet is a piece of another one.
  @inlinable public var isFragment: Bool { bytes.uint16(at: 6) & 0x3FFF != 0 }
  /// TTL.
  @inlinable public var timeToLive: UInt8 { bytes.uint8(at: 8) }
  /// Protocol of the payload.
  @inlinable public var `protocol`: IPProtocol { IPProtocol(rawValue: bytes.uint8(at: 9)) }
  /// The checksum field.
  @inlinable public var checksum: UInt16 { bytes.uint16(at: 10) }
  /// Source address.
  @inlinable public var source: IPv4Address { IPv4Address(bytes.uint32(at: 12)) }
  /// Destination address.
  @inlinable public var destination: IPv4Address { IPv4Address(bytes.uint32(at: 16)) }

  /// Whether the header checksum fits the header.
  @inlinable
  public var isChecksumValid: Bool { InternetChecksum.of(bytes.extracting(0..<headerByteCount)) == 0 }

  /// The bytes of the options, for `IPv4OptionCursor`.
  @inlinable
  public var options: RawSpan {
    @_lifetime(copy self)
    get { bytes.extracting(IPv4Header.fixedByteCount..<headerByteCount) }
  }

  /// The payload.
  @inlinable
  public var payload: RawSpan {
    @_lifetime(copy self)
    get { bytes.extracting(headerByteCount..<bytes.byteCount) }
  }
}
