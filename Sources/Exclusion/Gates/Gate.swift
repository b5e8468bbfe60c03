/// What a gate guards: raw memory that begins with a `GateHeader`. The functions are called by whoever owns the
/// gate, one at a time, in soft-interrupt context. The first two check again that the block is still what the
/// submitter looked for (PCB-MATCH, PCB-DROP): it may have been dropped while the work waited.
public protocol GatedBlock: ~Copyable {
  /// Runs one item, which is the block's from now on.
  static func run(_ item: ItemRef, on block: GateRef<Self>, _ cx: inout SoftInterrupt)
  /// Runs the bits that were posted since the last call; `.detach` is not among them.
  static func run(events: GateEvents, on block: GateRef<Self>, _ cx: inout SoftInterrupt)
  /// Called once, by who closed the gate. Nobody runs the block again; those who found it before may still look
  /// at the header until a grace period is over (PCB-GRACE).
  static func retire(_ block: GateRef<Self>, _ cx: inout SoftInterrupt)
}

/// A gate: one word that a caller enters, posts to, or finds closed, by one compare-and-swap (PROTOCOLS 1).
/// Nobody ever waits for it (PCB-NOWAIT). Copying the handle counts nothing, so whoever submits holds a
/// reference by other means or is inside a grace section.
@safe @frozen public struct GateRef<Block: GatedBlock & ~Copyable>: Hashable, @unchecked Sendable {
  /// Where the block begins.
  public let raw: UnsafeMutableRawPointer

  /// `raw` was given to `initialize`, and is type-stable.
  @inlinable @inline(__always) public init(_ raw: UnsafeMutableRawPointer) { unsafe self.raw = raw }

  /// Makes 64 bytes at `raw` (64-byte aligned, nobody else looks) the header of an open, free gate. The pool and
  /// generation fields are left alone. `segmentLimit` 1...1023 bounds waiting segments; `budget` is how many
  /// posted items a submitter runs before it hands over to `home`.
  @inlinable public static func initialize(
    _ raw: UnsafeMutableRawPointer, kind: WorkKind, home: ContextPortRef, segmentLimit: Int, budget: Int
  ) {
    precondition(UInt(bitPattern: raw) & 63 == 0, "a gated block is 64-byte aligned")
    precondition(1...GateWord.maximumSegments ~= segmentLimit && 0...0xFFFF ~= budget)
    unsafe raw.storeBytes(of: WorkItem(kind: kind), as: WorkItem.self)
    unsafe raw.storeBytes(of: 0, toByteOffset: GateHeader.detached, as: UInt8.self)
    unsafe raw.storeBytes(of: 0, toByteOffset: GateHeader.backlog, as: UInt.self)
    unsafe raw.storeBytes(
      of: UInt16(segmentLimit), toByteOffset: GateHeader.segmentLimit, as: UInt16.self)
    unsafe raw.storeBytes(of: UInt16(budget), toByteOffset: GateHeader.budget, as: UInt16.self)
    unsafe atomicWord(raw, GateHeader.home).pointee.storeRelaxed(UInt64(home.address))
    unsafe atomicWord(raw, GateHeader.word).pointee.store(0)
  }

  // MARK: Soft-interrupt side

  /// Enters and runs `item` if the gate is free, else leaves it to the owner. `isSegment`: refused when too many
  /// wait; commands never are (PCB-BOUND).
  @inlinable
  public func submit(_ item: ItemRef, isSegment: Bool, _ cx: inout SoftInterrupt) -> Outcome {
    #if Explore
      let isSegment = isSegment || Mutation.gateLimitsCommands.isOn
    #endif
    let word = unsafe atomicWord(raw, GateHeader.word)
    var seen = unsafe word.pointee.loadRelaxed()
    while true {
      if seen & GateWord.closed != 0 {
        cx.core.gates.closedFound.increment()
        return .closed  // keeps PCB-CLOSE: the item is handed back
      }
      if seen & GateWord.owned == 0 {
        guard unsafe word.pointee.compareExchange(&seen, GateWord.owned) else { continue }
        cx.core.gates.entries.increment()
        Block.run(item, on: self, &cx)
        leave(budget: budget, &cx)
        return .ran
      }
      #if Explore
        if Mutation.softInterruptWaitsForOwner.isOn {
          yieldProcessor()
          seen = unsafe word.pointee.load()
          continue
        }
      #endif
      if isSegment && GateWord.segments(seen) >= segmentLimit {
        cx.core.gates.dropped.increment()
        return .dropped  // keeps PCB-BOUND
      }
      #if Explore
        if Mutation.gateLimitLookedAtOnce.isOn,
          pushWithoutLooking(item, isSegment: isSegment, &seen, while: { $0 & GateWord.owned != 0 })
        {
          return .posted
        }
      #endif
      item.nextAddress = GateWord.head(seen)
      let pushed = GateWord.pushing(item, isSegment: isSegment, onto: seen)
      if unsafe word.pointee.compareExchange(&seen, pushed) {
        cx.core.gates.posts.increment()
        return .posted
      }
    }
  }

