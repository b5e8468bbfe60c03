/// A first-in-first-out list of slots, linked through their items. Every operation takes constant time and no
/// memory. Private to whoever holds it. A list that is dropped drops no slot: empty it first.
@frozen public struct ItemList: ~Copyable, Sendable {
  @usableFromInline var head: UInt = 0
  @usableFromInline var tail: UInt = 0
  /// How many slots.
  @inlinable @inline(__always) public var count: Int { length }
  @usableFromInline var length: Int

  /// Empty.
  @inlinable @inline(__always) public init() { length = 0 }
  @inlinable @inline(__always) init(head: UInt, tail: UInt, count: Int) {
    (self.head, self.tail, self.length) = (head, tail, count)
  }

  /// Producers push, so what was taken whole is newest first; owners want it oldest first.
  @inlinable @inline(__always) init(newestFirst taken: UInt) {
    var (rest, result, count) = (taken, UInt(0), 0)
    while let item = ItemRef(address: rest) {
      rest = item.nextAddress
      item.nextAddress = result
      result = item.address
      count &+= 1
    }
    self.init(head: result, tail: taken, count: count)
  }

  /// Whether there is no slot.
  @inlinable @inline(__always) public var isEmpty: Bool { head == 0 }
  /// The oldest slot, left where it is.
  @inlinable @inline(__always) public var first: ItemRef? { ItemRef(address: head) }

  /// Adds the newest slot.
  @inlinable @inline(__always) public mutating func append(_ item: ItemRef) {
    item.nextAddress = 0
    if let last = ItemRef(address: tail), head != 0 {
      last.nextAddress = item.address
    } else {
      head = item.address
    }
    tail = item.address
    length &+= 1
  }
  /// Puts a slot back in front.
  @inlinable @inline(__always) public mutating func prepend(_ item: ItemRef) {
    item.nextAddress = head
    if head == 0 { tail = item.address }
    head = item.address
    length &+= 1
  }
  /// Removes the oldest slot.
  @inlinable @inline(__always) public mutating func popFirst() -> ItemRef? {
    guard let item = ItemRef(address: head) else { return nil }
    head = item.nextAddress
    item.nextAddress = 0
    length &-= 1
    return item
  }
  /// Adds a whole list behind this one.
  @inlinable @inline(__always) public mutating func append(contentsOf other: consuming ItemList) {
    guard !other.isEmpty else { return }
    if let last = ItemRef(address: tail), head != 0 {
      last.nextAddress = other.head
    } else {
      head = other.head
    }
    tail = other.tail
    length &+= other.count
  }
}
