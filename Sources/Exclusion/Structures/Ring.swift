/// A bounded first-in-first-out ring between one producer and one consumer, at most one thread each.
@safe @frozen public struct Ring<Element: ~Copyable>: ~Copyable, @unchecked Sendable {
  /// The head, the consumer's copy of the tail, the tail, the producer's copy of the head: a cache line each.
  @usableFromInline let lines: UnsafeMutableRawPointer
  @usableFromInline let elements: UnsafeMutablePointer<Element>
  /// How many fit; a power of two.
  public let capacity: Int

  private static var lineBytes: Int { 256 }
  @inlinable static var head: Int { 0 }
  @inlinable static var knownTail: Int { 64 }
  @inlinable static var tail: Int { 128 }
  @inlinable static var knownHead: Int { 192 }

  /// An empty ring for at least `minimumCapacity` elements.
  public init(minimumCapacity: Int) {
    var size = 2
    while size < minimumCapacity { size *= 2 }
    capacity = size
    unsafe elements = SharedMemory.allocate(
      byteCount: size * MemoryLayout<Element>.stride, alignment: max(MemoryLayout<Element>.alignment, 8)
    ).bindMemory(to: Element.self, capacity: size)
    unsafe lines = SharedMemory.allocate(byteCount: Self.lineBytes, alignment: 64)
    unsafe lines.initializeMemory(as: UInt64.self, repeating: 0, count: 32)
  }
  deinit {
    while pop() != nil {}
    unsafe SharedMemory.deallocate(
      UnsafeMutableRawPointer(elements), byteCount: capacity * MemoryLayout<Element>.stride)
    unsafe SharedMemory.deallocate(lines, byteCount: Self.lineBytes)
  }

  @inlinable @inline(__always) func place(_ position: UInt64) -> UnsafeMutablePointer<Element> {
    unsafe elements + Int(truncatingIfNeeded: position) & (capacity &- 1)
  }

  /// Adds an element, or gives it back when the ring is full. The producer.
  @inlinable public func push(_ element: consuming Element) -> Element? {
    let tail = unsafe atomicWord(lines, Self.tail).pointee.loadRelaxed()
    if unsafe tail &- lines.load(fromByteOffset: Self.knownHead, as: UInt64.self) == UInt64(capacity) {
      let head = unsafe atomicWord(lines, Self.head).pointee.load()
      unsafe lines.storeBytes(of: head, toByteOffset: Self.knownHead, as: UInt64.self)
      if tail &- head == UInt64(capacity) { return element }
    }
    #if Explore
      if Mutation.ringPublishedEarly.isOn { unsafe atomicWord(lines, Self.tail).pointee.store(tail &+ 1) }
    #endif
    unsafe willWrite(place(tail))
    unsafe place(tail).initialize(to: element)
    unsafe atomicWord(lines, Self.tail).pointee.store(tail &+ 1)
    return nil
  }

  /// Adds so many elements, which `next` gives one after the other, with one look and one word for all. False: there is no
  /// room for all, and `next` was not called. The producer.
  @inlinable @inline(__always) public func push(_ count: Int, _ next: () -> Element) -> Bool {
    let tail = unsafe atomicWord(lines, Self.tail).pointee.loadRelaxed()
    let room = UInt64(capacity) &- UInt64(count)
    guard count <= capacity else { return false }
    if unsafe tail &- lines.load(fromByteOffset: Self.knownHead, as: UInt64.self) > room {
      let head = unsafe atomicWord(lines, Self.head).pointee.load()
      unsafe lines.storeBytes(of: head, toByteOffset: Self.knownHead, as: UInt64.self)
      if tail &- head > room { return false }
    }
    #if Explore
      if Mutation.ringPublishedEarly.isOn {
        unsafe atomicWord(lines, Self.tail).pointee.store(tail &+ UInt64(count))
      }
    #endif
    for index in 0..<UInt64(count) {
      unsafe willWrite(place(tail &+ index))
      unsafe place(tail &+ index).initialize(to: next())
    }
    unsafe atomicWord(lines, Self.tail).pointee.store(tail &+ UInt64(count))
    return true
  }

  /// Removes the oldest element. The consumer.
  @inlinable public func pop() -> Element? {
    let head = unsafe atomicWord(lines, Self.head).pointee.loadRelaxed()
    if unsafe head == lines.load(fromByteOffset: Self.knownTail, as: UInt64.self) {
      let tail = unsafe atomicWord(lines, Self.tail).pointee.load()
      unsafe lines.storeBytes(of: tail, toByteOffset: Self.knownTail, as: UInt64.self)
      if head == tail { return nil }
    }
    unsafe willWrite(place(head))
    let element = unsafe place(head).move()
    unsafe atomicWord(lines, Self.head).pointee.store(head &+ 1)
    return element
  }

  /// How many elements there are. Exact for neither side while the other works.
  @inlinable public var count: Int {
    let tail = unsafe atomicWord(lines, Self.tail).pointee.load()
    let head = unsafe atomicWord(lines, Self.head).pointee.load()
    return Int(truncatingIfNeeded: tail &- head)
  }
}

#if Explore
  extension Mutation {
    /// The consumer may take a place before the element is in it.
    @usableFromInline static let ringPublishedEarly = Mutation("ringPublishedEarly")
  }
#endif
