// The account of a stack's socket memory. What is reserved, and the state that follows from it, are one word, so
// that a change and its transition are one compare-and-swap: it can neither drift nor miss a transition. The
// state is published beside it, in a line that nobody writes between transitions, for who looks at each packet.
//
// Contexts do not touch the word for each packet: they reserve and return in steps (`MemoryShare`).

public import Exclusion

/// The account of one stack: memory that its sockets occupy, in whole slots and chunks. Outlives its shares.
public final class MemoryAccount: Sendable {
  /// The account, for whoever does not own it.
  public let ref: MemoryAccountRef

  /// Nothing is taken.
  ///
  /// - Parameters:
  ///   - limits: where the states begin and end.
  ///   - shares: how many shares there will be. What they may cache together is an eighth of the room between
  ///     pressure and the hard limit, at least one slot each.
  public init(limits: MemoryLimits, shares: Int) {
    ref = MemoryAccountRef(limits: limits, shares: shares)
  }
  deinit { ref.destroy() }
}

/// (c) constant, (a) atomic. The words that change often have lines of their own.
@safe @frozen @usableFromInline struct MemoryAccountState: ~Copyable {
  /// (a) A copy of `word`'s state.
  @usableFromInline let published = AtomicWord(0)
  let limits: MemoryLimits  // (c)
  /// (c) How much a share reserves at a time.
  let step: Int
  let firstLine = InlineArray<8, UInt64>(repeating: 0)
  /// (a) bytes reserved 62 · state 2
  let word = AtomicWord(0)
  let secondLine = InlineArray<8, UInt64>(repeating: 0)
  /// (a) By kind: what application threads took, less what they gave back.
  let outside = InlineArray<4, AtomicWord> { _ in AtomicWord(0) }
  /// (a) By state: how often it was entered.
  let entries = InlineArray<3, SharedCounter> { _ in SharedCounter() }
}

/// A ``MemoryAccount`` by its address. Copying it counts nothing.
@safe @frozen public struct MemoryAccountRef: @unchecked Sendable {  // the words behind it are atomic
  @usableFromInline let raw: UnsafeMutablePointer<MemoryAccountState>

  init(limits: MemoryLimits, shares: Int) {
    precondition(shares > 0, "an account without shares")
    let room = (limits.hard - limits.pressure) / 16 / shares
    unsafe raw = SharedMemory.allocate(byteCount: MemoryLayout<MemoryAccountState>.size, alignment: 64)
      .bindMemory(to: MemoryAccountState.self, capacity: 1)
    unsafe raw.initialize(
      to: MemoryAccountState(limits: limits, step: min(64 << 10, max(Packet.occupied, room))))
  }
  func destroy() {
    unsafe raw.deinitialize(count: 1)
    unsafe SharedMemory.deallocate(raw, byteCount: MemoryLayout<MemoryAccountState>.size)
  }

  /// The limits.
  public var limits: MemoryLimits { unsafe raw.pointee.limits }
  /// The state as it was published last; any thread, for each packet.
  @inlinable public var state: MemoryState {
    unsafe MemoryState(rawValue: raw.pointee.published.loadRelaxed()).unsafelyUnwrapped
  }
  /// Bytes reserved: in use, or cached by a share. Any thread.
  public var reserved: Int { unsafe Self.reserved(raw.pointee.word.load()) }
  /// Bytes of `kind` that application threads took, less what they gave back; negative when contexts took more of
  /// it than they gave back.
  public func outside(_ kind: MemoryKind) -> Int {
    unsafe Int(truncatingIfNeeded: raw.pointee.outside[kind.rawValue].load())
  }
  /// How often `state` was entered. Any thread.
  public func entries(into state: MemoryState) -> UInt64 {
    unsafe raw.pointee.entries[Int(state.rawValue)].value
  }

  /// Gives back memory of a kind. Any thread; one locked instruction or two for each call, so once for many slots.
  public func give(_ bytes: Int, _ kind: MemoryKind) {
    guard bytes != 0 else { return }
    unsafe raw.pointee.outside[kind.rawValue].subtract(UInt64(bitPattern: Int64(bytes)))
    giveBack(bytes)
  }

  // MARK: Reserving, for shares

  var step: Int { unsafe raw.pointee.step }

  private static func reserved(_ word: UInt64) -> Int { Int(truncatingIfNeeded: word >> 2) }
  private static func state(_ word: UInt64) -> MemoryState {
    unsafe MemoryState(rawValue: word & 3).unsafelyUnwrapped
  }
  private static func word(_ reserved: Int, _ state: MemoryState) -> UInt64 {
    invariant(reserved >= 0, "RS-LEAK: more memory was given back than taken")
    return UInt64(max(0, reserved)) << 2 | state.rawValue
  }

  /// Reserves `needed` bytes, or `wanted` if there is no shortage; returns how many. 0: they would exceed the hard
  /// limit. `isGuaranteed` ones are never refused.
  func reserve(_ needed: Int, wanted: Int, isGuaranteed: Bool) -> Int {
    let limits = limits
    var seen = unsafe raw.pointee.word.loadRelaxed()
    while true {
      let (reserved, before) = (Self.reserved(seen), Self.state(seen))
      var amount = before == .normal && reserved + wanted <= limits.hard ? wanted : needed
      if !isGuaranteed, before == .exhausted || reserved + amount > limits.hard { amount = 0 }
      let after = amount == 0 ? .exhausted : limits.state(reserved + amount, after: before)
      guard unsafe raw.pointee.word.compareExchange(&seen, Self.word(reserved + amount, after)) else {
        continue
      }
      if after != before { entered(after) }
      return amount
    }
  }

  func giveBack(_ bytes: Int) {
    let limits = limits
    var seen = unsafe raw.pointee.word.loadRelaxed()
    while true {
      let (reserved, before) = (Self.reserved(seen) - bytes, Self.state(seen))
      // Less is no reason for a shortage.
      let after = before == .normal ? .normal : limits.state(reserved, after: before)
      #if Explore
        if Mutation.accountGivenBackByLoadThenStore.isOn {
          unsafe raw.pointee.word.store(Self.word(reserved, after))
          if after != before { entered(after) }
          return
        }
      #endif
      guard unsafe raw.pointee.word.compareExchange(&seen, Self.word(reserved, after)) else { continue }
      if after != before { entered(after) }
      return
    }
  }

  /// Publishes the state. Two who do it at once may overtake each other, so each looks again: who changed the word
  /// last looks after everyone else wrote, or they look after its change.
  private func entered(_ state: MemoryState) {
    unsafe raw.pointee.entries[Int(state.rawValue)].increment()
    var current = unsafe raw.pointee.word.load() & 3
    while true {
      unsafe raw.pointee.published.store(current)
      #if Explore
        if Mutation.accountPublishedWithoutLookingAgain.isOn { return }
        if !Mutation.accountPublishedWithoutFence.isOn { fullFence() }
      #else
        fullFence()
      #endif
      let again = unsafe raw.pointee.word.load() & 3
      if again == current { return }
      current = again
    }
  }
}
