public import Exclusion

/// Bytes in a list of shared, reference-counted chunks: what applications hand to the stack, and what TCP
/// keeps until it is acknowledged.
///
/// A chain belongs to one holder at a time, without locks; its chunks may be shared with other chains
/// (``slice(offset:count:from:)``) and with packets (``Packet/attach(_:offset:count:)``), on any thread.
/// Dropping the chain gives back what nobody else refers to.
@safe public struct ByteChain: ~Copyable, @unchecked Sendable {
  private var head: UInt  // address of the first node, 0: none
  private var tail: UInt
  private var nodes: Int
  /// Where the last look-up ended: a node, and the offset of its first byte in the chain. 0: nowhere.
  private var cursor: UInt = 0
  private var cursorOffset = 0

  /// How many bytes.
  public private(set) var count: Int

  /// No bytes, no memory.
  public init() { (head, tail, nodes, count) = (0, 0, 0, 0) }
  deinit { Self.dropNodes(from: head) }

  /// A chain of one node that is in no chain.
  init(node: ChainNode) {
    node.next = 0
    (head, tail, nodes, count) = (node.address, node.address, 1, node.count)
  }

  /// Where the bytes of the first chunk lie, of a chain that has one.
  var firstPlace: UnsafeMutableRawPointer { unsafe ChainNode(address: head).data }
  /// Whether there are no bytes.
  public var isEmpty: Bool { count == 0 }
  /// Bytes of memory that the chain keeps from being used otherwise: whole chunks, as accounting wants it.
  public var occupied: Int { nodes &* ChunkLayout.slotBytes }
  /// Bytes of data in a chunk of its own.
  public static var chunkCapacity: Int { ChunkLayout.capacity }
  /// Bytes of memory in a chunk, header included.
  public static var chunkOccupied: Int { ChunkLayout.slotBytes }
  /// Bytes that the last chunk takes without more memory.
  public var room: Int { tail == 0 ? 0 : ChainNode(address: tail).room }

  // MARK: Changing

  /// Adds the bytes of `other` at the end, and takes over its chunks. Bytes that fit behind the last chunk's
  /// own are copied there instead, all of them or none: many small writes share a chunk.
  public mutating func append(_ other: consuming ByteChain) {
    guard other.head != 0 else { return }
    if other.count <= room {
      let last = ChainNode(address: tail)
      unsafe other.copy(offset: 0, count: other.count, into: last.data + last.count)
      last.count = last.count &+ other.count
      count &+= other.count
      return
    }
    if tail == 0 { head = other.head } else { ChainNode(address: tail).next = other.head }
    tail = other.tail
    nodes &+= other.nodes
    count &+= other.count
    other.forget()
  }

  /// Drops `amount` bytes in front, and frees chunks without any left. Traps when there are fewer.
  public mutating func dropFirst(_ amount: Int) {
    precondition(amount >= 0 && amount <= count, "SB-SPACE: more bytes dropped than the chain holds")
    if amount == count {
      // All that was out, as where requests are answered.
      let first = head
      (head, tail, nodes, count) = (0, 0, 0, 0)
      (cursor, cursorOffset) = (0, 0)
      return Self.dropNodes(from: first)
    }
    count &-= amount
    var left = amount
    var returned = ReturnedSlots()
    while left > 0 {
      let node = ChainNode(address: head)
      if left < node.count {
        node.offset = node.offset &+ left
        node.count = node.count &- left
        break
      }
      left &-= node.count
      if cursor == head { cursor = 0 }
      head = node.next
      nodes &-= 1
      node.drop(&returned)
    }
    cursorOffset = head == cursor ? 0 : cursorOffset &- amount
  }

  /// Keeps the first `amount` bytes of a chain that nobody else has seen, and frees the chunks behind them. Traps when there
  /// are fewer.
  public mutating func truncate(to amount: Int) {
    precondition(amount >= 0 && amount <= count, "SB-WHOLE: a chain is not made longer by cutting it")
    guard amount < count else { return }
    var kept = 0
    var (last, next) = (UInt(0), head)
    while kept < amount {
      let node = ChainNode(address: next)
      node.count = min(node.count, amount &- kept)
      kept &+= node.count
      (last, next) = (next, node.next)
    }
    var returned = ReturnedSlots()
    while next != 0 {
      let node = ChainNode(address: next)
      next = node.next
      nodes &-= 1
      node.drop(&returned)
    }
    if last == 0 { head = 0 } else { ChainNode(address: last).next = 0 }
    tail = last
    count = amount
    cursor = 0
  }

  /// Drops everything.
  public mutating func removeAll() { dropFirst(count) }

  /// Takes all bytes, and leaves the chain empty.
  public mutating func takeAll() -> ByteChain {
    var taken = ByteChain()
    swap(&taken, &self)
    return taken
  }

  // MARK: Reading

