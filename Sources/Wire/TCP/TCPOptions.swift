/// Values of the timestamps option (RFC 7323 section 3).
@frozen public struct TCPTimestamps: Hashable, Sendable {
  /// TSval: the sender's clock.
  public var value: UInt32
  /// TSecr: the peer's clock, given back; means something with ACK only.
  public var echo: UInt32

  /// The two clocks.
  @inlinable
  public init(value: UInt32, echo: UInt32) {
    self.value = value
    self.echo = echo
  }
}

/// The user timeout option (RFC 5482).
@frozen public struct TCPUserTimeout: RawRepresentable, Hashable, Sendable {
  /// One bit of granularity (set: minutes) and 15 bits of time, as on the wire.
  public var rawValue: UInt16
  /// Any 16 bits are a timeout.
  @inlinable
  public init(rawValue: UInt16) { self.rawValue = rawValue }
  /// The timeout.
  @inlinable
  public var seconds: Int { Int(rawValue & 0x7FFF) * (rawValue & 0x8000 != 0 ? 60 : 1) }
}

/// The TCP authentication option (RFC 5925 section 2.2).
@frozen public struct TCPAuthentication: Hashable, Sendable {
  /// KeyID: which key made the code.
  public var keyIdentifier: UInt8
  /// RNextKeyID: which key the sender is ready to receive with.
  public var nextKeyIdentifier: UInt8
  /// The message authentication code; 12 bytes with the algorithms of RFC 5926.
  public var code: InlineBytes<16>

  /// Bytes of the option with a code of 12 bytes, padding included.
  @inlinable public static var paddedByteCount: UInt8 { 16 }

  /// The three fields.
  @inlinable
  public init(keyIdentifier: UInt8, nextKeyIdentifier: UInt8, code: InlineBytes<16>) {
    self.keyIdentifier = keyIdentifier
    self.nextKeyIdentifier = nextKeyIdentifier
    self.code = code
  }
}

/// How the options of a SYN are ordered: by this alone some guess whose stack sent it.
@frozen public enum TCPOptionOrder: UInt8, Hashable, Sendable {
  /// `mss, sackOK, TS, nop, wscale`; without timestamps `mss, nop, nop, sackOK, nop, wscale`.
  case linux
  /// `mss, nop, wscale, sackOK, TS`; without timestamps `mss, nop, wscale, sackOK, eol, eol`.
  case bsd
}

/// The options of a TCP header, as values of fixed size.
///
/// Parsing keeps what is known and well-formed, skips what is not known (and what is known with an impossible
/// length, as Linux does), and refuses only bytes in which the next option cannot be found. Emitting follows
/// Linux's order and alignment, so that peers' fast paths find what they look for, and never exceeds 40 bytes:
/// what finds no room is left out, SACK blocks last first.
@frozen public struct TCPOptions: Hashable, Sendable {
  @frozen @usableFromInline struct Present: OptionSet, Hashable, Sendable {
    @usableFromInline var rawValue: UInt16
    @inlinable init(rawValue: UInt16) { self.rawValue = rawValue }
    @inlinable static var mss: Self { .init(rawValue: 1) }
    @inlinable static var windowScale: Self { .init(rawValue: 2) }
    @inlinable static var sackPermitted: Self { .init(rawValue: 4) }
    @inlinable static var timestamps: Self { .init(rawValue: 8) }
    @inlinable static var fastOpen: Self { .init(rawValue: 16) }
    @inlinable static var userTimeout: Self { .init(rawValue: 32) }
    @inlinable static var digest: Self { .init(rawValue: 64) }
    @inlinable static var authentication: Self { .init(rawValue: 128) }
    @inlinable static var experiment: Self { .init(rawValue: 256) }
    @inlinable static var accurate: Self { .init(rawValue: 512) }
    /// Segment size, window scale, SACK permitted and timestamps.
    @inlinable static var usualSyn: Self { .init(rawValue: 15) }
  }

  // A field whose bit is not in `present` holds zero, so that the synthesised equality is right. Bytes are in words: a
  // value of this type is copied field by field, often.
  @usableFromInline var present: Present = []
  @usableFromInline var shift: UInt8 = 0
  @usableFromInline var segmentSize: UInt16 = 0
  @usableFromInline var stamps = TCPTimestamps(value: 0, echo: 0)
  @usableFromInline var timeout = TCPUserTimeout(rawValue: 0)
  @usableFromInline var cookie = InlineWords()
  @usableFromInline var signature = InlineWords()
  @usableFromInline var keys: UInt16 = 0

  @usableFromInline var feedback = TCPAccurateECN.nothing

  /// Blocks of the SACK option (RFC 2018); empty if there is none.
  public var sack = SACKBlocks()

  /// No options.
  @inlinable
  public init() {}

  /// Nothing but timestamps, as in nearly every segment of a connection that has them.
  @inlinable @inline(__always) var hasOnlyTimestamps: Bool { present == .timestamps && sack.isEmpty }

