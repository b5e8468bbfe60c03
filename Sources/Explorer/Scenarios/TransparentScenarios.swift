#if Explore
  import Exclusion
  import Sockets
  import Wire

  /// Who takes requests, as a gateway's forwarder does.
  private final class Taker {
    private let world: SocketWorld
    private var list = RequestList()

    init(_ world: SocketWorld) { self.world = world }

    /// The next request, waiting for it; nil: there will be none, as `isOver` says.
    func take() -> ConnectionRequest? {
      world.run.wait { self.world.sockets.hasRequests || !self.list.isEmpty }
      return world.sockets.takeRequest(&list)
    }
    func takeNow() -> ConnectionRequest? { world.sockets.takeRequest(&list) }
    func close() { world.sockets.closeRequests(&list) }
  }

  extension SocketWorld {
    fileprivate static func transparent(_ run: Run, _ body: (SocketWorld) -> Void) {
      explore(
        run, contexts: 2, changing: { $0.transparent = TransparentConfiguration(requestLimit: 4) }, body)
    }
    fileprivate func counted(_ value: (borrowing SocketCounters) -> UInt64) -> UInt64 {
      (0..<contexts.count).reduce(0) { $0 + sockets.withCounters($1, value) }
    }
  }

  extension Catalogue {
    static let transparents: [Scenario] = [
      Scenario(
        id: "Q8+AQ-DUP",
        title:
          "a SYN comes twice, at both contexts, while its shard is busy and its verdict comes: one connection",
        mutations: ["heldSynNotLookedFor", "heldSynForgottenBeforeChild"]
      ) { run in
        SocketWorld.transparent(run) { world in
          let taker = Taker(world)
          let peer = Stranger(world, to: 7, home: 1)
          let busy = world.flow(home: 1)
          var other: StreamSocket?
          var accepted: [StreamSocket] = []
          for context in 0..<2 { peer.send(.syn, at: context) }
          world.concurrently([
            (
              "taker",
              {
                guard let request = taker.take() else { return }
                let answer = request.accept(world.sockets.options())
                if case .success(let socket) = world.result(answer) { accepted.append(socket) }
              }
            ),
            (
              "application",
              { other = try? world.result(world.sockets.connect(to: busy.remote, from: busy.local)).get() }
            ),
          ])
          world.settle()
          let answers = peer.received().filter { $0.flags.contains(.syn) }
          run.require(
            !answers.isEmpty && answers.allSatisfy { $0.sequence == answers[0].sequence },
            "Q8: a SYN had \(answers.count) answers of different connections, or none")
          let asked = world.counted { $0.transparentRequests.value }
          run.require(accepted.count == 1 && asked == 1, "AQ-DUP: one SYN, \(asked) requests")
          for socket in accepted { socket.abort() }
          other?.abort()
          taker.close()
        }
      },
      Scenario(
        id: "Q8+PCB-MATCH",
        title: "who asked gives up and begins anew while the verdict on the first SYN is on its way",
        mutations: ["verdictForAnySyn"]
      ) { run in
        SocketWorld.transparent(run) { world in
          let taker = Taker(world)
          let peer = Stranger(world, to: 7, home: 0)
          var first: Result<StreamSocket, SocketError>?
          peer.send(.syn, at: 0)
          world.settle()
          world.concurrently([
            (
              "taker",
              {
                if let request = taker.takeNow() {
                  first = world.result(request.accept(world.sockets.options()))
                }
              }
            ),
            (
              "peer",
              {
                peer.send(.rst, sequence: peer.sequence &+ 1, at: 0)
                peer.send(.syn, sequence: peer.sequence &+ 500_000, at: 0)
              }
            ),
          ])
          world.settle()
          let isGivenUp = world.counted { $0.handshakesReset.value } > 0
          if isGivenUp, case .success? = first {
            run.require(false, "PCB-MATCH: the verdict was for another SYN")
          }
          if !isGivenUp, case .failure? = first {
            run.require(false, "Q8: a SYN that waited was not answered")
          }
          let isTold = peer.received().contains { $0.flags.contains(.syn) }
          run.require(isTold == !isGivenUp, "Q8: who gave up was told, or who did not was not")
          if case .success(let socket)? = first { socket.abort() }
          taker.close()
        }
      },
      Scenario(
        id: "Q8+AQ-CLOSE",
        title: "whoever takes requests stops while SYNs come: each is refused, and nothing of it is left",
        mutations: ["requestsLeftBehind"]
      ) { run in
        SocketWorld.transparent(run) { world in
          let taker = Taker(world)
          let peers = [Stranger(world, to: 7, home: 0), Stranger(world, to: 9, home: 1)]
          world.concurrently([
            ("peer 0", { peers[0].send(.syn, at: 0) }), ("peer 1", { peers[1].send(.syn, at: 1) }),
            ("closer", { taker.close() }),
          ])
          world.settle()
          run.require(world.sockets.requestsHeld == 0, "AQ-CLOSE: a request is held that nobody will decide")
          for answers in Stranger.received(peers) {
            run.require(
              answers.count == 1 && answers[0].flags.contains(.rst),
              "AQ-CLOSE: a SYN had \(answers.count) answers")
          }
        }
      },
    ]
  }
#endif
