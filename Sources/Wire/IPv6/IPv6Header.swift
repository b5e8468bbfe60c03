/// An IPv6 packet in place, whose lengths have been checked (RFC 8200 section 3).
@frozen public struct IPv6View: ~Escapable {
  /// The packet, cut to its payload length; a quoted one may be shorter than that.
  public let bytes: RawSpan

  /// Checks version and payload length against the bytes at hand. What follows is link-layer padding and is
  /// left out. Jumbograms (RFC 2675) are not understood: their payload length is 0.
  @inlinable
  @_lifetime(copy packet)
  public init(_ packet: RawSpan) throws(WireError) {
    try Self.checkHeader(packet)
    let payload = Int(packet.uint16(at: 4))
    guard payload <= packet.byteCount - IPv6Header.byteCount else { throw .badLength(payload) }
    bytes = packet.extracting(0..<IPv6Header.byteCount + payload)
  }

  /// A packet quoted by an ICMPv6 error: its end may be missing, its header may not.
  @inlinable
  @_lifetime(copy packet)
  public init(quoted packet: RawSpan) throws(WireError) {
    try Self.checkHeader(packet)
    bytes = packet.extracting(0..<min(packet.byteCount, IPv6Header.byteCount + Int(packet.uint16(at: 4))))
  }

  @inlinable
  static func checkHeader(_ packet: RawSpan) throws(WireError) {
    try packet.require(IPv6Header.byteCount)
    let version = packet.uint8(at: 0) &>> 4
    guard version == 6 else { throw .badVersion(version) }
  }

  /// DSCP and ECN.
  @inlinable
  public var trafficClass: TrafficClass {
    TrafficClass(rawValue: UInt8(truncatingIfNeeded: bytes.uint16(at: 0) &>> 4))
  }
  /// Flow label, 20 bits.
  @inlinable public var flowLabel: UInt32 { bytes.uint32(at: 0) & 0xF_FFFF }
  /// Length of extension headers and upper layer in bytes.
  @inlinable public var payloadLength: Int { Int(bytes.uint16(at: 4)) }
  /// What follows this header.
  @inlinable public var nextHeader: IPProtocol { IPProtocol(rawValue: bytes.uint8(at: 6)) }
  /// Hop limit.
  @inlinable public var hopLimit: UInt8 { bytes.uint8(at: 7) }
  /// Source address.
  @inlinable public var source: IPv6Address { IPv6Address(bytes, at: 8) }
  /// Destination address.
  @inlinable public var destination: IPv6Address { IPv6Address(bytes, at: 24) }

  /// Extension headers and upper layer.
  @inlinable
  public var payload: RawSpan {
    @_lifetime(copy self)
    get { bytes.extracting(IPv6Header.byteCount..<bytes.byteCount) }
  }
}

/// The fields of an IPv6 header (RFC 8200 section 3).
@frozen public struct IPv6Header: Hashable, Sendable {
  /// Length of every header.
  @inlinable public static var byteCount: Int { 40 }

  /// DSCP and ECN.
  public var trafficClass: TrafficClass
  /// Flow label; upper 12 bits are dropped.
  public var flowLabel: UInt32
  /// Length of what follows the header, in bytes.
  public var payloadLength: UInt16
  /// What follows the header.
  public var nextHeader: IPProtocol
  /// Hop limit.
  public var hopLimit: UInt8
  /// Source address.
  public var source: IPv6Address
  /// Destination address.
  public var destination: IPv6Address

  /// A header for `payloadByteCount` bytes, at most 65535.
  @inlinable
  public init(
    source: IPv6Address, destination: IPv6Address, nextHeader: IPProtocol, payloadByteCount: Int,
    hopLimit: UInt8 = 64, trafficClass: TrafficClass = .bestEffort, flowLabel: UInt32 = 0
  ) {
    self.trafficClass = trafficClass
    self.flowLabel = flowLabel & 0xF_FFFF
    payloadLength = UInt16(payloadByteCount)
    self.nextHeader = nextHeader
    self.hopLimit = hopLimit
    self.source = source
    self.destination = destination
  }

  /// The values of a view.
  @inlinable
  public init(_ view: IPv6View) {
    self.init(
      source: view.source, destination: view.destination, nextHeader: view.nextHeader,
      payloadByteCount: view.payloadLength, hopLimit: view.hopLimit, trafficClass: view.trafficClass,
      flowLabel: view.flowLabel)
  }

  /// Parses the header at the start of `packet`.
  public static func parse(_ packet: RawSpan) throws(WireError) -> IPv6Header {
    IPv6Header(try IPv6View(packet))
  }

  /// Bytes that `emit` writes.
  @inlinable public var byteCount: Int { Self.byteCount }

  /// Writes the header to the start of `span`.
  public func emit(into span: inout MutableRawSpan) {
    span.set(6 &<< 28 | UInt32(trafficClass.rawValue) &<< 20 | flowLabel & 0xF_FFFF, at: 0)
    span.set(payloadLength, at: 4)
    span.set(nextHeader.rawValue, at: 6)
    span.set(hopLimit, at: 7)
    source.emit(into: &span, at: 8)
    destination.emit(into: &span, at: 24)
  }
}
