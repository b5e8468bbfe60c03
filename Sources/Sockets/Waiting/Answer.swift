import Exclusion

/// The answer to a command that a context carries out: applications may wait for an answer, never for a
/// gate (DESIGN section 2). Completed once.
@safe
public final class Answer<Value: Sendable>: @unchecked Sendable {  // `value` is written before `ready`
  private var value: Value?
  private let ready = AtomicWord(0)
  private let pair: UnsafeMutablePointer<WaitPair>
  private let account: WakeAccount

  /// No answer yet. `account` is the stack's, ``SocketLayer/wakeAccount``.
  public init(_ account: WakeAccount) {
    self.account = account
    unsafe pair = .allocate(capacity: 1)
    unsafe pair.initialize(to: WaitPair())
  }
  /// An answer that is there from the beginning.
  public convenience init(_ account: WakeAccount, answered value: Value) {
    self.init(account)
    self.value = value
    ready.store(1)
  }
  deinit {
    unsafe pair.deinitialize(count: 1)
    unsafe pair.deallocate()
  }

  /// Soft-interrupt context: sets the answer and wakes who waits.
  public func complete(_ value: consuming Value, _ cx: inout SoftInterrupt) {
    self.value = value
    ready.store(1)
    if let target = unsafe pair.pointee.waiter.claim(where: { _ in true }) { cx.wake(target) }
  }

  /// Whether ``take()`` has something.
  public var isReady: Bool { ready.load() == 1 }
  /// The answer, once it is there; a second call returns nil, so that nothing is kept longer than it is used.
  public func take() -> Value? {
    guard isReady else { return nil }
    return value.take()
  }
  /// The answer, left where it is, for an answer that nobody takes.
  func peek() -> Value? { isReady ? value : nil }
  /// Where to wait for it.
  public var point: WaitPoint { unsafe WaitPoint(pair, account) }
}
