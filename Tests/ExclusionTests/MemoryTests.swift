import Exclusion
import Testing

/// Items, lists, pools, rings, hashes, counters.
@Suite(.serialized, .timeLimit(.minutes(3))) struct MemoryTests {
  @Test func itemsKeepTheirWords() {
    let slots = TestSlots(4)
    let items = slots.make(1...2)
    items[0].kind = WorkKind(rawValue: 200)
    (items[0].tag, items[0].code, items[0].value, items[0].next) = (7, 0xBEEF, .max, items[1])
    #expect(items[0].kind.rawValue == 200 && items[0].tag == 7 && items[0].code == 0xBEEF)
    #expect(items[0].value == .max && items[0].next == items[1])
    items[0].next = nil
    #expect(items[0].next == nil && MemoryLayout<WorkItem>.size == 16)
    #expect(SlotPoolRef.of(items[0]) == slots.pool.ref)
    slots.giveBack(items)
  }

  @Test func listsAreFirstInFirstOut() {
    let slots = TestSlots(16)
    let items = slots.make(1...6)
    var list = ItemList()
    #expect(list.isEmpty && list.popFirst() == nil && list.first == nil)
    list.append(items[1])
    list.append(items[2])
    list.prepend(items[0])
    #expect(list.count == 3 && list.first == items[0])
    var more = ItemList()
    more.append(items[3])
    more.append(items[4])
    list.append(contentsOf: more)
    list.append(contentsOf: ItemList())
    list.append(items[5])
    #expect(list.count == 6)
    #expect(list.takeValues() == [1, 2, 3, 4, 5, 6])
    #expect(list.isEmpty && list.count == 0)
    list.prepend(items[0])
    list.append(items[1])
    #expect(list.takeValues() == [1, 2])
    var empty = ItemList()
    empty.append(items[0])
    list.append(contentsOf: empty)
    #expect(list.takeValues() == [1])
    slots.giveBack(items)
  }

  @Test func poolsKeepTheirLimitAndCounts() {
    let pool = SlotPool(slotBytes: 192, slotsPerSlab: 4, limit: 6)
    let slots = pool.ref
    #expect(slots.capacity == 0 && slots.limit == 6 && slots.slotBytes == 192)
    var items: [ItemRef] = []
    while let item = slots.allocate() { items.append(item) }
    #expect(items.count == 6 && Set(items).count == 6)
    #expect(items.allSatisfy { $0.address % 64 == 0 })
    #expect(slots.inUse == 6 && slots.capacity == 6 && slots.failures == 1)
    let generation = SlotPoolRef.generation(of: items[0])
    slots.free(items[0])
    #expect(slots.inUse == 5)
    #expect(SlotPoolRef.generation(of: items[0]) == generation + 1)  // SO-GEN
    #expect(slots.allocate() == items[0])
    for item in items { slots.freeRemote(item) }
    #expect(slots.inUse == 0)
    #expect(SlotPoolRef.generation(of: items[0]) == generation + 2)
    #expect(slots.allocate() != nil && slots.inUse == 1)
    slots.freeRemote(items[5])
    #expect(slots.inUse == 0 && slots.failures == 1)
  }

  @Test func giveBackIsLocalForTheOwnerOnly() throws {
    let core = try makeContext()
    let pool = SlotPool(slotBytes: 64, slotsPerSlab: 2, limit: 2)
    pool.ref.owner = core
    #expect(pool.ref.owner == core && ThreadLocal.currentContext == nil)
    asContext(core) { _ in
      #expect(ThreadLocal.currentContext == core)
      let item = pool.ref.allocate()!
      pool.ref.giveBack(item)
      #expect(pool.ref.allocate() == item)  // at the top of the local list
      pool.ref.giveBack(item)
    }
    let item = pool.ref.allocate()!
    let other = pool.ref.allocate()!
    pool.ref.giveBack(other)  // not in the context: remote
    pool.ref.free(item)
    #expect(pool.ref.allocate() == item && pool.ref.allocate() == other)
    pool.ref.free(item)
    pool.ref.free(other)
    #expect(pool.ref.inUse == 0)
    core.destroy()
  }

  /// Of two pools, and more than go back at once: each pool has its own again, in the end.
  @Test func RS_LEAK_slotsGoBackInARow() throws {
    let core = try makeContext()
    let many = SlotPool(slotBytes: 64, slotsPerSlab: 16, limit: 150)
    let few = SlotPool(slotBytes: 128, slotsPerSlab: 2, limit: 2)
    few.ref.owner = core
    let items = (0..<150).compactMap { _ in many.ref.allocate() }
    let others = (0..<2).compactMap { _ in few.ref.allocate() }
    let generation = SlotPoolRef.generation(of: items[3])
    do {
      var returned = ReturnedSlots()
      for item in items[..<3] { returned.append(item) }
      #expect(many.ref.inUse == 150)  // they wait for others
      returned.append(others[0])
      #expect(many.ref.inUse == 147 && few.ref.inUse == 2)
      for item in items[3...] { returned.append(item) }
      #expect(few.ref.inUse == 1 && many.ref.inUse == 147 - 2 * 64)  // no more than so many wait
      returned.giveBack()
      #expect(many.ref.inUse == 0)
      returned.append(others[1])
    }
    #expect(few.ref.inUse == 0 && SlotPoolRef.generation(of: items[3]) == generation + 1)
    var again = Set<ItemRef>()
    while let item = many.ref.allocate() { again.insert(item) }
    #expect(again == Set(items))
    // In their own context they are the first to be used again.
    asContext(core) { _ in
      let own = (0..<2).compactMap { _ in few.ref.allocate() }
      var returned = ReturnedSlots()
      for item in own { returned.append(item) }
      returned.giveBack()
      #expect(few.ref.allocate() == own[1] && few.ref.allocate() == own[0])
      for item in own { few.ref.free(item) }
    }
    for item in items { many.ref.free(item) }
    #expect(many.ref.inUse == 0 && few.ref.inUse == 0)
    core.destroy()
  }

  @Test func RS_LEAK_slotsFreedByOthersComeBack() throws {
    let count: UInt32 = 20_000
    let pool = Shared(SlotPool(slotBytes: 128, slotsPerSlab: 16, limit: 128))
    let mailboxes = (0..<2).map { _ in Shared(Mailbox()) }
    let errors = Word()
    func consumer(_ mailbox: Shared<Mailbox>) -> @Sendable () -> Void {
      {
        var freed = 0
        while freed < count / 2 {
          var taken = mailbox.value.takeAll()
          if taken.isEmpty { yieldProcessor() }
          while let item = taken.popFirst() {
            // What the allocator wrote is here, and is ours alone until it is given back.
            let mark = unsafe item.raw.load(fromByteOffset: 64, as: UInt32.self)
            if mark != item.value { errors.word.add(1) }
            unsafe item.raw.storeBytes(of: UInt32.max, toByteOffset: 64, as: UInt32.self)
            pool.value.ref.giveBack(item)
            freed += 1
          }
        }
      }
    }
    try together([
      {
        for next in 0..<count {
          var item = pool.value.ref.allocate()
          while item == nil {
            yieldProcessor()
            item = pool.value.ref.allocate()
          }
          item!.value = next
          unsafe item!.raw.storeBytes(of: next, toByteOffset: 64, as: UInt32.self)
          _ = mailboxes[Int(next % 2)].value.post(item!)
        }
      },
      consumer(mailboxes[0]), consumer(mailboxes[1]),
    ])
    #expect(errors.value == 0)
    #expect(pool.value.ref.inUse == 0 && pool.value.ref.capacity <= 128)
  }

  struct Token: ~Copyable {
    let value: Int
    let living: Word
    init(_ value: Int, _ living: Word) {
      (self.value, self.living) = (value, living)
      living.word.add(1)
    }
    deinit { living.word.subtract(1) }
  }

  @Test func ringsKeepOrderAndGiveBackWhatDoesNotFit() throws {
    func value(_ token: consuming Token?) -> Int? {
      switch consume token {
      case .some(let token): token.value
      case .none: nil
      }
    }
    let living = Word()
    do {
      let ring = Ring<Token>(minimumCapacity: 3)
      check(ring.capacity == 4 && value(ring.pop()) == nil)
      for number in 0..<4 { check(value(ring.push(Token(number, living))) == nil) }
      check(value(ring.push(Token(4, living))) == 4)
      check(ring.count == 4)
      check(value(ring.pop()) == 0)
      check(value(ring.push(Token(5, living))) == nil)
      check(value(ring.pop()) == 1)
    }
    #expect(living.value == 0)

    let ring = Shared(Ring<Int>(minimumCapacity: 64))
    let errors = Word()
    try together([
      { for value in 0..<20_000 { while ring.value.push(value) != nil { yieldProcessor() } } },
      {
        for value in 0..<20_000 {
          var found = ring.value.pop()
          while found == nil {
            yieldProcessor()
            found = ring.value.pop()
          }
          if found != value { errors.word.add(1) }
        }
      },
    ])
    #expect(errors.value == 0 && ring.value.count == 0)
  }

  /// Vectors of the reference implementation (1 and 3 rounds), key 00 01 … 0f, message 00 01 02 …
  @Test func keyedHashIsSipHash13() {
    let key = HashKey(low: 0x0706_0504_0302_0100, high: 0x0f0e_0d0c_0b0a_0908)
    let words: [UInt64] = [
      0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908, 0x1716_1514_1312_1110, 0x1f1e_1d1c_1b1a_1918,
      0x2726_2524_2322_2120,
    ]
    #expect(KeyedHasher(key).finish() == 0xabac_0158_050f_c4dc)
    #expect(keyedHash(key, words[0]) == 0x3690_9511_8d29_9a8e)
    #expect(keyedHash(key, words[0], words[1]) == 0xcc4f_dd1a_7d90_8b66)
    #expect(keyedHash(key, words[0], words[1], words[2]) == 0xf464_aeb2_6734_9c8c)
    #expect(keyedHash(key, words[0], words[1], words[2], words[3], words[4]) == 0xc1d2_3632_99e4_1531)
    #expect(HashKey(seed: 1) == HashKey(seed: 1) && HashKey(seed: 1) != HashKey(seed: 2))
    #expect(HashKey() != HashKey())
  }

  @Test func countersCount() throws {
    let shared = Shared(SharedCounter()), single = Shared(Counter())
    try together([
      {
        for _ in 0..<10_000 {
          shared.value.increment()
          single.value.increment(by: 2)
        }
      },
      { for _ in 0..<10_000 { shared.value.increment() } },
    ])
    #expect(shared.value.value == 20_000 && single.value.value == 20_000)
  }

  @Test func wordsReturnWhatWasThere() {
    let word = AtomicWord(5)
    #expect(word.exchange(6) == 5 && word.add(4) == 6 && word.subtract(2) == 10)
    #expect(word.formOr(3) == 8 && word.formAnd(9) == 11 && word.load() == 9)
    var expected: UInt64 = 1
    #expect(!word.compareExchange(&expected, 2) && expected == 9)
    #expect(word.compareExchange(&expected, 2) && word.loadRelaxed() == 2)
    word.storeRelaxed(3)
    #expect(word.load() == 3)
  }
}
