/// A TCP segment in place: header, options and payload, whose lengths have been checked.
@frozen public struct TCPView: ~Escapable {
  /// The whole segment.
  public let bytes: RawSpan

  /// Checks the fixed header and the data offset. Options are looked at by `TCPOptions.parse`, the checksum
  /// by `isChecksumValid`.
  @inlinable @inline(__always)
  @_lifetime(copy segment)
  public init(_ segment: RawSpan) throws(WireError) {
    try segment.require(TCPHeader.fixedByteCount)
    let header = Int(segment.uint8(at: 12) &>> 4) * 4
    guard header >= TCPHeader.fixedByteCount, header <= segment.byteCount else {
      throw .badHeaderLength(header)
    }
    bytes = segment
  }

  /// Source port.
  @inlinable public var sourcePort: UInt16 { bytes.uint16(at: 0) }
  /// Destination port.
  @inlinable public var destinationPort: UInt16 { bytes.uint16(at: 2) }
  /// SEG.SEQ.
  @inlinable public var sequence: SequenceNumber { SequenceNumber(bytes.uint32(at: 4)) }
  /// SEG.ACK; means something with ACK only.
  @inlinable public var acknowledgment: SequenceNumber { SequenceNumber(bytes.uint32(at: 8)) }
  /// Length of header and options in bytes: 20...60.
  @inlinable public var headerByteCount: Int { Int(bytes.uint8(at: 12) &>> 4) * 4 }
  /// Control bits.
  @inlinable public var flags: TCPFlags { TCPFlags(rawValue: bytes.uint16(at: 12)) }
  /// SEG.WND as on the wire, not scaled.
  @inlinable public var window: UInt16 { bytes.uint16(at: 14) }
  /// The checksum field.
  @inlinable public var checksum: UInt16 { bytes.uint16(at: 16) }
  /// SEG.UP; means something with URG only.
  @inlinable public var urgentPointer: UInt16 { bytes.uint16(at: 18) }

  /// The bytes of the options.
  @inlinable
  public var options: RawSpan {
    @_lifetime(copy self)
    get { bytes.extracting(TCPHeader.fixedByteCount..<headerByteCount) }
  }

  /// The payload.
  @inlinable
  public var payload: RawSpan {
    @_lifetime(copy self)
    get { bytes.extracting(headerByteCount..<bytes.byteCount) }
  }

  /// Whether the checksum fits the bytes and the addresses of the IP header.
  @inlinable
  public func isChecksumValid(source: IPAddress, destination: IPAddress) -> Bool {
    InternetChecksum.of(bytes, source: source, destination: destination, protocol: .tcp) == 0
  }
}

/// The fields of a TCP header (RFC 9293 section 3.1).
@frozen public struct TCPHeader: Hashable, Sendable {
  /// Length without options.
  @inlinable public static var fixedByteCount: Int { 20 }
  /// Length with the most options.
  @inlinable public static var maximumByteCount: Int { 60 }
  /// Where the checksum stands.
  @inlinable public static var checksumOffset: Int { 16 }

  /// Source port.
  public var sourcePort: UInt16
  /// Destination port.
  public var destinationPort: UInt16
  /// SEG.SEQ.
  public var sequence: SequenceNumber
  /// SEG.ACK.
  public var acknowledgment: SequenceNumber
  /// Control bits.
  public var flags: TCPFlags
  /// SEG.WND as on the wire, not scaled.
  public var window: UInt16
  /// SEG.UP.
  public var urgentPointer: UInt16
  /// The options.
  public var options: TCPOptions

  /// All fields.
  @inlinable
  public init(
    sourcePort: UInt16, destinationPort: UInt16, sequence: SequenceNumber,
    acknowledgment: SequenceNumber, flags: TCPFlags, window: UInt16, urgentPointer: UInt16 = 0,
    options: TCPOptions = TCPOptions()
  ) {
    self.sourcePort = sourcePort
    self.destinationPort = destinationPort
    self.sequence = sequence
    self.acknowledgment = acknowledgment
    self.flags = flags
    self.window = window
    self.urgentPointer = urgentPointer
    self.options = options
  }

  /// Parses the header at the start of `segment`; `byteCount` is where the payload begins. It can differ from
  /// the header's own `byteCount`: unknown options are skipped. The checksum is not looked at.
  public static func parse(_ segment: RawSpan) throws(WireError) -> (header: TCPHeader, byteCount: Int) {
    if let glance = TCPGlance(segment) {
      // What nearly every segment has, whose options need not be looked for.
      var header = TCPHeader(
        sourcePort: segment.uint16(at: 0), destinationPort: segment.uint16(at: 2),
        sequence: glance.sequence, acknowledgment: glance.acknowledgment, flags: glance.flags,
        window: glance.window, urgentPointer: segment.uint16(at: 18))
      if glance.hasTimestamps { header.options.timestamps = glance.timestamps }
      return (header, glance.headerByteCount)
    }
    let view = try TCPView(segment)
    var header = TCPHeader(
      sourcePort: view.sourcePort, destinationPort: view.destinationPort, sequence: view.sequence,
      acknowledgment: view.acknowledgment, flags: view.flags, window: view.window,
      urgentPointer: view.urgentPointer)
    try header.options.read(view.options)
    return (header, view.headerByteCount)
  }

  /// Bytes that `emit` writes: 20...60.
  @inlinable public var byteCount: Int { Self.fixedByteCount + options.byteCount }

  /// Writes the header to the start of `span`, with a zero checksum; `InternetChecksum.seal` fills it in when
  /// the payload is in place. `order`: of a SYN's options.
  public func emit(into span: inout MutableRawSpan, order: TCPOptionOrder = .linux) {
    span.set(sourcePort, at: 0)
    span.set(destinationPort, at: 2)
    span.set(sequence.rawValue, at: 4)
    span.set(acknowledgment.rawValue, at: 8)
    span.set(UInt16(byteCount / 4) &<< 12 | flags.rawValue, at: 12)
    span.set(window, at: 14)
    span.set(0 as UInt32 | UInt32(urgentPointer), at: 16)
    options.emit(into: &span, at: Self.fixedByteCount, order: order)
  }
}
