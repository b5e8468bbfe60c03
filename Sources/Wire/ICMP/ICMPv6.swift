/// An ICMPv6 message (RFC 4443; neighbour discovery RFC 4861): its header; data or options follow at
/// `byteCount`.
@frozen public enum ICMPv6Message: Hashable, Sendable {
  /// Type 1.
  case destinationUnreachable(code: UInt8)
  /// Type 2.
  case packetTooBig(mtu: UInt32)
  /// Type 3. Code 0 in transit, 1 in reassembly.
  case timeExceeded(code: UInt8)
  /// Type 4. `pointer` is the octet of the quoted packet that is wrong.
  case parameterProblem(code: UInt8, pointer: UInt32)
  /// Type 128.
  case echoRequest(identifier: UInt16, sequence: UInt16)
  /// Type 129.
  case echoReply(identifier: UInt16, sequence: UInt16)
  /// Type 133.
  case routerSolicitation
  /// Type 134.
  case routerAdvertisement(RouterAdvertisement)
  /// Type 135.
  case neighborSolicitation(target: IPv6Address)
  /// Type 136.
  case neighborAdvertisement(flags: NeighborFlags, target: IPv6Address)
  /// Type 137: for `destination`, the better first hop is `target`.
  case redirect(target: IPv6Address, destination: IPv6Address)
  /// Any other type, with the four bytes after the checksum.
  case other(type: UInt8, code: UInt8, rest: UInt32)

  /// Codes of destination unreachable.
  public enum Unreachable {
    /// No route.
    public static let noRoute: UInt8 = 0
    /// Administratively prohibited.
    public static let prohibited: UInt8 = 1
    /// Beyond the scope of the source address.
    public static let beyondScope: UInt8 = 2
    /// Address.
    public static let address: UInt8 = 3
    /// Port.
    public static let port: UInt8 = 4
  }

  /// Codes of parameter problem.
  public enum Problem {
    /// Erroneous header field.
    public static let headerField: UInt8 = 0
    /// Unrecognized next header type.
    public static let nextHeader: UInt8 = 1
    /// Unrecognized option.
    public static let option: UInt8 = 2
  }

  /// Where the checksum stands.
  @inlinable public static var checksumOffset: Int { 2 }

  /// Parses a whole message; data or options are from `byteCount` on. The addresses are those of the IPv6
  /// header. That neighbour discovery comes with hop limit 255 is the caller's to check.
  ///
  /// Throws `.badChecksum` unless `verifyingChecksum` is false, `.badCode` for neighbour discovery with a
  /// code other than 0 (RFC 4861 sections 6.1, 7.1, 8.1).
  public static func parse(
    _ message: RawSpan, source: IPv6Address, destination: IPv6Address, verifyingChecksum: Bool = true
  ) throws(WireError) -> ICMPv6Message {
    try message.require(8)
    guard
      !verifyingChecksum
        || InternetChecksum.of(
          message, source: IPAddress(source), destination: IPAddress(destination), protocol: .icmpv6) == 0
    else { throw .badChecksum }
    let type = message.uint8(at: 0)
    let code = message.uint8(at: 1)
    let rest = message.uint32(at: 4)
    if (133...137).contains(type), code != 0 { throw .badCode(type: type, code: code) }
    switch type {
    case 1: return .destinationUnreachable(code: code)
    case 2: return .packetTooBig(mtu: rest)
    case 3: return .timeExceeded(code: code)
    case 4: return .parameterProblem(code: code, pointer: rest)
    case 128: return .echoRequest(identifier: message.uint16(at: 4), sequence: message.uint16(at: 6))
    case 129: return .echoReply(identifier: message.uint16(at: 4), sequence: message.uint16(at: 6))
    case 133: return .routerSolicitation
    case 134: return .routerAdvertisement(try RouterAdvertisement(message))
    case 135:
      try message.require(24)
      return .neighborSolicitation(target: IPv6Address(message, at: 8))
    case 136:
      try message.require(24)
      return .neighborAdvertisement(
        flags: NeighborFlags(rawValue: message.uint8(at: 4)), target: IPv6Address(message, at: 8))
    case 137:
      try message.require(40)
      return .redirect(target: IPv6Address(message, at: 8), destination: IPv6Address(message, at: 24))
    default: return .other(type: type, code: code, rest: rest)
    }
  }

  /// Bytes that `emit` writes: 8, 16, 24 or 40.
  @inlinable
  public var byteCount: Int {
    switch self {
    case .routerAdvertisement: 16
    case .neighborSolicitation, .neighborAdvertisement: 24
    case .redirect: 40
    case .destinationUnreachable, .packetTooBig, .timeExceeded, .parameterProblem, .echoRequest, .echoReply,
      .routerSolicitation, .other:
      8
    }
  }

  /// The message tells of an error in another packet, which follows as data (types below 128), or is a
  /// redirect. Neither is ever answered with an error (RFC 4443 section 2.4 e).
  @inlinable
  public var isError: Bool {
    switch self {
    case .destinationUnreachable, .packetTooBig, .timeExceeded, .parameterProblem, .redirect: true
    case .other(let type, _, _): type < 128
    case .echoRequest, .echoReply, .routerSolicitation, .routerAdvertisement, .neighborSolicitation,
      .neighborAdvertisement:
      false
    }
  }

  /// Writes the header to the start of `span`, whose rest holds data or options already, and the checksum of
  /// both under the pseudo header.
  public func emit(into span: inout MutableRawSpan, source: IPv6Address, destination: IPv6Address) {
    emitHeader(into: &span)
    InternetChecksum.seal(
      &span, at: Self.checksumOffset, source: IPAddress(source), destination: IPAddress(destination),
      protocol: .icmpv6)
  }

  private func emitHeader(into span: inout MutableRawSpan) {
    func start(_ type: UInt8, _ code: UInt8 = 0, _ rest: UInt32 = 0) {
      span.set(UInt32(type) &<< 24 | UInt32(code) &<< 16, at: 0)
      span.set(rest, at: 4)
    }
    func pair(_ identifier: UInt16, _ sequence: UInt16) -> UInt32 {
      UInt32(identifier) &<< 16 | UInt32(sequence)
    }
    switch self {
    case .destinationUnreachable(let code): start(1, code)
    case .packetTooBig(let mtu): start(2, 0, mtu)
    case .timeExceeded(let code): start(3, code)
    case .parameterProblem(let code, let pointer): start(4, code, pointer)
    case .echoRequest(let identifier, let sequence): start(128, 0, pair(identifier, sequence))
    case .echoReply(let identifier, let sequence): start(129, 0, pair(identifier, sequence))
    case .routerSolicitation: start(133)
    case .routerAdvertisement(let advertisement):
      start(134)
      advertisement.emit(into: &span)
    case .neighborSolicitation(let target):
      start(135)
      target.emit(into: &span, at: 8)
    case .neighborAdvertisement(let flags, let target):
      start(136, 0, UInt32(flags.rawValue) &<< 24)
      target.emit(into: &span, at: 8)
    case .redirect(let target, let destination):
      start(137)
      target.emit(into: &span, at: 8)
      destination.emit(into: &span, at: 24)
    case .other(let type, let code, let rest): start(type, code, rest)
    }
  }
}
