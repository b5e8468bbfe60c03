#if Explore
  import Exclusion

  extension Mutation {
    /// The end of a connection leaves its timer on the wheel (T2, TM-REF).
    static let timerLeftOnWheel = Mutation("timerLeftOnWheel")
    /// A connection moves although segments are on their way to it (PCB-MOVE).
    static let moveIgnoresUnderWay = Mutation("moveIgnoresUnderWay")
  }
#endif
