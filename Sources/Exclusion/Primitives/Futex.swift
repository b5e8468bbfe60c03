import CLinux

/// Sleeps while the word is `expected`, until woken or until CLOCK_MONOTONIC reaches `deadline` nanoseconds
/// (`UInt64.max`: for ever). 0, or a positive errno (ETIMEDOUT, EINTR, EAGAIN).
func futexWait(
  _ word: UnsafePointer<AtomicHalfWord>, _ expected: UInt32, untilNanoseconds deadline: UInt64 = .max
) -> Int32 {
  #if Explore
    if let explorer {
      return unsafe explorer.futexWait(place(word), expected: expected, untilNanoseconds: deadline)
    }
  #endif
  return unsafe sluice_futex_wait(
    UnsafeRawPointer(word).assumingMemoryBound(to: UInt32.self), expected, deadline)
}

/// Wakes up to `count` sleepers.
func futexWake(_ word: UnsafePointer<AtomicHalfWord>, _ count: Int) {
  #if Explore
    if let explorer { return unsafe explorer.futexWake(place(word), count: count) }
  #endif
  unsafe sluice_futex_wake(UnsafeRawPointer(word).assumingMemoryBound(to: UInt32.self), Int32(count))
}

#if Explore
  private func place(_ word: UnsafePointer<AtomicHalfWord>) -> WordPlace {
    unsafe WordPlace(UnsafeMutableRawPointer(mutating: UnsafeRawPointer(word)), isHalf: true)
  }
#endif
