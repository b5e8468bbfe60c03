/// One block of data that the receiver holds beyond a gap (RFC 2018 section 3).
@frozen public struct SACKBlock: Hashable, Sendable {
  /// First sequence number of the block.
  public var left: SequenceNumber
  /// The number just after its last.
  public var right: SequenceNumber

  /// A block from `left` up to, not including, `right`.
  @inlinable
  public init(left: SequenceNumber, right: SequenceNumber) {
    self.left = left
    self.right = right
  }
}

/// Up to four SACK blocks in place: no more find room in a TCP header. Order is the sender's, most recent
/// first.
@frozen public struct SACKBlocks: Hashable, Sendable {
  // Places from `count` on hold zero, so that the synthesised equality is right. A block is a word, its left end above,
  // as options are copied often.
  @usableFromInline var first: UInt64 = 0
  @usableFromInline var second: UInt64 = 0
  @usableFromInline var third: UInt64 = 0
  @usableFromInline var fourth: UInt64 = 0
  @usableFromInline var length: UInt8 = 0

  /// No blocks.
  @inlinable
  public init() {}

  /// How many blocks there are: 0...4.
  @inlinable public var count: Int { Int(length) }
  /// There are none.
  @inlinable public var isEmpty: Bool { length == 0 }

  /// The block at `index`, which must be less than `count`.
  @inlinable
  public subscript(index: Int) -> SACKBlock {
    precondition(index >= 0 && index < count, "index beyond the SACK blocks")
    let word =
      switch index {
      case 0: first
      case 1: second
      case 2: third
      default: fourth
      }
    return SACKBlock(
      left: SequenceNumber(UInt32(truncatingIfNeeded: word &>> 32)),
      right: SequenceNumber(UInt32(truncatingIfNeeded: word)))
  }

  /// Appends a block, or returns false if there are four already.
  @inlinable @discardableResult
  public mutating func append(_ block: SACKBlock) -> Bool {
    let word = UInt64(block.left.rawValue) &<< 32 | UInt64(block.right.rawValue)
    switch length {
    case 0: first = word
    case 1: second = word
    case 2: third = word
    case 3: fourth = word
    default: return false
    }
    length += 1
    return true
  }
}
