public import Buffers

import Exclusion

/// The account of a stack's socket memory, at one moment. Exact while nothing moves.
public struct MemoryStatistics: Hashable, Sendable {
  /// How much is left.
  public var state: MemoryState
  /// Where the states begin and end.
  public var limits: MemoryLimits
  /// Bytes in use by what they are used for, indexed by `MemoryKind.rawValue`.
  public var used: [Int]
  /// Bytes reserved: in use, or cached by a context.
  public var reserved: Int
  /// Bytes cached by contexts, for what comes next.
  public var cached: Int
  /// How often each state was entered, indexed by `MemoryState.rawValue`.
  public var entries: [UInt64]
  /// Requests that were turned down.
  public var refusals: UInt64

  /// Bytes in use.
  public var total: Int { used.reduce(0, +) }
  /// Bytes in use for `kind`.
  public subscript(kind: MemoryKind) -> Int { used[kind.rawValue] }
}

extension SocketLayer {
  /// What the sockets of this stack occupy. Any thread; allocates.
  public func memoryStatistics() -> MemoryStatistics {
    var statistics = MemoryStatistics(
      state: memory.state, limits: memory.limits, used: MemoryKind.allCases.map { memory.outside($0) },
      reserved: memory.reserved, cached: 0, entries: MemoryState.allCases.map { memory.entries(into: $0) },
      refusals: 0)
    func add(_ share: borrowing MemoryShare) {
      for kind in MemoryKind.allCases { statistics.used[kind.rawValue] += share.used(kind) }
      statistics.cached += share.cached
      statistics.refusals &+= share.refusals
    }
    for index in 0..<contexts.coreCount { withShare(index, add) }
    buffers.forEachShare(add)
    return statistics
  }
}
