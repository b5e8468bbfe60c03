#if Explore
  import Exclusion

  extension Mutation {
    /// Memory is given back by a load and a store: what others do between is lost.
    static let accountGivenBackByLoadThenStore = Mutation("accountGivenBackByLoadThenStore")
    /// Who publishes the state does not look whether it has changed meanwhile.
    static let accountPublishedWithoutLookingAgain = Mutation("accountPublishedWithoutLookingAgain")
    /// Who publishes the state looks again before others can see what it wrote.
    static let accountPublishedWithoutFence = Mutation("accountPublishedWithoutFence")
  }
#endif
