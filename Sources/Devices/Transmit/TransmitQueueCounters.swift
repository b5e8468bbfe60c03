public import Exclusion

/// What a transmit queue did. Written by the gate's owner, unless it says otherwise.
public struct TransmitQueueCounters: ~Copyable, Sendable {
  /// Packets given to the driver through the gate; those that a lockless driver was given past it count apart.
  public let sent = Counter()
  /// Packets that came back because the driver had stopped its queue, and stayed deferred.
  public let givenBack = Counter()
  /// Packets that came back because the driver's own lock was taken. Any context.
  public let lockTaken = SharedCounter()
  /// Packets that came back from a queue that was not stopped: a bug in the driver. Any context.
  public let busyWhileRunning = SharedCounter()
  /// Times that the driver stopped the queue. Any context.
  public let stops = SharedCounter()
  /// Times that a completion started it again. Any thread.
  public let restarts = SharedCounter()
  /// Times that the byte limit held packets back.
  public let byteLimitStops = Counter()
  /// Times that the watchdog found the queue standing still: a bug in the driver, or a dead device.
  public let timeouts = Counter()
  /// Super-segments that were cut here, as the driver does not. Any context.
  public let softwareSegmented = SharedCounter()
  /// Packets that were dropped, or the end of them, because what they left to the device could not be done here: no
  /// packet was left, or they made no sense. Any context.
  public let offloadDrops = SharedCounter()
  /// Bytes that may be in flight, as of the last completion; 0 without a byte limit.
  public let byteLimit = Gauge()
  /// Bytes that are in flight, as of the last run.
  public let bytesInFlight = Gauge()
  /// What the discipline did.
  public let discipline = DisciplineCounters()

  init() {}

  /// Packets dropped because the queue was full.
  public var overflow: UInt64 { discipline.overLimit.value }
}
