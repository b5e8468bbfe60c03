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
  // Places from `count` on hold zero, so that the synthesised equality is right.
  @usableFromInline var first = SACKBlock(left: .init(0), right: .init(0))
  @usableFromInline var second = SACKBlock(left: .init(0), right: .init(0))
  @usableFromInline var third = SACKBlock(left: .init(0), right: .init(0))
  @usableFromInline var fourth = SACKBlock(left: .init(0), right: .init(0))
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
    switch index {
    case 0: return first
    case 1: return second
    case 2: return third
    default: return fourth
    }
  }

  /// Appends a block, or returns false if there are four already.
  @inlinable @discardableResult
  public mutating func append(_ block: SACKBlock) -> Bool {
    switch length {
    case 0: first = block
    case 1: second = block
    case 2: third = block
    case 3: fourth = block
    default: return false
    }
    length += 1
    return true
  }
}
