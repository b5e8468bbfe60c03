#if Explore
  import Exclusion

  extension Mutation {
    /// The end of a connection frees its control block, whoever still has a handle.
    static let controlBlockFreedUnderSocket = Mutation("controlBlockFreedUnderSocket")
    /// A control block is used again at once, although somebody may have found it before (L4).
    static let blockReusedWithoutGrace = Mutation("blockReusedWithoutGrace")
    /// A block that was dropped while a segment waited takes the segment (L4, PCB-MATCH).
    static let droppedBlockTakesSegment = Mutation("droppedBlockTakesSegment")
    /// A connection that ended before its shard answered is left in the table (PCB-DROP).
    static let droppedStaysInTable = Mutation("droppedStaysInTable")
    /// Who gives a name does not look whether the socket ended meanwhile (PCB-DROP).
    static let claimOutlivesSocket = Mutation("claimOutlivesSocket")
    /// Whether a 4-tuple is taken is looked at before the shard is entered (PCB-UNIQ).
    static let lookedBeforeEntering = Mutation("lookedBeforeEntering")
    /// A SYN is kept by the context that it came to (AQ-DUP).
    static let synKeptWhereItComes = Mutation("synKeptWhereItComes")
    /// A half-open connection is forgotten before the table has its child (AQ-DUP).
    static let entryForgottenBeforeChild = Mutation("entryForgottenBeforeChild")
    /// What comes for a child that the table has only just got meets the listener (AQ-DUP, Q1).
    static let settledChildForgotten = Mutation("settledChildForgotten")
    /// The protocol's claim on its block is dropped twice.
    static let claimDroppedTwice = Mutation("claimDroppedTwice")
    /// A child enters the connection table before it knows its listener.
    static let childPublishedUnfinished = Mutation("childPublishedUnfinished")
    /// Who reads a Fast Open cookie does not look whether it was written meanwhile (L5).
    static let cookieNotLookedAtAgain = Mutation("cookieNotLookedAtAgain")
    /// Two write a Fast Open cookie at a time (L5).
    static let cookieWrittenUnclaimed = Mutation("cookieWrittenUnclaimed")
    /// Fast Open keys are the newest before they are there (L5).
    static let keysNumberedFirst = Mutation("keysNumberedFirst")
    /// The accept queue has no reference of its own.
    static let queuedWithoutReference = Mutation("queuedWithoutReference")
    /// Closing a listener empties its accept shards, and leaves them open.
    static let shardsLeftOpen = Mutation("shardsLeftOpen")
    /// A shard looks empty while its children move from one list to the other.
    static let shardLooksEmpty = Mutation("shardLooksEmpty")
    /// A socket becomes a listener although it was closed first.
    static let convertedAfterClose = Mutation("convertedAfterClose")
  }
#endif
