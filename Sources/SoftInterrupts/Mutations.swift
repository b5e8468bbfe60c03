#if Explore
  import Exclusion

  extension Mutation {
    /// Expired timers wait until nothing is left to receive (R4).
    static let timersStarvedByReceive = Mutation("timersStarvedByReceive")
    /// The context sleeps over a link that it has read one frame of (RX-MISSED).
    static let putOffReadForgotten = Mutation("putOffReadForgotten")
    /// A pass that ran out of its budget says that nothing is left (RX-BUDGET).
    static let budgetEndForgotten = Mutation("budgetEndForgotten")
    /// What a device in memory tells is taken off the port, and its queue is not looked at (R3).
    static let signalTakenWithoutReceiving = Mutation("signalTakenWithoutReceiving")
    /// What is raised while a lane is emptied is not looked for (RX-MISSED).
    static let laneDrainForgetsRaise = Mutation("laneDrainForgetsRaise")
    /// A guest leaves what it sent with the driver, which was not told (TX-STRAND).
    static let guestForgetsFlush = Mutation("guestForgetsFlush")
    /// A lane is emptied from its wrong end (RX-ORDER).
    static let laneEmptiedNewestFirst = Mutation("laneEmptiedNewestFirst")
    /// The own thread of a context that is lent is told of a descriptor, and tells nobody.
    static let ownThreadKeepsWhatItIsTold = Mutation("ownThreadKeepsWhatItIsTold")
    /// A barrier passes although packets of the time before are in a lane (RX-DRAIN).
    static let barrierSkipsLanes = Mutation("barrierSkipsLanes")
    /// Another thread says that a resident is due without a word to the context, which may sleep (RX-RESIDENT).
    static let residentRousedFromAfar = Mutation("residentRousedFromAfar")
  }
#endif
