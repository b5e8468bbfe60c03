import Wire

/// What a stack does of TCP Fast Open (RFC 7413): data in the SYN, if the peer knows a cookie that says that it has
/// been at its address before. The bits are those of Linux's net.ipv4.tcp_fastopen.
@frozen public struct TCPFastOpen: OptionSet, Hashable, Sendable {
  /// The bits.
  public let rawValue: UInt16
  /// Any bits.
  @inlinable public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// Connecting sockets may ask for cookies and send data with them.
  public static let client = TCPFastOpen(rawValue: 0x1)
  /// Listeners that say so take data from SYNs.
  public static let server = TCPFastOpen(rawValue: 0x2)
  /// Connecting sockets send data also without a cookie. For networks whose addresses cannot be forged.
  public static let clientWithoutCookie = TCPFastOpen(rawValue: 0x4)
  /// Listeners take data also without a cookie. For networks whose addresses cannot be forged.
  public static let serverWithoutCookie = TCPFastOpen(rawValue: 0x200)
  /// Every listener takes data from SYNs, as many at a time as its backlog says.
  public static let everyListener = TCPFastOpen(rawValue: 0x400)
}

/// How a SYN asks for Fast Open, or a SYN-ACK answers: by which form of the option (RFC 7413 section 4.1.1 and
/// appendix A).
@frozen public enum TCPFastOpenForm: UInt8, Hashable, Sendable {
  /// The option is not there.
  case none
  /// Kind 34.
  case standard
  /// Kind 254, the experiment.
  case experimental
}

/// What a connecting socket knows of Fast Open with its peer.
@frozen public struct TCPFastOpenAttempt: Hashable, Sendable {
  /// The cookie, 4...16 bytes; empty: it is asked for, and data stays out of the SYN.
  public var cookie: InlineBytes<16>
  /// The form of the option.
  public var form: TCPFastOpenForm
  /// Data goes into the SYN without a cookie, and without the option.
  public var needsNoCookie: Bool
  /// The peer's segment size, as it was when the cookie came: the SYN is before it can say it again (RFC 7413 section
  /// 4.1.3).
  public var segment: UInt16

  /// An attempt with a cookie, or without one.
  public init(
    cookie: InlineBytes<16> = InlineBytes(), form: TCPFastOpenForm = .standard, needsNoCookie: Bool = false,
    segment: UInt16 = 1460
  ) {
    self.cookie = cookie
    self.form = form
    self.needsNoCookie = needsNoCookie
    self.segment = segment
  }

  /// Data may go into the SYN.
  public var sendsData: Bool { needsNoCookie || cookie.count > 0 }
}

/// What came of an attempt, to be remembered for the next one (RFC 7413 section 4.1.3).
@frozen public struct TCPFastOpenOutcome: Hashable, Sendable {
  /// The cookie that the peer gave; nil: none.
  public var cookie: InlineBytes<16>?
  /// The form in which it gave it, or in which it was asked for.
  public var form: TCPFastOpenForm
  /// The peer's segment size.
  public var segment: UInt16
  /// The peer has taken data from the SYN.
  public var dataTaken: Bool
  /// A SYN with data or the option seems to get lost where a plain one does not.
  public var synLost: Bool
  /// A cookie was asked for, and none came though the SYN arrived: the other form may be understood.
  public var wasIgnored: Bool
  /// BSD's habit: a peer that answers without a cookie, or with none that can be one, is not asked again for a while.
  public var isRefused: Bool

  /// All fields.
  public init(
    cookie: InlineBytes<16>?, form: TCPFastOpenForm, segment: UInt16, dataTaken: Bool, synLost: Bool,
    wasIgnored: Bool, isRefused: Bool = false
  ) {
    self.cookie = cookie
    self.form = form
    self.segment = segment
    self.dataTaken = dataTaken
    self.synLost = synLost
    self.wasIgnored = wasIgnored
    self.isRefused = isRefused
  }
}

