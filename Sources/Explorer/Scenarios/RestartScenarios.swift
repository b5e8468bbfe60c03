#if Explore
  import Exclusion
  import Sluice

  /// A server that restarts once, and clients of every kind.
  private struct RestartWorld {
    let run: Run
    let server = RestartGeneration()
    /// Attached from the start.
    let early = RestartClient()

    init(_ run: Run) {
      self.run = run
      withApplication { held in server.attach(early, &held) }
    }

    func restart() { withApplication { held in server.restart(&held) } }
    /// A call whose generation was read before the restart, or after it.
    func call() {
      do throws(StaleGeneration) {
        try server.admit(early.generation)
      } catch {
        withApplication { held in early.receive(error, &held) }
      }
    }
    /// Sleeps until the notice is there.
    func wait() {
      let parker = Parker()
      while !early.takeNotice() {
        let ticket = early.waiter.publish(need: 0, parker.wakeTarget)
        if early.isNotified, early.waiter.retract(ticket) { continue }
        withApplication { held in
          while !parker.park(&held) {}
        }
        early.waiter.finish(ticket)
      }
    }

    func requireToldOnce(_ client: RestartClient, _ name: String) {
      run.require(client.generation == 2, "\(name) knows generation \(client.generation)")
      run.require(client.notices == 1, "\(name) was told \(client.notices) times")
    }
  }

  /// A word that closures can share.
  private final class Counted: Sendable {
    let word = AtomicWord(0)
  }

  extension Catalogue {
    static let restarts: [Scenario] = [
      Scenario(
        id: "RS-ONCE", title: "a server restarts while a client calls and another one attaches",
        hasStoreBuffers: true,
        mutations: [
          "restartScannedBeforeItBegins", "restartToldToThoseWhoWait", "attachedWithoutLookingAgain",
          "staleAnswerPastTheExchange",
        ]
      ) { run in
        let world = RestartWorld(run)
        let late = RestartClient()
        run.concurrently([
          ("server", { world.restart() }), ("caller", { world.call() }),
          ("newcomer", { withApplication { held in world.server.attach(late, &held) } }),
        ])
        world.requireToldOnce(world.early, "the caller")
        run.require(late.generation == 2, "the newcomer knows generation \(late.generation)")
        run.require(late.notices <= 1, "the newcomer was told \(late.notices) times")
      },
      Scenario(
        id: "W2", title: "a client waits for the notice of a restart, another one does not wait",
        hasStoreBuffers: true,
        mutations: ["restartToldToThoseWhoWait"]
      ) { run in
        let world = RestartWorld(run)
        let other = RestartClient()
        withApplication { held in world.server.attach(other, &held) }
        run.concurrently([("server", { world.restart() }), ("waiter", { world.wait() })])
        world.requireToldOnce(world.early, "who waits")
        world.requireToldOnce(other, "who does not wait")
      },
      Scenario(
        id: "RS-QUIESCE", title: "a stack closes its door while calls come and go", hasStoreBuffers: true,
        mutations: ["intakeClosedWithoutLookingAgain", "intakeLeftWithoutTelling"]
      ) { run in
        let intake = Intake()
        let inside = Counted()
        func call() {
          guard intake.enter() else { return }
          inside.word.add(1)
          inside.word.subtract(1)
          intake.leave()
        }
        run.concurrently([
          ("one", { call() }), ("another", { call() }),
          (
            "closer",
            {
              run.require(intake.close(), "closed by somebody else")
              run.require(inside.word.load() == 0, "a call is inside, and the door is closed")
            }
          ),
        ])
        run.require(!intake.enter(), "somebody came in through a closed door")
      },
    ]
  }
#endif
