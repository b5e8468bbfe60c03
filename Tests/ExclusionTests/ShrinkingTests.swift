import Chance
import Testing

@testable import Exclusion

/// Tables that grow by parts, and pools that give memory back.
@Suite struct ShrinkingTests {
  private func key(_ item: ItemRef) -> UInt64 { unsafe item.raw.load(fromByteOffset: 64, as: UInt64.self) }

  @Test func PCB_UNIQ_aSegmentedTableFindsWhatIsInItAndNothingElse() {
    let hashKey = HashKey(seed: 4)
    let domain = GraceDomain(contexts: 0)
    let slots = TestSlots(8192)
    let table = SegmentedTable(domain: domain)
    var items: [ItemRef] = []
    for number in UInt64(0)..<8192 {
      let item = slots.make(0)
      unsafe item.raw.storeBytes(of: number, toByteOffset: 64, as: UInt64.self)
      table.insert(hash: keyedHash(hashKey, number), item)
      items.append(item)
    }
    #expect(table.count == 8192)
    for number in UInt64(0)..<8192 {
      check(table.find(hash: keyedHash(hashKey, number)) { key($0) == number } == items[Int(number)])
    }
    check(table.find(hash: keyedHash(hashKey, 9000)) { key($0) == 9000 } == nil)
    var seen = Set<ItemRef>()
    table.forEach { seen.insert($0) }
    #expect(seen == Set(items))
    for number in UInt64(0)..<8192 {
      check(table.remove(hash: keyedHash(hashKey, number), items[Int(number)]))
      check(!table.remove(hash: keyedHash(hashKey, number), items[Int(number)]))
      slots.pool.ref.free(items[Int(number)])
    }
    check(table.count == 0 && table.find(hash: keyedHash(hashKey, 7)) { key($0) == 7 } == nil)
  }

  /// A table that was large gives its memory back as its entries go.
  @Test func aTableShrinks() {
    let hashKey = HashKey(seed: 4)
    let slots = TestSlots(2048)
    let table = PublishedTable(capacity: 8, domain: GraceDomain(contexts: 0))
    let items = (0..<2048).map { _ in slots.make(0) }
    for (number, item) in items.enumerated() { table.insert(hash: keyedHash(hashKey, UInt64(number)), item) }
    let most = table.places
    #expect(most >= 4096 && most <= 8192)
    for (number, item) in items.enumerated().dropLast() {
      check(table.remove(hash: keyedHash(hashKey, UInt64(number)), item))
    }
    #expect(table.places <= 256)
    check(table.find(hash: keyedHash(hashKey, 2047)) { $0 == items[2047] } == items[2047])
    check(table.remove(hash: keyedHash(hashKey, 2047), items[2047]))
    for item in items { slots.pool.ref.free(item) }
  }

  /// Slabs of which nothing is out go, step by step; slots that are out keep their bytes, and what went comes back zeroed.
  @Test func aPoolGivesEmptySlabsBack() throws {
    let pool = SlotPool(slotBytes: 64, slotsPerSlab: 64, limit: 1000)
    var slots: [ItemRef] = []
    while let item = pool.ref.allocate() {
      unsafe item.raw.storeBytes(of: UInt64(slots.count), toByteOffset: 32, as: UInt64.self)
      slots.append(item)
    }
    #expect(slots.count == 1000 && pool.ref.capacity == 1000)
    // One stays out in each of the first two slabs; some come back from elsewhere.
    let out = [slots[10], slots[70]]
    for (number, item) in slots.enumerated() where number != 10 && number != 70 {
      if number % 3 == 0 { pool.ref.freeRemote(item) } else { pool.ref.free(item) }
    }
    var ended = 0
    var steps = 0
    while pool.ref.shrink(keeping: 200, step: 50, { _ in ended += 1 }) {
      steps += 1
      #expect(pool.ref.isShrinking)
      // The pool goes on meanwhile.
      let item = try #require(pool.ref.allocate())
      pool.ref.free(item)
    }
    #expect(steps > 5 && !pool.ref.isShrinking)
    #expect(ended == 1000 - pool.ref.capacity)
    #expect(pool.ref.freeSlots >= 200 && pool.ref.freeSlots < 400, "\(pool.ref.freeSlots)")
    for (item, number) in zip(out, [10, 70] as [UInt64]) {
      #expect(unsafe item.raw.load(fromByteOffset: 32, as: UInt64.self) == number)
    }
    // All of it can be had again, each slot once.
    var again = Set(out)
    while let item = pool.ref.allocate() { again.insert(item) }
    #expect(again.count == 1000 && again == Set(slots) && pool.ref.capacity == 1000)
    for item in again { pool.ref.free(item) }
    #expect(pool.ref.inUse == 0)
  }

  @Test func aNarrowWordIsAWordModuloItsWidth() {
    let word = NarrowWord(5)
    #expect(word.add(3) == 5 && word.subtract(9) == 8 && word.load() == UInt64(UInt32.max))
    #expect(word.formAnd(0xF0) == UInt64(UInt32.max) && word.formOr(1) == 0xF0)
    var seen: UInt64 = 7
    #expect(!word.compareExchange(&seen, 9) && seen == 0xF1)
    #expect(word.compareExchange(&seen, 9) && word.exchange(1 << 40 | 2) == 9 && word.loadRelaxed() == 2)
    word.storeRelaxed(4)
    #expect(word.load() == 4)
  }
}
