/// What the header of nearly every segment of a connection says that carries bulk: its only options are timestamps, in the
/// form in which everyone sends them, or none. It is read at once, without a place for options that do not come.
@frozen public struct TCPGlance: Hashable, Sendable {
  /// SEG.SEQ.
  public let sequence: SequenceNumber
  /// SEG.ACK; means something with ACK only.
  public let acknowledgment: SequenceNumber
  /// TSval and TSecr; zero without timestamps.
  public let timestamps: TCPTimestamps
  /// Control bits.
  public let flags: TCPFlags
  /// SEG.WND as on the wire, not scaled.
  public let window: UInt16
  /// Bytes of header and options: 20, or 32 with timestamps.
  public let headerByteCount: Int

  /// Looks at the header at the start of `segment`; nil: it is none, or has other options.
  @inlinable @inline(__always)
  public init?(_ segment: RawSpan) {
    guard segment.byteCount >= TCPHeader.fixedByteCount else { return nil }
    switch segment.uint8(at: 12) &>> 4 {
    case 8:
      guard segment.byteCount >= 32, segment.uint32(at: 20) == 0x0101_080A else { return nil }
      headerByteCount = 32
      timestamps = TCPTimestamps(value: segment.uint32(at: 24), echo: segment.uint32(at: 28))
    case 5:
      headerByteCount = 20
      timestamps = TCPTimestamps(value: 0, echo: 0)
    default: return nil
    }
    sequence = SequenceNumber(segment.uint32(at: 4))
    acknowledgment = SequenceNumber(segment.uint32(at: 8))
    flags = TCPFlags(rawValue: segment.uint16(at: 12))
    window = segment.uint16(at: 14)
  }

  /// A header from its fields.
  @inlinable @inline(__always)
  public init(
    sequence: SequenceNumber, acknowledgment: SequenceNumber, flags: TCPFlags, window: UInt16,
    timestamps: TCPTimestamps?
  ) {
    self.sequence = sequence
    self.acknowledgment = acknowledgment
    self.flags = flags
    self.window = window
    self.timestamps = timestamps ?? TCPTimestamps(value: 0, echo: 0)
    headerByteCount = timestamps == nil ? 20 : 32
  }

  /// Offset, flags and window.
  @inlinable @inline(__always) var fourth: UInt32 {
    (UInt32(headerByteCount / 4) &<< 12 | UInt32(flags.rawValue)) &<< 16 | UInt32(window)
  }

  /// What the header adds to a checksum over it, to be folded: its words in host byte order, with a zero checksum.
  @inlinable @inline(__always)
  public func sum(sourcePort: UInt16, destinationPort: UInt16) -> UInt64 {
    let fixed =
      UInt64(sourcePort) &+ UInt64(destinationPort) &+ UInt64(sequence.rawValue)
      &+ UInt64(acknowledgment.rawValue) &+ UInt64(fourth)
    guard hasTimestamps else { return fixed }
    return fixed &+ 0x0101_080A &+ UInt64(timestamps.value) &+ UInt64(timestamps.echo)
  }

  /// Writes the header to the start of `span`, ``headerByteCount`` bytes. `checksum`: what its field holds.
  @inlinable @inline(__always)
  public func emit(
    into span: inout MutableRawSpan, sourcePort: UInt16, destinationPort: UInt16, checksum: UInt16 = 0
  ) {
    span.set(UInt32(sourcePort) &<< 16 | UInt32(destinationPort), at: 0)
    span.set(sequence.rawValue, at: 4)
    span.set(acknowledgment.rawValue, at: 8)
    span.set(fourth, at: 12)
    span.set(UInt32(checksum) &<< 16, at: 16)
    guard hasTimestamps else { return }
    span.set(0x0101_080A as UInt32, at: 20)
    span.set(timestamps.value, at: 24)
    span.set(timestamps.echo, at: 28)
  }

  /// Whether the header at the start of `segment` is this one, with `sequence` for its number: what a row of segments that were
  /// cut of one has. It is compared as it lies. False: it says something else, or in other words.
  @inlinable @inline(__always)
  public func isRepeated(at sequence: SequenceNumber, by segment: RawSpan) -> Bool {
    guard segment.byteCount >= headerByteCount,
      segment.uint64(at: 4) == UInt64(sequence.rawValue) &<< 32 | UInt64(acknowledgment.rawValue),
      segment.uint32(at: 12) == fourth
    else { return false }
    guard hasTimestamps else { return true }
    return segment.uint32(at: 20) == 0x0101_080A
      && segment.uint64(at: 24) == UInt64(timestamps.value) &<< 32 | UInt64(timestamps.echo)
  }

  /// This header with another number.
  @inlinable @inline(__always) public func repeated(at sequence: SequenceNumber) -> TCPGlance {
    TCPGlance(
      sequence: sequence, acknowledgment: acknowledgment, flags: flags, window: window,
      timestamps: hasTimestamps ? timestamps : nil)
  }

  /// It has timestamps.
  @inlinable public var hasTimestamps: Bool { headerByteCount == 32 }
}
