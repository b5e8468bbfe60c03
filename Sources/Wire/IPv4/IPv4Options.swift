/// The options of an IPv4 header as they are on the wire (RFC 791 section 3.1): up to 40 bytes in place, a
/// multiple of four.
@frozen public struct IPv4Options: Hashable, Sendable {
  /// The bytes, padded with end-of-list.
  public let storage: InlineBytes<40>

  /// No options.
  @inlinable
  public init() { storage = InlineBytes() }

  /// A copy of `bytes`, padded with zeros to a multiple of four; nil if there are more than 40. What they
  /// say is not looked at: `cursor` does that.
  @inlinable
  public init?(_ bytes: RawSpan) {
    guard var copy = InlineBytes<40>(bytes) else { return nil }
    while copy.count & 3 != 0 { copy.append(IPv4Option.Kind.end.rawValue) }
    storage = copy
  }

  /// Router alert (RFC 2113), for IGMP.
  @inlinable
  public static var routerAlert: Self {
    var bytes = InlineBytes<40>()
    bytes.append(IPv4Option.Kind.routerAlert.rawValue)
    bytes.append(4)
    bytes.append(0)
    bytes.append(0)
    return Self(padded: bytes)
  }

  @inlinable
  init(padded storage: InlineBytes<40>) { self.storage = storage }

  /// Length in bytes: a multiple of 4 in 0...40.
  @inlinable public var byteCount: Int { storage.count }

  /// The bytes, borrowed; read them with `IPv4OptionCursor`.
  @inlinable
  public var bytes: RawSpan {
    @_lifetime(borrow self)
    borrowing get { storage.bytes }
  }
}

/// One IPv4 option, as a place in the options.
@frozen public struct IPv4Option: Hashable, Sendable {
  /// The type octet: copied flag, class and number.
  @frozen public struct Kind: RawRepresentable, Hashable, Sendable {
    /// The octet on the wire.
    public var rawValue: UInt8
    /// Any octet is a kind.
    @inlinable
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// End of list.
    @inlinable public static var end: Self { .init(rawValue: 0) }
    /// Padding.
    @inlinable public static var padding: Self { .init(rawValue: 1) }
    /// Record route.
    @inlinable public static var recordRoute: Self { .init(rawValue: 7) }
    /// Timestamp.
    @inlinable public static var timestamp: Self { .init(rawValue: 68) }
    /// Loose source route: refused by hosts that follow RFC 7126.
    @inlinable public static var looseSourceRoute: Self { .init(rawValue: 131) }
    /// Strict source route.
    @inlinable public static var strictSourceRoute: Self { .init(rawValue: 137) }
    /// Router alert.
    @inlinable public static var routerAlert: Self { .init(rawValue: 148) }

    /// The option goes into every fragment, not the first one only.
    @inlinable public var isCopied: Bool { rawValue & 0x80 != 0 }
  }

  /// What the option is.
  public let kind: Kind
  /// Where its type octet is, from the start of the options.
  public let offset: Int
  /// Its length, type and length octets included: 2...40.
  public let byteCount: Int

  @inlinable
  init(kind: Kind, offset: Int, byteCount: Int) {
    self.kind = kind
    self.offset = offset
    self.byteCount = byteCount
  }
}

/// Walks IPv4 options. Total: any bytes end it, or make it throw once.
@frozen public struct IPv4OptionCursor: ~Escapable {
  @usableFromInline let bytes: RawSpan
  @usableFromInline var at = 0

  /// From the first option of `options`.
  @inlinable
  @_lifetime(copy options)
  public init(_ options: RawSpan) { bytes = options }

  /// The next option that is not padding; nil at the end. Throws `.badOption` if its length is impossible;
  /// the walk is then over.
  @inlinable
  public mutating func next() throws(WireError) -> IPv4Option? {
    while at < bytes.byteCount {
      let kind = IPv4Option.Kind(rawValue: bytes.uint8(at: at))
      if kind == .end { break }
      if kind == .padding {
        at += 1
        continue
      }
      let offset = at
      let room = bytes.byteCount - offset
      let length = room >= 2 ? Int(bytes.uint8(at: offset + 1)) : 0
      guard length >= 2, length <= room else {
        at = bytes.byteCount
        throw .badOption(kind: kind.rawValue, offset: offset)
      }
      at += length
      return IPv4Option(kind: kind, offset: offset, byteCount: length)
    }
    at = bytes.byteCount
    return nil
  }
}
