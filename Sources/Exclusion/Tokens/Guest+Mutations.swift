#if Explore
  extension Mutation {
    /// Two threads that find a guest free take it both.
    static let guestTakenByStore = Mutation("guestTakenByStore")
    /// A guest is somebody else's before its wake-ups were delivered.
    static let guestLeavesBeforeWaking = Mutation("guestLeavesBeforeWaking")
    /// A guest looks at shared tables without saying so.
    static let guestStaysOffline = Mutation("guestStaysOffline")
    /// A guest that left counts as one who looks at shared tables.
    static let guestKeepsGraceSection = Mutation("guestKeepsGraceSection")
    /// The contexts stop, and a guest is inside, or comes.
    static let guestsNotClosed = Mutation("guestsNotClosed")
    /// A guest enters a gate that has an owner.
    @usableFromInline static let guestEntersOwnedGate = Mutation("guestEntersOwnedGate")
    /// A guest enters a gate that has moved away from its host.
    @usableFromInline static let guestEntersMoved = Mutation("guestEntersMoved")
    /// A guest whose gate got work meanwhile leaves without telling home.
    @usableFromInline static let guestLeavesBacklog = Mutation("guestLeavesBacklog")
  }
#endif
