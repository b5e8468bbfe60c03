#if Explore
  import Exclusion

  // Words, plain memory, and what is free: what happens at each access.
  extension Machine: VirtualMachine {
    var isRunning: Bool { current >= 0 }

    // MARK: Words

    @inline(__always) private func address(_ place: WordPlace) -> UInt { unsafe UInt(bitPattern: place.raw) }

    @inline(__always) private func value(_ place: WordPlace) -> UInt64 {
      place.isHalf
        ? UInt64(unsafe place.raw.load(as: UInt32.self)) : unsafe place.raw.load(as: UInt64.self)
    }
    @inline(__always) private func set(_ place: WordPlace, _ value: UInt64) {
      if place.isHalf {
        unsafe place.raw.storeBytes(of: UInt32(truncatingIfNeeded: value), as: UInt32.self)
      } else {
        unsafe place.raw.storeBytes(of: value, as: UInt64.self)
      }
    }
    /// A thread sees its own buffered stores before others do.
    @inline(__always) private func visible(_ place: WordPlace, to me: VirtualThread) -> UInt64 {
      if !me.buffer.isEmpty {
        for store in me.buffer.reversed() where unsafe store.place.raw == place.raw { return store.value }
      }
      return value(place)
    }
    /// Slot generations and futexes are half words, and may be looked at when the slot is free.
    @inline(__always) private func check(_ place: WordPlace) {
      if unsafe arena.isFreed(place.raw), !place.isHalf { unsafe touchedFreed(place.raw) }
      if unsafe isExploring && !arena.contains(place.raw) { touchedOutside = true }
    }

    func load(_ place: WordPlace, _ order: WordOrder) -> UInt64 {
      point(.load, address(place))
      check(place)
      let me = running
      let value = visible(place, to: me)
      let cell = unsafe shadow.cell(address(place))
      switch order {
      case .relaxed: unsafe me.seen.join(cell.pointee.released)
      case .synchronizing: unsafe me.clock.join(cell.pointee.released)
      }
      me.learn(value)
      trace?.word(self, "load", place, value)
      return value
    }

    func store(_ place: WordPlace, _ value: UInt64, _ order: WordOrder) {
      let me = running
      let released = order == .relaxed ? me.fenced : me.clock
      if hasStoreBuffers && isExploring {
        // Nobody sees it yet, so it needs no turn: the turn comes when it is shown.
        check(place)
        me.buffer.append(BufferedStore(place: place, value: value, released: released))
        buffered |= 1 << UInt64(me.number)
        trace?.word(self, "store (buffered)", place, value)
      } else {
        point(.store, address(place))
        check(place)
        set(place, value)
        unsafe shadow.cell(address(place)).pointee.released = released
        trace?.word(self, "store", place, value)
      }
      me.clock[me.number] += 1
      me.learn(0)
    }

    func update(_ place: WordPlace, _ change: (UInt64) -> UInt64?) -> UInt64 {
      point(.update, address(place))
      let me = running
      drain(me)  // a locked instruction
      check(place)
      let old = value(place)
      let cell = unsafe shadow.cell(address(place))
      unsafe me.clock.join(cell.pointee.released)
      let new = change(old)
      if let new {
        set(place, new)
        unsafe cell.pointee.released.join(me.clock)
        me.clock[me.number] += 1
      }
      me.learn(old)
      trace?.update(self, place, old, new)
      return old
    }

    func fence() {
      point(.fence, 0)
      let me = running
      drain(me)
      me.clock.join(me.seen)
      me.clock.join(fences)
      fences.join(me.clock)
      me.fenced = me.clock
      me.clock[me.number] += 1
      me.learn(0)
      trace?.note(self, "fence")
    }

    /// Everyone sees the thread's oldest buffered store.
    func showOldest(_ thread: VirtualThread) {
      let store = thread.buffer.removeFirst()
      if thread.buffer.isEmpty { buffered &= ~(1 << UInt64(thread.number)) }
      set(store.place, store.value)
      unsafe shadow.cell(address(store.place)).pointee.released = store.released
      trace?.shown(self, thread, store)
    }
    func drain(_ thread: VirtualThread) {
      while !thread.buffer.isEmpty { showOldest(thread) }
    }

    // MARK: Plain memory

    func read(_ raw: UnsafeRawPointer) {
      if unsafe arena.isFreed(raw) { unsafe touchedFreed(raw) }
      let me = running
      let cell = unsafe shadow.cell(UInt(bitPattern: raw))
      let writer = unsafe Int(cell.pointee.writer)
      if writer >= 0, writer != me.number, unsafe cell.pointee.writerTick > me.clock[writer] {
        unsafe race(raw, "reads", "wrote", writer)
      }
      unsafe cell.pointee.readers[me.number] = me.clock[me.number]
      me.learn(unsafe raw.loadUnaligned(as: UInt64.self))
    }

    func write(_ raw: UnsafeRawPointer) {
      if unsafe arena.isFreed(raw) { unsafe touchedFreed(raw) }
      let me = running
      let cell = unsafe shadow.cell(UInt(bitPattern: raw))
      let writer = unsafe Int(cell.pointee.writer)
      if writer >= 0, writer != me.number, unsafe cell.pointee.writerTick > me.clock[writer] {
        unsafe race(raw, "writes", "wrote", writer)
      }
      if let reader = unsafe cell.pointee.readers.firstAhead(of: me.clock), reader != me.number {
        unsafe race(raw, "writes", "read", reader)
      }
      unsafe cell.pointee.writer = Int32(me.number)
      unsafe cell.pointee.writerTick = me.clock[me.number]
      unsafe cell.pointee.readers = VectorClock()
    }

    func look(_ raw: UnsafeRawPointer) {
      if unsafe arena.isFreed(raw) { unsafe touchedFreed(raw) }
    }

    func statistic(_ raw: UnsafeRawPointer) { unsafe arena.noteStatistic(raw) }

    private func race(_ raw: UnsafeRawPointer, _ does: String, _ did: String, _ other: Int) {
      let place = unsafe name(raw)
      fail(
        Verdict(
          .race, "\(running.name) \(does) \(place), which \(threads[other].name) \(did) with no order between"
        )
      )
    }
    private func touchedFreed(_ raw: UnsafeRawPointer) {
      fail(Verdict(.useAfterFree, "\(running.name) touches \(unsafe name(raw)), which is free"))
    }
    func name(_ raw: UnsafeRawPointer) -> String {
      unsafe trace?.names[UInt(bitPattern: raw)] ?? arena.name(raw) ?? "\(raw)"
    }

    // MARK: Allocation

    func allocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawPointer {
      let raw = unsafe arena.allocate(byteCount: byteCount, alignment: alignment)
      unsafe arena.own(raw, byteCount: byteCount)
      return unsafe raw
    }
    func deallocate(_ raw: UnsafeMutableRawPointer, byteCount: Int) {
      if unsafe !arena.deallocate(raw, byteCount: byteCount) {
        fail(Verdict(.doubleFree, "\(running.name) frees \(unsafe name(raw)), which is free"))
      }
    }
    func slotAllocated(_ raw: UnsafeMutableRawPointer, byteCount: Int) {
      unsafe arena.mark(raw, byteCount: byteCount, isFree: false)
      // A new life: what its pool ordered is no race.
      for offset in stride(from: 0, to: min(byteCount, 64), by: 8) {
        shadow.forget(UInt(bitPattern: raw) + UInt(offset))
      }
      trace?.note(self, "takes slot \(unsafe name(raw))")
    }
    func slotFreed(_ raw: UnsafeMutableRawPointer, byteCount: Int) {
      if unsafe arena.isFreed(raw) {
        return fail(Verdict(.doubleFree, "\(running.name) frees slot \(unsafe name(raw)) again"))
      }
      unsafe arena.mark(raw, byteCount: byteCount, isFree: true)
      trace?.note(self, "frees slot \(unsafe name(raw))")
    }

    func violated(_ invariant: String) { fail(Verdict(.invariant, invariant)) }
  }
#endif
