/// Where the state of accurate feedback lies: in memory of its own, which connections have that agreed on it.
///
/// Calling context: the owner of the connection.
@safe struct AccurateState: ~Copyable {
  private var memory: UnsafeMutablePointer<AccurateFeedback>?

  init() {}
  deinit { unsafe memory?.deallocate() }

  /// Begins anew, with all counters at their first values (RFC 9768 section 3.2.1).
  mutating func begin() {
    if unsafe memory == nil { unsafe memory = .allocate(capacity: 1) }
    unsafe memory?.initialize(to: AccurateFeedback())
  }

  /// There is nothing to keep.
  mutating func end() {
    unsafe memory?.deallocate()
    unsafe memory = nil
  }

  /// The state. A connection without accurate feedback has none, and must not ask.
  var feedback: AccurateFeedback {
    unsafeAddress {
      guard let memory = unsafe memory else { preconditionFailure("a connection without accurate feedback") }
      return unsafe UnsafePointer(memory)
    }
    unsafeMutableAddress {
      guard let memory = unsafe memory else { preconditionFailure("a connection without accurate feedback") }
      return unsafe memory
    }
  }
}