/// The cookies that a server gives: a keyed hash of the two addresses, so that each proves one client's address and
/// nothing need be kept (RFC 7413 section 4.1.2). SipHash-2-4 over the addresses in network order, as Linux computes
/// it: servers that share a key and an address understand each other's. With the key before, what was given under it is
/// still good while keys change.
@frozen public struct TCPFastOpenCookies: Hashable, Sendable {
  /// A key of 16 bytes, as two little-endian words.
  @frozen public struct Key: Hashable, Sendable {
    /// Bytes 0 to 7.
    public var low: UInt64
    /// Bytes 8 to 15.
    public var high: UInt64
    /// A key from its words.
    @inlinable public init(low: UInt64, high: UInt64) { (self.low, self.high) = (low, high) }
  }

  /// The key of new cookies.
  public var current: Key
  /// The key before; nil: there is none.
  public var previous: Key?

  /// Cookies under `current`; those under `previous` are still good.
  @inlinable public init(current: Key, previous: Key? = nil) {
    (self.current, self.previous) = (current, previous)
  }

  /// What a cookie is worth.
  public enum Verdict: Hashable, Sendable {
    /// It is the client's.
    case good
    /// It is the client's, under the key before: a new one is given.
    case old
    /// It is not.
    case wrong
  }

  /// The cookie of a client: 8 bytes. Pure; any context may call it.
  public func cookie(local: IPAddress, remote: IPAddress) -> InlineBytes<16> {
    Self.cookie(current, local, remote)
  }

  /// Looks at what a client's SYN brought. Pure.
  public func examine(_ cookie: InlineBytes<16>, local: IPAddress, remote: IPAddress) -> Verdict {
    if cookie == Self.cookie(current, local, remote) { return .good }
    if let previous, cookie == Self.cookie(previous, local, remote) { return .old }
    return .wrong
  }

  private static func cookie(_ key: Key, _ local: IPAddress, _ remote: IPAddress) -> InlineBytes<16> {
    var hash = SipHash24(key.low, key.high)
    if local.isIPv4, remote.isIPv4 {
      // The last four bytes of each address, as they stand on the wire.
      hash.combine((remote.low << 32).byteSwapped | (local.low & 0xFFFF_FFFF).byteSwapped)
    } else {
      hash.combine(remote.high.byteSwapped)
      hash.combine(remote.low.byteSwapped)
      hash.combine(local.high.byteSwapped)
      hash.combine(local.low.byteSwapped)
    }
    let value = hash.finish()
    var cookie = InlineBytes<16>()
    for byte in 0..<8 { cookie.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * byte))) }
    return cookie
  }
}

/// SipHash-2-4 over whole words (Aumasson and Bernstein).
private struct SipHash24 {
  private var v: (UInt64, UInt64, UInt64, UInt64)
  private var bytes: UInt64 = 0

  init(_ low: UInt64, _ high: UInt64) {
    v = (
      low ^ 0x736f_6d65_7073_6575, high ^ 0x646f_7261_6e64_6f6d, low ^ 0x6c79_6765_6e65_7261,
      high ^ 0x7465_6462_7974_6573
    )
  }

  private static func rotate(_ word: UInt64, _ by: UInt64) -> UInt64 { word << by | word >> (64 - by) }

  private mutating func round() {
    v.0 &+= v.1
    v.1 = Self.rotate(v.1, 13) ^ v.0
    v.0 = Self.rotate(v.0, 32)
    v.2 &+= v.3
    v.3 = Self.rotate(v.3, 16) ^ v.2
    v.0 &+= v.3
    v.3 = Self.rotate(v.3, 21) ^ v.0
    v.2 &+= v.1
    v.1 = Self.rotate(v.1, 17) ^ v.2
    v.2 = Self.rotate(v.2, 32)
  }

  private mutating func absorb(_ word: UInt64) {
    v.3 ^= word
    round()
    round()
    v.0 ^= word
  }

  /// Eight bytes, the first the lowest.
  mutating func combine(_ word: UInt64) {
    absorb(word)
    bytes += 8
  }

  consuming func finish() -> UInt64 {
    absorb(bytes << 56)
    v.2 ^= 0xff
    for _ in 0..<4 { round() }
    return v.0 ^ v.1 ^ v.2 ^ v.3
  }
}
