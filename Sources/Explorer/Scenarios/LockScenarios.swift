#if Explore
  import Exclusion

  extension Catalogue {
    static let locks: [Scenario] = [
      Scenario(
        id: "SO-RESTART/mutex", title: "three threads take a lock that is long held, and sleep on it",
        mutations: ["mutexReleasedWithoutWaking", "mutexTakenByStore"]
      ) { run in
        let mutex = MutexBox()
        let inside = unsafe run.memory(byteCount: 64).assumingMemoryBound(to: UInt64.self)
        let thread = {
          for _ in 0..<2 {
            withApplication { held in
              mutex.mutex.withLock(&held) { count, _ in
                run.require(unsafe inside.pointee == 0, "two threads are inside one lock")
                unsafe inside.pointee = 1
                run.step()
                count += 1
                unsafe inside.pointee = 0
              }
            }
          }
        }
        run.concurrently([("first", thread), ("second", thread), ("third", thread)])
        let count = withApplication { held in mutex.mutex.withLock(&held) { count, _ in count } }
        run.require(count == 6, "the lock was taken \(count) times, not 6")
      },
      Scenario(
        id: "SB-UPCALL/parker", title: "a thread parks while two others unpark it",
        search: .exhaustive(preemptions: nil), mutations: ["unparkWithoutToken"]
      ) { run in
        let parker = ParkerBox()
        run.concurrently([
          (
            "sleeper",
            {
              withApplication { held in
                run.require(parker.parker.park(&held), "parked without a signal")
              }
            }
          ), ("first", { parker.parker.unpark() }), ("second", { parker.parker.unpark() }),
        ])
      },
    ]
  }

  private final class MutexBox: Sendable {
    let mutex = OrderedMutex<SocketLevel, Int>(0)
  }
  private final class ParkerBox: Sendable {
    let parker = Parker()
  }
#endif
