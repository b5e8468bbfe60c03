// The thin layer: these few files are the only shared memory that protocols touch, so that a schedule
// explorer can replace exactly them. Orderings are in the names, because the compiler demands constants.
#if !Explore
  public import Synchronization

  /// An atomic 64-bit word. Any thread, any context.
  @frozen public struct AtomicWord: ~Copyable, Sendable {
    @usableFromInline let word: Atomic<UInt64>

    /// A word that starts as `value`.
    @inlinable @inline(__always) public init(_ value: UInt64) { word = Atomic(value) }

    /// Orders nothing.
    @inlinable @inline(__always) public func loadRelaxed() -> UInt64 { word.load(ordering: .relaxed) }
    /// Acquires: what the writer did before its release is visible afterwards.
    @inlinable @inline(__always) public func load() -> UInt64 { word.load(ordering: .acquiring) }
    /// Orders nothing.
    @inlinable @inline(__always) public func storeRelaxed(_ value: UInt64) {
      word.store(value, ordering: .relaxed)
    }
    /// Releases: what this thread did before is visible to who acquires the value.
    @inlinable @inline(__always) public func store(_ value: UInt64) {
      word.store(value, ordering: .releasing)
    }
    /// Acquires and releases; returns the old value.
    @inlinable @inline(__always) public func exchange(_ value: UInt64) -> UInt64 {
      word.exchange(value, ordering: .acquiringAndReleasing)
    }
    /// Strong. Acquires and releases on success, acquires on failure. On failure `expected` becomes what was
    /// found, so a retry needs no second load.
    @inlinable @inline(__always)
    public func compareExchange(_ expected: inout UInt64, _ desired: UInt64) -> Bool {
      let (exchanged, original) = word.compareExchange(
        expected: expected, desired: desired,
        successOrdering: .acquiringAndReleasing, failureOrdering: .acquiring)
      expected = original
      return exchanged
    }
    /// Wraps; acquires and releases; returns the old value.
    @discardableResult @inlinable @inline(__always) public func add(_ value: UInt64) -> UInt64 {
      word.wrappingAdd(value, ordering: .acquiringAndReleasing).oldValue
    }
    /// Wraps; acquires and releases; returns the old value.
    @discardableResult @inlinable @inline(__always) public func subtract(_ value: UInt64) -> UInt64 {
      word.wrappingSubtract(value, ordering: .acquiringAndReleasing).oldValue
    }
    /// Acquires and releases; returns the old value.
    @discardableResult @inlinable @inline(__always) public func formOr(_ value: UInt64) -> UInt64 {
      word.bitwiseOr(value, ordering: .acquiringAndReleasing).oldValue
    }
    /// Acquires and releases; returns the old value.
    @discardableResult @inlinable @inline(__always) public func formAnd(_ value: UInt64) -> UInt64 {
      word.bitwiseAnd(value, ordering: .acquiringAndReleasing).oldValue
    }
  }

  /// An atomic 32-bit word, for futexes and slot generations.
  @frozen @usableFromInline struct AtomicHalfWord: ~Copyable, Sendable {
    @usableFromInline let word: Atomic<UInt32>

    @inlinable @inline(__always) init(_ value: UInt32) { word = Atomic(value) }
    @inlinable @inline(__always) func loadRelaxed() -> UInt32 { word.load(ordering: .relaxed) }
    @inlinable @inline(__always) func load() -> UInt32 { word.load(ordering: .acquiring) }
    @inlinable @inline(__always) func storeRelaxed(_ value: UInt32) { word.store(value, ordering: .relaxed) }
    @inlinable @inline(__always) func store(_ value: UInt32) { word.store(value, ordering: .releasing) }
    @inlinable @inline(__always) func exchange(_ value: UInt32) -> UInt32 {
      word.exchange(value, ordering: .acquiringAndReleasing)
    }
    @inlinable @inline(__always) func compareExchange(_ expected: UInt32, _ desired: UInt32) -> Bool {
      word.compareExchange(
        expected: expected, desired: desired,
        successOrdering: .acquiringAndReleasing, failureOrdering: .acquiring
      ).exchanged
    }
    @discardableResult @inlinable @inline(__always) func add(_ value: UInt32) -> UInt32 {
      word.wrappingAdd(value, ordering: .acquiringAndReleasing).oldValue
    }
    @discardableResult @inlinable @inline(__always) func subtract(_ value: UInt32) -> UInt32 {
      word.wrappingSubtract(value, ordering: .acquiringAndReleasing).oldValue
    }
    @discardableResult @inlinable @inline(__always) func formOr(_ value: UInt32) -> UInt32 {
      word.bitwiseOr(value, ordering: .acquiringAndReleasing).oldValue
    }
    @discardableResult @inlinable @inline(__always) func formAnd(_ value: UInt32) -> UInt32 {
      word.bitwiseAnd(value, ordering: .acquiringAndReleasing).oldValue
    }
    @inlinable @inline(__always)
    func compareExchange(_ expected: inout UInt32, _ desired: UInt32) -> Bool {
      let (exchanged, original) = word.compareExchange(
        expected: expected, desired: desired,
        successOrdering: .acquiringAndReleasing, failureOrdering: .acquiring)
      expected = original
      return exchanged
    }
  }

  /// Orders every earlier access of this thread before every later one, stores before loads included.
  @inlinable @inline(__always) public func fullFence() {
    atomicMemoryFence(ordering: .sequentiallyConsistent)
  }
#endif

/// Words inside raw slots: `raw` is the slot, `offset` a multiple of 8 where an `AtomicWord` lives.
@inlinable @inline(__always)
func atomicWord(_ raw: UnsafeMutableRawPointer, _ offset: Int) -> UnsafePointer<AtomicWord> {
  unsafe UnsafePointer((raw + offset).assumingMemoryBound(to: AtomicWord.self))
}
