#if Explore
  import Exclusion

  /// Publication of addresses and routes, and packets that wait for their neighbour.
  extension Mutation {
    /// Routes are published before the addresses that they rest on.
    static let routePublishedBeforeAddress = Mutation("routePublishedBeforeAddress")
    /// A route that was kept is used although the tables have changed.
    static let routeGenerationNotCompared = Mutation("routeGenerationNotCompared")
    /// NB-PEND: who finds a neighbour resolved sends, whatever is under way to it.
    static let neighborPendingNotLookedAt = Mutation("neighborPendingNotLookedAt")
    /// NB-PEND: the same, of packets that are under way because they found no entry.
    static let neighborStrangersNotLookedAt = Mutation("neighborStrangersNotLookedAt")
    /// NB-PEND: a packet is taken off the count before its transmit queue has it.
    static let neighborPendingTakenOffFirst = Mutation("neighborPendingTakenOffFirst")
  }
#endif
