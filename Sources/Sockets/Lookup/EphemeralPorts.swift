import Exclusion
import Wire

/// Chooses local ports that outsiders cannot predict, and that differ for each destination (RFC 6056
/// algorithm 3). The range never wraps to 0 (L10).
struct EphemeralPorts: Sendable {
  private let range: ClosedRange<UInt16>
  private let key: HashKey
  private let next: NextPort

  private final class NextPort: Sendable {
    let counter = SharedCounter()
  }

  init(_ range: ClosedRange<UInt16>, key: HashKey) {
    self.range = max(1, range.lowerBound)...max(1, range.upperBound)
    self.key = key
    next = NextPort()
  }

  private func sequence(from start: UInt64) -> some Sequence<UInt16> {
    let size = UInt64(range.upperBound) - UInt64(range.lowerBound) + 1
    let lower = UInt64(range.lowerBound)
    return (0..<size).lazy.map { UInt16(lower + (start &+ $0) % size) }
  }

  /// Every port once, beginning where the destination's offset and the counter say.
  func sequence(for flow: FlowKey) -> some Sequence<UInt16> {
    next.counter.increment()
    let offset = keyedHash(
      key, flow.localAddress.high, flow.localAddress.low, flow.remoteAddress.high, flow.remoteAddress.low,
      UInt64(flow.remotePort))
    return sequence(from: (offset >> 1) &+ next.counter.value)
  }

  /// Every port once, for sockets without a destination.
  func anyOrder() -> [UInt16] {
    next.counter.increment()
    return Array(sequence(from: keyedHash(key, next.counter.value) >> 1))
  }
}
