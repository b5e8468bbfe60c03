/// A message between a host and who gives it its address (RFC 2131). Not for the packet path: it allocates.
public struct DHCPMessage: Hashable, Sendable {
  /// What it is (RFC 2132 section 9.6).
  public enum Kind: UInt8, Sendable, CaseIterable {
    /// Who has an address for me?
    case discover = 1
    /// I have this one.
    case offer = 2
    /// I take it; or: I want to keep it.
    case request = 3
    /// Somebody has it already.
    case decline = 4
    /// It is yours (DHCPACK).
    case acknowledge = 5
    /// It is not (DHCPNAK).
    case refuse = 6
    /// I need it no more.
    case release = 7
    /// I have an address; tell me the rest.
    case inform = 8
  }

  /// Where servers and clients listen.
  public static let serverPort: UInt16 = 67
  /// See ``serverPort``.
  public static let clientPort: UInt16 = 68
  /// Bytes before the options: the fixed part and the magic number.
  public static let fixedByteCount = 240

  /// From a server to a client.
  public var isReply: Bool
  /// What it is.
  public var kind: Kind
  /// xid: what an answer has in common with its question.
  public var transaction: UInt32
  /// secs: how long the client has been trying.
  public var seconds: UInt16
  /// The client cannot take an answer that is sent to it alone.
  public var wantsBroadcast: Bool
  /// ciaddr: what the client has, and answers ARP for.
  public var clientAddress: IPv4Address
  /// yiaddr: what it gets.
  public var yourAddress: IPv4Address
  /// siaddr.
  public var nextServer: IPv4Address
  /// giaddr: of a relay between both.
  public var relay: IPv4Address
  /// chaddr.
  public var hardware: MACAddress
  /// In the order in which their codes first came; each code once.
  public var options: [DHCPOption]

  /// A message about nothing.
  public init(
    _ kind: Kind, isReply: Bool, transaction: UInt32, hardware: MACAddress, options: [DHCPOption] = []
  ) {
    self.isReply = isReply
    self.kind = kind
    self.transaction = transaction
    seconds = 0
    wantsBroadcast = false
    let none = IPv4Address(0)
    (clientAddress, yourAddress, nextServer, relay) = (none, none, none, none)
    self.hardware = hardware
    self.options = options
  }

  private static let magic: UInt32 = 0x6382_5363
  private static let end: UInt8 = 255
  private static let kindCode: UInt8 = 53
  private static let overloadCode: UInt8 = 52
  /// sname and file, which may hold options too (RFC 2132 section 9.3).
  private static let file = 108..<236
  private static let serverName = 44..<108

  /// Parses a datagram's bytes. Throws `.truncated`; `.unsupported` for BOOTP, other hardware than Ethernet and unknown
  /// kinds; `.badOption` where one runs past the end.
  public static func parse(_ bytes: RawSpan) throws(WireError) -> DHCPMessage {
    try bytes.require(fixedByteCount)
    let operation = bytes.uint8(at: 0)
    guard operation == 1 || operation == 2, bytes.uint8(at: 1) == 1, bytes.uint8(at: 2) == 6,
      bytes.uint32(at: 236) == magic
    else { throw .unsupported }
    var found = Options()
    try found.read(bytes, fixedByteCount..<bytes.byteCount)
    // What they say of themselves is not looked at again.
    let overload = found.overload
    if overload & 1 != 0 { try found.read(bytes, file) }
    if overload & 2 != 0 { try found.read(bytes, serverName) }
    guard let kind = Kind(rawValue: found.kind) else { throw .unsupported }
    var message = DHCPMessage(
      kind, isReply: operation == 2, transaction: bytes.uint32(at: 4), hardware: MACAddress(bytes, at: 28))
    message.seconds = bytes.uint16(at: 8)
    message.wantsBroadcast = bytes.uint16(at: 10) & 0x8000 != 0
    message.clientAddress = IPv4Address(bytes.uint32(at: 12))
    message.yourAddress = IPv4Address(bytes.uint32(at: 16))
    message.nextServer = IPv4Address(bytes.uint32(at: 20))
    message.relay = IPv4Address(bytes.uint32(at: 24))
    message.options = found.all.map { DHCPOption($0.code, $0.data) }
    return message
  }

  /// Options as they are met: those of one code belong together (RFC 3396).
  private struct Options {
    var kind: UInt8 = 0
    var overload: UInt8 = 0
    var all: [(code: UInt8, data: [UInt8])] = []

    mutating func read(_ bytes: RawSpan, _ range: Range<Int>) throws(WireError) {
      var at = range.lowerBound
      while at < range.upperBound {
        let code = bytes.uint8(at: at)
        if code == DHCPMessage.end { return }
        at += 1
        if code == 0 { continue }
        let offset = at - 1 - range.lowerBound
        guard at < range.upperBound else { throw .badOption(kind: code, offset: offset) }
        let length = Int(bytes.uint8(at: at))
        at += 1
        guard length <= range.upperBound - at else { throw .badOption(kind: code, offset: offset) }
        take(code, (at..<at + length).map { bytes.uint8(at: $0) })
        at += length
      }
    }

    private mutating func take(_ code: UInt8, _ data: [UInt8]) {
      switch code {
      case DHCPMessage.kindCode: if data.count == 1 { kind = data[0] }
      case DHCPMessage.overloadCode: if data.count == 1 { overload = data[0] }
      default:
        if let index = all.firstIndex(where: { $0.code == code }) {
          all[index].data += data
        } else {
          all.append((code, data))
        }
      }
    }
  }

  /// The bytes of a datagram: 300 at least, as old clients want it (RFC 1542 section 2.1).
  public var encoded: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Self.fixedByteCount)
    func put<Value: FixedWidthInteger>(_ value: Value, at offset: Int) {
      for index in 0..<Value.bitWidth / 8 {
        bytes[offset + index] = UInt8(truncatingIfNeeded: value >> Value(Value.bitWidth - 8 - index * 8))
      }
    }
    bytes[0] = isReply ? 2 : 1
    bytes[1] = 1
    bytes[2] = 6
    put(transaction, at: 4)
    put(seconds, at: 8)
    put(wantsBroadcast ? 0x8000 : 0 as UInt16, at: 10)
    put(clientAddress.rawValue, at: 12)
    put(yourAddress.rawValue, at: 16)
    put(nextServer.rawValue, at: 20)
    put(relay.rawValue, at: 24)
    put(UInt32(truncatingIfNeeded: hardware.rawValue >> 16), at: 28)
    put(UInt16(truncatingIfNeeded: hardware.rawValue), at: 32)
    put(Self.magic, at: 236)
    bytes += [Self.kindCode, 1, kind.rawValue]
    for option in options {
      let data = option.data
      var at = 0
      repeat {
        let count = min(255, data.count - at)
        bytes += [option.code, UInt8(count)]
        bytes += data[at..<at + count]
        at += count
      } while at < data.count
    }
    bytes.append(Self.end)
    if bytes.count < 300 { bytes += [UInt8](repeating: 0, count: 300 - bytes.count) }
    return bytes
  }
}
