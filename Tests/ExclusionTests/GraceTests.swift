import Chance
import Exclusion
import Testing

@Suite(.serialized, .timeLimit(.minutes(3))) struct GraceTests {
  @Test func PCB_GRACE_anEpochPassesWhenEveryReaderWasQuiescent() {
    let domain = GraceDomain(contexts: 2)
    #expect(domain.hasPassed(domain.advance()))  // all offline
    domain.online(context: 0)
    domain.online(context: 1)
    let epoch = domain.advance()
    #expect(!domain.hasPassed(epoch))
    #expect(domain.stragglers(before: epoch) == [0, 1])
    domain.quiescent(context: 0)
    #expect(!domain.hasPassed(epoch))
    domain.offline(context: 1)
    #expect(domain.hasPassed(epoch))
    domain.online(context: 1)
    #expect(domain.hasPassed(epoch))  // for ever
    let next = domain.advance()
    #expect(!domain.hasPassed(next))
    domain.quiescent(context: 1)
    domain.quiescent(context: 0)
    #expect(domain.hasPassed(next))
  }

  @Test func PCB_GRACE_pinsHoldAnEpochBack() {
    let domain = GraceDomain(contexts: 0, pins: 3)
    let first = domain.pin()
    let epoch = domain.advance()
    let second = domain.pin()  // after the unlinking: no obstacle
    #expect(!domain.hasPassed(epoch))
    #expect(domain.stragglers(before: epoch).count == 1)
    domain.unpin(first)
    #expect(domain.hasPassed(epoch))
    #expect(!domain.hasPassed(domain.advance()))
    domain.unpin(second)
    #expect(domain.withPin { domain.hasPassed(domain.advance()) } == false)
    #expect(domain.hasPassed(domain.currentEpoch()))
  }

  @Test func PCB_GRACE_limboWaits() {
    let domain = GraceDomain(contexts: 1)
    let slots = TestSlots(8)
    var limbo = LimboList()
    domain.online(context: 0)
    let items = slots.make(1...3)
    limbo.add(items[0])
    limbo.add(items[1])
    var freed: [UInt32] = []
    func reclaim(_ limit: Int = .max) -> Int {
      limbo.reclaim(domain, limit: limit) { item in
        freed.append(item.value)
        slots.pool.ref.free(item)
      }
    }
    #expect(reclaim() == 0 && limbo.count == 2)
    limbo.add(items[2])  // too late for the epoch of the first two
    domain.quiescent(context: 0)
    #expect(reclaim(1) == 1)
    #expect(reclaim() == 1 && freed == [1, 2])
    #expect(reclaim() == 0 && limbo.count == 1)
    domain.offline(context: 0)
    #expect(reclaim() == 1 && limbo.isEmpty && freed == [1, 2, 3])
    #expect(slots.pool.ref.inUse == 0)
  }

  @Test func aContextReportsThroughItsRoot() throws {
    let domain = GraceDomain(contexts: 1)
    let core = try makeContext(0, domain: domain)
    withContextRoot(core) { root in
      root.goOnline()
      let epoch = domain.advance()
      #expect(!domain.hasPassed(epoch))
      root.quiescent()
      #expect(domain.hasPassed(epoch))
      let next = domain.advance()
      root.goOffline()
      #expect(domain.hasPassed(next))
    }
    core.destroy()
  }

  // MARK: Tables

  /// Slots whose bytes 64..<72 hold their key: written before the insert, so a reader that sees it change, or
  /// the thread sanitizer, tells of a reuse that came too early.
  private func key(_ item: ItemRef) -> UInt64 { unsafe item.raw.load(fromByteOffset: 64, as: UInt64.self) }
  private func setKey(_ item: ItemRef, _ key: UInt64) {
    unsafe item.raw.storeBytes(of: key, toByteOffset: 64, as: UInt64.self)
  }

  @Test(arguments: [HashKey(seed: 1), nil])
  func PCB_UNIQ_tableFindsWhatIsInItAndNothingElse(hashKey: HashKey?) {
    // Without a key every hash is the same: one long run, the worst case.
    func hash(_ key: UInt64) -> UInt64 { hashKey.map { keyedHash($0, key) } ?? 13 }
    let domain = GraceDomain(contexts: 1)
    let slots = TestSlots(512)
    let table = PublishedTable(capacity: 8, domain: domain)
    func find(_ wanted: UInt64) -> ItemRef? {
      table.find(hash: hash(wanted)) { self.key($0) == wanted }
    }
    var present: [UInt64: ItemRef] = [:]
    var random = SeededGenerator(seed: 7)
    for _ in 0..<4000 {
      let wanted = random.next() % 150
      if let item = present.removeValue(forKey: wanted) {
        check(table.remove(hash: hash(wanted), item))
        check(!table.remove(hash: hash(wanted), item))
        slots.pool.ref.free(item)
        #expect(find(wanted) == nil)
      } else {
        let item = slots.make(0)
        setKey(item, wanted)
        table.insert(hash: hash(wanted), item)
        present[wanted] = item
      }
      #expect(table.count == present.count)
    }
    for (wanted, item) in present { #expect(find(wanted) == item) }
    #expect(find(1000) == nil)
    var seen = Set<ItemRef>()
    table.forEach { seen.insert($0) }
    #expect(seen == Set(present.values))
    for (wanted, item) in present {
      check(table.remove(hash: hash(wanted), item))
      slots.pool.ref.free(item)
    }
    #expect(table.count == 0 && slots.pool.ref.inUse == 0)
    table.reclaim()
    #expect(table.retiredArrays == 0)
  }

  @Test func PCB_GRACE_readersOfATableNeverMeetReusedMemory() throws {
    let hashKey = HashKey(seed: 3)
    let domain = GraceDomain(contexts: 2)
    let slots = Shared(TestSlots(4096))
    let table = Shared(PublishedTable(capacity: 8, domain: domain))
    let isOver = Word(), errors = Word(), hits = Word(), misses = Word()
    // Keys 0..<32 stay for ever; 32..<512 come and go.
    for number in UInt64(0)..<32 {
      let item = slots.value.make(0)
      setKey(item, number)
      table.value.insert(hash: keyedHash(hashKey, number), item)
    }
    @Sendable func look(_ random: inout SeededGenerator) {
      for _ in 0..<8 {
        let wanted = random.next() % 512
        let found = table.value.find(hash: keyedHash(hashKey, wanted)) { self.key($0) == wanted }
        if let found {
          yieldProcessor()
          if self.key(found) != wanted { errors.word.add(1) }
          hits.word.add(1)
        } else if wanted < 32 {
          misses.word.add(1)
        }
      }
    }
    try together([
      {  // The writer, itself a reader.
        var limbo = LimboList()
        var random = SeededGenerator(seed: 1)
        var present: [UInt64: ItemRef] = [:]
        for _ in 0..<30_000 {
          let wanted = 32 + random.next() % 480
          if let item = present.removeValue(forKey: wanted) {
            if !table.value.remove(hash: keyedHash(hashKey, wanted), item) { errors.word.add(1) }
            limbo.add(item)
          } else if let item = slots.value.pool.ref.allocate() {
            self.setKey(item, wanted)
            table.value.insert(hash: keyedHash(hashKey, wanted), item)
            present[wanted] = item
          }
          limbo.reclaim(domain, limit: 8) { slots.value.pool.ref.free($0) }
        }
        for (wanted, item) in present {
          if !table.value.remove(hash: keyedHash(hashKey, wanted), item) { errors.word.add(1) }
          limbo.add(item)
        }
        isOver.set(1)
        while !limbo.isEmpty {
          limbo.reclaim(domain) { slots.value.pool.ref.free($0) }
          yieldProcessor()
        }
      },
      {  // A context.
        var random = SeededGenerator(seed: 2)
        domain.online(context: 0)
        while isOver.value == 0 {
          look(&random)
          domain.quiescent(context: 0)
        }
        domain.offline(context: 0)
      },
      {  // An application that pins.
        var random = SeededGenerator(seed: 3)
        while isOver.value == 0 { domain.withPin { look(&random) } }
      },
    ])
    #expect(errors.value == 0)
    #expect(misses.value == 0)  // what stays is always found, over growth and tombstones
    #expect(hits.value > 0 && table.value.count == 32)
    table.value.forEach { slots.value.pool.ref.free($0) }
    #expect(slots.value.pool.ref.inUse == 0)
  }

  private final class Snapshot: Sendable {
    let number: UInt64
    let living: Word
    init(_ number: UInt64, _ living: Word) {
      (self.number, self.living) = (number, living)
      living.word.add(1)
    }
    deinit { living.word.subtract(1) }
  }

  @Test func RT_GEN_snapshotsLiveUntilNobodyReadsThem() throws {
    let domain = GraceDomain(contexts: 1)
    let living = Word(), errors = Word(), isOver = Word()
    do {
      let published = Shared(Published(Snapshot(0, living)))
      domain.online(context: 0)
      published.value.publish(Snapshot(1, living), domain)
      #expect(published.value.with { $0.number } == 1)
      #expect(living.value == 2 && published.value.retiredCount == 1)
      domain.quiescent(context: 0)
      published.value.reclaim(domain)
      #expect(living.value == 1 && published.value.retiredCount == 0)
      domain.offline(context: 0)
      try together([
        {
          for number in UInt64(2)...20_000 { published.value.publish(Snapshot(number, living), domain) }
          isOver.set(1)
        },
        {
          var last: UInt64 = 0
          domain.online(context: 0)
          while isOver.value == 0 {
            published.value.with { snapshot in
              if snapshot.number < last || snapshot.living !== living { errors.word.add(1) }
              last = snapshot.number
            }
            domain.quiescent(context: 0)
          }
          domain.offline(context: 0)
        },
        {
          while isOver.value == 0 {
            domain.withPin { if published.value.snapshot().living !== living { errors.word.add(1) } }
          }
        },
      ])
      #expect(published.value.snapshot().number == 20_000)
    }
    #expect(errors.value == 0)
    #expect(living.value == 0)  // RS-LEAK
  }
}
