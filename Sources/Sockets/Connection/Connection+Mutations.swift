#if Explore
  import Exclusion

  extension Mutation {
    /// The end of a connection leaves its timer on the wheel (T2, TM-REF).
    static let timerLeftOnWheel = Mutation("timerLeftOnWheel")
    /// A timer's handler runs without entering the connection (TM-OWNER).
    static let timerRunsWithoutEntering = Mutation("timerRunsWithoutEntering")
    /// Who is inside away from home arms the timer where it is (TM-OWNER).
    static let timerArmedAway = Mutation("timerArmedAway")
    /// Who ends a connection away from home takes its timer off the wheel there (TM-OWNER).
    static let timerCancelledAway = Mutation("timerCancelledAway")
    /// What is due is taken to be due whenever the timer fires (TM-STALE).
    static let timerBelieved = Mutation("timerBelieved")
    /// A close waits for bytes on their way that are refused, and is forgotten.
    static let refusedChainEndsNothing = Mutation("refusedChainEndsNothing")
    /// A connection moves although segments are on their way to it (PCB-MOVE).
    static let moveIgnoresUnderWay = Mutation("moveIgnoresUnderWay")
  }
#endif
