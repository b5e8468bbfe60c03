/// Up to `capacity` bytes held in place: IPv4 options, cookies, authentication codes. Never allocates.
@frozen public struct InlineBytes<let capacity: Int>: Hashable, Sendable, BitwiseCopyable {
  /// The bytes; those past `count` are zero.
  @usableFromInline var storage: InlineArray<capacity, UInt8>
  @usableFromInline var length: UInt8

  /// No bytes.
  @inlinable
  public init() {
    storage = InlineArray(repeating: 0)
    length = 0
  }

  /// A copy of `bytes`, or nil if they are more than `capacity`.
  @inlinable
  public init?(_ bytes: RawSpan) {
    guard bytes.byteCount <= capacity, capacity <= 255 else { return nil }
    self.init()
    for index in 0..<bytes.byteCount { storage[index] = bytes.uint8(at: index) }
    length = UInt8(truncatingIfNeeded: bytes.byteCount)
  }

  /// How many bytes are held: 0...capacity.
  @inlinable
  public var count: Int { Int(length) }

  /// The byte at `index`, which must be less than `count`.
  @inlinable
  public subscript(index: Int) -> UInt8 {
    precondition(index < count, "index beyond the end of inline bytes")
    return storage[index]
  }

  /// Appends one byte, or returns false if all places are taken.
  @inlinable @discardableResult
  public mutating func append(_ byte: UInt8) -> Bool {
    guard count < capacity, capacity <= 255 else { return false }
    storage[count] = byte
    length += 1
    return true
  }

  /// The bytes, borrowed.
  @inlinable
  public var bytes: RawSpan {
    @_lifetime(borrow self)
    // `bytes` is unsafe for elements with padding; bytes have none.
    borrowing get { unsafe storage.span.bytes.extracting(0..<count) }
  }

  /// Stores the bytes from `offset` of `span`.
  @inlinable
  public func emit(into span: inout MutableRawSpan, at offset: Int) {
    for index in 0..<count { span.set(storage[index], at: offset + index) }
  }

  /// Equal counts and equal bytes.
  @inlinable
  public static func == (left: Self, right: Self) -> Bool {
    guard left.length == right.length else { return false }
    for index in 0..<left.count where left.storage[index] != right.storage[index] { return false }
    return true
  }

  /// Feeds the count and the bytes.
  @inlinable
  public func hash(into hasher: inout Hasher) {
    hasher.combine(length)
    for index in 0..<count { hasher.combine(storage[index]) }
  }
}
