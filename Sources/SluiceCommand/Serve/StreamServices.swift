import Exclusion
import Sluice
import Sockets

/// The TCP services of `sluice serve`: any number of connections at a few ports, by one thread for each context.
final class StreamServices: Sendable {
  let ports: [StreamServicePort]
  private let loops: [ServiceLoop]
  private let threads: [ServiceThread]

  /// Listens at all ports, and begins to serve them. `limit`: connections that each thread takes at once.
  init(_ ports: [StreamServicePort], on stack: Stack, threads count: Int, limit: Int)
    throws(Failure)
  {
    self.ports = ports
    do {
      var listeners: [(socket: ListeningSocket, service: StreamService)] = []
      for port in ports {
        let address = SocketAddress(.anyIPv6, port: port.port)
        listeners.append(
          (try stack.blocking.listen(on: address, backlog: 4096).socket, port.service))
      }
      let constants = try ServiceConstants(stack)
      loops = try (0..<count).map { number in
        try ServiceLoop(
          listeners, layer: stack.layer, limit: limit, constants: constants, isFirst: number == 0)
      }
    } catch {
      throw Failure("the services could not be started: \(error).")
    }
    do {
      threads = try loops.enumerated().map { try ServiceThread($1, number: $0) }
    } catch {
      throw Failure("the services have no thread: \(error).")
    }
  }

  /// Resets what is open and waits for the threads. Once, before the stack's shutdown.
  func stop() {
    for thread in threads { thread.stop() }
  }

  /// What one thread counted.
  struct Statistics: Sendable {
    var open, accepted, refused, finished, failed, bytesTaken, bytesGiven, turns, sleeps: UInt64

    init(_ counters: borrowing ServiceCounters) {
      open = counters.open.value
      accepted = counters.accepted.value
      refused = counters.refused.value
      finished = counters.finished.value
      failed = counters.failed.value
      bytesTaken = counters.bytesTaken.value
      bytesGiven = counters.bytesGiven.value
      turns = counters.turns.value
      sleeps = counters.sleeps.value
    }

    var json: JSON {
      .object {
        $0["open"] = .number(open)
        $0["accepted"] = .number(accepted)
        $0["refused"] = .number(refused)
        $0["finished"] = .number(finished)
        $0["failed"] = .number(failed)
        $0["bytesTaken"] = .number(bytesTaken)
        $0["bytesGiven"] = .number(bytesGiven)
        $0["turns"] = .number(turns)
        $0["sleeps"] = .number(sleeps)
      }
    }
  }
  /// For each thread. Any thread.
  var statistics: [Statistics] { loops.map { Statistics($0.counters) } }
}
