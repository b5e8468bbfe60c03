#if Explore
  import Exclusion

  /// A block that checks what its gate promises: one owner, in order per source, nothing after it retired.
  enum ExploredBlock: GatedBlock {
    static let kind = WorkKind(rawValue: 1)
    static var stateOffset: Int { GateHeader.byteCount }
    static var byteCount: Int { 192 }
    struct State {
      /// By source: the value that comes next.
      var next: [4 of UInt16] = [0, 0, 0, 0]
      /// By source: items that the gate did not hand back.
      var taken: [4 of UInt16] = [0, 0, 0, 0]
      var events: UInt16 = 0
      var retired: UInt16 = 0
    }

    private static func enter(_ block: GateRef<ExploredBlock>) {
      let state = unsafe block.explored
      if unsafe state.pointee.retired != 0 { Explored.current?.violated("PCB-CLOSE: ran after it retired") }
    }
    static func run(_ item: ItemRef, on block: GateRef<ExploredBlock>, _ cx: inout SoftInterrupt) {
      enter(block)
      let state = unsafe block.explored
      let source = Int(item.code)
      if unsafe item.value != UInt32(state.pointee.next[source]) {
        Explored.current?.violated(
          "PCB-POST: item \(item.value) of source \(source) ran, not \(unsafe state.pointee.next[source])")
      }
      unsafe state.pointee.next[source] += 1
    }
    static func run(events: GateEvents, on block: GateRef<ExploredBlock>, _ cx: inout SoftInterrupt) {
      enter(block)
      unsafe block.explored.pointee.events |= events.rawValue
    }
    static func retire(_ block: GateRef<ExploredBlock>, _ cx: inout SoftInterrupt) {
      enter(block)
      unsafe block.explored.pointee.retired += 1
    }
  }

  /// The machine, for code that is not handed a `Run`.
  enum Explored {
    static var current: (any VirtualMachine)? { unsafe virtualMachine }
  }

  extension GateRef where Block == ExploredBlock {
    fileprivate var explored: UnsafeMutablePointer<ExploredBlock.State> {
      unsafe (raw + ExploredBlock.stateOffset).assumingMemoryBound(to: ExploredBlock.State.self)
    }
  }

  /// One gate, its home's thread, and sources that submit and go.
  @safe private struct GateWorld {
    let run: Run
    let home: BareContext
    let gate: GateRef<ExploredBlock>
    let references: UnsafeMutablePointer<AtomicWord>
    let sources: [ContextCoreRef]
    let itemsPerSource: Int

    init(_ run: Run, sources: Int, itemsPerSource: Int, segmentLimit: Int = 1023) {
      self.run = run
      self.itemsPerSource = itemsPerSource
      home = BareContext(run, index: 0) { item, cx in
        unsafe GateRef<ExploredBlock>(item.raw).resume(budget: 1, &cx)
      }
      self.sources = (1...sources).map { BareContext.core($0, .counted) }
      let raw = unsafe run.memory(byteCount: ExploredBlock.byteCount)
      unsafe GateRef<ExploredBlock>.initialize(
        raw, kind: ExploredBlock.kind, home: home.core.port, segmentLimit: segmentLimit, budget: 0)
      gate = unsafe GateRef(raw)
      unsafe gate.explored.initialize(to: ExploredBlock.State())
      unsafe references = run.memory(byteCount: 64).bindMemory(to: AtomicWord.self, capacity: 1)
      unsafe references.initialize(to: AtomicWord(UInt64(sources)))
      unsafe run.name(raw + 32, "gate")
      unsafe run.name(UnsafeRawPointer(references), "references")
    }

    private func items(_ source: Int, _ count: Int) -> [ItemRef] {
      (0..<count).map { _ in
        let item = unsafe ItemRef(run.memory(byteCount: 64))
        item.code = UInt16(source)
        return item
      }
    }
    /// The next item of a source: the gate takes it, or hands it back.
    @discardableResult
    private func hand(_ item: ItemRef, _ isTaken: (ItemRef) -> Outcome) -> Outcome {
      let state = unsafe gate.explored
      let source = Int(item.code)
      item.value = unsafe UInt32(state.pointee.taken[source])
      let outcome = isTaken(item)
      if outcome == .ran || outcome == .posted { unsafe state.pointee.taken[source] += 1 }
      return outcome
    }

    /// Submits its items and a bit, drops its reference, and tries once more, as who looks up without one may.
    func source(_ number: Int) -> (name: String, body: () -> Void) {
      let items = items(number, itemsPerSource + 1)
      return (
        "source \(number)",
        {
          for value in 0..<itemsPerSource {
            asContext(sources[number]) { cx in
              let outcome = hand(items[value]) { gate.submit($0, isSegment: false, &cx) }
              run.require(outcome == .ran || outcome == .posted, "an item was \(outcome)")
            }
            run.milestone(UInt64(value) + 1)
          }
          asContext(sources[number]) { cx in _ = gate.submit(events: GateEvents(rawValue: 1 << number), &cx) }
          run.milestone(100)
          if unsafe references.pointee.subtract(1) == 1 {
            asContext(sources[number]) { cx in _ = gate.submit(events: .detach, &cx) }
          }
          run.milestone(101)
          asContext(sources[number]) { cx in
            _ = hand(items[itemsPerSource]) { gate.submit($0, isSegment: false, &cx) }
          }
        }
      )
    }

    /// Submits segments, more than may wait, then a command and a bit.
    func busySource(_ number: Int, limit: Int) -> (name: String, body: () -> Void) {
      let items = items(number, itemsPerSource + 1)
      return (
        "source \(number)",
        {
          for (index, item) in items.enumerated() {
            let isSegment = index < itemsPerSource
            asContext(sources[number]) { cx in
              let outcome = hand(item) { gate.submit($0, isSegment: isSegment, &cx) }
              run.require(isSegment || outcome != .dropped, "PCB-BOUND: a command was dropped")
            }
            // What was taken off the gate and did not run yet, and as much again at the gate.
            let state = unsafe gate.explored.pointee
            let waiting = sources.indices.reduce(0) { $0 + Int(state.taken[$1]) - Int(state.next[$1]) }
            run.require(waiting <= 2 * limit + sources.count, "PCB-BOUND: \(waiting) items wait")
            run.milestone(UInt64(index) + 1)
          }
          asContext(sources[number]) { cx in _ = gate.submit(events: GateEvents(rawValue: 1 << number), &cx) }
        }
      )
    }

    /// Leaves an item and a bit to a gate that it found without a reference: each is taken, or handed back.
    func visitor(_ number: Int, isApplication: Bool) -> (name: String, body: () -> Void) {
      let item = items(number, 1)[0]
      let bit = GateEvents(rawValue: 1 << number)
      return (
        isApplication ? "application" : "context \(number)",
        {
          hand(item) { item in
            isApplication
              ? gate.post(item)
              : asContext(sources[number]) { cx in gate.submit(item, isSegment: false, &cx) }
          }
          run.milestone(1)
          let outcome =
            isApplication
            ? gate.post(events: bit) : asContext(sources[number]) { cx in gate.submit(events: bit, &cx) }
          if outcome == .closed { unsafe gate.explored.pointee.events |= bit.rawValue }
        }
      )
    }
    /// Drops the last reference.
    func letGo() -> (name: String, body: () -> Void) {
      ("last handle", { _ = gate.post(events: .detach) })
    }

    func finish() {
      home.finish()
      let state = unsafe gate.explored.pointee
      for number in sources.indices {
        run.require(
          state.next[number] == state.taken[number],
          "PCB-CLOSE: of source \(number) \(state.taken[number]) items were taken, \(state.next[number]) ran")
      }
      run.require(state.events == 1 << UInt16(sources.count) - 1, "bits were lost: \(state.events)")
      run.require(state.retired == 1, "PCB-CLOSE: retired \(state.retired) times")
      run.require(gate.isClosed, "the gate is open after its end")
      for core in sources { core.destroy() }
    }
  }

  extension Catalogue {
    static let gates: [Scenario] = [
      Scenario(
        id: "PCB-POST",
        title: "two sources submit items and bits to one gate whose budget is 0, let go, and try once more",
        search: .exhaustive(preemptions: 4),
        mutations: [
          "gateLeftByLoadThenStore", "gateBacklogNotReversed", "gateBitsLost", "gateHandOverClearsOwned",
          "gateRetiredWithoutClosing",
        ]
      ) { run in
        let world = GateWorld(run, sources: 2, itemsPerSource: 1)
        run.concurrently([world.source(0), world.source(1)])
        world.finish()
      },
      Scenario(
        id: "PCB-OWN", title: "three sources with two items each, at random",
        mutations: ["gateLeftByLoadThenStore"]
      ) { run in
        let world = GateWorld(run, sources: 3, itemsPerSource: 2)
        run.concurrently([world.source(0), world.source(1), world.source(2)])
        world.finish()
      },
      Scenario(
        id: "PCB-CLOSE",
        title:
          "the last reference goes while a context and an application still come: all is run or handed back",
        mutations: ["gateRetiredWithoutClosing", "gateClosedByStore", "closedGateTakesPosts"]
      ) { run in
        let world = GateWorld(run, sources: 2, itemsPerSource: 1)
        run.concurrently([
          world.visitor(0, isApplication: false), world.visitor(1, isApplication: true), world.letGo(),
        ])
        world.finish()
      },
      Scenario(
        id: "PCB-BOUND",
        title: "two sources submit more segments than may wait, and a command and a bit that may",
        mutations: ["gateCountsNoSegments", "gateLimitLookedAtOnce", "gateLimitsCommands", "gateBitsLost"]
      ) { run in
        let world = GateWorld(run, sources: 2, itemsPerSource: 2, segmentLimit: 1)
        run.concurrently([world.busySource(0, limit: 1), world.busySource(1, limit: 1)])
        world.letGo().body()
        world.finish()
      },
    ]
  }
#endif
