#if Explore
  import Exclusion

  /// Waiting and waking where sockets and event queues meet contexts.
  extension Mutation {
    /// Space is told to whoever asks, not only to those who met a full buffer.
    static let receiveOnlyClientNotified = Mutation("receiveOnlyClientNotified")
    /// A sender that met a full queue says so, and does not look again.
    static let fullBufferWithoutLook = Mutation("fullBufferWithoutLook")
    /// Room that was freed is told to nobody but the waiting sender.
    static let roomNotTold = Mutation("roomNotTold")
    /// A buffer grows, and the writer that waits for room sleeps on.
    static let grownBufferNotTold = Mutation("grownBufferNotTold")
    /// The reader looks whether the stream has ended after it has looked for data.
    static let endLookedAtLast = Mutation("endLookedAtLast")
    /// The end of the stream wakes nobody.
    static let endWithoutWakeUp = Mutation("endWithoutWakeUp")
    /// A registration goes onto the ready list, and who waits for it sleeps on.
    static let eventQueueNotWoken = Mutation("eventQueueNotWoken")
    /// What was true before it was asked for is not told.
    static let registrationWithoutLook = Mutation("registrationWithoutLook")
    /// A harvest looks at the data before the registration is off the ready list.
    static let eventLookedAtWhileQueued = Mutation("eventLookedAtWhileQueued")
    /// A connection to accept is told to nobody but the waiting accepter.
    static let acceptNotTold = Mutation("acceptNotTold")
    /// A receive is told not to wait for a datagram that is not on the list yet.
    static let datagramCountedBeforeItIsThere = Mutation("datagramCountedBeforeItIsThere")
    /// A socket's close leaves its registrations where they are.
    static let closeKeepsRegistrations = Mutation("closeKeepsRegistrations")
    /// An event queue is closed, and who waits for it sleeps on.
    static let eventQueueClosedSilently = Mutation("eventQueueClosedSilently")
  }
#endif