  /// Enters if the gate is free, and runs `body` as one would run items; what others post meanwhile comes after it.
  /// False: it is not free, or closed, and `body` was not run.
  @inlinable
  public func enterIfFree(_ cx: inout SoftInterrupt, _ body: (inout SoftInterrupt) -> Void) -> Bool {
    var free: UInt64 = 0
    guard unsafe atomicWord(raw, GateHeader.word).pointee.compareExchange(&free, GateWord.owned) else {
      return false
    }
    cx.core.gates.entries.increment()
    body(&cx)
    leave(budget: budget, &cx)
    return true
  }

  /// Enters if the gate is free, and stays inside: the caller is its owner until ``resume(budget:_:)``, which it owes in the
  /// same pass, and has to do with what the gate guards as if it ran an item. False: it is not free, or closed.
  @inlinable @inline(__always) public func enterToStay(_ cx: inout SoftInterrupt) -> Bool {
    var free: UInt64 = 0
    guard unsafe atomicWord(raw, GateHeader.word).pointee.compareExchange(&free, GateWord.owned) else {
      return false
    }
    cx.core.gates.entries.increment()
    return true
  }

  /// Enters and runs `events` if the gate is free, else leaves them to the owner.
  @inlinable public func submit(events: GateEvents, _ cx: inout SoftInterrupt) -> Outcome {
    let word = unsafe atomicWord(raw, GateHeader.word)
    var seen = unsafe word.pointee.loadRelaxed()
    while true {
      if seen & GateWord.closed != 0 {
        cx.core.gates.closedFound.increment()
        return .closed
      }
      let isFree = seen & GateWord.owned == 0
      let after = isFree ? GateWord.owned : GateWord.adding(events, to: seen)
      guard unsafe word.pointee.compareExchange(&seen, after) else { continue }
      guard isFree else {
        cx.core.gates.posts.increment()
        return .posted
      }
      cx.core.gates.entries.increment()
      run(events, &cx)
      leave(budget: budget, &cx)
      return .ran
    }
  }

  /// Home, where the block was popped from the run queue, so its gate is owned already; or who has stayed inside. Runs
  /// what waits, and leaves or queues it again. `budget` is at least 1, or the block would go round for ever.
  @inlinable public func resume(budget: Int, _ cx: inout SoftInterrupt) {
    precondition(budget > 0)
    leave(budget: budget, &cx)
  }

  // MARK: Application side

  /// Leaves `item` to the owner; a free gate is entered and handed over to its home at once. For whoever must
  /// not run the work here. Never `.ran` and never `.dropped`.
  @inlinable public func post(_ item: ItemRef) -> Outcome {
    let word = unsafe atomicWord(raw, GateHeader.word)
    var seen = unsafe word.pointee.loadRelaxed()
    while true {
      if seen & GateWord.closed != 0 { return .closed }
      #if Explore
        if Mutation.closedGateTakesPosts.isOn {
          _ = pushWithoutLooking(item, isSegment: false, &seen)
          if seen & GateWord.owned == 0 { giveHome() }
          return .posted
        }
      #endif
      item.nextAddress = GateWord.head(seen)
      let before = seen
      guard
        unsafe word.pointee.compareExchange(
          &seen, GateWord.pushing(item, isSegment: false, onto: before))
      else { continue }
      if before & GateWord.owned == 0 { giveHome() }
      return .posted
    }
  }

