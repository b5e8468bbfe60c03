#if Explore
  import Exclusion

  extension Mutation {
    /// The end of a connection frees its control block, whoever still has a handle.
    static let controlBlockFreedUnderSocket = Mutation("controlBlockFreedUnderSocket")
    /// The protocol's claim on its block is dropped twice.
    static let claimDroppedTwice = Mutation("claimDroppedTwice")
    /// A child enters the connection table before it knows its listener.
    static let childPublishedUnfinished = Mutation("childPublishedUnfinished")
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
