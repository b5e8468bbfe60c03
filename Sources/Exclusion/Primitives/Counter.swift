public import Synchronization

// Statistics: nothing is decided by them, so they are no scheduling points of the explorer.

/// A statistic with one writer at a time and any number of readers: no locked instruction.
@frozen public struct Counter: ~Copyable, Sendable {
  @usableFromInline let word: Atomic<UInt64>

  /// Zero.
  @inlinable public init() { word = Atomic(0) }
  /// Only the writer.
  @inlinable @inline(__always) public func increment(by amount: UInt64 = 1) {
    set(word.load(ordering: .relaxed) &+ amount)
  }
  /// Only the writer: a gauge.
  @inlinable @inline(__always) public func set(_ value: UInt64) {
    noteStatistic(word)
    word.store(value, ordering: .relaxed)
  }
  /// What was counted so far. Any thread.
  @inlinable @inline(__always) public var value: UInt64 { word.load(ordering: .relaxed) }
}

/// A statistic that anyone may increment.
@frozen public struct SharedCounter: ~Copyable, Sendable {
  @usableFromInline let word: Atomic<UInt64>

  /// Zero.
  @inlinable public init() { word = Atomic(0) }
  /// Any thread. One locked instruction.
  @inlinable @inline(__always) public func increment(by amount: UInt64 = 1) {
    noteStatistic(word)
    word.wrappingAdd(amount, ordering: .relaxed)
  }
  /// What was counted so far. Any thread.
  @inlinable @inline(__always) public var value: UInt64 { word.load(ordering: .relaxed) }
}

/// A value with one writer at a time and any number of readers; a statistic, which no protocol may turn on.
@frozen public struct Gauge: ~Copyable, Sendable {
  @usableFromInline let word: Counter

  /// Zero.
  @inlinable public init() { word = Counter() }
  /// Only the writer.
  @inlinable @inline(__always) public func set(_ value: UInt64) { word.set(value) }
  /// The last value that was set. Any thread.
  @inlinable @inline(__always) public var value: UInt64 { word.value }
}

@inlinable @inline(__always) func noteStatistic(_ word: borrowing Atomic<UInt64>) {
  #if Explore
    unsafe withUnsafePointer(to: word) { unsafe _noteStatistic(UnsafeRawPointer($0)) }
  #endif
}
#if Explore
  @usableFromInline func _noteStatistic(_ raw: UnsafeRawPointer) { unsafe explorer?.statistic(raw) }
#endif
