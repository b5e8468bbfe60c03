import Glibc

/// What a blocked thread sleeps on. One per blocked thread; its wake-up is a token, so an `unpark` that comes
/// before the `park` is not lost.
@safe public struct Parker: ~Copyable, @unchecked Sendable {
  private enum Token {
    static let none: UInt32 = 0
    static let signalled: UInt32 = 1
    static let asleep: UInt32 = 2
  }
  private let cell: UnsafeMutablePointer<AtomicHalfWord>

  private static var byteCount: Int { 8 }

  /// Nobody parked, no token.
  public init() {
    unsafe cell = SharedMemory.allocate(byteCount: Self.byteCount, alignment: 8)
      .bindMemory(to: AtomicHalfWord.self, capacity: 1)
    unsafe cell.initialize(to: AtomicHalfWord(Token.none))
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
    // After the exchange the sleeper may be gone with its memory; a futex call needs only the address.
    guard unsafe cell.pointee.exchange(Token.signalled) == Token.asleep else { return }
    unsafe futexWake(cell, 1)
  }
}

#if Explore
  extension Mutation {
    /// Who is not asleep yet gets no token, and sleeps for ever.
    static let unparkWithoutToken = Mutation("unparkWithoutToken")
  }
#endif
