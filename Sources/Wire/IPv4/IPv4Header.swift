/// The fields of an IPv4 header (RFC 791 section 3.1).
@frozen public struct IPv4Header: Hashable, Sendable {
  /// Length without options.
  @inlinable public static var fixedByteCount: Int { 20 }
  /// Length with the most options.
  @inlinable public static var maximumByteCount: Int { 60 }

  /// DSCP and ECN.
  public var trafficClass: TrafficClass
  /// Length of header and payload in bytes.
  public var totalLength: UInt16
  /// Identification, which the fragments of a packet share.
  public var identification: UInt16
  /// DF.
  public var dontFragment: Bool
  /// MF.
  public var moreFragments: Bool
  /// Where the payload belongs in the reassembled packet's, in bytes: a multiple of 8 (lower bits are dropped).
  public var fragmentOffset: UInt16
  /// TTL.
  public var timeToLive: UInt8
  /// Protocol of the payload.
  public var `protocol`: IPProtocol
  /// Source address.
  public var source: IPv4Address
  /// Destination address.
  public var destination: IPv4Address
  /// The options.
  public var options: IPv4Options

  /// A header for `payloadByteCount` bytes, which with header and options must not exceed 65535. Whole and
  /// not to be fragmented, as every packet of this stack is unless it says otherwise.
  @inlinable
  public init(
    source: IPv4Address, destination: IPv4Address, protocol number: IPProtocol, payloadByteCount: Int,
    timeToLive: UInt8 = 64, trafficClass: TrafficClass = .bestEffort, identification: UInt16 = 0,
    dontFragment: Bool = true, options: IPv4Options = IPv4Options()
  ) {
    self.trafficClass = trafficClass
    totalLength = UInt16(Self.fixedByteCount + options.byteCount + payloadByteCount)
    self.identification = identification
    self.dontFragment = dontFragment
    moreFragments = false
    fragmentOffset = 0
    self.timeToLive = timeToLive
    self.protocol = number
    self.source = source
    self.destination = destination
    self.options = options
  }

  /// The values of a view.
  @inlinable
  public init(_ view: IPv4View) {
    trafficClass = view.trafficClass
    totalLength = UInt16(truncatingIfNeeded: view.totalLength)
    identification = view.identification
    dontFragment = view.dontFragment
    moreFragments = view.moreFragments
    fragmentOffset = UInt16(truncatingIfNeeded: view.fragmentOffset)
    timeToLive = view.timeToLive
    `protocol` = view.protocol
    source = view.source
    destination = view.destination
    // At most 40 bytes: the view's header length is at most 60.
    options = view.headerByteCount == Self.fixedByteCount ? IPv4Options() : IPv4Options(view.options)!
  }

  /// Parses the header at the start of `packet`; the payload is from `byteCount` up to `totalLength`.
  ///
  /// `verifyingChecksum` is false where the device has verified it.
  public static func parse(
    _ packet: RawSpan, verifyingChecksum: Bool = true
  ) throws(WireError) -> IPv4Header {
    let view = try IPv4View(packet)
    guard !verifyingChecksum || view.isChecksumValid else { throw .badChecksum }
    return IPv4Header(view)
  }

  /// Bytes that `emit` writes: 20...60.
  @inlinable public var byteCount: Int { Self.fixedByteCount + options.byteCount }

  /// Writes the header, with its checksum, to the start of `span`.
  public func emit(into span: inout MutableRawSpan) {
    let first = UInt32(0x45 + options.byteCount / 4) &<< 24 | UInt32(trafficClass.rawValue) &<< 16
    let fragment =
      UInt32(dontFragment ? 0x4000 : 0) | UInt32(moreFragments ? 0x2000 : 0) | UInt32(fragmentOffset / 8)
    let last = UInt32(timeToLive) &<< 24 | UInt32(`protocol`.rawValue) &<< 16
    span.set(first | UInt32(totalLength), at: 0)
    span.set(UInt32(identification) &<< 16 | fragment, at: 4)
    span.set(last, at: 8)
    span.set(source.rawValue, at: 12)
    span.set(destination.rawValue, at: 16)
    guard options.byteCount > 0 else {
      return span.set(InternetChecksum.ofFixedHeader(span.bytes), at: 10)
    }
    options.storage.emit(into: &span, at: Self.fixedByteCount)
    span.set(InternetChecksum.of(span.bytes.extracting(0..<byteCount)), at: 10)
  }
}