  /// What nearly every SYN has, and nothing else.
  @inlinable @inline(__always) var isOfUsualSyn: Bool { present == .usualSyn && sack.isEmpty }

  /// No option is present.
  @inlinable public var isEmpty: Bool { present.isEmpty && sack.isEmpty }

  /// Maximum segment size in bytes (RFC 9293 section 3.7.1); SYN only.
  @inlinable
  public var mss: UInt16? {
    get { present.contains(.mss) ? segmentSize : nil }
    set {
      mark(.mss, newValue != nil)
      segmentSize = newValue ?? 0
    }
  }

  /// Window scale shift, 0...14 (RFC 7323 section 2); SYN only. A greater one is taken for 14, as section
  /// 2.3 wants.
  @inlinable
  public var windowScale: UInt8? {
    get { present.contains(.windowScale) ? shift : nil }
    set {
      mark(.windowScale, newValue != nil)
      shift = min(newValue ?? 0, 14)
    }
  }

  /// The sender understands SACK (RFC 2018 section 2); SYN only.
  @inlinable
  public var sackPermitted: Bool {
    get { present.contains(.sackPermitted) }
    set { mark(.sackPermitted, newValue) }
  }

  /// Timestamps (RFC 7323 section 3).
  @inlinable
  public var timestamps: TCPTimestamps? {
    get { present.contains(.timestamps) ? stamps : nil }
    set {
      mark(.timestamps, newValue != nil)
      stamps = newValue ?? TCPTimestamps(value: 0, echo: 0)
    }
  }

  /// Fast Open cookie of 4...16 bytes, an even count; empty asks for one (RFC 7413 section 4.1.1).
  @inlinable
  public var fastOpenCookie: InlineBytes<16>? {
    get { present.contains(.fastOpen) ? cookie.bytes : nil }
    set {
      mark(.fastOpen, newValue != nil)
      cookie = newValue.map { InlineWords($0) } ?? InlineWords()
      if newValue == nil { mark(.experiment, false) }
    }
  }

  /// The Fast Open cookie is in the form of the experiment before RFC 7413: kind 254 and 0xF989 (RFC 6994), which old
  /// hosts understand alone. Means something with ``fastOpenCookie``, and goes with it.
  @inlinable
  public var fastOpenIsExperimental: Bool {
    get { present.contains(.experiment) }
    set { mark(.experiment, newValue && present.contains(.fastOpen)) }
  }

  /// User timeout (RFC 5482).
  @inlinable
  public var userTimeout: TCPUserTimeout? {
    get { present.contains(.userTimeout) ? timeout : nil }
    set {
      mark(.userTimeout, newValue != nil)
      timeout = newValue ?? TCPUserTimeout(rawValue: 0)
    }
  }

  /// Counters of accurate ECN (RFC 9768 section 3.2.3); never in a SYN without ACK.
  @inlinable
  public var accurateECN: TCPAccurateECN? {
    get { present.contains(.accurate) ? feedback : nil }
    set {
      mark(.accurate, newValue != nil)
      feedback = newValue ?? .nothing
    }
  }

  /// It has a digest or an authentication option.
  @inlinable @inline(__always) public var isSigned: Bool {
    !present.isDisjoint(with: [.digest, .authentication])
  }

  /// MD5 digest of 16 bytes (RFC 2385). A segment has this or `authentication`; setting one removes the
  /// other (RFC 5925 section 2.2).
  @inlinable
  public var md5Digest: InlineBytes<16>? {
    get { present.contains(.digest) ? signature.bytes : nil }
    set {
      guard newValue != nil || present.contains(.digest) else { return }
      sign(
        newValue == nil ? [] : .digest,
        TCPAuthentication(keyIdentifier: 0, nextKeyIdentifier: 0, code: newValue ?? InlineBytes()))
    }
  }

  /// Authentication option (RFC 5925).
  @inlinable
  public var authentication: TCPAuthentication? {
    get {
      guard present.contains(.authentication) else { return nil }
      return TCPAuthentication(
        keyIdentifier: UInt8(truncatingIfNeeded: keys),
        nextKeyIdentifier: UInt8(truncatingIfNeeded: keys &>> 8),
        code: signature.bytes)
    }
    set {
      guard newValue != nil || present.contains(.authentication) else { return }
      sign(
        newValue == nil ? [] : .authentication,
        newValue ?? TCPAuthentication(keyIdentifier: 0, nextKeyIdentifier: 0, code: InlineBytes()))
    }
  }

  @inlinable
  mutating func sign(_ kind: Present, _ new: TCPAuthentication) {
    present.subtract([.digest, .authentication])
    present.formUnion(kind)
    signature = InlineWords(new.code)
    keys = UInt16(new.nextKeyIdentifier) &<< 8 | UInt16(new.keyIdentifier)
  }

  @inlinable @inline(__always)
  mutating func mark(_ bit: Present, _ isPresent: Bool) {
    if isPresent { present.insert(bit) } else { present.remove(bit) }
  }
}
