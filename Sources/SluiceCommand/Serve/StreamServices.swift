import Exclusion
import Sluice
import Sockets

/// The TCP services of `sluice serve`: any number of connections at a few ports, on the threads of the stack's contexts.
/// The threads are the services' own then: nobody else's calls wait on them for long, and none of theirs.
final class StreamServices: @unchecked Sendable {  // `loops` is written once, before anybody else has this
  let ports: [StreamServicePort]
  private let stack: Stack
  private let residents: [ServiceResident]
  private var loops: [ServiceLoop] = []

  /// Settles in a stack that has not started.
  init(_ ports: [StreamServicePort], in stack: Stack) {
    self.ports = ports
    self.stack = stack
    residents = (0..<stack.contexts.count).map { ServiceResident(on: $0, of: stack.contexts) }
  }

  /// Listens at all ports of the stack, which has started, and begins to serve them. `limit`: connections that each context
  /// takes at once. Once.
  func start(limit: Int) throws(Failure) {
    do {
      var listeners: [(socket: ListeningSocket, service: StreamService)] = []
      for port in ports {
        let address = SocketAddress(.anyIPv6, port: port.port)
        listeners.append((try stack.blocking.listen(on: address, backlog: 4096).socket, port.service))
      }
      let constants = try ServiceConstants(stack)
      loops = try residents.indices.map { number in
        try ServiceLoop(
          listeners, layer: stack.layer, limit: limit, constants: constants, isFirst: number == 0)
      }
    } catch {
      throw Failure("the services could not be started: \(error).")
    }
    for (resident, loop) in zip(residents, loops) { resident.drive(loop) }
  }

  /// Resets what is open, and waits for that. Once, before the stack's shutdown.
  func stop() {
    for (resident, loop) in zip(residents, loops) { resident.stop(loop) }
  }

  /// What the loop of one context counted.
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
  /// For each context. Any thread.
  var statistics: [Statistics] { loops.map { Statistics($0.counters) } }
}
