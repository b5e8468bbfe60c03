#if Explore
  import Exclusion
  import Sockets
  import Wire

  extension Catalogue {
    /// Who is told, and who is woken, where sockets and contexts meet.
    static let events: [Scenario] = [
      Scenario(
        id: "W8",
        title: "two datagrams: a blocked reader takes one, and two event queues are told of the other",
        mutations: ["eventQueueNotWoken", "registrationWithoutLook", "datagramCountedBeforeItIsThere"]
      ) { run in
        SocketWorld.explore(run) { world in
          let (sender, socket) = (world.datagram(1), world.datagram(2))
          let (early, late) = (world.sockets.makeEventQueue(limit: 4), world.sockets.makeEventQueue(limit: 4))
          world.watch(socket, by: early, 1)
          world.concurrently([
            (
              "sender",
              {
                for number in 1...2 { _ = sender.sendNow([UInt8(number)], to: 2) }
              }
            ),
            ("reader", { run.require(world.receive(socket)?.count == 1, "the reader got nothing") }),
            (
              "early queue",
              { run.require(world.harvest(early)?.first?.token == 1, "the queue was not told") }
            ),
            (
              "late queue",
              {
                world.watch(socket, by: late, 2)
                run.require(world.harvest(late)?.first?.token == 2, "the late queue was not told")
              }
            ),
          ])
          early.close()
          late.close()
          sender.close()
          socket.close()
        }
      },
      Scenario(
        id: "SB-ATOMIC/events", title: "each edge is told, however it meets the harvest before it",
        mutations: ["eventLookedAtWhileQueued", "eventQueueNotWoken"]
      ) { run in
        SocketWorld.exploreQueue(run, events: 1) { world, queue, events in
          var told = 0
          // Nobody removes it: a refusal, of whatever kind, fails the schedule.
          let trigger = { (try? events[0].trigger()) ?? run.require(false, "the event is gone") }
          world.concurrently([
            ("one", trigger), ("other", trigger),
            (
              "waiter",
              {
                while told < 2 { told += world.harvest(queue)?.first?.available ?? 2 }
              }
            ),
          ])
          run.require(told == 2, "\(told) triggers were told")
        }
      },
      Scenario(
        id: "SB-WHOLE/events", title: "two wait on one queue: no edge is told to both, and none to nobody",
        mutations: ["eventQueueNotWoken"]
      ) { run in
        SocketWorld.exploreQueue(run, events: 2) { world, queue, events in
          var told: [UInt64] = []
          let waiter = { told += world.harvest(queue, atMost: 1)?.map(\.token) ?? [] }
          world.concurrently([
            ("waiter", waiter), ("other waiter", waiter),
            (
              "trigger",
              {
                // A refusal leaves a waiter without its event, which is found as stuck.
                for event in events { try? event.trigger() }
              }
            ),
          ])
          run.require(told.sorted() == [1, 2], "told were \(told)")
        }
      },
      Scenario(
        id: "SO-GEN", title: "a socket is closed while datagrams come and a queue is harvested",
        mutations: ["closeKeepsRegistrations"]
      ) { run in
        SocketWorld.explore(run) { world in
          let (sender, socket) = (world.datagram(1), world.datagram(2))
          let queue = world.sockets.makeEventQueue(limit: 4)
          world.watch(socket, by: queue, 1)
          var isClosed = false
          world.concurrently([
            ("sender", { _ = sender.sendNow([1], to: 2) }),
            (
              "closer",
              {
                socket.close()
                isClosed = true
              }
            ),
            (
              "poller",
              {
                for _ in 0..<3 {
                  let wasClosed = isClosed
                  let events = (try? queue.poll(atMost: 8)) ?? []
                  run.require(!wasClosed || events.isEmpty, "told of a socket whose close had returned")
                }
              }
            ),
          ])
          run.require(queue.registrationCount == 0, "\(queue.registrationCount) registrations are left")
          queue.close()
          sender.close()
        }
      },
      Scenario(
        id: "SO-RESTART/events", title: "an event queue is closed while two wait and somebody triggers",
        mutations: ["eventQueueClosedSilently"]
      ) { run in
        SocketWorld.exploreQueue(run, events: 1) { world, queue, events in
          let waiter = { while world.harvest(queue) != nil {} }
          // Refused if the close came first.
          world.concurrently([
            ("waiter", waiter), ("other waiter", waiter), ("trigger", { try? events[0].trigger() }),
            ("closer", { queue.close() }),
          ])
          run.require(queue.registrationCount == 0, "registrations are left")
        }
      },
      Scenario(
        id: "SB-SPACE", title: "a sender meets a full queue, and an event queue tells when there is room",
        mutations: ["fullBufferWithoutLook", "roomNotTold"]
      ) { run in
        SocketWorld.explore(run, changing: { $0.datagramSendLimit = 1 }) { world in
          let socket = world.datagram(1)
          let queue = world.sockets.makeEventQueue(limit: 4)
          try? queue.add(.datagram(socket), for: .writable, trigger: .edge, token: 1)
          _ = try? queue.poll(atMost: 8)
          world.concurrently([
            (
              "sender",
              {
                for number in 1...3 {
                  while let error = socket.sendNow([UInt8(number)], to: 1) {
                    run.require(error == .wouldBlock, "\(error)")
                    run.require(world.harvest(queue) != nil, "the queue is closed")
                  }
                }
              }
            )
          ])
          queue.close()
          socket.close()
        }
      },
      Scenario(
        id: "W1",
        title: "a client that never met a full buffer is not told of space, whatever is acknowledged",
        mutations: ["receiveOnlyClientNotified"]
      ) { run in
        SocketWorld.explore(run) { world in
          let (client, server) = world.connection()
          let queue = world.sockets.makeEventQueue(limit: 4)
          try? queue.add(.stream(client), for: [.readable, .writable], trigger: .edge, token: 1)
          _ = try? queue.poll(atMost: 8)
          world.concurrently([
            (
              "client",
              {
                for _ in 0..<2 { _ = client.writeNow([1, 2, 3]) }
                let told = world.harvest(queue)?.first?.events
                run.require(told?.contains(.readable) == true, "told \(told?.rawValue ?? 0), not of data")
              }
            ),
            (
              "server",
              {
                let read = world.wait(
                  at: server.readPoint, isReady: { server.isReadable(need: $0) },
                  { if case (.bytes(let count), _) = server.readNow() { count } else { nil } })
                run.require(read >= 3, "read \(read)")
                _ = server.writeNow([9])
              }
            ),
          ])
          queue.close()
          client.abort()
          server.abort()
        }
      },
      Scenario(
        id: "W10", title: "a writer meets a full buffer while another thread makes the buffer larger",
        mutations: ["grownBufferNotTold"]
      ) { run in
        SocketWorld.explore(run) { world in
          let (client, server) = world.connection(limits: BufferLimits(send: 4096, receive: 4096))
          // As much as the two buffers hold; nobody reads.
          while case .bytes = client.writeNow([UInt8](repeating: 1, count: 4096)) { world.settle() }
          world.concurrently([
            (
              "writer",
              {
                let written = world.wait(
                  at: client.writePoint, need: client.writeNeed(100),
                  isReady: { client.isWritable(need: $0) },
                  {
                    if case .bytes(let count) = client.writeNow([UInt8](repeating: 2, count: 100)) {
                      count
                    } else {
                      nil
                    }
                  })
                run.require(written == 100, "\(written) bytes were written")
              }
            ), ("other", { client.setSendLimit(8192) }),
          ])
          client.abort()
          server.abort()
        }
      },
      Scenario(
        id: "AQ-WAKE", title: "two connections come: one for who accepts, one for who is told that he can",
        mutations: ["acceptNotTold", "takenLookedAtFirst"]
      ) { run in
        SocketWorld.explore(run) { world in
          let address = SocketAddress(SocketWorld.host, port: 7)
          let listener = world.made(world.sockets.listen(on: address))
          let queue = world.sockets.makeEventQueue(limit: 4)
          try? queue.add(.listener(listener), for: .readable, trigger: .edge, token: 1)
          let clients = (0..<2).map { _ in world.sockets.connect(to: address) }
          var accepted: [StreamSocket] = []
          world.concurrently([
            (
              "accepter",
              {
                if case .success(let socket) = world.accept(listener) { accepted.append(socket) }
              }
            ),
            (
              "poller",
              {
                while true {
                  guard world.harvest(queue) != nil else { return run.require(false, "the queue is closed") }
                  // The accepter may have been quicker; then there will be another.
                  if case .success(let socket) = listener.tryAccept() { return accepted.append(socket) }
                }
              }
            ),
          ])
          for socket in accepted { socket.abort() }
          for client in clients { if case .success(let socket)? = client.take() { socket.abort() } }
          queue.close()
          listener.close()
        }
      },
      Scenario(
        id: "W6+SB-EOF", title: "data and the end of a stream, against a reader that is about to sleep",
        mutations: ["endLookedAtLast", "endWithoutWakeUp"]
      ) { run in
        SocketWorld.explore(run) { world in
          let (client, server) = world.connection()
          world.concurrently([
            (
              "client",
              {
                _ = client.writeNow([1, 2, 3])
                client.shutdownSend()
              }
            ),
            (
              "reader",
              {
                var read: [UInt8] = []
                while true {
                  let (outcome, bytes) = world.wait(
                    at: server.readPoint, isReady: { server.isReadable(need: $0) }
                  ) { () -> (ReadOutcome, [UInt8])? in
                    let (outcome, bytes) = server.readNow()
                    return outcome == .wouldBlock ? nil : (outcome, bytes)
                  }
                  read += bytes
                  if outcome == .endOfStream { break }
                  guard case .bytes = outcome else { return run.require(false, "ended with \(outcome)") }
                }
                run.require(read == [1, 2, 3], "SB-EOF: \(read.count) bytes before the end")
              }
            ),
          ])
          client.abort()
          server.abort()
        }
      },
      Scenario(
        id: "SO-NOFAIL", title: "a write that meets shutdown and close, and a peer that never closes",
        mutations: ["refusedChainEndsNothing"]
      ) { run in
        SocketWorld.explore(run, changing: { $0.tcp.finWait2 = .milliseconds(10) }) { world in
          let (client, server) = world.connection()
          world.concurrently([
            ("writer", { _ = client.writeNow([1]) }),
            (
              "closer",
              {
                client.shutdownSend()
                client.close()
              }
            ),
          ])
          world.run(milliseconds: 50)
          let left = world.sockets.inventory(limit: 4).connections.count
          run.require(left == 1, "SO-NOFAIL: who has closed is still there")
          server.abort()
        }
      },
    ]
  }

  extension SocketWorld {
    /// Runs `body` with a queue and user events in it, whose tokens are their numbers, from 1.
    fileprivate static func exploreQueue(
      _ run: Run, events count: UInt64, _ body: (SocketWorld, SocketEventQueue, [UserEvent]) -> Void
    ) {
      explore(run) { world in
        let queue = world.sockets.makeEventQueue(limit: 4)
        // The count below tells a refusal.
        let events = (1...count).compactMap { try? queue.addUserEvent(token: $0) }
        run.require(events.count == count, "an event was refused")
        body(world, queue, events)
        queue.close()
      }
    }
    func watch(_ socket: DatagramSocket, by queue: SocketEventQueue, _ token: UInt64) {
      do throws(SocketError) {
        try queue.add(.datagram(socket), for: .readable, token: token)
      } catch {
        run.require(false, "registering failed: \(error)")
      }
    }
  }
#endif
