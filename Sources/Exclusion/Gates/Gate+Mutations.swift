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
    /// Closes by a load and then a store: what is posted in between never runs.
    @usableFromInline static let gateClosedByStore = Mutation("gateClosedByStore")
    /// Posting looks for the end before its first try, and not again.
    @usableFromInline static let closedGateTakesPosts = Mutation("closedGateTakesPosts")
    /// Segments are not counted where they wait.
    @usableFromInline static let gateCountsNoSegments = Mutation("gateCountsNoSegments")
    /// The limit is looked at before the first try to post, and not again.
    @usableFromInline static let gateLimitLookedAtOnce = Mutation("gateLimitLookedAtOnce")
    /// Commands are refused as segments are.
    @usableFromInline static let gateLimitsCommands = Mutation("gateLimitsCommands")
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

  extension GateRef where Block: ~Copyable {
    /// Adds an item to whatever the gate has become, while `holds`.
    @usableFromInline func pushWithoutLooking(
      _ item: ItemRef, isSegment: Bool, _ seen: inout UInt64, while holds: (UInt64) -> Bool = { _ in true }
    ) -> Bool {
      while holds(seen) {
        item.nextAddress = GateWord.head(seen)
        let pushed = GateWord.pushing(item, isSegment: isSegment, onto: seen)
        if unsafe atomicWord(raw, GateHeader.word).pointee.compareExchange(&seen, pushed) { return true }
      }
      return false
    }
  }
#endif
