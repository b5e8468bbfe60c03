import Exclusion

/// The lock of a driver that locks for itself (``TransmitSerialization/driver``): for the length of one access to its
/// hardware, by whoever comes first, sender, interrupt or configuration. It is only tried. A sender that finds it
/// taken gives its packet back and leaves a note with the same step; whoever lets go restarts the queues of those
/// notes, so that nobody waits, and no packet either.
public final class DriverLock: Sendable {
  private let word = OwnershipWord()
  private let queues: Queues

  private final class Queues: @unchecked Sendable {  // written only while the stack is assembled
    var byNumber: [TransmitQueueRef?]
    init(_ count: Int) { byNumber = Array(repeating: nil, count: count) }
  }

  /// The note of those who are not a queue, and look again by themselves.
  private static var noQueue: Int { OwnershipWord.notes - 1 }

  /// A free lock for a device with so many queues, at most 62.
  public init(queues count: Int) {
    precondition(0...Self.noQueue ~= count, "a driver's lock serves at most 62 queues")
    queues = Queues(count)
  }

  /// Whom to restart; from `attach` of the device.
  public func attach(queue: Int, _ transmit: TransmitQueueRef) { queues.byNumber[queue] = transmit }

  /// A sender: takes the lock. False: it is taken, and this queue runs again when it is let go; give the packet
  /// back. From `send` of the device.
  public func tryLock(sending queue: Int) -> Bool {
    if word.tryAcquire(note: queue) { return true }
    queues.byNumber[queue]?.noteLockTaken()
    return false
  }
  /// Anybody else: takes the lock. False: it is taken, come again another time.
  public func tryLock() -> Bool { word.tryAcquire(note: Self.noQueue) }

  /// Lets go, and runs the queues that met it taken meanwhile, by a posted bit.
  public func unlock() {
    var notes = word.release() & ~(1 << UInt64(Self.noQueue))
    #if Explore
      if Mutation.driverLockLetGoUnheard.isOn { return }
    #endif
    while notes != 0 {
      let queue = notes.trailingZeroBitCount
      notes &= notes - 1
      queues.byNumber[queue]?.run()
    }
  }
}
