import Wire

/// A packet as a script writes it.
public struct PacketDescription: Hashable, Sendable {
  /// Which way a packet goes.
  public enum Direction: Hashable, Sendable {
    /// `<`: from the network to the stack.
    case inbound
    /// `>`: from the stack to the network.
    case outbound
  }

  /// What carries the packet, outermost first: other IP headers, GRE, MPLS, PSP.
  public enum Carrier: Hashable, Sendable {
    /// An IPv4 or IPv6 header with its addresses as text.
    case internet(isIPv6: Bool, source: String, destination: String)
    /// A GRE header.
    case gre
    /// A stack of MPLS labels.
    case mpls
    /// PSP security protocol.
    case psp
  }

  /// What of the type-of-service byte a script says.
  public enum TypeOfService: Hashable, Sendable {
    /// Nothing.
    case any
    /// `noecn`, `ect1`, `ect0`, `ce`: the two bits of ECN, as they stand in the header.
    case ecn(UInt8)
    /// `ect01`: ECT(0) or ECT(1).
    case capable
    /// `tos 0x28`, `class 0x28`: the whole byte.
    case byte(UInt8)
  }

  /// What lies in the IP packet.
  public enum Content: Hashable, Sendable {
    /// A TCP segment.
    case tcp(SegmentDescription)
    /// A UDP datagram with so many bytes of payload.
    case udp(Int)
    /// An ICMP message.
    case icmp(MessageDescription)
  }

  /// Which way it goes.
  public var direction: Direction
  /// What carries it, outermost first.
  public var carriers: [Carrier] = []
  /// The type-of-service byte.
  public var typeOfService = TypeOfService.any
  /// The time to live or hop limit; nil where the script does not say.
  public var timeToLive: UInt8?
  /// The flow label, 20 bits; nil where the script does not say.
  public var flowLabel: UInt32?
  /// Source and destination port; nil for the connection's own.
  public var ports: PortPair?
  /// What lies in it.
  public var content: Content
  /// `/udp(a > b)`: the segment travels in UDP between these ports.
  public var encapsulation: PortPair?

  /// A packet without anything around it.
  public init(_ direction: Direction, _ content: Content) {
    self.direction = direction
    self.content = content
  }

  /// The TCP segment in it.
  public var segment: SegmentDescription? {
    if case .tcp(let segment) = content { segment } else { nil }
  }
}

/// A source and a destination port.
public struct PortPair: Hashable, Sendable {
  /// The sender's.
  public var source: UInt16
  /// The receiver's.
  public var destination: UInt16

  /// From source to destination.
  public init(source: UInt16, destination: UInt16) {
    self.source = source
    self.destination = destination
  }
}

/// `1:1001(1000)`.
public struct SequenceRange: Hashable, Sendable {
  /// The first sequence number.
  public var start: UInt32
  /// Bytes of payload; the script's second number is the sum.
  public var length: Int

  /// A range by its start and its length.
  public init(start: UInt32, length: Int) {
    self.start = start
    self.length = length
  }

  /// One past the last.
  public var end: UInt32 { start &+ UInt32(truncatingIfNeeded: length) }
}

/// What a sequence number counts from.
public enum SequenceOrigin: Hashable, Sendable {
  /// The initial sequence number of the connection.
  case connection
  /// `0:0(0)!`: zero. It is the number on the wire.
  case wire
  /// `...(0)`: nobody knows; any number is right.
  case unknown
}

/// A TCP segment as a script writes it. Sequence and acknowledgment numbers are relative to the initial ones of
/// the connection, but in a SYN, where they are the script's own.
public struct SegmentDescription: Hashable, Sendable {
  /// FIN, SYN, RST, PSH, ACK, URG and, unless `acknowledgedMarks` is there, ECE, CWR and AE.
  public var flags: TCPFlags
  /// `.5`: the three bits AE, CWR, ECE as the counter ACE of accurate ECN.
  public var acknowledgedMarks: UInt8?
  /// Sequence number and payload.
  public var sequence: SequenceRange
  /// What the sequence number counts from.
  public var sequenceOrigin = SequenceOrigin.connection
  /// `ack`; nil where the script does not say.
  public var acknowledgment: UInt32?
  /// `win`, as it stands in the header, unscaled; nil where the script does not say.
  public var window: UInt16?
  /// `urg`; 0 where the script does not say.
  public var urgentPointer: UInt16 = 0
  /// In order; nil for `<...>`, any.
  public var options: [OptionDescription]? = []

