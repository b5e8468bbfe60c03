#if Explore
  extension Mutation {
    /// What was retired is used again at once.
    static let graceNeverAwaited = Mutation("graceNeverAwaited")
    /// A thread looks before others can see that it is inside. (The fence after the compare-and-swap is for weaker
    /// processors than those that are modelled, where it changes nothing.)
    static let pinByPlainStore = Mutation("pinByPlainStore")
    /// A thread pins without saying which pin was taken: no scan looks at it.
    static let pinNotAnnounced = Mutation("pinNotAnnounced")
    /// A context looks before others can see that it is awake.
    static let onlineWithoutFence = Mutation("onlineWithoutFence")
    /// The place in the table is filled before the slot is whole: what is found is half an object.
    static let tableEntryBeforeSlot = Mutation("tableEntryBeforeSlot")
    /// The smaller array of a table that grew is freed under its readers.
    static let tableFreedAtOnce = Mutation("tableFreedAtOnce")
    /// The owner of a pool takes what others gave back by a load and then a store.
    static let remoteSlotsTakenByStore = Mutation("remoteSlotsTakenByStore")
    /// Who gives slots back in a row links them to those that were there at its first try.
    static let slotsReturnedByOldLink = Mutation("slotsReturnedByOldLink")
  }
#endif
