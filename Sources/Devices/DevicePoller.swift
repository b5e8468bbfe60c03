public import Timing

/// Waits for descriptors on behalf of one context. Everything is called by who drives the context; only
/// ``wait(until:now:_:)`` may be under way in two threads, the context's own and one that borrowed it meanwhile.
public protocol DevicePoller: AnyObject, Sendable {
  /// Watches `descriptor` for being readable; `token` comes back when it is. Throws an errno-carrying
  /// error if the system refuses.
  func watch(descriptor: Int32, token: UInt32) throws
  /// Watches, or no longer watches, the descriptor of `token` for room to write as well.
  func watchWritable(token: UInt32, _ isWatched: Bool)
  /// The descriptor of `token` failed: it is told again only when something changes, so that it costs no time.
  func tellOnce(token: UInt32)
  /// Whether a kick is told once, although nobody absorbs it.
  var tellsOnce: Bool { get }
  /// What is told may not be told again before it was read empty.
  ///
  /// Sleeps until a descriptor is ready or `deadline` (nil: for ever; past: only looks), then reports
  /// each ready token.
  func wait(until deadline: Instant?, now: Instant, _ ready: (PollEvent) -> Void)
  /// The same, but if `forKicksAlone` descriptors of links do not end it: what they have waits, and is not told. It may
  /// end at once all the same. Once at a time, by the context's own thread.
  func wait(
    until deadline: Instant?, forKicksAlone: Bool, now: Instant, _ ready: (PollEvent) -> Void)
  /// The same as ``watch(descriptor:token:)`` for the descriptor that kicks write to.
  func watchKicks(descriptor: Int32, token: UInt32) throws
}

extension DevicePoller {
  /// What is not absorbed is told again.
  public var tellsOnce: Bool { false }
  /// Links end it, too.
  public func wait(
    until deadline: Instant?, forKicksAlone: Bool, now: Instant, _ ready: (PollEvent) -> Void
  ) {
    wait(until: deadline, now: now, ready)
  }
  /// Like any other.
  public func watchKicks(descriptor: Int32, token: UInt32) throws {
    try watch(descriptor: descriptor, token: token)
  }
  /// Nothing is told beyond need.
  public func tellOnce(token: UInt32) {}
}

/// One ready descriptor.
@frozen
public struct PollEvent: Sendable {
  /// What ``DevicePoller/watch(descriptor:token:)`` was given.
  public let token: UInt32
  /// There is something to read, or the descriptor failed.
  public let isReadable: Bool
  /// There is room to write.
  public let isWritable: Bool
  /// The descriptor failed.
  public let hasFailed: Bool

  /// A report of readiness.
  public init(token: UInt32, isReadable: Bool, isWritable: Bool, hasFailed: Bool = false) {
    self.token = token
    self.isReadable = isReadable
    self.isWritable = isWritable
    self.hasFailed = hasFailed
  }
}
