public import Timing

/// When CoDel acts (RFC 8289 section 4).
public struct CoDelParameters: Sendable, Hashable {
  /// The standing delay that is acceptable.
  public var target: Nanoseconds
  /// How long the delay may exceed it: a round trip of the worst connections that matter.
  public var interval: Nanoseconds

  /// 5 ms and 100 ms unless told otherwise.
  public init(target: Nanoseconds = .milliseconds(5), interval: Nanoseconds = .milliseconds(100)) {
    self.target = target
    self.interval = max(interval, Nanoseconds(1))
  }
}

/// What CoDel wants done with the packet at the head.
public enum CoDelVerdict: Sendable, Equatable {
  /// Send it.
  case send
  /// Drop it, and ask again about the next; or mark it, and send it.
  case drop
}

/// CoDel's state for one queue: RFC 8289 section 5, with the loop turned inside out, so that whoever owns the queue
/// takes packets and frees them. Ask ``judge(sojourn:backlogBytes:now:_:)`` about each packet that is taken, until
/// it says send, and say when the queue turned out empty.
public struct CoDel: Sendable {
  /// When the delay will have been above target for an interval; nil: it is not above target.
  private var firstAbove: Instant?
  /// When to drop next, while dropping.
  private var dropNext = Instant.zero
  /// Drops since dropping began, and what that was when it began last.
  private(set) var count: UInt32 = 0
  private var lastCount: UInt32 = 0
  private(set) var isDropping = false
  /// This dequeue has dropped on entering the dropping state: the next packet is only looked at.
  private var hasEntered = false
  /// This dequeue has dropped while dropping: the next time follows from whether the next packet stood as well.
  private var hasDropped = false

  /// A queue that never stood.
  public init() {}

  /// The control law: drops come the closer the more there were, so that a flow that answers each by the root of
  /// its rate slows down linearly (RFC 8289 section 3.3).
  static func next(after time: Instant, count: UInt32, interval: Nanoseconds) -> Instant {
    time.adding(nanoseconds: Int64(Double(interval.count) / Double(max(1, count)).squareRoot()))
  }

  /// Nothing is left: whatever stood has gone.
  public mutating func foundEmpty() {
    firstAbove = nil
    isDropping = false
    hasEntered = false
    hasDropped = false
  }

  /// What to do with the packet that was just taken, which waited for `sojourn` and left `backlogBytes` behind.
  /// `packetLimit` is the largest packet of the link in bytes: a queue of less is no queue.
  public mutating func judge(
    sojourn: Nanoseconds, backlogBytes: Int, packetLimit: Int, now: Instant, _ parameters: CoDelParameters
  ) -> CoDelVerdict {
    let mayDrop = isStanding(sojourn, backlogBytes, packetLimit, now, parameters)
    if hasEntered {
      hasEntered = false
      return .send
    }
    if isDropping {
      guard mayDrop else {
        isDropping = false
        hasDropped = false
        return .send
      }
      settleDrop(parameters)
      guard now >= dropNext else { return .send }
      count &+= 1
      hasDropped = true
      return .drop
    }
    guard mayDrop else { return .send }
    isDropping = true
    hasEntered = true
    // It stood not long ago: the rate of drops that helped then is the one to begin with.
    let delta = count &- lastCount
    let isRecent = now - dropNext < parameters.interval * 16
    count = delta > 1 && isRecent ? delta : 1
    dropNext = Self.next(after: now, count: count, interval: parameters.interval)
    lastCount = count
    return .drop
  }

  /// The packet was marked instead of dropped, and is sent: this dequeue is over.
  public mutating func marked(_ parameters: CoDelParameters) {
    hasEntered = false
    settleDrop(parameters)
  }

  private mutating func settleDrop(_ parameters: CoDelParameters) {
    guard hasDropped else { return }
    hasDropped = false
    dropNext = Self.next(after: dropNext, count: count, interval: parameters.interval)
  }

  /// Whether the delay has been above target for a whole interval.
  private mutating func isStanding(
    _ sojourn: Nanoseconds, _ backlogBytes: Int, _ packetLimit: Int, _ now: Instant,
    _ parameters: CoDelParameters
  ) -> Bool {
    if sojourn < parameters.target || backlogBytes <= packetLimit {
      firstAbove = nil
      return false
    }
    guard let since = firstAbove else {
      firstAbove = now + parameters.interval
      return false
    }
    return now >= since
  }
}
