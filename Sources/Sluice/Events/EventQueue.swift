public import Sockets
import Timing

extension Stack {
  /// Makes an event queue. It is closed with the stack.
  ///
  /// - Parameter limit: sockets, user events and timers that it watches at most, 1...1,000,000.
  /// - Throws: `.networkDown` after a shutdown.
  public func makeEventQueue(limit: Int = 65_536) throws(SocketError) -> EventQueue {
    try enter()
    defer { intake.leave() }
    let queue = layer.makeEventQueue(limit: limit)
    endpoints.add(queue)
    return EventQueue(queue, self)
  }
}

/// What an ``EventQueue`` watches. Watching does not keep a socket open.
public enum EventSource: Sendable {
  /// A connection.
  case stream(TCPStream)
  /// A listener: readable while a connection waits to be accepted.
  case listener(TCPListener)
  /// A UDP socket.
  case datagrams(UDPSocket)

  var subject: EventSubject {
    switch self {
    case .stream(let stream): .stream(stream.socket)
    case .listener(let listener): .listener(listener.socket)
    case .datagrams(let socket): .datagram(socket.socket)
    }
  }
}

/// Tells which of many sockets are ready, in the manner of kqueue and epoll.
///
/// A registration says what one wants to know of a socket, and carries a token that comes back with each event.
/// A socket may be in several queues, and others may wait on it at the same time. Closing a socket ends its
/// registrations: no event of it is told after its close has returned.
///
/// Any thread and any task may call it, several at once. Those who wait get their turns in the order of their
/// calls; what was told to one as an edge, or once, is not told to another. The last reference closes the queue.
///
/// ```swift
/// let queue = try stack.makeEventQueue()
/// try queue.add(.listener(listener), for: .readable, token: 0)
/// while true {
///   for event in try await queue.wait() where event.token == 0 { … }
/// }
/// ```
public final class EventQueue: Sendable {
  private let queue: SocketEventQueue
  private let stack: Stack

  init(_ queue: SocketEventQueue, _ stack: Stack) {
    self.queue = queue
    self.stack = stack
  }

  // MARK: Registrations

  /// Watches `source` for `interest`; what is true already is told. Throws `.alreadyRegistered`, `.limitReached`
  /// (of this queue, or 64 queues for one socket), `.closed` if the socket or the queue is, `.otherStack`.
  public func add(
    _ source: EventSource, for interest: SocketEvents, trigger: EventTrigger = .level, token: UInt64
  ) throws(SocketError) {
    try queue.add(source.subject, for: interest, trigger: trigger, token: token)
  }
  /// Asks for something else of a source that is watched. What is true is told as if it were new, and what was
  /// told once is told again. Throws `.notRegistered`, also once the socket is closed; `.closed` if the queue is;
  /// `.otherStack`.
  public func modify(
    _ source: EventSource, for interest: SocketEvents, trigger: EventTrigger = .level, token: UInt64
  ) throws(SocketError) {
    try queue.modify(source.subject, for: interest, trigger: trigger, token: token)
  }
  /// Watches no longer: after this no event of it is told. Throws `.notRegistered`, also once the socket is closed;
  /// `.closed` if the queue is; `.otherStack`.
  public func remove(_ source: EventSource) throws(SocketError) { try queue.remove(source.subject) }

  /// Makes an event that any thread triggers. As an edge it is told once for all triggers since it was told last;
  /// by level until it is cleared. Throws `.limitReached`, `.closed`.
  public func addUserEvent(trigger: EventTrigger = .edge, token: UInt64) throws(SocketError) -> UserEvent {
    try queue.addUserEvent(trigger: trigger, token: token)
  }
  /// Makes a timer that expires after `delay`, and then each time that `interval` has passed, if there is one. It
  /// stays until it is removed. Throws `.limitReached`, `.closed`.
  public func addTimer(
    after delay: Duration, every interval: Duration? = nil, token: UInt64
  ) throws(SocketError) -> EventTimer {
    try queue.addTimer(
      after: Nanoseconds(delay.clampedNanoseconds),
      every: interval.map { Nanoseconds($0.clampedNanoseconds) }, token: token)
  }
  /// Ends a user event. Throws `.notRegistered`, `.closed`.
  public func remove(_ event: UserEvent) throws(SocketError) { try queue.remove(event) }
  /// Ends a timer. Throws `.notRegistered`, `.closed`.
  public func remove(_ timer: EventTimer) throws(SocketError) { try queue.remove(timer) }

  /// How many registrations there are.
  public var registrationCount: Int { queue.registrationCount }

  // MARK: Harvesting

  /// Takes what is true now, of at most `limit` registrations, 1 or more; empty if nothing is. Never waits. While
  /// another thread or task waits, what becomes true is told there. Throws `.closed`.
  public func poll(atMost limit: Int = 256) throws(SocketError) -> [SocketEvent] {
    precondition(limit > 0, "a harvest of nothing")
    return try queue.poll(atMost: limit)
  }

  /// Waits until something is true, and takes what is, of at most `limit` registrations, 1 or more. Empty after
  /// `timeout` (nil: never). Throws `.closed`, also for those who wait; `.cancelled` if the task is.
  public nonisolated(nonsending) func wait(
    atMost limit: Int = 256, timeout: Duration? = nil
  ) async throws(SocketError) -> [SocketEvent] {
    precondition(limit > 0, "a harvest of nothing")
    var operation = HarvestEvents(queue: queue, limit: limit)
    do throws(SocketError) {
      return try await suspend(&operation, until: timeout.map { Deadline(stack.layer, after: $0) })
    } catch .timedOut {
      return []
    }
  }

  /// Blocks the thread until something is true, and takes what is; see ``wait(atMost:timeout:)``. Not for tasks.
  public func waitBlocking(
    atMost limit: Int = 256, timeout: Duration? = nil
  ) throws(SocketError) -> [SocketEvent] {
    precondition(limit > 0, "a harvest of nothing")
    var operation = HarvestEvents(queue: queue, limit: limit)
    do throws(SocketError) {
      return try block(&operation, until: timeout.map { Deadline(stack.layer, after: $0) })
    } catch .timedOut {
      return []
    }
  }

  /// Ends every registration, and wakes those who wait, with `.closed`. Cannot fail; again it does nothing.
  public func close() { queue.close() }
}
