#if Explore
  /// PROTOCOLS 2 and 3.
  extension Mutation {
    /// The waiter looks again before others can see that it waits.
    @usableFromInline static let waiterWithoutFence = Mutation("waiterWithoutFence")
    /// The waker looks for a waiter before others can see what it changed.
    @usableFromInline static let wakerWithoutFence = Mutation("wakerWithoutFence")
    /// A wake-up that was claimed meanwhile is overwritten.
    @usableFromInline static let retractByStore = Mutation("retractByStore")
    /// One publication looks like another.
    @usableFromInline static let waiterWithoutEpoch = Mutation("waiterWithoutEpoch")
    /// The waker judges before it looks who waits: its answer may be about an earlier need.
    static let predicateBeforeLoad = Mutation("predicateBeforeLoad")
    /// The waker does not judge at all.
    static let wakeOnAnyChange = Mutation("wakeOnAnyChange")
    /// A turn that is passed is free until the one who was woken takes it.
    static let turnPassedWithoutReserving = Mutation("turnPassedWithoutReserving")
  }

  extension Waiter {
    /// What a claim under a mutation of its order does; nil: none is on.
    @usableFromInline func mutatedClaim(
      _ predicate: (_ need: UInt32) -> Bool
    ) -> (claimed: WakeTarget?, Void)? {
      guard
        Mutation.wakerWithoutFence.isOn || Mutation.predicateBeforeLoad.isOn || Mutation.wakeOnAnyChange.isOn
      else { return nil }
      let early = state.loadRelaxed()
      let need = UInt32(truncatingIfNeeded: early &>> 2 & UInt64(Self.maximumNeed))
      let isMet = Mutation.wakeOnAnyChange.isOn || predicate(need)
      var seen = Mutation.predicateBeforeLoad.isOn ? state.load() : early
      guard seen & 3 == Self.waiting, isMet, state.compareExchange(&seen, seen & ~3 | Self.signalled) else {
        return (nil, ())
      }
      return (target(), ())
    }
  }
#endif
