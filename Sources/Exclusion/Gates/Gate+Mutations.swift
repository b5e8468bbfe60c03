#if Explore
  /// PROTOCOLS 1. Those of its two-word form have no place here: the gate is one word.
  extension Mutation {
    /// Leaves by a load and then a store: what is posted in between is stuck.
    @usableFromInline static let gateLeftByLoadThenStore = Mutation("gateLeftByLoadThenStore")
    /// Runs the newest first.
    @usableFromInline static let gateBacklogNotReversed = Mutation("gateBacklogNotReversed")
    /// Clears bits and list without running them.
    @usableFromInline static let gateBitsLost = Mutation("gateBitsLost")
    /// Gives ownership up before home has it: somebody else enters meanwhile.
    @usableFromInline static let gateHandOverClearsOwned = Mutation("gateHandOverClearsOwned")
    /// A soft interrupt that finds the gate occupied waits for who is inside (R1).
    @usableFromInline static let softInterruptWaitsForOwner = Mutation("softInterruptWaitsForOwner")
    /// Retires a block that can still be entered.
    @usableFromInline static let gateRetiredWithoutClosing = Mutation("gateRetiredWithoutClosing")
    /// A context that is about to sleep stores IDLE over what was posted meanwhile.
    @usableFromInline static let idleByLoadThenStore = Mutation("idleByLoadThenStore")
    /// Who posts leaves IDLE set: everyone after it kicks as well.
    @usableFromInline static let posterLeavesIdleSet = Mutation("posterLeavesIdleSet")
    /// Who posts to a context that sleeps does not kick it.
    @usableFromInline static let postWithoutKick = Mutation("postWithoutKick")
    /// A mailbox takes what it sees by a load and then a store.
    @usableFromInline static let mailboxTakenByStore = Mutation("mailboxTakenByStore")
    /// A mailbox that closes gives up what is in it.
    @usableFromInline static let mailboxClosedWithContents = Mutation("mailboxClosedWithContents")
  }
#endif
