#if Explore
  /// What a thread, or a word, knows of every thread's progress: happens-before in numbers.
  struct VectorClock {
    /// The greatest number of virtual threads.
    static var threads: Int { 16 }
    private var ticks = InlineArray<16, UInt32>(repeating: 0)

    subscript(thread: Int) -> UInt32 {
      @inline(__always) get { ticks[thread] }
      @inline(__always) set { ticks[thread] = newValue }
    }
    /// Learns what `other` knows.
    @inline(__always) mutating func join(_ other: borrowing VectorClock) {
      for thread in 0..<Self.threads { ticks[thread] = max(ticks[thread], other.ticks[thread]) }
    }
    /// The first thread that is ahead here of what `other` knows.
    func firstAhead(of other: borrowing VectorClock) -> Int? {
      for thread in 0..<Self.threads where ticks[thread] > other.ticks[thread] { return thread }
      return nil
    }
  }
#endif
