#if Explore
  import Exclusion

  extension Mutation {
    /// A context keeps what it found over the end of its pass.
    static let quiescentWhileHolding = Mutation("quiescentWhileHolding")
  }

  /// A table whose entries come and go while others look them up.
  @safe private struct TableWorld {
    static let slotBytes = 128
    let run: Run
    let domain: GraceDomain
    let pool: UnsafeMutablePointer<SlotPool>
    let table: UnsafeMutablePointer<PublishedTable>
    let limbo: UnsafeMutablePointer<LimboList>

    init(_ run: Run, contexts: Int, pins: Int = 1) {
      self.run = run
      domain = GraceDomain(contexts: contexts, pins: pins)
      unsafe pool = run.memory(byteCount: 64).bindMemory(to: SlotPool.self, capacity: 1)
      unsafe pool.initialize(to: SlotPool(slotBytes: Self.slotBytes, slotsPerSlab: 16, limit: 16))
      unsafe table = run.memory(byteCount: 128).bindMemory(to: PublishedTable.self, capacity: 1)
      unsafe table.initialize(to: PublishedTable(capacity: 4, domain: domain))
      unsafe limbo = run.memory(byteCount: 128).bindMemory(to: LimboList.self, capacity: 1)
      unsafe limbo.initialize(to: LimboList())
    }

    /// An entry that is whole before anyone can find it.
    func insert(_ value: UInt32) -> ItemRef {
      guard let slot = unsafe pool.pointee.ref.allocate() else {
        preconditionFailure("the pool is too small")
      }
      unsafe willWrite(slot.raw + 32)
      slot.value = value
      unsafe table.pointee.insert(hash: UInt64(value) << 42, slot)
      return slot
    }
    func remove(_ slot: ItemRef, _ value: UInt32) {
      run.require(unsafe table.pointee.remove(hash: UInt64(value) << 42, slot), "the entry is not there")
      unsafe limbo.pointee.add(slot)
    }
    /// What a look-up finds it may use until it reports.
    func use(_ value: UInt32) {
      guard let slot = unsafe table.pointee.find(hash: UInt64(value) << 42, where: { $0.value == value })
      else { return }
      if Mutation.quiescentWhileHolding.isOn { domain.quiescent(context: 1) }
      run.step()
      unsafe willRead(slot.raw + 32)
      run.require(slot.value == value, "PCB-GRACE: an entry was used again under its reader")
    }
    func reclaim() {
      unsafe limbo.pointee.reclaim(domain) { slot in unsafe pool.pointee.ref.free(slot) }
    }
    func finish() {
      reclaim()
      run.require(unsafe limbo.pointee.isEmpty, "PCB-GRACE: a grace period never passed")
      unsafe limbo.deinitialize(count: 1)
      unsafe table.deinitialize(count: 1)
      unsafe pool.deinitialize(count: 1)
    }
  }

  extension Catalogue {
    static let graces: [Scenario] = [
      Scenario(
        id: "PCB-GRACE", title: "a context and a pinned thread look up while the writer removes and frees",
        hasStoreBuffers: true,
        mutations: ["graceNeverAwaited", "quiescentWhileHolding", "pinByPlainStore", "onlineWithoutFence"]
      ) { run in
        let world = TableWorld(run, contexts: 2)
        let slot = world.insert(7)
        run.concurrently([
          (
            "context 1",
            {
              world.domain.online(context: 1)
              for _ in 0..<2 {
                world.use(7)
                world.domain.quiescent(context: 1)
              }
              world.domain.offline(context: 1)
            }
          ),
          ("application", { world.domain.withPin { world.use(7) } }),
          (
            "writer",
            {
              world.domain.online(context: 0)
              world.remove(slot, 7)
              for _ in 0..<3 {
                world.domain.quiescent(context: 0)
                world.reclaim()
              }
              world.domain.offline(context: 0)
            }
          ),
        ])
        world.finish()
      },
      Scenario(
        id: "PCB-GRACE/pin", title: "one thread looks up pinned while the writer removes and frees",
        search: .exhaustive(preemptions: nil), hasStoreBuffers: true,
        mutations: ["graceNeverAwaited", "pinByPlainStore", "pinNotAnnounced"]
      ) { run in
        let world = TableWorld(run, contexts: 0)
        let slot = world.insert(7)
        run.concurrently([
          ("application", { world.domain.withPin { world.use(7) } }),
          (
            "writer",
            {
              world.remove(slot, 7)
              world.reclaim()
              world.reclaim()
            }
          ),
        ])
        world.finish()
      },
      Scenario(
        id: "SO-PUBLISH/table", title: "an entry is inserted, the table grows, while others look up",
        hasStoreBuffers: true, mutations: ["tableEntryBeforeSlot", "tableFreedAtOnce"]
      ) { run in
        let world = TableWorld(run, contexts: 1)
        // One more than half of its places, and the table grows.
        var slots = (1...7).map { (world.insert($0), $0) }
        run.concurrently([
          (
            "context 0",
            {
              world.domain.online(context: 0)
              for value: UInt32 in [1, 8, 9] { world.use(value) }
              world.domain.offline(context: 0)
            }
          ),
          ("application", { world.domain.withPin { for value: UInt32 in [9, 1] { world.use(value) } } }),
          (
            "writer",
            {
              for value: UInt32 in [8, 9] { slots.append((world.insert(value), value)) }
              unsafe world.table.pointee.reclaim()
            }
          ),
        ])
        for (slot, value) in slots { world.remove(slot, value) }
        world.finish()
      },
      Scenario(
        id: "RS-LEAK/pool", title: "slots are given back from elsewhere while their owner takes them",
        search: .exhaustive(preemptions: nil), mutations: ["remoteSlotsTakenByStore"]
      ) { run in
        let pool = unsafe run.memory(byteCount: 64).bindMemory(to: SlotPool.self, capacity: 1)
        unsafe pool.initialize(to: SlotPool(slotBytes: 64, slotsPerSlab: 3, limit: 3))
        let slots = (0..<3).compactMap { _ in unsafe pool.pointee.ref.allocate() }
        run.concurrently([
          (
            "other",
            {
              unsafe pool.pointee.ref.freeRemote(slots[0])
              run.milestone(1)
              unsafe pool.pointee.ref.freeRemote(slots[1])
            }
          ),
          ("third", { unsafe pool.pointee.ref.freeRemote(slots[2]) }),
          (
            "owner",
            {
              for turn: UInt64 in 1...2 {
                if let slot = unsafe pool.pointee.ref.allocate() { unsafe pool.pointee.ref.free(slot) }
                run.milestone(turn)
              }
            }
          ),
        ])
        run.require(unsafe pool.pointee.ref.inUse == 0, "RS-LEAK: slots were lost")
        var left: [ItemRef] = []
        while let slot = unsafe pool.pointee.ref.allocate() { left.append(slot) }
        run.require(left.count == 3, "RS-LEAK: \(left.count) of 3 slots are left")
        for slot in left { unsafe pool.pointee.ref.free(slot) }
        unsafe pool.deinitialize(count: 1)
      },
      Scenario(
        id: "RS-LEAK/row", title: "slots are given back in a row while their owner takes what is back",
        search: .exhaustive(preemptions: nil), mutations: ["slotsReturnedByOldLink"]
      ) { run in
        let pool = unsafe run.memory(byteCount: 64).bindMemory(to: SlotPool.self, capacity: 1)
        unsafe pool.initialize(to: SlotPool(slotBytes: 64, slotsPerSlab: 4, limit: 4))
        let slots = (0..<4).compactMap { _ in unsafe pool.pointee.ref.allocate() }
        run.concurrently([
          (
            "reader",
            {
              var returned = ReturnedSlots()
              returned.append(slots[0])
              returned.append(slots[1])
              returned.giveBack()
            }
          ),
          ("other", { unsafe pool.pointee.ref.freeRemote(slots[2]) }),
          (
            "owner",
            {
              unsafe pool.pointee.ref.free(slots[3])
              for turn: UInt64 in 1...2 {
                if let slot = unsafe pool.pointee.ref.allocate() { unsafe pool.pointee.ref.freeRemote(slot) }
                run.milestone(turn)
              }
            }
          ),
        ])
        run.require(unsafe pool.pointee.ref.inUse == 0, "RS-LEAK: slots were lost")
        var left: [ItemRef] = []
        while let slot = unsafe pool.pointee.ref.allocate() { left.append(slot) }
        run.require(left.count == 4, "RS-LEAK: \(left.count) of 4 slots are left")
        for slot in left { unsafe pool.pointee.ref.free(slot) }
        unsafe pool.deinitialize(count: 1)
      },
    ]
  }
#endif
