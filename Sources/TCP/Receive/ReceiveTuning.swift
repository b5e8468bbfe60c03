import Timing
import Wire

/// How far the receive buffer has to grow: dynamic right-sizing. What the application takes in a round trip is what
/// the peer sends in one; a window of twice that, and more while it grows, does not hold the peer back.
///
/// A receiver that sends nothing has no round trips of its own. It measures how long its window takes to be filled,
/// which is at least one, or the time from a timestamp to its echo.
struct ReceiveTuning {
  /// The receiver's round trip; zero before the first measurement.
  private(set) var roundTrip = Nanoseconds.zero
  /// When the right edge that is being waited for was offered; nil: none is.
  private var offeredAt: Instant?
  private var offeredEdge = SequenceNumber(0)
  /// The last echo that was measured: once each.
  private var lastEcho: UInt32?
  /// Bytes that were taken in the round trip that counts, and when the present one began.
  private var taken: Int
  private var startedAt: Instant?
  private var startedWith: UInt64 = 0

  /// `initial`: what a first window brings, in bytes.
  init(initial: Int) { taken = max(1, initial) }

  /// Text arrived, and RCV.NXT is `next`: the time that a window takes. Only the least such time means a round trip.
  mutating func windowAdvanced(to next: SequenceNumber, edge: SequenceNumber, now: Instant) {
    if let start = offeredAt {
      guard next >= offeredEdge else { return }
      let sample = max(now - start, Nanoseconds(1000))
      roundTrip = roundTrip == .zero ? sample : min(roundTrip, sample)
    }
    offeredAt = now
    offeredEdge = edge
  }

  /// Whether an echo was not looked at yet.
  @inline(__always) func isNews(_ echo: UInt32) -> Bool { lastEcho != echo }

  /// A full segment arrived that echoes our timestamp: `sample` since then.
  mutating func echoed(_ echo: UInt32, _ sample: Nanoseconds) {
    guard lastEcho != echo else { return }
    lastEcho = echo
    roundTrip =
      roundTrip == .zero
      ? sample : Nanoseconds(roundTrip.count + (sample.count - roundTrip.count) / 8)
  }

  /// The buffer that holds what a round trip brings beside `ahead` bytes from RCV.NXT on that wait for what is missing, in
  /// bytes.
  func wanted(ahead: Int) -> Int { 2 * taken + ahead }

  /// The application has taken `total` bytes since the connection began. Returns the buffer that it needs, in bytes;
  /// nil: no more than it has.
  mutating func read(_ total: UInt64, segment: Int, now: Instant) -> Int? {
    guard let start = startedAt else {
      (startedAt, startedWith) = (now, total)
      return nil
    }
    guard roundTrip > .zero, now - start >= roundTrip else { return nil }
    let bytes = Int(clamping: total &- startedWith)
    (startedAt, startedWith) = (now, total)
    guard bytes > taken else { return nil }
    let before = taken
    taken = bytes
    // Twice for the round trip that a lost segment costs; and what has grown since the last one will grow again, twice.
    let base = 2 * bytes + 16 * segment
    let growth = Double(base) * Double(bytes - before) / Double(before)
    return base + Int(min(2 * growth, Double(1 << 30)))
  }
}
