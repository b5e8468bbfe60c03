/// An ICMP message for IPv4 (RFC 792, RFC 1122 section 3.2.2): its header; data follows at `byteCount`.
@frozen public enum ICMPv4Message: Hashable, Sendable {
  /// Type 0.
  case echoReply(identifier: UInt16, sequence: UInt16)
  /// Type 3. `nextHopMTU` is for code 4, fragmentation needed (RFC 1191); 0 otherwise or from old routers.
  case destinationUnreachable(code: UInt8, nextHopMTU: UInt16)
  /// Type 5. Code 0 and 2 for the network, 1 and 3 for the host.
  case redirect(code: UInt8, gateway: IPv4Address)
  /// Type 8.
  case echoRequest(identifier: UInt16, sequence: UInt16)
  /// Type 11. Code 0 in transit, 1 in reassembly.
  case timeExceeded(code: UInt8)
  /// Type 12. `pointer` is the octet of the quoted packet that is wrong, for code 0.
  case parameterProblem(code: UInt8, pointer: UInt8)
  /// Type 13. Times in milliseconds since midnight UTC.
  case timestampRequest(identifier: UInt16, sequence: UInt16, originate: UInt32)
  /// Type 14.
  case timestampReply(
    identifier: UInt16, sequence: UInt16, originate: UInt32, receive: UInt32, transmit: UInt32)
  /// Any other type, with the four bytes after the checksum.
  case other(type: UInt8, code: UInt8, rest: UInt32)

  /// Codes of destination unreachable.
  public enum Unreachable {
    /// Network.
    public static let network: UInt8 = 0
    /// Host.
    public static let host: UInt8 = 1
    /// Protocol.
    public static let `protocol`: UInt8 = 2
    /// Port.
    public static let port: UInt8 = 3
    /// Fragmentation needed and DF set.
    public static let fragmentationNeeded: UInt8 = 4
    /// Source route failed.
    public static let sourceRouteFailed: UInt8 = 5
    /// Communication administratively prohibited (RFC 1812).
    public static let prohibited: UInt8 = 13
  }

  /// Parses a whole message; data is from `byteCount` on. Codes of queries are not looked at.
  ///
  /// Throws `.badChecksum` unless `verifyingChecksum` is false.
  public static func parse(
    _ message: RawSpan, verifyingChecksum: Bool = true
  ) throws(WireError) -> ICMPv4Message {
    try message.require(8)
    guard !verifyingChecksum || InternetChecksum.of(message) == 0 else { throw .badChecksum }
    let code = message.uint8(at: 1)
    let first = message.uint16(at: 4)
    let second = message.uint16(at: 6)
    switch message.uint8(at: 0) {
    case 0: return .echoReply(identifier: first, sequence: second)
    case 3: return .destinationUnreachable(code: code, nextHopMTU: second)
    case 5: return .redirect(code: code, gateway: IPv4Address(message.uint32(at: 4)))
    case 8: return .echoRequest(identifier: first, sequence: second)
    case 11: return .timeExceeded(code: code)
    case 12: return .parameterProblem(code: code, pointer: message.uint8(at: 4))
    case 13:
      try message.require(20)
      return .timestampRequest(identifier: first, sequence: second, originate: message.uint32(at: 8))
    case 14:
      try message.require(20)
      return .timestampReply(
        identifier: first, sequence: second, originate: message.uint32(at: 8),
        receive: message.uint32(at: 12), transmit: message.uint32(at: 16))
    case let type: return .other(type: type, code: code, rest: message.uint32(at: 4))
    }
  }

  /// Bytes that `emit` writes: 20 for timestamps, 8 for all others.
  @inlinable
  public var byteCount: Int {
    switch self {
    case .timestampRequest, .timestampReply: 20
    case .echoReply, .destinationUnreachable, .redirect, .echoRequest, .timeExceeded, .parameterProblem,
      .other:
      8
    }
  }

  /// The message tells of an error in another packet, which follows as data. No error is ever answered with
  /// an error (RFC 1122 section 3.2.2). Source quench, type 4, is one as well (RFC 6633).
  @inlinable
  public var isError: Bool {
    switch self {
    case .destinationUnreachable, .redirect, .timeExceeded, .parameterProblem: true
    case .other(let type, _, _): type == 4
    case .echoReply, .echoRequest, .timestampRequest, .timestampReply: false
    }
  }

  /// Writes the header to the start of `span`, whose rest holds the data already, and the checksum of both.
  public func emit(into span: inout MutableRawSpan) {
    func start(_ type: UInt8, _ code: UInt8, _ rest: UInt32) {
      span.set(UInt32(type) &<< 24 | UInt32(code) &<< 16, at: 0)
      span.set(rest, at: 4)
    }
    func pair(_ identifier: UInt16, _ sequence: UInt16) -> UInt32 {
      UInt32(identifier) &<< 16 | UInt32(sequence)
    }
    switch self {
    case .echoReply(let identifier, let sequence): start(0, 0, pair(identifier, sequence))
    case .destinationUnreachable(let code, let mtu): start(3, code, UInt32(mtu))
    case .redirect(let code, let gateway): start(5, code, gateway.rawValue)
    case .echoRequest(let identifier, let sequence): start(8, 0, pair(identifier, sequence))
    case .timeExceeded(let code): start(11, code, 0)
    case .parameterProblem(let code, let pointer): start(12, code, UInt32(pointer) &<< 24)
    case .timestampRequest(let identifier, let sequence, let originate):
      start(13, 0, pair(identifier, sequence))
      span.set(originate, at: 8)
      span.set(0 as UInt64, at: 12)
    case .timestampReply(let identifier, let sequence, let originate, let receive, let transmit):
      start(14, 0, pair(identifier, sequence))
      span.set(originate, at: 8)
      span.set(receive, at: 12)
      span.set(transmit, at: 16)
    case .other(let type, let code, let rest): start(type, code, rest)
    }
    span.set(InternetChecksum.of(span.bytes), at: 2)
  }
}
