/// What socket memory is used for.
@frozen public enum MemoryKind: Int, CaseIterable, Sendable {
  /// Packets of streams that wait for their reader.
  case receive
  /// Packets of streams that wait behind a hole.
  case reassembly
  /// Chunks that were written and not yet acknowledged.
  case send
  /// Datagrams that wait to be read or to be sent, and errors about datagrams.
  case datagram
}

/// How much socket memory is left, as `tcp_mem` of Linux tells it. `Documentation/Memory.md` says what each
/// state changes.
@frozen public enum MemoryState: UInt64, Comparable, CaseIterable, Sendable {
  /// Enough.
  case normal
  /// Sockets may not grow: windows stay small.
  case pressure
  /// Beyond what is guaranteed to each socket nothing more is taken in.
  case exhausted

  /// In the order of need.
  public static func < (left: MemoryState, right: MemoryState) -> Bool { left.rawValue < right.rawValue }
}

/// The three numbers of `tcp_mem`, in bytes instead of pages.
public struct MemoryLimits: Hashable, Sendable {
  /// At or below this pressure ends.
  public let low: Int
  /// Above this pressure begins.
  public let pressure: Int
  /// Nothing is taken that would go beyond this, except what is guaranteed to each socket.
  public let hard: Int

  /// Limits in proportion: 3 : 4 : 6, as Linux has them.
  ///
  /// - Parameter hard: bytes; less than 128 KiB counts as 128 KiB.
  public init(hard: Int) { self.init(low: hard / 2, pressure: hard / 3 * 2, hard: hard) }

  /// Limits. They are brought into order: `hard` is at least 128 KiB, `pressure` stays an eighth below it, and
  /// `low` does not exceed `pressure`.
  public init(low: Int, pressure: Int, hard: Int) {
    self.hard = min(max(hard, 128 << 10), 1 << 60)
    self.pressure = min(max(pressure, 0), self.hard - self.hard / 8)
    self.low = min(max(low, 0), self.pressure)
  }

  /// At or below this `exhausted` ends: half the way back to pressure, so that one freed slot is no recovery.
  var recovery: Int { pressure + (hard - pressure) / 2 }

  /// The state when `reserved` bytes are taken.
  func state(_ reserved: Int, after before: MemoryState) -> MemoryState {
    if reserved > hard { return .exhausted }
    switch before {
    case .normal: return reserved > pressure ? .pressure : .normal
    case .pressure: return reserved > low ? .pressure : .normal
    case .exhausted: return reserved > recovery ? .exhausted : reserved > low ? .pressure : .normal
    }
  }
}
