#if Explore
  import Sockets

  extension Catalogue {
    /// Connections that rest after every run, if they may.
    static let rests: [Scenario] = [
      Scenario(
        id: "PCB-REST",
        title: "connections rest as soon as they can, while they are accepted, written to, read and closed",
        mutations: ["restsWhileOffered"]
      ) { run in
        SocketWorld.explore(
          run, contexts: 2, .threads,
          changing: {
            $0.connectionLimit = 16
            $0.synCacheLimit = 16
            $0.applicationPackets = 8
            $0.applicationChunks = 16
            $0.tcp.timeWait = .milliseconds(200)
            $0.rest.after = .zero
          }
        ) { world in
          let listener = world.made(world.sockets.listen(on: SocketWorld.server, backlog: 4))
          var clients: [StreamSocket] = []
          var read: [UInt8] = []
          func client(_ number: UInt8) {
            guard case .success(let socket) = world.result(world.sockets.connect(to: SocketWorld.server))
            else { return run.require(false, "PCB-REST: an honest client was refused") }
            run.wait { socket.isWritable(need: 1) }
            run.require(socket.writeNow([number]) == .bytes(1), "PCB-REST: a connected client cannot write")
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
          run.require(read.sorted() == [1, 2], "PCB-REST: the children read \(read)")
          clients.forEach { $0.abort() }
          listener.close()
        }
      },
      Scenario(
        id: "PCB-REST/first",
        title: "the first connections of two contexts come to rest at one moment, and go on",
        mutations: ["restsOnLostBasis"]
      ) { run in
        SocketWorld.explore(run, contexts: 2, .threads, changing: { $0.rest.after = .milliseconds(5) }) {
          world in
          let pairs = (0..<2).map { _ in world.connection() }
          // They rest by timers, which run out for all.
          run.concurrently([("time", { run.sleep(nanoseconds: 20_000_000) })])
          for (number, (client, server)) in pairs.enumerated() {
            for (from, to) in [(client, server), (server, client)] {
              run.require(from.writeNow([UInt8(number)]) == .bytes(1), "PCB-REST: nothing can be written")
              for _ in 0..<100 where !to.isReadable(need: 1) { run.sleep(nanoseconds: 1_000_000) }
              run.require(to.readNow().1 == [UInt8(number)], "PCB-REST: not what was written arrived")
            }
            client.abort()
            server.abort()
          }
        }
      },
    ]
  }
#endif
