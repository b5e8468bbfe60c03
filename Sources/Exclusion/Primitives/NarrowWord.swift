/// An atomic word that takes 32 bits of memory, for what never needs more and is there a million times. It reads and
/// writes as ``AtomicWord`` does; what goes in is taken modulo 2³². Any thread, any context.
@frozen public struct NarrowWord: ~Copyable, Sendable {
  @usableFromInline let word: AtomicHalfWord

  /// A word that starts as `value`.
  @inlinable @inline(__always) public init(_ value: UInt64) { word = AtomicHalfWord(Self.narrow(value)) }

  @inlinable @inline(__always) static func narrow(_ value: UInt64) -> UInt32 {
    UInt32(truncatingIfNeeded: value)
  }

  /// Orders nothing.
  @inlinable @inline(__always) public func loadRelaxed() -> UInt64 { UInt64(word.loadRelaxed()) }
  /// Acquires: what the writer did before its release is visible afterwards.
  @inlinable @inline(__always) public func load() -> UInt64 { UInt64(word.load()) }
  /// Orders nothing.
  @inlinable @inline(__always) public func storeRelaxed(_ value: UInt64) {
    word.storeRelaxed(Self.narrow(value))
  }
  /// Releases: what this thread did before is visible to who acquires the value.
  @inlinable @inline(__always) public func store(_ value: UInt64) { word.store(Self.narrow(value)) }
  /// Acquires and releases; returns the old value.
  @inlinable @inline(__always) public func exchange(_ value: UInt64) -> UInt64 {
    UInt64(word.exchange(Self.narrow(value)))
  }
  /// Strong. Acquires and releases on success, acquires on failure. On failure `expected` becomes what was found, so a
  /// retry needs no second load.
  @inlinable @inline(__always)
  public func compareExchange(_ expected: inout UInt64, _ desired: UInt64) -> Bool {
    var seen = Self.narrow(expected)
    let isExchanged = word.compareExchange(&seen, Self.narrow(desired))
    expected = UInt64(seen)
    return isExchanged
  }
  /// Wraps; acquires and releases; returns the old value.
  @discardableResult @inlinable @inline(__always) public func add(_ value: UInt64) -> UInt64 {
    UInt64(word.add(Self.narrow(value)))
  }
  /// Wraps; acquires and releases; returns the old value.
  @discardableResult @inlinable @inline(__always) public func subtract(_ value: UInt64) -> UInt64 {
    UInt64(word.subtract(Self.narrow(value)))
  }
  /// Acquires and releases; returns the old value.
  @discardableResult @inlinable @inline(__always) public func formOr(_ value: UInt64) -> UInt64 {
    UInt64(word.formOr(Self.narrow(value)))
  }
  /// Acquires and releases; returns the old value.
  @discardableResult @inlinable @inline(__always) public func formAnd(_ value: UInt64) -> UInt64 {
    UInt64(word.formAnd(Self.narrow(value)))
  }
}