  /// Copies `count` bytes from `offset` to `destination`. Traps when the chain does not have them.
  public func copy(offset: Int, count wanted: Int, into destination: UnsafeMutableRawPointer) {
    if offset == 0, wanted > 0, head != 0, wanted <= ChainNode(address: head).count {
      return unsafe destination.copyMemory(from: firstPlace, byteCount: wanted)
    }
    var target = unsafe destination
    forEachRange(offset: offset, count: wanted) { node, at, length in
      unsafe target.copyMemory(from: node.data + at, byteCount: length)
      unsafe target += length
      return true
    }
  }
  /// Copies the first `count` bytes to `destination`, of a chain whose first chunk has them all. Traps when it has not.
  @inline(__always) public func copyFirst(_ wanted: Int, into destination: UnsafeMutableRawPointer) {
    precondition(
      head != 0 && wanted <= ChainNode(address: head).count, "SB-WHOLE: a look beyond the chain's end")
    unsafe destination.copyMemory(from: firstPlace, byteCount: wanted)
  }
  /// Copies as many bytes as `destination` has, from `offset`. Traps when the chain does not have them.
  public func copy(offset: Int, into destination: inout MutableRawSpan) {
    unsafe destination.withUnsafeMutableBytes { target in
      guard let base = target.baseAddress else { return }
      unsafe copy(offset: offset, count: target.count, into: base)
    }
  }
  /// Calls `body` with `count` bytes from `offset`, in as many spans as they lie in.
  public func forEachSpan(offset: Int, count wanted: Int, _ body: (RawSpan) -> Void) {
    forEachRange(offset: offset, count: wanted) { node, at, length in
      unsafe body(RawSpan(_unsafeStart: UnsafeRawPointer(node.data + at), byteCount: length))
      return true
    }
  }

  /// Remembers where `offset` lies, so that reading there, and further on, does not walk the chain from its
  /// start.
  public mutating func seek(to offset: Int) {
    precondition(offset >= 0 && offset <= count, "SB-WHOLE: a look beyond the chain's end")
    guard head != 0 else { return }
    var (address, start) = position(before: offset)
    var node = ChainNode(address: address)
    while offset &- start >= node.count, node.next != 0 {
      start &+= node.count
      node = ChainNode(address: node.next)
      address = node.address
    }
    (cursor, cursorOffset) = (address, start)
  }

  // MARK: Sharing

  /// A chain of the same `count` bytes from `offset` that shares this one's chunks: constant per chunk, no
  /// bytes copied. Nil when `pool` has no views left. Traps when the chain does not have the bytes.
  ///
  /// - Parameter pool: of the calling context; the memory for the links.
  public func slice(offset: Int, count wanted: Int, from pool: ChunkPoolRef) -> ByteChain? {
    var result = ByteChain()
    var failed = false
    forEachRange(offset: offset, count: wanted) { node, at, length in
      guard let view = pool.allocateView() else {
        failed = true
        return false
      }
      node.chunk.retain()
      view.chunk = node.chunk
      view.offset = node.offset &+ at
      view.count = length
      result.link(view)
      return true
    }
    if failed { return nil }
    return result
  }

  // MARK: As an item

  /// Gives up the chain, which is not empty, for its first node: to be posted to a gate or put into a list.
  /// Leaked unless ``init(item:)`` takes it over.
  public consuming func intoItem() -> ItemRef {
    precondition(head != 0, "SB-WHOLE: an empty chain cannot be posted")
    let node = ChainNode(address: head)
    node.store(tail, ChunkLayout.tail)
    node.store(UInt(bitPattern: count), ChunkLayout.chainCount)
    node.store(UInt(bitPattern: nodes), ChunkLayout.chainNodes)
    discard self
    return unsafe ItemRef(node.slot)
  }
  /// Takes over the chain that ``intoItem()`` gave up. Exactly one for each.
  public init(item: ItemRef) {
    let node = unsafe ChainNode(item.raw)
    head = node.address
    tail = node.load(ChunkLayout.tail)
    count = Int(bitPattern: node.load(ChunkLayout.chainCount))
    nodes = Int(bitPattern: node.load(ChunkLayout.chainNodes))
  }

  // MARK: Nodes

  /// The nearest known node that begins at or before `offset`; the chain is not empty.
  private func position(before offset: Int) -> (node: UInt, start: Int) {
    cursor != 0 && cursorOffset <= offset ? (cursor, cursorOffset) : (head, 0)
  }

  /// Calls `body` with the nodes that hold `wanted` bytes from `offset`, and which bytes of each; until it
  /// says false.
  func forEachRange(offset: Int, count wanted: Int, _ body: (ChainNode, _ at: Int, _ length: Int) -> Bool) {
    precondition(
      offset >= 0 && wanted >= 0 && wanted <= count &- offset, "SB-WHOLE: a look beyond the chain's end")
    guard wanted > 0 else { return }
    let (address, start) = position(before: offset)
    var node = ChainNode(address: address)
    var skip = offset &- start
    while skip >= node.count {
      skip &-= node.count
      node = ChainNode(address: node.next)
    }
    var left = wanted
    while left > 0 {
      let length = min(left, node.count &- skip)
      if length > 0, !body(node, skip, length) { return }
      left &-= length
      skip = 0
      if left > 0 { node = ChainNode(address: node.next) }
    }
  }

  /// Adds a node that is in no chain.
  mutating func link(_ node: ChainNode) {
    node.next = 0
    if tail == 0 { head = node.address } else { ChainNode(address: tail).next = node.address }
    tail = node.address
    nodes &+= 1
    count &+= node.count
  }

  private mutating func forget() {
    (head, tail, nodes, count) = (0, 0, 0, 0)
    cursor = 0
  }

  private static func dropNodes(from head: UInt) {
    var next = head
    var returned = ReturnedSlots()
    while next != 0 {
      let node = ChainNode(address: next)
      next = node.next
      node.drop(&returned)
    }
  }
}
