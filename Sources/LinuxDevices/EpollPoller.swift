import CLinux
public import Devices
import Glibc
public import Timing

/// Waits for descriptors by epoll(7), for one context. Edge-triggered: what is ready is told once, to one thread, and
/// again when something changes, so that neither a dead link costs time nor a second thread that waits is woken for what
/// the first one sees to. A context reads a descriptor that was told until nothing is left.
public final class EpollPoller: DevicePoller, @unchecked Sendable {
  private let epoll: Int32
  /// For who waits for kicks alone.
  private let kicks: Int32
  /// The kernel sleeps for less than a millisecond.
  private let isPrecise = sluice_epoll_is_precise() != 0
  /// By token. Only who drives the context touches it, as the protocol says; a wait does not.
  private var watched: [UInt32: Watched] = [:]

  private struct Watched {
    let descriptor: Int32
    var wantsRoom = false
    var hasFailed = false
  }

  /// Throws what epoll_create1(2) refuses.
  public init() throws(PollerError) {
    epoll = sluice_epoll_create()
    guard epoll >= 0 else { throw PollerError(errno: -epoll) }
    kicks = sluice_epoll_create()
    guard kicks >= 0 else {
      close(epoll)
      throw PollerError(errno: -kicks)
    }
  }

  deinit {
    close(epoll)
    close(kicks)
  }

  /// Each write to an eventfd is an edge; its count says nothing.
  public var tellsOnce: Bool { true }

  /// Watches for being readable.
  public func watch(descriptor: Int32, token: UInt32) throws {
    let result = sluice_epoll_add(epoll, descriptor, token, 1)
    guard result == 0 else { throw PollerError(errno: -result) }
    watched[token] = Watched(descriptor: descriptor)
  }

  /// Watches for being written to, also where kicks alone are waited for.
  public func watchKicks(descriptor: Int32, token: UInt32) throws {
    try watch(descriptor: descriptor, token: token)
    let result = sluice_epoll_add(kicks, descriptor, token, 1)
    guard result == 0 else { throw PollerError(errno: -result) }
  }

  /// Watches for room, or no longer.
  public func watchWritable(token: UInt32, _ isWatched: Bool) {
    guard var entry = watched[token], entry.wantsRoom != isWatched else { return }
    entry.wantsRoom = isWatched
    watched[token] = entry
    apply(entry, token)
  }

  /// Sleeps until something is ready, or `deadline`.
  public func wait(until deadline: Instant?, now: Instant, _ ready: (PollEvent) -> Void) {
    wait(epoll, until: deadline, now, ready)
  }

  /// Sleeps until it is kicked, or `deadline`. Where the kernel counts in milliseconds it is back at once: that is no
  /// time to keep a link waiting.
  public func wait(
    until deadline: Instant?, forKicksAlone: Bool, now: Instant, _ ready: (PollEvent) -> Void
  ) {
    guard !forKicksAlone || isPrecise else { return }
    wait(forKicksAlone ? kicks : epoll, until: deadline, now, ready)
  }

  private func wait(_ epoll: Int32, until deadline: Instant?, _ now: Instant, _ ready: (PollEvent) -> Void) {
    let limit =
      deadline.map { $0.nanoseconds > now.nanoseconds ? $0.nanoseconds - now.nanoseconds : 0 } ?? UInt64.max
    let capacity = 64
    unsafe withUnsafeTemporaryAllocation(of: sluice_ready.self, capacity: capacity) { found in
      let count = unsafe sluice_epoll_wait(epoll, found.baseAddress, Int32(capacity), limit)
      for index in 0..<max(0, Int(count)) {
        let event = unsafe found[index]
        ready(
          PollEvent(
            token: event.token, isReadable: event.readable != 0, isWritable: event.writable != 0,
            hasFailed: event.failed != 0))
      }
    }
  }

  /// Tells of it only when something changes.
  public func tellOnce(token: UInt32) {
    guard var entry = watched[token], !entry.hasFailed else { return }
    entry.hasFailed = true
    watched[token] = entry
    apply(entry, token)
  }

  private func apply(_ entry: Watched, _ token: UInt32) {
    // Room is told as long as there is some: a queue that stays stopped all the same is asked again.
    let isEdge = !entry.wantsRoom || entry.hasFailed
    _ = sluice_epoll_change(epoll, entry.descriptor, token, entry.wantsRoom ? 1 : 0, isEdge ? 1 : 0)
  }
}

/// What the system refused to a poller.
public struct PollerError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The errno.
  public let errno: Int32
  /// The system's words for it.
  public var description: String { "epoll: \(reason(errno)). Look at `ulimit -n`." }
}
