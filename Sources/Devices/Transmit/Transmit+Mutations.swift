#if Explore
  import Exclusion

  /// PROTOCOLS 4.
  extension Mutation {
    /// X1: that a queue was seen running is taken to mean that it runs.
    static let transmitOnStoppedQueueAsserted = Mutation("transmitOnStoppedQueueAsserted")
    /// TX-OWN: the bytes of a packet are counted when the driver has it already.
    static let packetReadAfterGiven = Mutation("packetReadAfterGiven")
    /// X2: a queue that was found full is stopped without another look.
    static let queueStopWithoutRecheck = Mutation("queueStopWithoutRecheck")
    /// X3: what the device is done with is freed by the queue's owner.
    static let packetsFreedInsideQueue = Mutation("packetsFreedInsideQueue")
    /// X7: home is not told of a queue that another context left standing.
    static let transmitNoticeLost = Mutation("transmitNoticeLost")
    /// TX-STOP: the sender looks again before others can see that it stopped.
    static let transmitSenderWithoutFence = Mutation("transmitSenderWithoutFence")
    /// TX-STOP: the completer looks for a stopped queue before others can see the room that it made.
    static let transmitCompleterWithoutFence = Mutation("transmitCompleterWithoutFence")
    /// TX-BUSY: what comes back from the driver goes behind what waits.
    static let transmitRequeuedAtTail = Mutation("transmitRequeuedAtTail")
    /// TX-STRAND: a sender that restarts the queue does not run it.
    static let transmitRestartWithoutRun = Mutation("transmitRestartWithoutRun")
    /// TX-STRAND: a packet that a lockless driver gave back is put into the list, and nobody looks.
    static let transmitDeferWithoutRun = Mutation("transmitDeferWithoutRun")
    /// TX-STRAND: who lets a driver's lock go does not tell those who met it taken.
    static let driverLockLetGoUnheard = Mutation("driverLockLetGoUnheard")
    /// TX-BUSY: a context goes past the gate when the list is empty, though the owner may hold a packet of its.
    static let transmitListTestedEmpty = Mutation("transmitListTestedEmpty")
    /// TX-BUSY: who stays inside a queue does not look whether others have left something there.
    static let transmitInsideOvertakes = Mutation("transmitInsideOvertakes")
    /// R5: what was raised during a drain is forgotten at its end.
    static let drainEndedWithoutRecheck = Mutation("drainEndedWithoutRecheck")
  }
#endif
