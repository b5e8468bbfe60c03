#if Explore
  import Exclusion

  /// Publication of addresses and routes.
  extension Mutation {
    /// Routes are published before the addresses that they rest on.
    static let routePublishedBeforeAddress = Mutation("routePublishedBeforeAddress")
    /// A route that was kept is used although the tables have changed.
    static let routeGenerationNotCompared = Mutation("routeGenerationNotCompared")
  }
#endif
