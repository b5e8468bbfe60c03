import Timing

/// What a connection has learned of its path that the next one to the same peer may begin with (RFC 9040 section 4,
/// temporal sharing; Linux's tcp_metrics).
@frozen public struct TCPPathMemory: Hashable, Sendable {
  /// SRTT; zero: nothing is known.
  public var smoothed = Nanoseconds.zero
  /// The mean deviation of the round trip.
  public var variation = Nanoseconds.zero
  /// ssthresh in segments; 0: it is not known.
  public var threshold = 0
  /// How many segments reordering has put between a segment and its place, if it is more than the usual; 0: it is not.
  public var reordering = 0

  /// Nothing is known.
  @inlinable public init() {}

  /// What two connections know, one after the other: a round trip that became longer counts at once, one that became shorter
  /// by an eighth (Linux's tcp_update_metrics).
  public func updated(by later: TCPPathMemory) -> TCPPathMemory {
    guard smoothed > .zero else { return later }
    var known = self
    let shorter = (smoothed - later.smoothed).count
    known.smoothed = shorter <= 0 ? later.smoothed : Nanoseconds(smoothed.count - shorter / 8)
    let change = max(abs(shorter) / 2, later.variation.count)
    known.variation =
      change >= variation.count
      ? Nanoseconds(change) : Nanoseconds(variation.count - (variation.count - change) / 4)
    if later.threshold > 0 { known.threshold = later.threshold }
    known.reordering = max(reordering, later.reordering)
    return known
  }
}

extension TCPConnection {
  /// What it has learned of its path, for those that follow. Nil: it has measured nothing, or nothing has come back for so
  /// long that what it measured is doubtful. Once it has ended, too.
  public var pathMemory: TCPPathMemory? {
    guard roundTrip.isMeasured, roundTrip.backoff == 0 else { return nil }
    var memory = TCPPathMemory()
    memory.smoothed = roundTrip.smoothed
    memory.variation = roundTrip.variation
    // A window that grows says what the path takes once it is not in slow start any more.
    if !window.isInSlowStart, recovery.phase == .open {
      memory.threshold = max(window.segments / 2, window.threshold)
    }
    if recovery.reordering > Int(configuration.duplicateThreshold) { memory.reordering = recovery.reordering }
    return memory
  }

  /// What others have learned of the path, before anything was sent on it. The round trip makes the retransmission timeout
  /// longer, never shorter, until data has been measured: that of a handshake may be shorter than those that follow.
  ///
  /// - Parameter memory: what they know.
  public mutating func recall(_ memory: TCPPathMemory) {
    roundTrip.remember(memory.smoothed)
    rememberedThreshold = UInt16(clamping: memory.threshold)
    if memory.reordering > 0 { recovery.reordering = memory.reordering }
  }
}