  /// Leaves `events` to the owner; a free gate is entered and handed over to its home at once.
  @inlinable public func post(events: GateEvents) -> Outcome {
    let word = unsafe atomicWord(raw, GateHeader.word)
    var seen = unsafe word.pointee.loadRelaxed()
    while true {
      if seen & GateWord.closed != 0 { return .closed }
      let before = seen
      guard unsafe word.pointee.compareExchange(&seen, GateWord.adding(events, to: before))
      else { continue }
      if before & GateWord.owned == 0 { giveHome() }
      return .posted
    }
  }

  /// As a guest of the context whose port is `home`: enters and runs `item`, and nothing else, if the gate is free
  /// and at home there; what others post meanwhile is home's. Else as ``post(_:)``.
  @inlinable public func enter(_ item: ItemRef, at home: ContextPortRef, _ cx: inout SoftInterrupt) -> Outcome
  {
    let word = unsafe atomicWord(raw, GateHeader.word)
    var free: UInt64 = 0
    #if Explore
      if Mutation.guestEntersOwnedGate.isOn, unsafe word.pointee.load() & GateWord.closed == 0 {
        free = unsafe word.pointee.formOr(GateWord.owned)
        Block.run(item, on: self, &cx)
        if free & GateWord.owned == 0 { leave(budget: 0, &cx) }
        return .ran
      }
    #endif
    guard unsafe word.pointee.compareExchange(&free, GateWord.owned) else { return post(item) }
    #if Explore
      let isHome = self.home == home || Mutation.guestEntersMoved.isOn
    #else
      let isHome = self.home == home
    #endif
    guard isHome else {
      // It moved since the caller looked, and sends by another queue (PCB-MOVE).
      item.nextAddress = 0
      backlog = item.address
      handOver(&cx)
      return .posted
    }
    cx.core.gates.entries.increment()
    Block.run(item, on: self, &cx)
    #if Explore
      if Mutation.guestLeavesBacklog.isOn {
        unsafe word.pointee.formAnd(~GateWord.owned)
        return .ran
      }
    #endif
    leave(budget: 0, &cx)
    return .ran
  }

  // MARK: Looking

  /// The port of the context that batches this block's work. Exact for the owner, a hint for others.
  @inlinable public var home: ContextPortRef {
    ContextPortRef(
      address: UInt(truncatingIfNeeded: unsafe atomicWord(raw, GateHeader.home).pointee.loadRelaxed()))
  }
  /// Whether the block retired. A false answer may be old.
  @inlinable public var isClosed: Bool {
    unsafe atomicWord(raw, GateHeader.word).pointee.load() & GateWord.closed != 0
  }
  /// Whether nobody is inside and nothing waits. A hint.
  @inlinable public var isFree: Bool {
    unsafe atomicWord(raw, GateHeader.word).pointee.load() & ~GateWord.closed == 0
  }
  /// Whether nothing waits, whoever is inside. Exact for the owner, a hint for others.
  @inlinable public var hasNothingWaiting: Bool {
    unsafe atomicWord(raw, GateHeader.word).pointee.load() & ~(GateWord.closed | GateWord.owned) == 0
  }
  /// The block as an item, as home finds it in its run queue.
  @inlinable public var item: ItemRef { unsafe ItemRef(raw) }

  /// Moves the block to another home (PCB-MOVE). Only its owner, with nothing armed or deferred elsewhere.
  @inlinable public func move(to home: ContextPortRef) {
    unsafe atomicWord(raw, GateHeader.home).pointee.storeRelaxed(UInt64(home.address))
  }

  /// The same block.
  @inlinable public static func == (a: GateRef, b: GateRef) -> Bool { unsafe a.raw == b.raw }
  /// By address.
  @inlinable public func hash(into hasher: inout Hasher) { unsafe hasher.combine(raw) }
}

