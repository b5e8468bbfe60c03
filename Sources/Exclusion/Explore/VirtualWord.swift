// The thin layer under the trait `Explore`: every operation on a shared word is a scheduling point of the machine
// whose virtual thread makes it. On real threads the words are what they are in `AtomicWord.swift`.

#if Explore
  public import Synchronization

  /// An atomic 64-bit word. Any thread, any context.
  @frozen public struct AtomicWord: ~Copyable, Sendable {
    @usableFromInline let word: Atomic<UInt64>

    /// A word that starts as `value`.
    public init(_ value: UInt64) { word = Atomic(value) }

    private var place: WordPlace {
      unsafe WordPlace(
        withUnsafePointer(to: word) { unsafe UnsafeMutableRawPointer(mutating: UnsafeRawPointer($0)) },
        isHalf: false)
    }

    /// Orders nothing.
    public func loadRelaxed() -> UInt64 { explorer?.load(place, .relaxed) ?? word.load(ordering: .relaxed) }
    /// Acquires: what the writer did before its release is visible afterwards.
    public func load() -> UInt64 { explorer?.load(place, .synchronizing) ?? word.load(ordering: .acquiring) }
    /// Orders nothing.
    public func storeRelaxed(_ value: UInt64) {
      if let explorer { return explorer.store(place, value, .relaxed) }
      word.store(value, ordering: .relaxed)
    }
    /// Releases: what this thread did before is visible to who acquires the value.
    public func store(_ value: UInt64) {
      if let explorer { return explorer.store(place, value, .synchronizing) }
      word.store(value, ordering: .releasing)
    }
    /// Acquires and releases; returns the old value.
    public func exchange(_ value: UInt64) -> UInt64 {
      explorer?.update(place) { _ in value } ?? word.exchange(value, ordering: .acquiringAndReleasing)
    }
    /// Strong. Acquires and releases on success, acquires on failure. On failure `expected` becomes what was
    /// found, so a retry needs no second load.
    public func compareExchange(_ expected: inout UInt64, _ desired: UInt64) -> Bool {
      let wanted = expected
      if let explorer {
        expected = explorer.update(place) { $0 == wanted ? desired : nil }
        return expected == wanted
      }
      let (exchanged, original) = word.compareExchange(
        expected: wanted, desired: desired,
        successOrdering: .acquiringAndReleasing, failureOrdering: .acquiring)
      expected = original
      return exchanged
    }
    /// Wraps; acquires and releases; returns the old value.
    @discardableResult public func add(_ value: UInt64) -> UInt64 {
      explorer?.update(place) { $0 &+ value }
        ?? word.wrappingAdd(value, ordering: .acquiringAndReleasing).oldValue
    }
    /// Wraps; acquires and releases; returns the old value.
    @discardableResult public func subtract(_ value: UInt64) -> UInt64 {
      explorer?.update(place) { $0 &- value }
        ?? word.wrappingSubtract(value, ordering: .acquiringAndReleasing).oldValue
    }
    /// Acquires and releases; returns the old value.
    @discardableResult public func formOr(_ value: UInt64) -> UInt64 {
      explorer?.update(place) { $0 | value }
        ?? word.bitwiseOr(value, ordering: .acquiringAndReleasing).oldValue
    }
    /// Acquires and releases; returns the old value.
    @discardableResult public func formAnd(_ value: UInt64) -> UInt64 {
      explorer?.update(place) { $0 & value }
        ?? word.bitwiseAnd(value, ordering: .acquiringAndReleasing).oldValue
    }
  }

  /// An atomic 32-bit word, for futexes and slot generations.
  @frozen @usableFromInline struct AtomicHalfWord: ~Copyable, Sendable {
    @usableFromInline let word: Atomic<UInt32>

    @usableFromInline init(_ value: UInt32) { word = Atomic(value) }

    private var place: WordPlace {
      unsafe WordPlace(
        withUnsafePointer(to: word) { unsafe UnsafeMutableRawPointer(mutating: UnsafeRawPointer($0)) },
        isHalf: true)
    }

    @usableFromInline func loadRelaxed() -> UInt32 {
      explorer.map { UInt32(truncatingIfNeeded: $0.load(place, .relaxed)) } ?? word.load(ordering: .relaxed)
    }
    @usableFromInline func load() -> UInt32 {
      explorer.map { UInt32(truncatingIfNeeded: $0.load(place, .synchronizing)) }
        ?? word.load(ordering: .acquiring)
    }
    @usableFromInline func storeRelaxed(_ value: UInt32) {
      if let explorer { return explorer.store(place, UInt64(value), .relaxed) }
      word.store(value, ordering: .relaxed)
    }
    @usableFromInline func store(_ value: UInt32) {
      if let explorer { return explorer.store(place, UInt64(value), .synchronizing) }
      word.store(value, ordering: .releasing)
    }
    @usableFromInline func exchange(_ value: UInt32) -> UInt32 {
      explorer.map { UInt32(truncatingIfNeeded: $0.update(place) { _ in UInt64(value) }) }
        ?? word.exchange(value, ordering: .acquiringAndReleasing)
    }
    @usableFromInline func compareExchange(_ expected: UInt32, _ desired: UInt32) -> Bool {
      if let explorer {
        return explorer.update(place) { $0 == UInt64(expected) ? UInt64(desired) : nil } == UInt64(expected)
      }
      return word.compareExchange(
        expected: expected, desired: desired,
        successOrdering: .acquiringAndReleasing, failureOrdering: .acquiring
      ).exchanged
    }
    private func update(
      _ change: (UInt32) -> UInt32?, otherwise: (borrowing Atomic<UInt32>) -> UInt32
    ) -> UInt32 {
      guard let explorer else { return otherwise(word) }
      return UInt32(
        truncatingIfNeeded: explorer.update(place) { change(UInt32(truncatingIfNeeded: $0)).map(UInt64.init) }
      )
    }
    @discardableResult @usableFromInline func add(_ value: UInt32) -> UInt32 {
      update({ $0 &+ value }) { $0.wrappingAdd(value, ordering: .acquiringAndReleasing).oldValue }
    }
    @discardableResult @usableFromInline func subtract(_ value: UInt32) -> UInt32 {
      update({ $0 &- value }) { $0.wrappingSubtract(value, ordering: .acquiringAndReleasing).oldValue }
    }
    @discardableResult @usableFromInline func formOr(_ value: UInt32) -> UInt32 {
      update({ $0 | value }) { $0.bitwiseOr(value, ordering: .acquiringAndReleasing).oldValue }
    }
    @discardableResult @usableFromInline func formAnd(_ value: UInt32) -> UInt32 {
      update({ $0 & value }) { $0.bitwiseAnd(value, ordering: .acquiringAndReleasing).oldValue }
    }
    @usableFromInline func compareExchange(_ expected: inout UInt32, _ desired: UInt32) -> Bool {
      let wanted = expected
      expected = update({ $0 == wanted ? desired : nil }) {
        $0.compareExchange(
          expected: wanted, desired: desired,
          successOrdering: .acquiringAndReleasing, failureOrdering: .acquiring
        ).original
      }
      return expected == wanted
    }
  }

  /// Orders every earlier access of this thread before every later one, stores before loads included.
  public func fullFence() {
    if let explorer { return explorer.fence() }
    atomicMemoryFence(ordering: .sequentiallyConsistent)
  }
#endif