  /// A segment without options.
  public init(
    flags: TCPFlags, sequence: SequenceRange, acknowledgment: UInt32? = nil, window: UInt16? = nil
  ) {
    self.flags = flags
    self.sequence = sequence
    self.acknowledgment = acknowledgment
    self.window = window
  }
}

/// An option of a TCP header.
public enum OptionDescription: Hashable, Sendable {
  /// `nop`.
  case noOperation
  /// `eol`.
  case endOfList
  /// `mss 1460`.
  case maximumSegmentSize(UInt16)
  /// `wscale 7`.
  case windowScale(UInt8)
  /// `sackOK`.
  case sackPermitted
  /// `sack 1:2 5:6`.
  case sack([SequencePair])
  /// `TS val 1 ecr 2`.
  case timestamps(value: UInt32, echo: UInt32)
  /// `FO cookie`; empty asks for one.
  case fastOpen(cookie: [UInt8])
  /// `FOEXP cookie`: the same under its experimental number.
  case fastOpenExperimental(cookie: [UInt8])
  /// `md5 digest`.
  case md5(digest: [UInt8])
  /// `md5 valid`: the digest that the tool was given a secret for.
  case md5Valid
  /// `md5 wrong`: the same with one bit changed.
  case md5Wrong
  /// `ao keyid 1 rnext 2`: RFC 5925's, with its two IDs.
  case authentication(key: UInt8, next: UInt8, Code)
  /// `ECN e1b 1 ceb 0 e0b 1`: accurate ECN's counters, in the order of the wire.
  case accurateECN(first: ECNCounter, values: [UInt32])
  /// An option without a word of its own, from a packet that the stack sent.
  case other(kind: UInt8, bytes: [UInt8])

  /// The code in an authentication option.
  public enum Code: Hashable, Sendable {
    /// The right one, which is computed with the script's keys.
    case valid
    /// `wrong`: the right one with one bit changed.
    case wrong
    /// `mac 00112233`: these bytes.
    case bytes([UInt8])
  }

  /// Which counter comes first in an option of accurate ECN.
  public enum ECNCounter: Hashable, Sendable {
    /// Bytes marked ECT(0), then CE, then ECT(1).
    case capableZero
    /// Bytes marked ECT(1), then CE, then ECT(0).
    case capableOne
  }

  /// The bytes it takes on the wire.
  public var byteCount: Int {
    switch self {
    case .noOperation, .endOfList: 1
    case .maximumSegmentSize: 4
    case .windowScale: 3
    case .sackPermitted: 2
    case .sack(let blocks): 2 + 8 * blocks.count
    case .timestamps: 10
    case .fastOpen(let cookie): 2 + cookie.count
    case .fastOpenExperimental(let cookie): 4 + cookie.count
    case .md5(let digest): 2 + digest.count
    case .md5Valid, .md5Wrong: 18
    case .authentication(_, _, .bytes(let bytes)): 4 + bytes.count
    case .authentication: 16
    case .accurateECN(_, let values): 2 + 3 * values.count
    case .other(_, let bytes): 2 + bytes.count
    }
  }
}

/// A block of a selective acknowledgment: from the first, up to but not with the second.
public struct SequencePair: Hashable, Sendable {
  /// The first number.
  public var left: UInt32
  /// One past the last.
  public var right: UInt32

  /// A block by its edges.
  public init(_ left: UInt32, _ right: UInt32) {
    self.left = left
    self.right = right
  }
}

/// An ICMP message as a script writes it.
public struct MessageDescription: Hashable, Sendable {
  /// What an error message quotes.
  public enum Quote: Hashable, Sendable {
    /// `[1:1001(1000)]`: a segment that the stack sent.
    case tcp(SequenceRange)
    /// `[udp (100)]`: a datagram.
    case udp(Int)
    /// `[raw (100)]`: bytes without a meaning.
    case raw(Int)
  }

  /// The name of the type, or `type_N`.
  public var type: String
  /// The name of the code, or `code_N`; nil for 0.
  public var code: String?
  /// `mtu`; nil where the script does not say.
  public var mtu: UInt32?
  /// `id`, of an echo.
  public var identifier: UInt16?
  /// What it quotes.
  public var quote: Quote?
  /// `/udp(a > b)` inside the quote.
  public var quotedEncapsulation: PortPair?

  /// A message of a type.
  public init(type: String, code: String? = nil) {
    self.type = type
    self.code = code
  }
}
