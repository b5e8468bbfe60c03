import Wire

/// The upper half of sequence numbers that would have 64 bits (RFC 5925 section 6.2): a segment that is replayed when
/// its number comes again has another one.
///
/// In place of the RFC's flags: the highest number so far, in 64 bits, and of those that a number may stand for the
/// nearest. As no window has half of the numbers, that is the one meant.
struct SequenceExtension {
  private var highest: UInt64

  /// The extension of the initial sequence number is zero.
  init(initial: SequenceNumber) { highest = UInt64(initial.rawValue) }

  private func whole(_ number: SequenceNumber) -> UInt64 {
    let distance = Int32(bitPattern: number.rawValue &- UInt32(truncatingIfNeeded: highest))
    return highest &+ UInt64(bitPattern: Int64(distance))
  }

  /// That of `number`.
  func value(of number: SequenceNumber) -> UInt32 { UInt32(truncatingIfNeeded: whole(number) >> 32) }

  /// `number` was sent, or is authentic: what comes is near it.
  mutating func take(_ number: SequenceNumber) {
    let whole = whole(number)
    // Below the initial number there is less than zero.
    if Int64(bitPattern: whole &- highest) > 0 { highest = whole }
  }
}
