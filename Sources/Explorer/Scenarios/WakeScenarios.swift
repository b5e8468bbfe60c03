#if Explore
  import Exclusion

  /// A block that wakes somebody while it is owned, and a wake-up that looks whether it still is.
  private enum WakingBlock: GatedBlock {
    static var runningOffset: Int { GateHeader.byteCount }

    static func run(_ item: ItemRef, on block: GateRef<WakingBlock>, _ cx: inout SoftInterrupt) {
      let raw = unsafe block.raw
      unsafe raw.storeBytes(of: 1, toByteOffset: runningOffset, as: UInt8.self)
      cx.wake(
        unsafe WakeTarget(
          function: { raw in
            if unsafe raw.load(fromByteOffset: WakingBlock.runningOffset, as: UInt8.self) != 0 {
              Explored.current?.violated("W7: somebody is woken from inside a gate")
            }
          }, context: raw))
      unsafe raw.storeBytes(of: 0, toByteOffset: runningOffset, as: UInt8.self)
    }
    static func run(events: GateEvents, on block: GateRef<WakingBlock>, _ cx: inout SoftInterrupt) {}
    static func retire(_ block: GateRef<WakingBlock>, _ cx: inout SoftInterrupt) {}
  }

  extension Catalogue {
    /// Wake-ups between a context that raises them and those who sleep.
    static let wakes: [Scenario] = [
      Scenario(
        id: "W7+SB-UPCALL", title: "a gate's owner raises wake-ups while another thread posts to the gate",
        search: .exhaustive(preemptions: nil), mutations: ["wokenWhileOwned"]
      ) { run in
        let home = BareContext(run, index: 0) { item, cx in
          unsafe GateRef<WakingBlock>(item.raw).resume(budget: 2, &cx)
        }
        let raw = unsafe run.memory(byteCount: 128)
        unsafe GateRef<WakingBlock>.initialize(
          raw, kind: WorkKind(rawValue: 1), home: home.core.port, segmentLimit: 1023, budget: 2)
        let gate = unsafe GateRef<WakingBlock>(raw)
        let items = (0..<3).map { _ in unsafe ItemRef(run.memory(byteCount: 64)) }
        run.concurrently([
          (
            "poster",
            {
              for (number, item) in items.enumerated() {
                run.require(gate.post(item) == .posted, "an item was not posted")
                run.milestone(UInt64(number))
              }
            }
          )
        ])
        home.finish()
        run.require(gate.isFree, "the gate is left owned")
      },
      Scenario(
        id: "W9", title: "one pass wakes more threads than its buffer holds",
        mutations: ["wakeBufferDropsBeyondCapacity"]
      ) { run in
        let core = BareContext.core(0, .counted)
        let count = 12
        let memory = unsafe run.memory(byteCount: count * 64)
        let waiters = unsafe (0..<count).map { number -> UnsafeMutablePointer<Waiter> in
          let waiter = unsafe (memory + number * 64).bindMemory(to: Waiter.self, capacity: 1)
          unsafe waiter.initialize(to: Waiter())
          return unsafe waiter
        }
        var threads: [(name: String, body: () -> Void)] = (0..<count).map { number in
          (
            "waiter \(number)",
            {
              let parker = Parker()
              let ticket = unsafe waiters[number].pointee.publish(need: 1, parker.wakeTarget)
              withApplication { held in
                while !parker.park(&held) {}
              }
              unsafe waiters[number].pointee.finish(ticket)
            }
          )
        }
        threads.append(
          (
            "context",
            {
              run.wait(until: { (0..<count).allSatisfy { unsafe waiters[$0].pointee.isWaiting } })
              asContext(core) { cx in
                for number in 0..<count {
                  if let target = unsafe waiters[number].pointee.claim(where: { _ in true }) {
                    cx.wake(target)
                  }
                }
              }
            }
          ))
        run.concurrently(threads)
        core.destroy()
      },
    ]
  }
#endif
