#if Explore
  /// PROTOCOLS 6.
  extension Mutation {
    /// The clients are told before the new generation has begun: who attaches between hears nothing.
    static let restartScannedBeforeItBegins = Mutation("restartScannedBeforeItBegins")
    /// Only clients that wait are told.
    static let restartToldToThoseWhoWait = Mutation("restartToldToThoseWhoWait")
    /// A client does not look at the generation again once it is registered.
    static let attachedWithoutLookingAgain = Mutation("attachedWithoutLookingAgain")
    /// The answer to a stale call tells the client by a load and a store.
    static let staleAnswerPastTheExchange = Mutation("staleAnswerPastTheExchange")
  }
#endif
