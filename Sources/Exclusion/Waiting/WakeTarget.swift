/// Whom to wake, and how: unpark a thread, resume a task, mark an event queue ready. The function may run on any
/// thread, with nothing held; it must not wait, and calls nothing of the stack that needs a token.
@safe @frozen public struct WakeTarget: @unchecked Sendable {
  /// Gets `context`.
  public let function: @convention(c) (UnsafeMutableRawPointer) -> Void
  /// Alive until the wake-up was delivered or retracted.
  public let context: UnsafeMutableRawPointer

  /// Calls `function` with `context`, once per wake-up.
  @inlinable @inline(__always)
  public init(
    function: @escaping @convention(c) (UnsafeMutableRawPointer) -> Void, context: UnsafeMutableRawPointer
  ) {
    unsafe self.function = function
    unsafe self.context = context
  }

  @usableFromInline func deliver() { unsafe function(context) }
}

/// Delivers a wake-up at once. Application context, nothing held (SB-UPCALL); a context uses its wake buffer.
public func wake(_ target: WakeTarget, _ held: inout Held<Unlocked>) { target.deliver() }

/// What a stack counts about wake-ups. `wasted` is 0 in every test (SB-EXACT).
public struct WakeCounters: ~Copyable, Sendable {
  /// Wake-ups that a waiting operation took.
  public let delivered = StripedCounter()
  /// Those that let no operation make progress.
  public let wasted = SharedCounter()
  /// Times that a blocked thread spun, and was woken before it slept.
  public let spinsFound = StripedCounter()
  /// Times that it spun and slept all the same.
  public let spinsFailed = StripedCounter()
  /// All zero.
  public init() {}
}
