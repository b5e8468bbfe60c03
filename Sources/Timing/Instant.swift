/// A signed span of time in nanoseconds: what lies between two instants.
@frozen public struct Nanoseconds: Comparable, Hashable, Sendable {
  /// How many nanoseconds; negative when the first instant was earlier. ±292 years.
  public var count: Int64

  /// A span of `count` nanoseconds.
  @inlinable @inline(__always) public init(_ count: Int64) { self.count = count }

  /// No time at all.
  @inlinable public static var zero: Nanoseconds { Nanoseconds(0) }
  /// A span of `count` microseconds; traps past the range of ±292 years.
  @inlinable public static func microseconds(_ count: Int64) -> Nanoseconds { Nanoseconds(count * 1000) }
  /// A span of `count` milliseconds; traps past the range of ±292 years.
  @inlinable public static func milliseconds(_ count: Int64) -> Nanoseconds { Nanoseconds(count * 1_000_000) }
  /// A span of `count` seconds; traps past the range of ±292 years.
  @inlinable public static func seconds(_ count: Int64) -> Nanoseconds { Nanoseconds(count * 1_000_000_000) }

  /// Whole milliseconds, towards zero.
  @inlinable public var milliseconds: Int64 { count / 1_000_000 }

  /// Whether the first span is the shorter, or the more negative, one.
  @inlinable @inline(__always)
  public static func < (left: Nanoseconds, right: Nanoseconds) -> Bool { left.count < right.count }
  /// The sum of two spans; traps on overflow.
  @inlinable @inline(__always)
  public static func + (left: Nanoseconds, right: Nanoseconds) -> Nanoseconds {
    Nanoseconds(left.count + right.count)
  }
  /// The difference of two spans; traps on overflow.
  @inlinable @inline(__always)
  public static func - (left: Nanoseconds, right: Nanoseconds) -> Nanoseconds {
    Nanoseconds(left.count - right.count)
  }
  /// A span repeated; traps on overflow.
  @inlinable @inline(__always)
  public static func * (span: Nanoseconds, factor: Int64) -> Nanoseconds { Nanoseconds(span.count * factor) }
  /// A fraction of a span, towards zero.
  @inlinable @inline(__always)
  public static func / (span: Nanoseconds, divisor: Int64) -> Nanoseconds {
    Nanoseconds(span.count / divisor)
  }
}

/// A moment on a monotonic clock, in nanoseconds since that clock's own beginning (584 years of range).
///
/// Arithmetic saturates at both ends: a deadline computed from a peer's numbers can be absurdly late, never
/// wrapped into the past.
@frozen public struct Instant: Comparable, Hashable, Sendable {
  /// Nanoseconds since the clock's beginning.
  public var nanoseconds: UInt64

  /// The moment `nanoseconds` after the clock's beginning.
  @inlinable @inline(__always) public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }
  /// The moment `milliseconds` after the clock's beginning; the far future when that is out of range.
  @inlinable public init(milliseconds: UInt64) {
    let (product, overflow) = milliseconds.multipliedReportingOverflow(by: 1_000_000)
    nanoseconds = overflow ? .max : product
  }

  /// The clock's beginning.
  @inlinable public static var zero: Instant { Instant(nanoseconds: 0) }
  /// The last moment there is: a deadline that never comes.
  @inlinable public static var distantFuture: Instant { Instant(nanoseconds: .max) }

  /// Whether the first moment comes first.
  @inlinable @inline(__always)
  public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

  /// This moment moved by `nanoseconds` (negative: earlier); saturates.
  @inlinable @inline(__always) public func adding(nanoseconds amount: some BinaryInteger) -> Instant {
    let size = UInt64(clamping: amount.magnitude)
    if amount < 0 { return Instant(nanoseconds: nanoseconds > size ? nanoseconds &- size : 0) }
    let (sum, overflow) = nanoseconds.addingReportingOverflow(size)
    return Instant(nanoseconds: overflow ? .max : sum)
  }
  /// This moment moved by `microseconds` (negative: earlier); saturates.
  @inlinable public func adding(microseconds amount: some BinaryInteger) -> Instant {
    let (product, overflow) = Int64(clamping: amount).multipliedReportingOverflow(by: 1000)
    return adding(nanoseconds: overflow ? (amount < 0 ? Int64.min : Int64.max) : product)
  }
  /// This moment moved by `milliseconds` (negative: earlier); saturates.
  @inlinable public func adding(milliseconds amount: some BinaryInteger) -> Instant {
    let (product, overflow) = Int64(clamping: amount).multipliedReportingOverflow(by: 1_000_000)
    return adding(nanoseconds: overflow ? (amount < 0 ? Int64.min : Int64.max) : product)
  }
  /// This moment moved by a `Duration`, whole nanoseconds of it; saturates.
  @inlinable public func adding(_ duration: Duration) -> Instant {
    let (seconds, attoseconds) = duration.components
    let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    if overflow { return adding(nanoseconds: seconds < 0 ? Int64.min : Int64.max) }
    return adding(nanoseconds: whole).adding(nanoseconds: attoseconds / 1_000_000_000)
  }

  /// This moment moved by a span; saturates.
  @inlinable @inline(__always)
  public static func + (instant: Instant, span: Nanoseconds) -> Instant {
    instant.adding(nanoseconds: span.count)
  }
  /// This moment moved back by a span; saturates.
  @inlinable @inline(__always)
  public static func - (instant: Instant, span: Nanoseconds) -> Instant {
    span.count == .min
      ? instant.adding(nanoseconds: UInt64(1) << 63) : instant.adding(nanoseconds: 0 &- span.count)
  }
  /// How long from `earlier` to `later`; negative when they are the other way round; saturates at ±292 years.
  @inlinable @inline(__always)
  public static func - (later: Instant, earlier: Instant) -> Nanoseconds {
    later >= earlier
      ? Nanoseconds(Int64(clamping: later.nanoseconds &- earlier.nanoseconds))
      : Nanoseconds(0 &- Int64(clamping: earlier.nanoseconds &- later.nanoseconds))
  }
}
