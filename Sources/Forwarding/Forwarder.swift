import CLinux
import Exclusion
public import Sluice
public import Sockets

/// Carries connections that come to sockets of this host on to a guest, by connections of a stack's own.
///
/// One thread of its own serves all of them: it sleeps in epoll, where the host's sockets rouse it, and an event queue of
/// the stack does. Nothing is buffered beside the two sockets but what a full one left of a piece of 64 KiB; the other side
/// is not read until that has gone, so that a window closes. Half closes, resets and refusals are carried both ways: the
/// host's peer of a connection that the guest refuses is reset. A client that opened its connection fast (RFC 7413) has
/// its data carried on with the SYN, if the stack knows the guest's cookie.
public final class Forwarder: Sendable {
  private let listeners: HostListeners
  private let bell: Bell
  private let thread: WorkerThread
  private let counters: ForwardCounters
  private let limit: Int
  private let isStopped = AtomicWord(0)

  /// What a carried connection may buffer on our side.
  public static let buffers = BufferLimits(send: 256 << 10, upTo: 1 << 20, receive: 256 << 10, upTo: 1 << 20)

  /// Listens, and serves from now on.
  ///
  /// - Parameters:
  ///   - forwards: which ports; all of them are there, or none.
  ///   - guest: whom they lead to, on a link of the stack's.
  ///   - stack: runs, and is shut down after ``stop()``.
  ///   - limit: connections carried at once, 1...60,000; those beyond are reset and counted.
  /// - Throws: `.listenRefused`, `.resourcesRefused`.
  public init(
    _ forwards: [PortForward], to guest: ForwardGuest, on stack: Stack, limit: Int = 1024
  ) throws(PortForwardError) {
    self.limit = min(max(limit, 1), 60_000)
    let epoll = sluice_epoll_create()
    guard epoll >= 0 else { throw .resourcesRefused(call: "epoll descriptor", errno: -epoll) }
    do throws(SystemFailure) {
      bell = try Bell()
    } catch {
      sluice_tcp_close(epoll)
      throw .resourcesRefused(call: "event descriptor", errno: error.code)
    }
    do throws(PortForwardError) {
      listeners = try HostListeners(forwards, guest)
    } catch {
      sluice_tcp_close(epoll)
      throw error
    }
    counters = ForwardCounters()
    do throws(PortForwardError) {
      try Self.watch(bell.descriptor, ForwardLoop.bellToken, epoll)
      for (index, listener) in listeners.all.enumerated() {
        try Self.watch(listener.descriptor, UInt32(index) + 1, epoll)
      }
    } catch {
      sluice_tcp_close(epoll)
      listeners.close()
      throw error
    }
    let (bell, listeners, counters, limit, layer) = (bell, listeners, counters, self.limit, stack.layer)
    do throws(SystemFailure) {
      thread = try WorkerThread(name: "forwards") {
        ForwardLoop(
          epoll: epoll, bell: bell, listeners: listeners.all, layer: layer, limit: limit, counters: counters
        ).run()
      }
    } catch {
      sluice_tcp_close(epoll)
      listeners.close()
      throw .resourcesRefused(call: "thread", errno: error.code)
    }
  }

  deinit { stop() }

  private static func watch(_ descriptor: Int32, _ token: UInt32, _ epoll: Int32) throws(PortForwardError) {
    let result = sluice_epoll_add(epoll, descriptor, token, 0)
    if result != 0 { throw .resourcesRefused(call: "place in an epoll descriptor", errno: -result) }
  }

  /// Stops listening and resets what is carried. Blocks until that is done. Again it does nothing.
  public func stop() {
    guard isStopped.exchange(1) == 0 else { return }
    bell.ring(.stop)
    thread.join()
    listeners.close()
  }

  /// What was carried. Any thread.
  public var statistics: ForwardStatistics {
    ForwardStatistics(counters, limit: limit, listeners: listeners.all.count)
  }

  /// The port that the listener at `index` got, in the order of the forwards. Any thread.
  package func port(_ index: Int) -> UInt16 { listeners.port(index) }
}
