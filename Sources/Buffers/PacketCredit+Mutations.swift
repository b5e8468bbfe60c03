#if Explore
  import Exclusion

  /// TCP small queues.
  extension Mutation {
    /// X5: credit comes back, and a source that waits for it is not told.
    @usableFromInline static let creditReturnedUnheard = Mutation("creditReturnedUnheard")
    /// X5: a source says that it waits by a load and a store: what comes back between the two is lost.
    @usableFromInline static let creditAwaitedByStore = Mutation("creditAwaitedByStore")
  }
#endif
