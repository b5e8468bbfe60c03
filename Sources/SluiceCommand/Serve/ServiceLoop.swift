import Exclusion
import Sluice
import Sockets

/// Serves connections of any number by one event queue: a turn takes the news and goes on with whom they concern.
/// Whoever drives it calls it from one thread.
@safe
final class ServiceLoop: @unchecked Sendable {  // the driving thread's, but for `counters`
  let counters = ServiceCounters()
  /// Nobody else has it: the turn at its point is ours from the beginning to the end.
  let queue: SocketEventQueue

  private let listeners: [(socket: ListeningSocket, service: StreamService)]
  private let limit: Int
  /// (c) until the loop ends, when it lets go of it.
  private var constants: ServiceConstants?
  /// By slot, which is in the lower half of a connection's token; behind the listeners.
  private var served: [ServedConnection?] = []
  private var free: [Int] = []
  private var generation: UInt64 = 0
  private var open = 0
  /// Slots of those that have something to do, oldest first.
  private var queued: [Int] = []
  private var turn: [Int] = []
  /// Listeners that may have more.
  private var accepting: [Int] = []
  private var wasWoken = false
  /// Those of iperf3, whose tests and streams know of one another.
  private let desk = IperfDesk()

  /// Connections that are taken in a row.
  private static var acceptBatch: Int { 64 }
  /// Tokens: listeners by their number, connections with a generation, which is never 0.
  private static func token(slot: Int, generation: UInt64) -> UInt64 {
    generation &<< 32 | UInt64(slot)
  }

  /// Watches `listeners`, which others may watch too, from now on; iperf3's only if it is the first. Throws what the
  /// event queue throws.
  init(
    _ listeners: [(socket: ListeningSocket, service: StreamService)], layer: SocketLayer,
    limit: Int,
    constants: ServiceConstants, isFirst: Bool
  ) throws(SocketError) {
    self.listeners = listeners
    self.limit = limit
    self.constants = constants
    queue = layer.makeEventQueue(limit: limit + listeners.count)
    for (number, listener) in listeners.enumerated() where isFirst || listener.service != .iperf {
      try queue.add(
        .listener(listener.socket), for: .readable, trigger: .edge, token: UInt64(number))
    }
    precondition(queue.point.turn.tryTake(), "a queue that was just made")
  }

  /// What one turn came to.
  enum Turn {
    /// Somebody has more to do: another turn, without a wait.
    case hasMore
    /// Nobody has, until the queue has news.
    case waits
    /// The queue is closed.
    case ended
  }

  /// Takes the news, and goes on with everybody who has something to do. Application context, nothing held.
  func advance() -> Turn {
    counters.turns.increment()
    do throws(SocketError) {
      let found = try queue.harvest(atMost: 256)
      if wasWoken, found.examined == 0 { queue.point.account.counters.wasted.increment() }
      wasWoken = false
      for event in found.events { hear(event) }
    } catch {
      return .ended
    }
    accept()
    swap(&turn, &queued)
    for slot in turn {
      guard let connection = served[slot], connection.isQueued, let constants else { continue }
      served[slot]?.isQueued = false
      var place = connection.place
      let verdict =
        if let role = connection.role {
          desk.advance(connection, role, slot: slot, constants, counters)
        } else {
          connection.advance(constants, counters, from: &place)
        }
      served[slot]?.place = place
      switch verdict {
      case .waits: break
      case .hasMore: enqueue(slot)
      case .isDone: remove(slot, connection, counters.finished)
      case .failed: remove(slot, connection, counters.failed)
      }
    }
    turn.removeAll(keepingCapacity: true)
    for slot in desk.takeRoused() { enqueue(slot) }
    return queued.isEmpty && accepting.isEmpty ? .waits : .hasMore
  }

  /// The driver was woken by the queue.
  func noteWakeUp() {
    queue.point.account.counters.delivered.increment()
    wasWoken = true
  }

  private func hear(_ event: SocketEvent) {
    guard event.token >= UInt64(1) << 32 else { return accepting.append(Int(event.token)) }
    let slot = Int(event.token & 0xFFFF_FFFF)
    guard let connection = served[slot], connection.token == event.token else { return }
    enqueue(slot)
  }

  private func enqueue(_ slot: Int) {
    guard served[slot]?.isQueued == false else { return }
    served[slot]?.isQueued = true
    queued.append(slot)
  }

  // MARK: Coming and going

  private func accept() {
    guard !accepting.isEmpty else { return }
    var again: [Int] = []
    for number in accepting {
      let (socket, service) = listeners[number]
      var left = Self.acceptBatch
      while left > 0, case .success(let stream) = socket.tryAccept() {
        left -= 1
        take(stream, service)
      }
      if left == 0 { again.append(number) }
    }
    accepting = again
  }

  private func take(_ stream: StreamSocket, _ service: StreamService) {
    guard open < limit else {
      counters.refused.increment()
      return stream.abort()
    }
    generation = generation % 0xFFFF_FFFF + 1
    let slot = free.popLast() ?? served.count
    let token = Self.token(slot: slot, generation: generation)
    do throws(SocketError) {
      // Space is told of only to who has met a full buffer.
      try queue.add(
        .stream(stream), for: [.readable, .writable, .endOfStream, .error], trigger: .edge,
        token: token)
    } catch {
      free.append(slot)
      if slot == served.count { served.append(nil) }
      counters.refused.increment()
      return stream.abort()
    }
    if slot == served.count { served.append(nil) }
    served[slot] = ServedConnection(
      stream: stream, service: service, token: token,
      role: service == .iperf ? IperfDesk.Role() : nil)
    open += 1
    counters.open.set(UInt64(open))
    counters.accepted.increment()
    if service == .source || service == .chargen { stream.shutdownReceive() }
    enqueue(slot)
  }

  private func remove(_ slot: Int, _ connection: ServedConnection, _ counter: borrowing Counter) {
    served[slot] = nil
    free.append(slot)
    open -= 1
    counters.open.set(UInt64(open))
    counter.increment()
    connection.stream.close()
  }

  /// Lets go of everything. The driver's last call.
  func end() {
    queue.close()
    for connection in served { connection?.stream.abort() }
    served = []
    open = 0
    counters.open.set(0)
    constants = nil
  }
}
