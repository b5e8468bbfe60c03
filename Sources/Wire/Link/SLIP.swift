// RFC 1055: IP packets on a line of bytes. A packet ends with END; an END or ESC inside is two bytes.

/// The bytes that SLIP gives a meaning (RFC 1055).
public enum SLIP {
  /// Ends a packet, and before the first one ends what noise there was.
  public static var end: UInt8 { 0xC0 }
  /// Announces a byte that would otherwise mean something.
  public static var escape: UInt8 { 0xDB }
  /// After ``escape``: ``end``.
  public static var escapedEnd: UInt8 { 0xDC }
  /// After ``escape``: ``escape``.
  public static var escapedEscape: UInt8 { 0xDD }

  /// The most bytes that a packet of `count` bytes becomes.
  public static func largestByteCount(packet count: Int) -> Int { count * 2 + 2 }

  /// Appends a packet between two ENDs; two in a row are no packet.
  public static func encode(_ packet: RawSpan, into bytes: inout [UInt8]) {
    bytes.append(end)
    for offset in 0..<packet.byteCount {
      switch packet.uint8(at: offset) {
      case end: bytes += [escape, escapedEnd]
      case escape: bytes += [escape, escapedEscape]
      case let byte: bytes.append(byte)
      }
    }
    bytes.append(end)
  }
}

/// Finds packets in a line of bytes, one byte after the other. Total: any bytes give packets or drops, and after
/// any END it is in step again.
public struct SLIPDecoder: Sendable {
  /// What a byte completed.
  public enum Outcome: Hashable, Sendable {
    /// Nothing yet.
    case none
    /// A packet of at least one byte: ``SLIPDecoder/packet`` has it until the next byte.
    case packet
    /// A packet that was longer than the limit has ended.
    case oversize
    /// A packet with an ESC before something that needs none has ended. RFC 1055 leaves it to the receiver; a
    /// packet that is known to be damaged is not guessed at.
    case badEscape
  }

  private enum State: Hashable, Sendable {
    case collecting
    case escaped
    /// Up to the next END nothing is kept.
    case skipping(Outcome)
  }

  /// The longest packet, in bytes.
  public let limit: Int
  /// The packet so far, or, after `.packet`, the whole.
  public private(set) var packet: [UInt8] = []
  private var state = State.collecting
  private var isComplete = false

  /// Collects packets of up to `limit` bytes, in memory taken now.
  public init(limit: Int) {
    self.limit = limit
    packet.reserveCapacity(limit)
  }

  /// Takes the next byte of the line.
  public mutating func take(_ byte: UInt8) -> Outcome {
    if isComplete {
      isComplete = false
      packet.removeAll(keepingCapacity: true)
    }
    if byte == SLIP.end { return end() }
    switch state {
    case .collecting: if byte == SLIP.escape { state = .escaped } else { keep(byte) }
    case .escaped:
      state = .collecting
      if byte == SLIP.escapedEnd {
        keep(SLIP.end)
      } else if byte == SLIP.escapedEscape {
        keep(SLIP.escape)
      } else {
        state = .skipping(.badEscape)
      }
    case .skipping: break
    }
    return .none
  }

  private mutating func keep(_ byte: UInt8) {
    if packet.count < limit { packet.append(byte) } else { state = .skipping(.oversize) }
  }

  private mutating func end() -> Outcome {
    let ended = state
    state = .collecting
    isComplete = true
    switch ended {
    case .collecting: return packet.isEmpty ? .none : .packet
    case .escaped: return .badEscape
    case .skipping(let reason): return reason
    }
  }
}
