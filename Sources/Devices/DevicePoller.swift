public import Timing

/// Waits for descriptors on behalf of one context. Everything is called on that context's thread.
public protocol DevicePoller: AnyObject, Sendable {
  /// Watches `descriptor` for being readable; `token` comes back when it is. Throws an errno-carrying
  /// error if the system refuses.
  func watch(descriptor: Int32, token: UInt32) throws
  /// Watches, or no longer watches, the descriptor of `token` for room to write as well.
  func watchWritable(token: UInt32, _ isWatched: Bool)
  /// Sleeps until a descriptor is ready or `deadline` (nil: for ever; past: only looks), then reports
  /// each ready token.
  func wait(until deadline: Instant?, now: Instant, _ ready: (PollEvent) -> Void)
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

  /// A report of readiness.
  public init(token: UInt32, isReadable: Bool, isWritable: Bool) {
    self.token = token
    self.isReadable = isReadable
    self.isWritable = isWritable
  }
}
