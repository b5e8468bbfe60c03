#if Explore
  extension Mutation {
    /// A wake-up is delivered where it was raised, whatever is owned there.
    @usableFromInline static let wokenWhileOwned = Mutation("wokenWhileOwned")
    /// What does not fit the buffer is forgotten.
    @usableFromInline static let wakeBufferDropsBeyondCapacity = Mutation("wakeBufferDropsBeyondCapacity")
  }
#endif
