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

/// A statistic that many threads increment at once. Each has one of some places, in lines of their own, so that they do
/// not take a line from each other for it.
public struct StripedCounter: ~Copyable, Sendable {
  private struct Place: ~Copyable, Sendable {
    let counter = SharedCounter()
    private let rest = InlineArray<7, UInt64>(repeating: 0)
  }
  private static var count: Int { 16 }
  private let places = InlineArray<16, Place> { _ in Place() }

  /// Zero.
  public init() {}
  /// Any thread.
  public func increment() {
    places[Int(truncatingIfNeeded: threadHash()) & (Self.count - 1)].counter.increment()
  }
  /// What was counted so far. Any thread; exact while nobody counts.
  public var value: UInt64 {
    var sum: UInt64 = 0
    for place in 0..<Self.count { sum &+= places[place].counter.value }
    return sum
  }
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
