#if Explore
  import Sockets
  import Wire

  extension SocketWorld {
    static let server = SocketAddress(host, port: 7)

    /// Two contexts on their own threads, which talk to themselves over loopback: each receives what it sends, so that
    /// a segment comes in away from its home as often as at it.
    fileprivate static func listening(_ run: Run, _ body: (SocketWorld) -> Void) {
      explore(
        run, contexts: 2, .threads,
        changing: {
          $0.connectionLimit = 16
          $0.synCacheLimit = 16
          $0.applicationPackets = 8
          $0.applicationChunks = 16
          $0.tcp.timeWait = .milliseconds(200)
        }, body)
    }
    fileprivate func listen(backlog: Int = 4) -> ListeningSocket {
      made(sockets.listen(on: Self.server, backlog: backlog))
    }
    /// Connects, and waits for how that ends.
    fileprivate func connect() -> Result<StreamSocket, SocketError> {
      result(sockets.connect(to: Self.server)).flatMap { socket in
        run.wait { socket.isWritable(need: 0) }
        if let failure = socket.failure { return .failure(failure) }
        return socket.isConnected ? .success(socket) : .failure(.connectionAborted)
      }
    }
    /// Two connections; fewer, if one was refused.
    fileprivate func connectTwice() -> [StreamSocket] {
      (0..<2).compactMap { _ in
        guard case .success(let socket) = connect() else { return nil }
        return socket
      }
    }
  }

  extension Catalogue {
    static let listening: [Scenario] = [
      Scenario(
        id: "Q1+SO-PUBLISH+L5",
        title: "a client writes as soon as it is connected; its child has the byte, whoever makes it",
        mutations: ["childPublishedUnfinished"]
      ) { run in
        SocketWorld.listening(run) { world in
          let listener = world.listen()
          var clients: [StreamSocket] = []
          var read: [UInt8] = []
          func client(_ number: UInt8) {
            guard case .success(let socket) = world.connect() else {
              return run.require(false, "Q1: an honest client was refused")
            }
            run.require(socket.writeNow([number]) == .bytes(1), "Q1: a connected client cannot write")
            clients.append(socket)
          }
          run.concurrently([
            ("client 1", { client(1) }), ("client 2", { client(2) }),
            (
              "server",
              {
                for _ in 0..<2 {
                  guard case .success(let child) = world.accept(listener) else { return }
                  run.wait { child.isReadable(need: 1) }
                  read += child.readNow().1
                  child.abort()
                }
              }
            ),
          ])
          run.require(read.sorted() == [1, 2], "Q1: the children read \(read)")
          clients.forEach { $0.abort() }
        }
      },
      Scenario(
        id: "Q3+AQ-CLOSE+AQ-RECHECK",
        title:
          "a listener closes while handshakes complete: each client is accepted or reset, and nothing is left",
        mutations: ["shardsLeftOpen"]
      ) { run in
        SocketWorld.listening(run) { world in
          let listener = world.listen()
          var clients: [StreamSocket] = []
          run.concurrently([
            ("client 1", { if case .success(let socket) = world.connect() { clients.append(socket) } }),
            ("client 2", { if case .success(let socket) = world.connect() { clients.append(socket) } }),
            ("closer", { listener.close() }),
          ])
          run.sleep(nanoseconds: 50_000_000)
          run.require(
            clients.allSatisfy { $0.failure == .connectionReset }, "Q3: a child outlived its listener")
          // Refused as closed, or as empty: only a child would be wrong.
          run.require(
            (try? listener.tryAccept().get()) == nil,
            "AQ-CLOSE: a child was queued after close")
        }
      },
      Scenario(
        id: "AQ-ONE+AQ-XFER+SO-REF",
        title: "two threads accept two children, and close them: each child goes to one of them",
        mutations: ["queuedWithoutReference"]
      ) { run in
        SocketWorld.listening(run) { world in
          let listener = world.listen()
          let clients = world.connectTwice()
          var ports: [UInt16] = []
          let accept = {
            guard case .success(let child) = world.accept(listener) else { return }
            ports.append(child.remoteAddress.port)
            child.close()
          }
          run.concurrently([("accepter 1", accept), ("accepter 2", accept)])
          run.require(Set(ports) == Set(clients.map(\.localAddress.port)), "AQ-ONE: accepted \(ports)")
          clients.forEach { $0.close() }
        }
      },
      Scenario(
        id: "AQ-WAKE/accept",
        title: "one thread accepts when it happens to look, another waits: no child is left waiting",
        mutations: ["shardLooksEmpty"]
      ) { run in
        SocketWorld.listening(run) { world in
          let listener = world.listen()
          let clients = world.connectTwice()
          run.sleep(nanoseconds: 5_000_000)  // both are in the accept queue
          var accepted = 0
          run.concurrently([
            (
              "waiter",
              {
                if case .success(let child) = world.accept(listener) {
                  accepted += 1; child.abort()
                }
              }
            ),
            (
              "passer-by",
              { if case .success(let child) = listener.tryAccept() { accepted += 1; child.abort() } }
            ),
          ])
          run.require(accepted == 2, "AQ-WAKE: \(accepted) of 2 were accepted")
          clients.forEach { $0.abort() }
        }
      },
    ]

    static let lives: [Scenario] = [
      Scenario(
        id: "L2+L8+SO-REF", title: "one side writes and closes, the other reads and aborts, in any order",
        mutations: ["controlBlockFreedUnderSocket", "claimDroppedTwice"]
      ) { run in
        SocketWorld.listening(run) { world in
          let listener = world.listen()
          var near = try? world.connect().get()
          var far = try? world.accept(listener).get()
          run.require(near != nil && far != nil, "no connection")
          run.concurrently([
            (
              "near",
              {
                _ = near?.writeNow([1])
                near?.close()
                near = nil
              }
            ),
            (
              "far",
              {
                _ = far?.readNow()
                far?.abort()
                _ = far?.failure
                far = nil
              }
            ),
          ])
        }
      },
      Scenario(
        id: "SO-TERM",
        title: "a socket is connected, made a listener and closed at once: it becomes one thing",
        mutations: ["convertedAfterClose"]
      ) { run in
        SocketWorld.listening(run) { world in
          let listener = world.listen()
          var socket = try? world.result(world.sockets.makeStream()).get()
          run.require(socket != nil, "no socket")
          var connected: StreamSocket?, converted: ListeningSocket?
          var isClosed = false
          run.concurrently([
            ("connect", { connected = try? socket?.connect(to: SocketWorld.server).get() }),
            ("listen", { if let socket { converted = try? world.result(socket.listen()).get() } }),
            (
              "close",
              {
                socket?.close()
                // What it is now, it stays: a closed socket takes no more calls.
                if let socket, case .failure(.closed) = socket.connect(to: SocketWorld.server) {
                  isClosed = true
                }
              }
            ),
          ])
          let outcomes = [connected != nil, converted != nil, isClosed]
          run.require(outcomes.count { $0 } == 1, "SO-TERM: connected, listening, closed: \(outcomes)")
          connected?.abort()
          converted?.close()
          (connected, converted, socket) = (nil, nil, nil)
          run.sleep(nanoseconds: 10_000_000)
          while case .success(let child) = listener.tryAccept() { child.abort() }
        }
      },
    ]
  }
#endif
