#if Explore
  import Sockets
  import Wire

  extension Catalogue {
    /// Who finds which connection, on two contexts, while connections come and go.
    static let lookups: [Scenario] = [
      Scenario(
        id: "L4+PCB-MATCH",
        title:
          "a connection ends while a SYN of its name comes in elsewhere: the connection or its heir answers",
        mutations: ["blockReusedWithoutGrace", "droppedBlockTakesSegment"]
      ) { run in
        SocketWorld.explore(run, contexts: 2) { world in
          let listener = world.listen()
          let peer = Stranger(world, to: 7, home: 0)
          var server: StreamSocket? = peer.connect(to: listener, at: 0)
          peer.send(.syn, sequence: peer.sequence &+ 1_000_000, at: 1)
          world.concurrently([
            (
              "closer",
              {
                server?.abort()
                server = nil
              }
            )
          ])
          world.settle()
          // RFC 5961 section 4 while it lives; RFC 9293 section 3.10.7.2 from then on. Its end is said by a reset.
          let answers = peer.received().filter { !$0.flags.contains(.rst) }
          run.require(answers.count == 1, "PCB-MATCH: a SYN had \(answers.count) answers")
          listener.close()
        }
      },
      Scenario(
        id: "PCB-DROP",
        title:
          "a connection is aborted while it enters the table: its handle stays good, and its name is free",
        mutations: ["droppedStaysInTable", "controlBlockFreedUnderSocket"]
      ) { run in
        SocketWorld.explore(run, contexts: 2) { world in
          // Both enter the shard of context 1, one of them from context 0.
          let flow = world.flow(home: 1)
          let otherFlow = world.flow(home: 1, after: flow.localPort)
          let other = world.stream(named: otherFlow.local)
          let socket = world.stream(named: flow.local)
          var old: StreamSocket?, neighbor: StreamSocket?
          world.concurrently([
            (
              "application",
              {
                old = try? socket.connect(to: flow.remote).get()
                old?.abort()
                _ = old?.writeNow([1])
              }
            ),
            ("other", { neighbor = try? other.connect(to: otherFlow.remote).get() }),
          ])
          world.settle()
          // The handle is still held. (An abort that comes before the connect leaves no failure.)
          run.require(
            old?.writeNow([1]) == .failed(.closed) && [nil, .connectionAborted].contains(old?.failure),
            "PCB-DROP: the failure is \(String(describing: old?.failure))")
          let found = world.sockets.inventory(limit: 8).connections.map(\.local)
          run.require(found == [otherFlow.local], "PCB-DROP: \(found) are found")
          let heir = world.made(world.sockets.connect(to: flow.remote, from: flow.local))
          run.require(heir.failure == nil, "PCB-DROP: the name of an aborted connection is not free")
          heir.abort()
          neighbor?.abort()
        }
      },
      Scenario(
        id: "PCB-DROP/name", title: "a socket is closed while it gets a name: the name is free",
        mutations: ["claimOutlivesSocket"]
      ) { run in
        SocketWorld.explore(run, contexts: 2) { world in
          let name = SocketAddress(SocketWorld.near, port: 40_000)
          // At home at context 1; names are context 0's.
          let socket = world.made(world.sockets.makeStream(.inet))
          world.concurrently([
            ("binder", { _ = world.result(socket.bind(to: name)) }), ("closer", { socket.close() }),
          ])
          world.settle()
          let heir = world.made(world.sockets.makeStream(.inet))
          let rebound = world.result(heir.bind(to: name))
          run.require((try? rebound.get()) != nil, "PCB-DROP: the name of a closed socket is not free")
        }
      },
      Scenario(
        id: "PCB-UNIQ",
        title: "two sockets of one name connect to one place at two contexts: one of them may",
        mutations: ["lookedBeforeEntering"]
      ) { run in
        SocketWorld.explore(run, contexts: 2) { world in
          let name = SocketAddress(SocketWorld.near, port: 40_000)
          let remote = SocketAddress(SocketWorld.far, port: 9)
          let sockets = (0..<2).map { _ in world.stream(named: name, options: .reuseAddress) }
          var connecting: [StreamSocket] = []
          let connect = { (socket: UnconnectedStream) in
            if case .success(let stream) = socket.connect(to: remote) { connecting.append(stream) }
          }
          world.concurrently([("one", { connect(sockets[0]) }), ("other", { connect(sockets[1]) })])
          world.settle()
          let refused = connecting.filter { $0.failure == .addressNotAvailable }
          let names = world.sockets.inventory(limit: 8).connections.map(\.local)
          run.require(refused.count == 1 && names == [name], "PCB-UNIQ: \(names.count) have one name")
          for socket in connecting { socket.abort() }
        }
      },
      Scenario(
        id: "AQ-DUP",
        title: "a SYN and its last ACK come twice, at both contexts, while its shard is busy: one connection",
        mutations: ["synKeptWhereItComes", "entryForgottenBeforeChild", "settledChildForgotten"]
      ) { run in
        SocketWorld.explore(run, contexts: 2) { world in
          let listener = world.listen()
          let peer = Stranger(world, to: 7, home: 1)
          let busy = world.flow(home: 1)
          var other: StreamSocket?
          var answers: [TCPHeader] = []
          for context in 0..<2 { peer.send(.syn, at: context) }
          world.concurrently([
            (
              "peer",
              {
                run.wait {
                  answers += peer.received()
                  return !answers.isEmpty
                }
                peer.take(answers[0])
                for context in 0..<2 { peer.send(.ack, at: context) }
              }
            ),
            (
              "application",
              { other = try? world.result(world.sockets.connect(to: busy.remote, from: busy.local)).get() }
            ),
          ])
          world.settle()
          answers += peer.received()
          // A SYN that comes after the ACKs is told where we stand (RFC 5961 section 4).
          run.require(
            answers.allSatisfy { $0.flags == .ack || $0.flags == [.syn, .ack] && $0 == answers[0] },
            "AQ-DUP: the peer was told \(answers.map { "\($0.flags) \($0.sequence)" })")
          var children: [StreamSocket] = []
          while case .success(let child) = listener.tryAccept() { children.append(child) }
          let counted = (0..<2).map {
            world.sockets.withCounters($0) { ($0.synsKept.value, $0.handshakesCompleted.value) }
          }
          let (kept, completed) = (counted.reduce(0) { $0 + $1.0 }, counted.reduce(0) { $0 + $1.1 })
          run.require(
            children.count == 1 && kept == 1 && completed == 1,
            "AQ-DUP: \(kept) half-open connections, \(completed) handshakes, \(children.count) children")
          for child in children { child.abort() }
          other?.abort()
          listener.close()
        }
      },
    ]
  }

  extension SocketWorld {
    /// A listener on the link.
    fileprivate func listen() -> ListeningSocket {
      made(sockets.listen(on: SocketAddress(Self.near, port: 7)))
    }
    /// A socket with a name that is not connected. They are at home at context 1, at 0, and so on.
    fileprivate func stream(named name: SocketAddress, options: BindOptions = []) -> UnconnectedStream {
      let socket = made(sockets.makeStream(.inet))
      _ = made(socket.bind(to: name, options: options))
      return socket
    }
  }
#endif
