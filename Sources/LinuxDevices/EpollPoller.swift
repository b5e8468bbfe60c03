import CLinux
public import Devices
import Glibc
public import Timing

/// Waits for descriptors by epoll(7), for one context. Level-triggered: what was left undone is told again. A
/// descriptor that failed is told once, then only when something changes, so that a dead link costs no time.
public final class EpollPoller: DevicePoller, @unchecked Sendable {
  private let epoll: Int32
  /// By token. Only the context's thread touches it, as the protocol says.
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
  }

  deinit { close(epoll) }

  /// Watches for being readable.
  public func watch(descriptor: Int32, token: UInt32) throws {
    let result = sluice_epoll_add(epoll, descriptor, token, 0)
    guard result == 0 else { throw PollerError(errno: -result) }
    watched[token] = Watched(descriptor: descriptor)
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
    let limit =
      deadline.map { $0.nanoseconds > now.nanoseconds ? $0.nanoseconds - now.nanoseconds : 0 } ?? UInt64.max
    let capacity = 64
    unsafe withUnsafeTemporaryAllocation(of: sluice_ready.self, capacity: capacity) { found in
      let count = unsafe sluice_epoll_wait(epoll, found.baseAddress, Int32(capacity), limit)
      for index in 0..<max(0, Int(count)) {
        let event = unsafe found[index]
        if event.failed != 0 { noteFailure(event.token) }
        ready(PollEvent(token: event.token, isReadable: event.readable != 0, isWritable: event.writable != 0))
      }
    }
  }

  private func noteFailure(_ token: UInt32) {
    guard var entry = watched[token], !entry.hasFailed else { return }
    entry.hasFailed = true
    watched[token] = entry
    apply(entry, token)
  }

  private func apply(_ entry: Watched, _ token: UInt32) {
    _ = sluice_epoll_change(epoll, entry.descriptor, token, entry.wantsRoom ? 1 : 0, entry.hasFailed ? 1 : 0)
  }
}

/// What the system refused to a poller.
public struct PollerError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The errno.
  public let errno: Int32
  /// The system's words for it.
  public var description: String { "epoll: \(reason(errno)). Look at `ulimit -n`." }
}
