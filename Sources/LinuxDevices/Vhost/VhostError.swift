/// Why a front-end's connection was ended, or a message of its refused. Its number is what a gauge keeps of the last one.
public enum VhostError: UInt64, Error, Hashable, Sendable, CaseIterable {
  /// A header of another version, a payload of another size than its message has, an answer that nobody asked for.
  case malformed = 1
  /// A message that this back-end has never said that it knows.
  case unknownMessage
  /// A message came with another number of descriptors than it takes.
  case descriptors
  /// A descriptor that is to tell something is no eventfd, or cannot be watched.
  case notAnEvent
  /// Features that were not offered, or a change of them while a ring runs.
  case features
  /// A ring that the device does not have.
  case noSuchRing
  /// A ring's size is no power of two up to 1024, or its base is no index.
  case ringSize
  /// A ring's place is outside the guest's memory, or not aligned.
  case ringAddress
  /// A ring is to start that has no size, no place, or no descriptor by which the guest tells of what it puts there.
  case ringIncomplete
  /// What is constant while a ring runs was to change.
  case ringRunning
  /// Pieces of memory that overlap, are empty, or end beyond the last address.
  case regions
  /// A piece of memory is in no memory file (memfd, tmpfs, hugetlbfs), or in a shorter one.
  case notMemory
  /// A piece of memory could not be mapped.
  case notMapped
  /// The front-end made its memory shorter while that was in use.
  case memoryLost
  /// The front-end does not read what it asked for.
  case unread
}

extension VhostError: CustomStringConvertible {
  /// In words.
  public var description: String {
    switch self {
    case .malformed: "a message that is none of the vhost-user protocol"
    case .unknownMessage: "a message that was not negotiated"
    case .descriptors: "a message with too many or too few descriptors"
    case .notAnEvent: "a descriptor that is no eventfd"
    case .features: "features that were not offered, or changed while a ring ran"
    case .noSuchRing: "a ring that there is not: one pair is served (queues=1)"
    case .ringSize: "a ring whose size is no power of two up to \(VirtioRing.largestSize)"
    case .ringAddress: "a ring outside the guest's memory"
    case .ringIncomplete: "a ring that started before it was described"
    case .ringRunning: "a change to a running ring"
    case .regions: "memory in pieces that overlap or are empty"
    case .notMemory:
      "memory that is not shared as a memory file: "
        + "-object memory-backend-memfd,id=m,size=…,share=on -machine memory-backend=m"
    case .notMapped: "memory that cannot be mapped"
    case .memoryLost: "memory that was made shorter while in use"
    case .unread: "answers that are not read"
    }
  }
}
