/// A UDP datagram in place, whose length has been checked (RFC 768).
@frozen public struct UDPView: ~Escapable {
  /// The datagram, cut to its length field.
  public let bytes: RawSpan

  /// Checks the length field against the bytes at hand; what follows the datagram is left out.
  @inlinable
  @_lifetime(copy datagram)
  public init(_ datagram: RawSpan) throws(WireError) {
    try datagram.require(UDPHeader.byteCount)
    let length = Int(datagram.uint16(at: 4))
    guard length >= UDPHeader.byteCount, length <= datagram.byteCount else { throw .badLength(length) }
    bytes = datagram.extracting(0..<length)
  }

  /// Source port; 0 if no answer is wanted.
  @inlinable public var sourcePort: UInt16 { bytes.uint16(at: 0) }
  /// Destination port.
  @inlinable public var destinationPort: UInt16 { bytes.uint16(at: 2) }
  /// The checksum field; 0 if there is none.
  @inlinable public var checksum: UInt16 { bytes.uint16(at: 6) }

  /// The payload.
  @inlinable
  public var payload: RawSpan {
    @_lifetime(copy self)
    get { bytes.extracting(UDPHeader.byteCount..<bytes.byteCount) }
  }

  /// Whether the checksum fits the bytes and the addresses of the IP header. None at all is right for IPv4
  /// and wrong for IPv6 (RFC 8200 section 8.1).
  @inlinable
  public func isChecksumValid(source: IPAddress, destination: IPAddress) -> Bool {
    if checksum == 0 { return destination.isIPv4 }
    return InternetChecksum.of(bytes, source: source, destination: destination, protocol: .udp) == 0
  }
}

/// The fields of a UDP header (RFC 768).
@frozen public struct UDPHeader: Hashable, Sendable {
  /// Length of every header.
  @inlinable public static var byteCount: Int { 8 }
  /// Where the checksum stands.
  @inlinable public static var checksumOffset: Int { 6 }

  /// Source port.
  public var sourcePort: UInt16
  /// Destination port.
  public var destinationPort: UInt16
  /// Length of header and payload in bytes.
  public var length: UInt16

  /// A header for `payloadByteCount` bytes, at most 65527.
  @inlinable
  public init(sourcePort: UInt16, destinationPort: UInt16, payloadByteCount: Int) {
    self.sourcePort = sourcePort
    self.destinationPort = destinationPort
    length = UInt16(Self.byteCount + payloadByteCount)
  }

  /// Parses the header at the start of `datagram`; the payload is from `byteCount` up to `length`. The
  /// checksum is not looked at.
  @inlinable
  public static func parse(_ datagram: RawSpan) throws(WireError) -> UDPHeader {
    let view = try UDPView(datagram)
    return UDPHeader(
      sourcePort: view.sourcePort, destinationPort: view.destinationPort,
      payloadByteCount: view.bytes.byteCount - byteCount)
  }

  /// Parses the header of a datagram of `total` bytes, of which the first are at hand. Nil: they are no such.
  @inlinable
  public static func parse(_ datagram: RawSpan, of total: Int) -> UDPHeader? {
    guard datagram.byteCount >= byteCount else { return nil }
    let length = Int(datagram.uint16(at: 4))
    guard length >= byteCount, length <= total else { return nil }
    return UDPHeader(
      sourcePort: datagram.uint16(at: 0), destinationPort: datagram.uint16(at: 2),
      payloadByteCount: length - byteCount)
  }

  /// Bytes that `emit` writes.
  @inlinable public var byteCount: Int { Self.byteCount }

  /// Writes the header to the start of `span`, with a zero checksum; `InternetChecksum.seal` fills it in when
  /// the payload is in place.
  @inlinable
  public func emit(into span: inout MutableRawSpan) {
    span.set(sourcePort, at: 0)
    span.set(destinationPort, at: 2)
    span.set(length, at: 4)
    span.set(0 as UInt16, at: 6)
  }
}

/// The first eight bytes of a TCP or UDP header, all that an ICMP error must quote (RFC 792).
@frozen public struct QuotedTransport: Hashable, Sendable {
  /// Source port.
  public let sourcePort: UInt16
  /// Destination port.
  public let destinationPort: UInt16
  /// TCP's sequence number; something else for UDP. What RFC 5927 wants compared with the window.
  public let sequence: SequenceNumber

  /// Parses the start of a quoted packet's payload.
  public static func parse(_ bytes: RawSpan) throws(WireError) -> QuotedTransport {
    try bytes.require(8)
    return QuotedTransport(
      sourcePort: bytes.uint16(at: 0), destinationPort: bytes.uint16(at: 2),
      sequence: SequenceNumber(bytes.uint32(at: 4)))
  }
}
