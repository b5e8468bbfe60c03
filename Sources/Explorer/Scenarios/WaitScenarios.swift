#if Explore
  import Exclusion
  import Sluice
  import Sockets

  /// Something that is counted up, and the place where those wait who need more of it.
  @safe private struct Supply {
    let run: Run
    let pair: UnsafeMutablePointer<WaitPair>
    let produced: UnsafeMutablePointer<AtomicWord>
    let account = WakeAccount()

    init(_ run: Run) {
      self.run = run
      unsafe pair = run.memory(byteCount: MemoryLayout<WaitPair>.size)
        .bindMemory(to: WaitPair.self, capacity: 1)
      unsafe pair.initialize(to: WaitPair())
      unsafe produced = run.memory(byteCount: 64).bindMemory(to: AtomicWord.self, capacity: 1)
      unsafe produced.initialize(to: AtomicWord(0))
      unsafe run.name(UnsafeRawPointer(produced), "produced")
      unsafe run.name(UnsafeRawPointer(pair), "waiter")
    }

    var point: WaitPoint { unsafe WaitPoint(pair, account) }
    var count: UInt64 { unsafe produced.pointee.load() }

    /// Counts up to `total`, one at a time, and wakes who has what he needs; `before` is what there is already.
    func produce(after before: UInt64 = 0, _ total: UInt64) {
      for value in (before + 1)...total {
        unsafe produced.pointee.store(value)
        wakeWhoCanGoOn()
        run.milestone(value)
      }
    }
    func wakeWhoCanGoOn() {
      wakeWhoCanGoOn { unsafe produced.pointee.load() >= UInt64($0) }
    }
    func wakeWhoCanGoOn(_ isMet: (UInt32) -> Bool) {
      let target = unsafe pair.pointee.waiter.claim(where: isMet)
      if let target { withApplication { held in wake(target, &held) } }
    }

    func finish() {
      run.require(
        account.counters.wasted.value == 0, "SB-EXACT: \(account.counters.wasted.value) useless wake-ups")
      run.require(!point.turn.isTaken, "a turn was never passed")
      unsafe pair.deinitialize(count: 1)
    }
  }

  /// A call that waits until so much was produced.
  private struct Wait: Operation {
    let supply: Supply
    let need: UInt64
    var point: WaitPoint { supply.point }
    mutating func attempt() -> Attempt<UInt64> {
      let count = supply.count
      return count >= need
        ? .finished(.success(count)) : .wouldBlock(need: UInt32(need), progressed: false)
    }
    func isReady(need: UInt32) -> Bool { supply.count >= UInt64(need) }
  }

  /// A call that takes one of what was produced: each can be taken once.
  @safe private struct Take: Operation {
    let supply: Supply
    let taken: UnsafeMutablePointer<AtomicWord>
    var point: WaitPoint { supply.point }
    mutating func attempt() -> Attempt<UInt64> {
      // The holder of the turn alone takes.
      let number = unsafe taken.pointee.loadRelaxed()
      guard supply.count > number else {
        return .wouldBlock(need: UInt32(number + 1), progressed: false)
      }
      unsafe taken.pointee.store(number + 1)
      return .finished(.success(number + 1))
    }
    func isReady(need: UInt32) -> Bool { supply.count >= UInt64(need) }
  }

  /// A call that takes one, whichever: it always needs just one more than was taken.
  @safe private struct TakeOne: Operation {
    let supply: Supply
    let taken: UnsafeMutablePointer<AtomicWord>
    var point: WaitPoint { supply.point }
    mutating func attempt() -> Attempt<UInt64> {
      let number = unsafe taken.pointee.loadRelaxed()
      guard supply.count > number else { return .wouldBlock(need: 1, progressed: false) }
      unsafe taken.pointee.store(number + 1)
      return .finished(.success(number + 1))
    }
    func isReady(need: UInt32) -> Bool { unsafe supply.count >= taken.pointee.load() + UInt64(need) }
  }

  /// A task that is cancelled: sleeps like a thread, but for the word that ends its sleep early.
  private func runCancellable(_ operation: inout Take, _ cancel: UnsafeMutablePointer<AtomicWord>) -> UInt64?
  {
    let parker = Parker()
    var machine = WaitMachine<Take>(waking: parker.wakeTarget)
    var step = machine.begin(&operation)
    while true {
      switch step {
      case .finished(let result):
        switch result {
        case .success(let number): return number
        case .failure: return nil
        }
      case .sleep(let isCancellable):
        // A cancelled task is resumed by whichever comes first.
        if isCancellable, unsafe cancel.pointee.exchange(0) == 1 {
          step = machine.interrupted(by: .cancelled, &operation)
          continue
        }
        withApplication { held in while !parker.park(&held) {} }
        step = machine.woken(&operation)
      }
    }
  }

  extension Catalogue {
    static let waits: [Scenario] = [
      Scenario(
        id: "SB-ATOMIC", title: "a reader waits for 2, then for 3; a producer makes 3, one at a time",
        search: .exhaustive(preemptions: nil),
        mutations: [
          "waiterWithoutRecheck", "wakeOnAnyChange", "retractByStore", "predicateBeforeLoad",
        ]
      ) { run in
        let supply = Supply(run)
        run.concurrently([
          (
            "reader",
            {
              for need: UInt64 in [2, 3] {
                var wait = Wait(supply: supply, need: need)
                run.require((try? block(&wait)) != nil, "the wait failed")
                run.milestone(need)
              }
            }
          ), ("producer", { supply.produce(3) }),
        ])
        supply.finish()
      },
      Scenario(
        id: "SB-FENCE", title: "the same where stores reach memory late",
        search: .exhaustive(preemptions: nil), hasStoreBuffers: true,
        mutations: ["waiterWithoutFence", "wakerWithoutFence"]
      ) { run in
        let supply = Supply(run)
        run.concurrently([
          (
            "reader",
            {
              var wait = Wait(supply: supply, need: 1)
              run.require((try? block(&wait)) != nil, "the wait failed")
            }
          ), ("producer", { supply.produce(1) }),
        ])
        supply.finish()
      },
      Scenario(
        id: "SB-EXACT", title: "one reader waits again and again while two others wake it",
        mutations: ["wakeOnAnyChange", "predicateBeforeLoad"]
      ) { run in
        let supply = Supply(run)
        run.concurrently([
          (
            "reader",
            {
              for need: UInt64 in 1...4 {
                var wait = Wait(supply: supply, need: need)
                run.require((try? block(&wait)) != nil, "the wait failed")
              }
            }
          ), ("producer", { supply.produce(4) }), ("waker", { for _ in 1...4 { supply.wakeWhoCanGoOn() } }),
        ])
        supply.finish()
      },
      Scenario(
        id: "SB-EXACT/epoch", title: "a reader takes one after the other, and each time needs one more",
        search: .exhaustive(preemptions: nil), mutations: ["waiterWithoutEpoch"]
      ) { run in
        let supply = Supply(run)
        let taken = unsafe run.memory(byteCount: 64).bindMemory(to: AtomicWord.self, capacity: 1)
        unsafe taken.initialize(to: AtomicWord(0))
        let isMet: (UInt32) -> Bool = { unsafe supply.count >= taken.pointee.load() + UInt64($0) }
        run.concurrently([
          (
            "reader",
            {
              for number: UInt64 in 1...2 {
                var take = unsafe TakeOne(supply: supply, taken: taken)
                run.require((try? block(&take)) == number, "the wait failed")
                run.milestone(number)
              }
            }
          ),
          (
            "producer",
            {
              for value: UInt64 in 1...2 {
                unsafe supply.produced.pointee.store(value)
                supply.wakeWhoCanGoOn(isMet)
                run.milestone(value)
              }
            }
          ),
        ])
        supply.finish()
      },
      Scenario(
        id: "W12", title: "of two readers that wait their turn one is cancelled, whenever",
        mutations: ["cancelledTurnNotPassed", "turnPassedWithoutReserving"]
      ) { run in
        let supply = Supply(run)
        let words = unsafe run.memory(byteCount: 128).bindMemory(to: AtomicWord.self, capacity: 16)
        unsafe words.initialize(to: AtomicWord(0))
        unsafe (words + 8).initialize(to: AtomicWord(0))
        var got: [UInt64] = []
        run.concurrently([
          (
            "cancelled",
            {
              var take = unsafe Take(supply: supply, taken: words)
              if let number = unsafe runCancellable(&take, words + 8) { got.append(number) }
            }
          ),
          (
            "patient",
            {
              var take = unsafe Take(supply: supply, taken: words)
              if let number = try? block(&take) { got.append(number) }
            }
          ), ("canceller", { unsafe (words + 8).pointee.store(1) }), ("producer", { supply.produce(2) }),
        ])
        run.require(!got.isEmpty && Set(got).count == got.count, "taken: \(got)")
        supply.finish()
      },
      Scenario(
        id: "SB-WHOLE", title: "three readers, first come, first served: who is woken owns the turn",
        mutations: ["turnPassedWithoutReserving"]
      ) { run in
        let supply = Supply(run)
        let words = unsafe run.memory(byteCount: 64).bindMemory(to: AtomicWord.self, capacity: 8)
        unsafe words.initialize(to: AtomicWord(0))
        var got: [UInt64] = []
        let reader = {
          var take = unsafe Take(supply: supply, taken: words)
          if let number = try? block(&take) { got.append(number) }
        }
        run.concurrently([
          ("first", reader), ("second", reader), ("third", reader), ("producer", { supply.produce(3) }),
        ])
        run.require(got.sorted() == [1, 2, 3], "taken: \(got)")
        supply.finish()
      },
    ]
  }
#endif
