internal import Exclusion
internal import Sockets

/// The listeners, datagram sockets and event queues of a stack, for its shutdown. Connections are found by their table.
final class Endpoints: Sendable {
  private struct Entry {
    weak var listener: ListeningSocket?
    weak var datagram: DatagramSocket?
    weak var queue: SocketEventQueue?
    var isGone: Bool { listener == nil && datagram == nil && queue == nil }
  }
  private struct Table {
    var entries: [Entry] = []
    /// Entries at which those that are gone are looked for.
    var threshold = 64
  }
  private let table = OrderedMutex<HandleTableLevel, Table>(Table())

  func add(_ socket: ListeningSocket) { add(Entry(listener: socket)) }
  func add(_ socket: DatagramSocket) { add(Entry(datagram: socket)) }
  func add(_ queue: SocketEventQueue) { add(Entry(queue: queue)) }

  private func add(_ entry: sending Entry) {
    withApplication { held in
      table.withLock(&held) { table, _ in
        if table.entries.count >= table.threshold {
          table.entries.removeAll(where: \.isGone)
          table.threshold = max(64, table.entries.count * 2)
        }
        table.entries.append(entry)
      }
    }
  }

  /// Closes all that are open.
  func closeAll() {
    // Closed, and let go, with nothing held: both enter the stack.
    let sockets = withApplication { held in
      table.withLock(&held) { table, _ in
        let all = table.entries.map { ($0.listener, $0.datagram, $0.queue) }
        table.entries = []
        return all
      }
    }
    for (listener, datagram, queue) in sockets {
      queue?.close()
      listener?.close()
      datagram?.close()
    }
  }

  /// Open listeners and datagram sockets.
  func counts() -> (listeners: Int, datagrams: Int) {
    let sockets = withApplication { held in
      table.withLock(&held) { table, _ in table.entries.map { ($0.listener, $0.datagram) } }
    }
    return (sockets.count { $0.0 != nil }, sockets.count { $0.1 != nil })
  }
}
