import Glibc

/// What a blocked thread sleeps on. One per blocked thread; its wake-up is a token, so an `unpark` that comes
/// before the `park` is not lost.
@safe public struct Parker: ~Copyable, @unchecked Sendable {
  private enum Token {
    static let none: UInt32 = 0
    static let signalled: UInt32 = 1
    static let asleep: UInt32 = 2
    /// Its thread drives a context meanwhile, and sleeps as that context's driver.
    static let driving: UInt32 = 3
  }
  private let cell: UnsafeMutablePointer<AtomicHalfWord>

  private static var byteCount: Int { 16 }
  /// Of the context that its thread may drive while it waits: (c) an address, or 0.
  private static var portOffset: Int { 8 }

  /// Nobody parked, no token. With `port` its thread may wait by driving that context, which outlives it.
  public init(driving port: ContextPortRef? = nil) {
    let raw = unsafe SharedMemory.allocate(byteCount: Self.byteCount, alignment: 8)
    unsafe cell = raw.bindMemory(to: AtomicHalfWord.self, capacity: 1)
    unsafe cell.initialize(to: AtomicHalfWord(Token.none))
    unsafe raw.storeBytes(of: port?.address ?? 0, toByteOffset: Self.portOffset, as: UInt.self)
  }
  deinit {
    unsafe cell.deinitialize(count: 1)
    unsafe SharedMemory.deallocate(UnsafeMutableRawPointer(cell), byteCount: Self.byteCount)
  }

  /// Sleeps until `unpark` or until CLOCK_MONOTONIC reaches `deadline` nanoseconds (nil: for ever), and takes
  /// the token. True if it was signalled. Application context, nothing held; one thread at a time.
  public func park(untilNanoseconds deadline: UInt64? = nil, _ held: inout Held<Unlocked>) -> Bool {
    if unsafe cell.pointee.compareExchange(Token.none, Token.asleep) {
      while unsafe cell.pointee.load() == Token.asleep {
        let failure = unsafe futexWait(cell, Token.asleep, untilNanoseconds: deadline ?? UInt64.max)
        if failure == ETIMEDOUT { break }
      }
    }
    return unsafe cell.pointee.exchange(Token.none) == Token.signalled
  }

  /// As ``park(untilNanoseconds:_:)``, of a thread that spins before it sleeps where that pays: for at most `limit`
  /// nanoseconds, and `outcome` says how that ended.
  public func park(
    untilNanoseconds deadline: UInt64? = nil, spinning limit: UInt64, _ outcome: inout SpinOutcome,
    _ held: inout Held<Unlocked>
  ) -> Bool {
    outcome = Spin.wait(limit: limit) { isSignalled }
    let isWoken = park(untilNanoseconds: deadline, &held)
    if outcome != .found { Spin.slept(limit: limit) }
    return isWoken
  }

  /// Whether the token is there. A hint to any thread but its own.
  @inline(__always) public var isSignalled: Bool { unsafe cell.pointee.load() == Token.signalled }

  /// The wait of a context's own thread, or its driver's, outside of application context. True if it was signalled.
  func parkAtRoot(untilNanoseconds deadline: UInt64) -> Bool {
    var held = Held<Unlocked>(_proof: ())
    return park(untilNanoseconds: deadline, &held)
  }
  /// Its thread is about to sleep as the driver of its context: the token wakes it there. False: the token is there.
  func beginDriving() -> Bool { unsafe cell.pointee.compareExchange(Token.none, Token.driving) }
  /// It is awake again.
  func endDriving() { _ = unsafe cell.pointee.compareExchange(Token.driving, Token.none) }

  /// Leaves the token, and wakes the thread if it sleeps. Any thread.
  public func unpark() { unsafe Self.unpark(cell) }

  /// The wake-up of a thread that parks here. The parker must live until it was delivered or retracted.
  public var wakeTarget: WakeTarget {
    unsafe WakeTarget(
      function: { context in
        unsafe Parker.unpark(context.assumingMemoryBound(to: AtomicHalfWord.self))
      }, context: UnsafeMutableRawPointer(cell))
  }

  private static func unpark(_ cell: UnsafeMutablePointer<AtomicHalfWord>) {
    #if Explore
      if Mutation.unparkWithoutToken.isOn {
        if unsafe cell.pointee.load() == Token.asleep {
          _ = unsafe cell.pointee.exchange(Token.signalled)
          unsafe futexWake(cell, 1)
        }
        return
      }
    #endif
    // After the exchange the sleeper may be gone with its memory: a futex call needs only the address, and the
    // context is read before.
    let port = unsafe UnsafeRawPointer(cell).load(fromByteOffset: portOffset, as: UInt.self)
    switch unsafe cell.pointee.exchange(Token.signalled) {
    case Token.asleep: unsafe futexWake(cell, 1)
    case Token.driving: ContextPortRef(address: port).rouse()
    default: return
    }
  }
}

#if Explore
  extension Mutation {
    /// Who is not asleep yet gets no token, and sleeps for ever.
    static let unparkWithoutToken = Mutation("unparkWithoutToken")
  }
#endif
