/// An option of accurate ECN (RFC 9768 section 3.2.3): how many bytes of payload have arrived with each codepoint, by
/// the low 24 bits of the receiver's counters. It holds the first so many of three fields, of which CE is the second.
@frozen public struct TCPAccurateECN: Hashable, Sendable {
  /// In which order the fields stand: whoever has no room for all of them leaves out the last.
  @frozen public enum Order: UInt8, Hashable, Sendable {
    /// AccECN0: ECT(0), CE, ECT(1).
    case capable0First = 172
    /// AccECN1: ECT(1), CE, ECT(0).
    case capable1First = 174
  }

  // Two words, as options are copied often: order, count and the first field; the two others. A field that is not there
  // holds zero, so that the synthesised equality is right.
  @usableFromInline let head: UInt64
  @usableFromInline let tail: UInt64

  /// The order of the fields.
  public var order: Order {
    head & 0xFF == UInt64(Order.capable0First.rawValue) ? .capable0First : .capable1First
  }
  /// How many there are, 0...3.
  public var count: UInt8 { UInt8(truncatingIfNeeded: head &>> 8) }
  private var first: UInt32 { UInt32(truncatingIfNeeded: head &>> 32) }
  private var middle: UInt32 { UInt32(truncatingIfNeeded: tail) }
  private var last: UInt32 { UInt32(truncatingIfNeeded: tail &>> 32) }

  /// An option of `count` fields, 0...3, of these counters; only their low 24 bits count.
  public init(order: Order, count: Int, capable0: UInt32, experienced: UInt32, capable1: UInt32) {
    precondition(0...3 ~= count, "an option of accurate ECN has up to three fields")
    let isZeroFirst = order == .capable0First
    self.init(order, count, isZeroFirst ? capable0 : capable1, experienced, isZeroFirst ? capable1 : capable0)
  }

  private init(_ order: Order, _ count: Int, _ first: UInt32, _ middle: UInt32, _ last: UInt32) {
    let fields = UInt64(count > 0 ? first & 0xFF_FFFF : 0)
    head = fields &<< 32 | UInt64(UInt8(count)) &<< 8 | UInt64(order.rawValue)
    tail = UInt64(count > 2 ? last & 0xFF_FFFF : 0) &<< 32 | UInt64(count > 1 ? middle & 0xFF_FFFF : 0)
  }
  @inlinable init(head: UInt64, tail: UInt64) { (self.head, self.tail) = (head, tail) }
  /// The place of one that is not there.
  @inlinable static var nothing: Self { Self(head: UInt64(Order.capable1First.rawValue), tail: 0) }

  /// EE0B: bytes that arrived as ECT(0), if the option has the field.
  public var capable0: UInt32? { outer(.capable0First) }
  /// ECEB: bytes that arrived as CE, if the option has the field.
  public var experienced: UInt32? { count > 1 ? middle : nil }
  /// EE1B: bytes that arrived as ECT(1), if the option has the field.
  public var capable1: UInt32? { outer(.capable1First) }

  private func outer(_ whenFirst: Order) -> UInt32? {
    if order == whenFirst { return count > 0 ? first : nil }
    return count > 2 ? last : nil
  }

  /// A field was zeroed on the way: receivers begin to count ECT(0) and ECT(1) at 1, so that the first option cannot
  /// have a zero there (section 3.2.3.2.4).
  public var isZeroed: Bool { count > 0 && first == 0 || count > 2 && last == 0 }

  /// Bytes of an option with so many fields, not padded.
  @inlinable public static func byteCount(fields: Int) -> Int { 2 + 3 * fields }

  /// Bytes that it takes from the 40 of a header: it ends on a boundary of four, or within the padding in front of
  /// a SACK option behind it.
  @inlinable public static func room(fields: Int, beforeSACK: Bool) -> Int {
    let bytes = byteCount(fields: fields)
    return beforeSACK && bytes & 3 <= 2 ? bytes & ~3 : (bytes + 3) & ~3
  }

  /// The option from the data behind its kind and length. Fields that are whole count, the rest is padding (Table 5).
  static func parse(_ order: Order, _ data: RawSpan) -> TCPAccurateECN {
    let count = min(3, data.byteCount / 3)
    func field(_ index: Int) -> UInt32 {
      guard index < count else { return 0 }
      let at = 3 * index
      return UInt32(data.uint8(at: at)) << 16 | UInt32(data.uint16(at: at + 1))
    }
    return TCPAccurateECN(order, count, field(0), field(1), field(2))
  }

  /// Writes it, and returns where it ends.
  func emit(into span: inout MutableRawSpan, at start: Int) -> Int {
    span.set(order.rawValue, at: start)
    span.set(UInt8(Self.byteCount(fields: Int(count))), at: start + 1)
    var at = start + 2
    for index in 0..<Int(count) {
      let value = index == 0 ? first : index == 1 ? middle : last
      span.set(UInt8(truncatingIfNeeded: value >> 16), at: at)
      span.set(UInt16(truncatingIfNeeded: value), at: at + 1)
      at += 3
    }
    return at
  }
}