extension GateRef where Block: ~Copyable {
  /// Runs what others posted meanwhile, then releases. Out of budget it hands over to home with OWNED still
  /// set. Either way another owner may follow at once: touch nothing afterwards.
  @inlinable func leave(budget: Int, _ cx: inout SoftInterrupt) {
    let word = unsafe atomicWord(raw, GateHeader.word)
    var budget = budget
    while true {
      while let item = ItemRef(address: backlog) {
        if budget == 0 { return handOver(&cx) }
        backlog = item.nextAddress  // before the run, which may reuse the slot
        Block.run(item, on: self, &cx)
        budget &-= 1
      }
      if release(&cx) { return }
      // Bits cost budget too, or two gates that tell each other something could hold a context for ever.
      if budget == 0 { return handOver(&cx) }
      let taken = unsafe word.pointee.exchange(GateWord.owned)
      invariant(GateWord.segments(taken) <= segmentLimit, "PCB-BOUND: more segments waited than may")
      backlog = ItemList(newestFirst: GateWord.head(taken)).head  // keeps PCB-POST: in order per source
      #if Explore
        if Mutation.gateBacklogNotReversed.isOn { backlog = GateWord.head(taken) }
        if Mutation.gateBitsLost.isOn { continue }
      #endif
      if !GateWord.events(taken).isEmpty {
        run(GateWord.events(taken), &cx)
        budget &-= 1
      }
    }
  }

  /// False if something was posted meanwhile.
  @inlinable @inline(__always) func release(_ cx: inout SoftInterrupt) -> Bool {
    let retires = unsafe raw.load(fromByteOffset: GateHeader.detached, as: UInt8.self) != 0
    #if Explore
      if retires ? Mutation.gateClosedByStore.isOn : Mutation.gateLeftByLoadThenStore.isOn {
        guard unsafe atomicWord(raw, GateHeader.word).pointee.load() == GateWord.owned else { return false }
        unsafe atomicWord(raw, GateHeader.word).pointee.store(retires ? GateWord.closed : 0)
        if retires { Block.retire(self, &cx) }
        return true
      }
      if Mutation.gateRetiredWithoutClosing.isOn, retires {
        var expected = GateWord.owned
        guard unsafe atomicWord(raw, GateHeader.word).pointee.compareExchange(&expected, 0) else {
          return false
        }
        Block.retire(self, &cx)
        return true
      }
    #endif
    var expected = GateWord.owned
    guard
      unsafe atomicWord(raw, GateHeader.word).pointee.compareExchange(
        &expected, retires ? GateWord.closed : 0)
    else { return false }
    if retires { Block.retire(self, &cx) }  // keeps PCB-CLOSE: alone with the block, once
    return true
  }

  @inlinable func handOver(_ cx: inout SoftInterrupt) {
    cx.core.gates.handOvers.increment()
    #if Explore
      if Mutation.gateHandOverClearsOwned.isOn {
        unsafe atomicWord(raw, GateHeader.word).pointee.formAnd(~GateWord.owned)
      }
    #endif
    home.post(item)
  }

  /// From outside a context: this thread owns the gate and passes it on.
  @usableFromInline func giveHome() { home.post(item) }

  @inlinable func run(_ events: GateEvents, _ cx: inout SoftInterrupt) {
    if events.contains(.detach) {
      unsafe raw.storeBytes(of: 1, toByteOffset: GateHeader.detached, as: UInt8.self)
    }
    let rest = events.subtracting(.detach)
    if !rest.isEmpty { Block.run(events: rest, on: self, &cx) }
  }

  @inlinable @inline(__always) var backlog: UInt {
    get {
      unsafe willOwn(raw + GateHeader.backlog)  // keeps PCB-OWN
      return unsafe raw.load(fromByteOffset: GateHeader.backlog, as: UInt.self)
    }
    nonmutating set { unsafe raw.storeBytes(of: newValue, toByteOffset: GateHeader.backlog, as: UInt.self) }
  }
  @inlinable @inline(__always) var segmentLimit: Int {
    Int(unsafe raw.load(fromByteOffset: GateHeader.segmentLimit, as: UInt16.self))
  }
  @inlinable @inline(__always) var budget: Int {
    Int(unsafe raw.load(fromByteOffset: GateHeader.budget, as: UInt16.self))
  }
}
