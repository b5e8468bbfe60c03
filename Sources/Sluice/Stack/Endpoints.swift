internal import Exclusion
internal import Sockets

/// The event queues of a stack, and its sockets but for connections, which are found by their table: for its
/// shutdown.
final class Endpoints: Sendable {
  private struct Entry {
    weak var socket: (any AnySocket)?
    weak var queue: SocketEventQueue?
    var isGone: Bool { socket == nil && queue == nil }
  }
  private struct Table {
    var entries: [Entry] = []
    /// Entries at which those that are gone are looked for.
    var threshold = 64
  }
  private let table = OrderedMutex<HandleTableLevel, Table>(Table())

  func add(_ socket: any AnySocket) { add(Entry(socket: socket)) }
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
        let all = table.entries.map { ($0.socket, $0.queue) }
        table.entries = []
        return all
      }
    }
    for (socket, queue) in sockets {
      queue?.close()
      socket?.close()
    }
  }
}
