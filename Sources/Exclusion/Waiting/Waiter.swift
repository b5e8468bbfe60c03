/// One waiter for one condition (PROTOCOLS 2): one direction of a socket. Who waits holds the direction's `Turn`,
/// so there is one at a time; any number may wake. No lock, and no wake-up is lost or useless.
///
/// In type-stable memory, or otherwise sure to outlive every waker.
@safe @frozen public struct Waiter: ~Copyable, Sendable {
  /// epoch 32 · need 30 · IDLE 0, WAITING 1, SIGNALLED 2. It starts IDLE: nobody who has not met the condition
  /// is told about it.
  @usableFromInline let state: AtomicWord
  /// The target of the one who is WAITING, as addresses: written before the state, read after the claim.
  @usableFromInline let function: AtomicWord
  @usableFromInline let context: AtomicWord

  @inlinable static var idle: UInt64 { 0 }
  @inlinable static var waiting: UInt64 { 1 }
  @inlinable static var signalled: UInt64 { 2 }
  @inlinable static var epochs: UInt64 { ~0 &<< 32 }
  /// The greatest `need`; what is more is taken for this.
  @inlinable public static var maximumNeed: UInt32 { 1 << 30 - 1 }

  /// One publication.
  @frozen public struct Ticket: Sendable {
    @usableFromInline let word: UInt64
    @inlinable init(_ word: UInt64) { self.word = word }
  }

  /// Nobody waits.
  @inlinable public init() {
    state = AtomicWord(0)
    function = AtomicWord(0)
    context = AtomicWord(0)
  }

  // MARK: The waiting side, under its turn

  /// Says that somebody waits until `need` (bytes, items) can be had. Ends with the full fence; the caller
  /// checks its condition again after it (SB-ATOMIC), and then either retracts or sleeps until woken.
  @inlinable public func publish(need: UInt32, _ target: WakeTarget) -> Ticket {
    let before = state.loadRelaxed()
    invariant(before & 3 == Self.idle, "two waiters: somebody waits without the turn")
    unsafe function.storeRelaxed(UInt64(unsafeBitCast(target.function, to: UInt.self)))
    unsafe context.storeRelaxed(UInt64(UInt(bitPattern: target.context)))
    let epoch = Self.nextEpoch(before)
    let word = epoch | UInt64(min(need, Self.maximumNeed)) &<< 2 | Self.waiting
    state.store(word)
    #if Explore
      if Mutation.waiterWithoutFence.isOn { return Ticket(word) }
    #endif
    fullFence()  // keeps SB-FENCE, the waiter's half
    return Ticket(word)
  }

  @inlinable @inline(__always) static func nextEpoch(_ before: UInt64) -> UInt64 {
    #if Explore
      if Mutation.waiterWithoutEpoch.isOn { return 0 }
    #endif
    return (before & Self.epochs) &+ 1 &<< 32
  }

  /// Takes the publication back. False: a wake-up is under way, and must be waited for and taken.
  @inlinable public func retract(_ ticket: Ticket) -> Bool {
    #if Explore
      if Mutation.retractByStore.isOn {
        state.store(ticket.word & Self.epochs)
        return true
      }
    #endif
    var expected = ticket.word
    return state.compareExchange(&expected, ticket.word & Self.epochs)
  }

  /// The wake-up came.
  @inlinable public func finish(_ ticket: Ticket) {
    invariant(state.loadRelaxed() & 3 == Self.signalled, "a wake-up that nobody claimed")
    state.store(ticket.word & Self.epochs)
  }

  // MARK: The waking side

  /// After the data was changed (with release): whom to wake, if somebody waits whose need is met. The caller
  /// owes the target its wake-up. `predicate` reads the data with acquire.
  @inlinable public func claim(where predicate: (_ need: UInt32) -> Bool) -> WakeTarget? {
    Self.fence()
    return claimBehindFence(where: predicate)
  }
  /// SB-FENCE, the waker's half: what was changed is seen before it is looked who waits.
  @inlinable @inline(__always) public static func fence() {
    #if Explore
      if Mutation.wakerWithoutFence.isOn { return }
    #endif
    fullFence()
  }
  /// ``claim(where:)`` for who has passed the ``fence()`` since the data was changed: one for several waiters.
  @inlinable @inline(__always)
  public func claimBehindFence(where predicate: (_ need: UInt32) -> Bool) -> WakeTarget? {
    #if Explore
      if let target = mutatedClaim(predicate) { return target.claimed }
    #endif
    var seen = state.load()  // before the predicate, so that the answer is about this epoch (SB-EXACT)
    guard seen & 3 == Self.waiting,
      predicate(UInt32(truncatingIfNeeded: seen &>> 2 & UInt64(Self.maximumNeed))),
      state.compareExchange(&seen, seen & ~3 | Self.signalled)
    else { return nil }
    return target()
  }

  @inlinable func target() -> WakeTarget {
    let function = UInt(truncatingIfNeeded: function.loadRelaxed())
    let context = UInt(truncatingIfNeeded: context.loadRelaxed())
    return unsafe WakeTarget(
      function: unsafeBitCast(function, to: (@convention(c) (UnsafeMutableRawPointer) -> Void).self),
      context: UnsafeMutableRawPointer(bitPattern: context).unsafelyUnwrapped)
  }

  /// Whether somebody waits. A hint: only `claim` decides.
  @inlinable public var isWaiting: Bool { state.loadRelaxed() & 3 == Self.waiting }
}
