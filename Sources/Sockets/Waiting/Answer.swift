import Exclusion

/// What the memory of an answer holds.
private enum Content {
  static var none: UInt64 { 0 }
  static var answer: UInt64 { 1 }
  static var taken: UInt64 { 2 }
}

/// The answer to a command that a context carries out: applications may wait for an answer, never for a
/// gate (DESIGN section 2). Completed once.
@safe
public final class Answer<Value: Sendable>: @unchecked Sendable {  // `value` is written before `state`
  /// (a) What `value` holds. It is kept apart from that: an optional of a type that is not known here is dear.
  private let state = AtomicWord(Content.none)
  private let pair: UnsafeMutablePointer<WaitPair>
  /// Behind `pair`, in the same memory.
  private let value: UnsafeMutablePointer<Value>
  private let account: WakeAccount

  /// No answer yet. `account` is the stack's, ``SocketLayer/wakeAccount``.
  public init(_ account: WakeAccount) {
    self.account = account
    let mask = MemoryLayout<Value>.alignment - 1
    let offset = (MemoryLayout<WaitPair>.size + mask) & ~mask
    let memory = UnsafeMutableRawPointer.allocate(
      byteCount: offset + MemoryLayout<Value>.size,
      alignment: max(MemoryLayout<WaitPair>.alignment, MemoryLayout<Value>.alignment))
    unsafe pair = memory.initializeMemory(as: WaitPair.self, to: WaitPair())
    unsafe value = (memory + offset).assumingMemoryBound(to: Value.self)
  }
  /// An answer that is there from the beginning.
  public convenience init(_ account: WakeAccount, answered value: Value) {
    self.init(account)
    unsafe self.value.initialize(to: value)
    state.store(Content.answer)
  }
  deinit {
    if isReady { unsafe value.deinitialize(count: 1) }
    unsafe pair.deinitialize(count: 1)
    unsafe UnsafeMutableRawPointer(pair).deallocate()
  }

  /// Soft-interrupt context: sets the answer and wakes who waits.
  public func complete(_ value: consuming Value, _ cx: inout SoftInterrupt) {
    unsafe self.value.initialize(to: value)
    state.store(Content.answer)
    if let target = unsafe pair.pointee.waiter.claim(where: { _ in true }) { cx.wake(target) }
  }

  /// Whether ``take()`` has something.
  public var isReady: Bool { state.load() == Content.answer }
  /// The answer, once it is there; a second call returns nil, so that nothing is kept longer than it is used. One
  /// thread at a time.
  public func take() -> Value? {
    guard isReady else { return nil }
    state.store(Content.taken)
    return unsafe value.move()
  }
  /// The answer, left where it is, for an answer that nobody takes.
  func peek() -> Value? { isReady ? unsafe value.pointee : nil }
  /// Where to wait for it.
  public var point: WaitPoint { unsafe WaitPoint(pair, account) }
}
