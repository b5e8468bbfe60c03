/// A TCP sequence number: 32 bits, compared modulo 2³² (RFC 9293 section 3.4).
///
/// The order is not total (of three numbers each may come before the next), so this is not `Comparable`;
/// `a < b` says that b is at most 2³¹ - 1 ahead of a.
@frozen public struct SequenceNumber: Hashable, Sendable {
  /// The number on the wire, in host byte order.
  public let rawValue: UInt32

  /// Any 32 bits are a sequence number.
  @inlinable @inline(__always)
  public init(_ rawValue: UInt32) { self.rawValue = rawValue }

  /// How far `other` is ahead of this number; negative if it is behind. In -2³¹...2³¹ - 1.
  @inlinable @inline(__always)
  public func distance(to other: Self) -> Int { Int(Int32(bitPattern: other.rawValue &- rawValue)) }

  /// This number comes before `other`.
  @inlinable @inline(__always)
  public func lessThan(_ other: Self) -> Bool { Int32(bitPattern: rawValue &- other.rawValue) < 0 }

  /// Whether this number is one of the `count` numbers from `first` on.
  @inlinable @inline(__always)
  public func isWithin(_ count: Int, from first: Self) -> Bool { Int(rawValue &- first.rawValue) < count }

  /// Comes before.
  @inlinable @inline(__always)
  public static func < (left: Self, right: Self) -> Bool { left.lessThan(right) }
  /// Comes after.
  @inlinable @inline(__always)
  public static func > (left: Self, right: Self) -> Bool { right.lessThan(left) }
  /// Equal, or comes before.
  @inlinable @inline(__always)
  public static func <= (left: Self, right: Self) -> Bool { !right.lessThan(left) }
  /// Equal, or comes after.
  @inlinable @inline(__always)
  public static func >= (left: Self, right: Self) -> Bool { !left.lessThan(right) }

  /// `count` numbers ahead, modulo 2³².
  @inlinable @inline(__always)
  public static func + (left: Self, count: Int) -> Self {
    Self(left.rawValue &+ UInt32(truncatingIfNeeded: count))
  }
  /// `count` numbers back, modulo 2³².
  @inlinable @inline(__always)
  public static func - (left: Self, count: Int) -> Self {
    Self(left.rawValue &- UInt32(truncatingIfNeeded: count))
  }
  /// How far `left` is ahead of `right`; negative if it is behind.
  @inlinable @inline(__always)
  public static func - (left: Self, right: Self) -> Int { right.distance(to: left) }
  /// Advances by `count`.
  @inlinable @inline(__always)
  public static func += (left: inout Self, count: Int) { left = left + count }

  /// The later of two numbers that are less than 2³¹ apart.
  @inlinable
  public static func later(_ left: Self, _ right: Self) -> Self { left < right ? right : left }
  /// The earlier of two numbers that are less than 2³¹ apart.
  @inlinable
  public static func earlier(_ left: Self, _ right: Self) -> Self { right < left ? right : left }
}

extension SequenceNumber: CustomStringConvertible {
  /// The unsigned decimal number.
  public var description: String { String(rawValue) }
}
