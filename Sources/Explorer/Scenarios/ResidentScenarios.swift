#if Explore
  import Exclusion
  import Sockets
  import SoftInterrupts

  /// Gives back on a context's own thread what comes on one connection, by an event queue; it sleeps by publication, as
  /// whoever serves so does.
  @safe private final class EchoResident: @unchecked Sendable {  // all virtual threads are one thread
    private var target: WakeTarget?
    private var queue: SocketEventQueue?
    private var stream: StreamSocket?
    private var ticket: Waiter.Ticket?
    private(set) var echoed = 0

    init(on index: Int, of contexts: ContextSet) {
      target = Resident(on: index, of: contexts) { [unowned self] in run() }.wakeTarget
    }

    /// On the context's thread from now on.
    func serve(_ stream: StreamSocket, by queue: SocketEventQueue, in contexts: ContextSet, on index: Int) {
      contexts.perform(on: index) { [self] cx in
        self.queue = queue
        self.stream = stream
        if let target { cx.wake(target) }
      }
    }

    private func run() -> Bool {
      guard let queue, let stream, let target else { return false }
      let point = queue.point
      if let ticket {
        self.ticket = nil
        if !point.waiter.retract(ticket) {
          point.waiter.finish(ticket)
          point.account.counters.delivered.increment()
        }
      }
      // It throws one thing, that the queue is closed: the end.
      guard (try? queue.harvest(atMost: 8)) != nil else {
        (self.queue, self.stream) = (nil, nil)
        return false
      }
      echo(stream)
      let published = point.waiter.publish(need: 1, target)
      if queue.isReady, point.waiter.retract(published) { return true }
      ticket = published
      return false
    }

    private func echo(_ stream: StreamSocket) {
      var isFull = false
      while !isFull {
        let outcome = stream.tryConsume { span in
          let written = unsafe span.withUnsafeBytes { unsafe stream.tryWrite($0) }
          guard case .bytes(let count) = written else {
            isFull = true
            return 0
          }
          isFull = count < span.byteCount
          echoed += count
          return count
        }
        guard case .bytes = outcome else { return }
      }
    }
  }

  extension Catalogue {
    /// Application code that lives with a context.
    static let residents: [Scenario] = [
      Scenario(
        id: "RX-RESIDENT",
        title: "a resident gives back what a thread writes, whose buffers are small",
        mutations: ["residentRousedFromAfar"]
      ) { run in
        var residents: [EchoResident] = []
        SocketWorld.explore(
          run, contexts: 2, .threads,
          settling: { contexts in
            residents = (0..<2).map { EchoResident(on: $0, of: contexts) }
          }
        ) { world in
          let (client, server) = world.connection(limits: BufferLimits(send: 4096, receive: 4096))
          let queue = world.sockets.makeEventQueue(limit: 4)
          // A refusal, of whatever kind, leaves the resident without news, which is found as stuck.
          try? queue.add(
            .stream(server), for: [.readable, .writable, .endOfStream, .error], trigger: .edge, token: 1)
          _ = queue.point.turn.tryTake()
          residents[0].serve(server, by: queue, in: world.contexts, on: 0)
          let total = 12_000
          let piece = [UInt8](repeating: 1, count: 3000)
          var read = 0
          run.concurrently([
            (
              "writer",
              {
                for _ in 0..<total / piece.count {
                  var rest = piece[...]
                  while !rest.isEmpty {
                    let written = world.wait(
                      at: client.writePoint, need: client.writeNeed(rest.count),
                      isReady: { client.isWritable(need: $0) },
                      { if case .bytes(let count) = client.writeNow(Array(rest)) { count } else { nil } })
                    rest = rest.dropFirst(written)
                  }
                }
              }
            ),
            (
              "reader",
              {
                while read < total {
                  read += world.wait(
                    at: client.readPoint, isReady: { client.isReadable(need: $0) },
                    { if case (.bytes, let bytes) = client.readNow(4096) { bytes.count } else { nil } })
                }
              }
            ),
          ])
          let echoed = residents[0].echoed
          run.require(read == total && echoed == total, "\(echoed) came back, \(read) were read")
          queue.close()
          client.abort()
          server.abort()
        }
        withExtendedLifetime(residents) {}
      }
    ]
  }
#endif
