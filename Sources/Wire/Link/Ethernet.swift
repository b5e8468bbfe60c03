/// An 802.1Q tag (or the outer one of 802.1ad).
@frozen public struct VLANTag: Hashable, Sendable {
  /// Priority code point, drop eligible indicator and VLAN identifier as on the wire.
  public var rawValue: UInt16
  /// The tag came, or is to go, with the 802.1ad type.
  public var isService: Bool

  /// The 16 bits after the tag's type.
  @inlinable
  public init(rawValue: UInt16, isService: Bool = false) {
    self.rawValue = rawValue
    self.isService = isService
  }
  /// `identifier` is 0...4095 (0: priority only), `priority` 0...7; higher bits are dropped.
  @inlinable
  public init(identifier: UInt16, priority: UInt8 = 0) {
    self.init(rawValue: UInt16(priority) &<< 13 | identifier & 0xFFF)
  }

  /// VLAN identifier, 0...4095.
  @inlinable public var identifier: UInt16 { rawValue & 0xFFF }
  /// Priority code point, 0...7.
  @inlinable public var priority: UInt8 { UInt8(truncatingIfNeeded: rawValue &>> 13) }
  /// Drop eligible indicator.
  @inlinable public var isDropEligible: Bool { rawValue & 0x1000 != 0 }
}

/// An Ethernet II frame in place, with or without one tag.
@frozen public struct EthernetView: ~Escapable {
  /// The whole frame, without the check sequence.
  public let bytes: RawSpan

  /// Checks that the header, and the tag if there is one, is there.
  @inlinable
  @_lifetime(copy frame)
  public init(_ frame: RawSpan) throws(WireError) {
    try frame.require(EthernetHeader.untaggedByteCount)
    if EthernetHeader.isTag(frame.uint16(at: 12)) { try frame.require(EthernetHeader.taggedByteCount) }
    bytes = frame
  }

  /// Destination address.
  @inlinable public var destination: MACAddress { MACAddress(bytes, at: 0) }
  /// Source address.
  @inlinable public var source: MACAddress { MACAddress(bytes, at: 6) }
  /// There is a tag.
  @inlinable public var isTagged: Bool { EthernetHeader.isTag(bytes.uint16(at: 12)) }
  /// The outermost tag.
  @inlinable
  public var vlan: VLANTag? {
    guard isTagged else { return nil }
    return VLANTag(
      rawValue: bytes.uint16(at: 14), isService: bytes.uint16(at: 12) == EtherType.serviceVLAN.rawValue)
  }
  /// Type of the payload, after the tag. A second tag shows here as a type that nobody wants.
  @inlinable public var type: EtherType { EtherType(rawValue: bytes.uint16(at: isTagged ? 16 : 12)) }
  /// Length of the header: 14 or 18.
  @inlinable
  public var headerByteCount: Int {
    isTagged ? EthernetHeader.taggedByteCount : EthernetHeader.untaggedByteCount
  }

  /// The payload, with the padding of short frames.
  @inlinable
  public var payload: RawSpan {
    @_lifetime(copy self)
    get { bytes.extracting(headerByteCount..<bytes.byteCount) }
  }
}

/// The fields of an Ethernet II header.
@frozen public struct EthernetHeader: Hashable, Sendable {
  /// Length without a tag.
  @inlinable public static var untaggedByteCount: Int { 14 }
  /// Length with one tag.
  @inlinable public static var taggedByteCount: Int { 18 }

  /// Destination address.
  public var destination: MACAddress
  /// Source address.
  public var source: MACAddress
  /// The tag, if there is one.
  public var vlan: VLANTag?
  /// Type of the payload.
  public var type: EtherType

  /// All fields.
  @inlinable
  public init(destination: MACAddress, source: MACAddress, vlan: VLANTag? = nil, type: EtherType) {
    self.destination = destination
    self.source = source
    self.vlan = vlan
    self.type = type
  }

  /// The values of a view.
  @inlinable
  public init(_ view: EthernetView) {
    self.init(destination: view.destination, source: view.source, vlan: view.vlan, type: view.type)
  }

  @inlinable @inline(__always)
  static func isTag(_ type: UInt16) -> Bool {
    type == EtherType.vlan.rawValue || type == EtherType.serviceVLAN.rawValue
  }

  /// Parses the header at the start of `frame`; the payload follows at `byteCount`.
  @inlinable
  public static func parse(_ frame: RawSpan) throws(WireError) -> EthernetHeader {
    EthernetHeader(try EthernetView(frame))
  }

  /// Bytes that `emit` writes: 14 or 18.
  @inlinable public var byteCount: Int { vlan == nil ? Self.untaggedByteCount : Self.taggedByteCount }

  /// Writes the header to the start of `span`.
  @inlinable
  public func emit(into span: inout MutableRawSpan) {
    destination.emit(into: &span, at: 0)
    source.emit(into: &span, at: 6)
    if let vlan {
      span.set((vlan.isService ? EtherType.serviceVLAN : EtherType.vlan).rawValue, at: 12)
      span.set(vlan.rawValue, at: 14)
      span.set(type.rawValue, at: 16)
    } else {
      span.set(type.rawValue, at: 12)
    }
  }
}
