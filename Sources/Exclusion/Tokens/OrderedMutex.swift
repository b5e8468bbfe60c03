/// A lock between application threads, which takes its place in the order of `LockLevels.swift`: `withLock`
/// accepts only a token of a level before its own, and there is none for soft-interrupt context.
///
/// The lock is a futex word of our own rather than the library's `Mutex`, whose insides the thread sanitizer
/// cannot see. The state must be `Sendable`, best a non-copyable struct: a reference to something that is not
/// could leave the lock unnoticed, because region checking does not see it go (6.3).
@safe @frozen
public struct OrderedMutex<Level: LockLevel, State: ~Copyable & Sendable>: ~Copyable, @unchecked Sendable {
  /// The lock word, then the state, apart from it so that changing one is not taken for a change of the other.
  @usableFromInline let storage: UnsafeMutableRawPointer

  /// Unlocked. `state` becomes the lock's.
  public init(_ state: consuming State) {
    let offset = Self.stateOffset
    unsafe storage = SharedMemory.allocate(
      byteCount: Self.byteCount,
      alignment: max(MemoryLayout<State>.alignment, MemoryLayout<UInt64>.alignment))
    unsafe storage.initializeMemory(as: UInt64.self, to: 0)
    unsafe (storage + offset).bindMemory(to: State.self, capacity: 1).initialize(to: state)
  }
  deinit {
    unsafe (storage + Self.stateOffset).assumingMemoryBound(to: State.self).deinitialize(count: 1)
    unsafe SharedMemory.deallocate(storage, byteCount: Self.byteCount)
  }

  private static var byteCount: Int { stateOffset + max(MemoryLayout<State>.size, 1) }
  @inlinable static var stateOffset: Int { max(MemoryLayout<State>.alignment, MemoryLayout<UInt64>.size) }

  /// The state for who can prove, by exclusive access, that nobody else has the lock or can get it: a
  /// `deinit`. Takes no lock, so it needs no token.
  public mutating func withExclusiveState<R: ~Copyable, E: Error>(
    _ body: (inout State) throws(E) -> R
  ) throws(E) -> R {
    try unsafe body(&(storage + Self.stateOffset).assumingMemoryBound(to: State.self).pointee)
  }

  /// The stanzas of `LockLevels.swift` add the order; nothing else calls this.
  @inlinable @inline(__always)
  package func _lock<H: LockLevel, R: ~Copyable, E: Error>(
    _ held: inout Held<H>, _ body: (inout State, inout Held<Level>) throws(E) -> R
  ) throws(E) -> R {
    #if LockDep
      LockDep.acquire(Level.self)
      defer { LockDep.release(Level.self) }
    #endif
    unsafe acquireLock(storage)
    defer { unsafe releaseLock(storage) }
    var token = Held<Level>(_proof: ())
    // The mutex is held: nobody else sees the state until `body` returns.
    unsafe willOwn(storage + Self.stateOffset)
    let state = unsafe (storage + Self.stateOffset).assumingMemoryBound(to: State.self)
    return try unsafe body(&state.pointee, &token)
  }
}

/// Locks between application threads that were found taken, in this process. Contexts take none.
public enum LockContention {
  /// One for each time that somebody had to wait.
  public static let counter = SharedCounter()
}

// The futex mutex of Drepper's "Futexes are tricky": 0 free, 1 locked, 2 locked and somebody sleeps.
@usableFromInline func acquireLock(_ storage: UnsafeMutableRawPointer) {
  let word = unsafe UnsafePointer(storage.assumingMemoryBound(to: AtomicHalfWord.self))
  #if Explore
    if Mutation.mutexTakenByStore.isOn, unsafe word.pointee.load() == 0 {
      return unsafe word.pointee.storeRelaxed(1)
    }
  #endif
  if unsafe word.pointee.compareExchange(0, 1) { return }
  LockContention.counter.increment()
  for _ in 0..<spinLimit(40) {
    if unsafe word.pointee.loadRelaxed() == 0, unsafe word.pointee.compareExchange(0, 1) { return }
    spinHint()
  }
  while unsafe word.pointee.exchange(2) != 0 {
    _ = unsafe futexWait(word, 2)
  }
}
@usableFromInline func releaseLock(_ storage: UnsafeMutableRawPointer) {
  let word = unsafe UnsafePointer(storage.assumingMemoryBound(to: AtomicHalfWord.self))
  #if Explore
    if Mutation.mutexReleasedWithoutWaking.isOn {
      _ = unsafe word.pointee.exchange(0)
      return
    }
  #endif
  if unsafe word.pointee.exchange(0) == 2 {
    unsafe futexWake(word, 1)
  }
}

#if Explore
  extension Mutation {
    /// Two who find the lock free take it both.
    static let mutexTakenByStore = Mutation("mutexTakenByStore")
    /// Who sleeps on the lock is not told that it is free.
    static let mutexReleasedWithoutWaking = Mutation("mutexReleasedWithoutWaking")
  }
#endif
