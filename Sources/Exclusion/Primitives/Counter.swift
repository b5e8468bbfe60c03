/// A statistic with one writer at a time and any number of readers: no locked instruction.
@frozen public struct Counter: ~Copyable, Sendable {
  @usableFromInline let word: AtomicWord

  /// Zero.
  @inlinable public init() { word = AtomicWord(0) }
  /// Only the writer.
  @inlinable @inline(__always) public func increment(by amount: UInt64 = 1) {
    word.storeRelaxed(word.loadRelaxed() &+ amount)
  }
  /// What was counted so far. Any thread.
  @inlinable @inline(__always) public var value: UInt64 { word.loadRelaxed() }
}

/// A statistic that anyone may increment.
@frozen public struct SharedCounter: ~Copyable, Sendable {
  @usableFromInline let word: AtomicWord

  /// Zero.
  @inlinable public init() { word = AtomicWord(0) }
  /// Any thread. One locked instruction.
  @inlinable @inline(__always) public func increment(by amount: UInt64 = 1) { word.add(amount) }
  /// What was counted so far. Any thread.
  @inlinable @inline(__always) public var value: UInt64 { word.loadRelaxed() }
}
