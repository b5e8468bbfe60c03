import CLinux

/// Words of the calling thread.
public enum ThreadLocal {
  /// The context whose root this thread is inside.
  public static var currentContext: ContextCoreRef? {
    guard let raw = unsafe sluice_current_context() else { return nil }
    return unsafe ContextCoreRef(raw)
  }
  static var currentContextAddress: UInt { unsafe UInt(bitPattern: sluice_current_context()) }
}

/// Tells the processor that this thread spins.
public func spinHint() {
  #if Explore
    if let explorer { return explorer.yield() }
  #endif
  sluice_spin_hint()
}

/// Lets another thread of this processor run.
public func yieldProcessor() {
  #if Explore
    if let explorer { return explorer.yield() }
  #endif
  sluice_thread_yield()
}

/// A thread of the operating system: what runs a context for ever. Must be joined.
public final class WorkerThread: Sendable {
  private final class Start: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  private let thread: UInt64
  private let isJoined = AtomicWord(0)

  /// Starts running `body` at once. `name` shows in debuggers (15 bytes); `processor` is a CPU number to stay
  /// on, ignored where the process may not. Throws when the system has no thread to give.
  public init(
    name: String, processor: Int? = nil, _ body: @escaping @Sendable () -> Void
  ) throws(SystemFailure) {
    #if Explore
      if let explorer {
        thread = explorer.start(name) { body() }
        return
      }
    #endif
    let start = unsafe Unmanaged.passRetained(Start(body))
    var made: UInt64 = 0
    let failure = unsafe sluice_thread_start(
      &made, name, Int32(processor ?? -1),
      { context in unsafe Unmanaged<Start>.fromOpaque(context!).takeRetainedValue().body() },
      start.toOpaque())
    if failure != 0 {
      unsafe start.release()
      throw SystemFailure(code: failure, call: "pthread_create")
    }
    thread = made
  }
  deinit { precondition(isJoined.load() == 1, "RS-LEAK: a thread was never joined") }

  /// Waits for the body to return. Once; never from a context.
  public func join() {
    precondition(isJoined.exchange(1) == 0, "a thread is joined once")
    #if Explore
      if let explorer { return explorer.join(thread) }
    #endif
    sluice_thread_join(thread)
  }
}

/// Differs between threads, and stays the same for each; for choosing where to begin looking.
public func threadHash() -> UInt64 {
  #if Explore
    if let explorer { return explorer.threadNumber }
  #endif
  return (sluice_thread_number() &* 0x9E37_79B9_7F4A_7C15) &>> 32
}

#if Explore
  /// What a thread keeps in thread-local words, for a machine that switches threads itself.
  public struct ThreadWords: Sendable {
    private let (context, root, levels): (UInt, UInt32, UInt64)

    /// The words of a thread that is in nothing.
    public init() { (context, root, levels) = (0, 0, 0) }
    /// The words of the calling thread as they are.
    public init(ofCaller: Void) {
      unsafe context = UInt(bitPattern: sluice_current_context())
      (root, levels) = (sluice_current_root(), sluice_held_levels())
    }
    /// Makes them the calling thread's.
    public func install() {
      unsafe sluice_set_current_context(UnsafeMutableRawPointer(bitPattern: context))
      sluice_set_current_root(root)
      sluice_set_held_levels(levels)
    }
  }
#endif

/// Nanoseconds of processors that the calling thread has used. A system call: not for every packet.
public func ownProcessorTime() -> UInt64 { sluice_thread_nanoseconds() }
