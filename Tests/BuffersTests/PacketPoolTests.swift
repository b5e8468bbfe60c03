import Buffers
import Exclusion
import Testing

@Suite struct PacketPoolTests {
  @Test func limitHoldsAndTheReserveIsForThoseWhoEndThings() {
    let pool = PacketPool(limit: 10, reserve: 4)
    var queue = PacketQueue()
    while let packet = pool.ref.allocate() { queue.append(packet) }
    #expect(queue.count == 6)
    #expect(pool.counters.failures == 1)
    while let packet = pool.ref.allocateReserve() { queue.append(packet) }
    #expect(queue.count == 10)
    #expect(pool.counters.inUse == 10)
    #expect(pool.counters.reserveUses == 4)
    #expect(pool.counters.failures == 2)
    _ = queue.popFirst()
    let isRefused = pool.ref.allocate() == nil  // the reserve fills up first
    #expect(isRefused)
    queue.removeAll()
    #expect(pool.counters.inUse == 0)
    #expect(pool.counters.highWater == 10)
    #expect(pool.counters.limit == 10)
    let again = pool.ref.allocate()!
    #expect(again.count == 0 && pool.counters.inUse == 1)
  }

  /// The reserve is there from the start, and what comes back fills it before anybody else is served.
  @Test func theReserveIsSetAsideAndFilledFirst() {
    let pool = PacketPool(limit: 10, reserve: 4)
    #expect(pool.counters.reserveLeft == 4 && pool.counters.inUse == 0 && pool.counters.capacity >= 4)
    var queue = PacketQueue()
    while let packet = pool.ref.allocate() { queue.append(packet) }
    for _ in 0..<3 { queue.append(pool.ref.allocateReserve()!) }
    #expect(pool.counters.reserveLeft == 1 && pool.counters.inUse == 9)
    for _ in 0..<4 { _ = queue.popFirst() }
    for _ in 0..<2 { queue.append(pool.ref.allocate()!) }
    #expect(
      pool.counters.reserveLeft == 3 && pool.counters.reserveRefills == 2, "one for each that was served")
    let isRefused = pool.ref.allocate() == nil
    #expect(isRefused && pool.counters.reserveLeft == 3)
    queue.removeAll()
    #expect(pool.counters.inUse == 0)
    queue.append(pool.ref.allocate()!)
    #expect(pool.counters.reserveLeft == 4 && pool.counters.reserveUses == 3)
  }

  @Test func homeContextFreesLocallyAndOthersByPush() throws {
    let core = try ContextCoreRef.make(index: 0, kick: .counted)
    do {
      let pool = PacketPool(limit: 100, reserve: 0, home: core)
      let ref = pool.ref
      var inFlight = PacketQueue()
      withContextRoot(core) { (_: inout ContextRoot) in
        for _ in 0..<100 { inFlight.append(ref.allocate()!) }
        for _ in 0..<50 { _ = inFlight.popFirst() }
      }
      #expect(pool.counters.inUse == 50)
      inFlight.removeAll()  // outside of the context
      #expect(pool.counters.inUse == 0)
      withContextRoot(core) { (_: inout ContextRoot) in
        for _ in 0..<100 { inFlight.append(ref.allocate()!) }
        let isRefused = ref.allocate() == nil
        #expect(isRefused)
        inFlight.removeAll()
      }
      #expect(pool.counters.inUse == 0 && pool.counters.highWater == 100)
    }
    core.destroy()
  }

  /// What lies scattered cannot be given back. It is looked at once, and not for ever.
  @Test func shrinkingEnds() {
    let pool = PacketPool(limit: 4096, reserve: 0)
    do {
      var all = PacketQueue()
      // Packets are in slabs of 256, chunks beside them in slabs of 64: one of each slab stays.
      for number in 0..<2560 {
        var packet = pool.ref.allocate()!
        if number < 640 {
          unsafe pool.ref.forEachSpare { _ in }
          pool.ref.attachSpare(ByteChain.chunkCapacity, to: &packet)
        }
        all.append(packet)
      }
      let before = (pool.counters.capacity, pool.ref.roomCounters.capacity)
      var kept = PacketQueue()
      for number in 0..<2560 {
        let packet = all.popFirst()!
        if number % (number < 640 ? 32 : 256) == 0 { kept.append(packet) }
      }
      var begins = true
      var steps = 0
      while pool.ref.shrink(begins: begins, step: 48), steps < 10_000 {
        begins = false
        steps += 1
      }
      #expect(steps > 40 && steps < 100)
      #expect((pool.counters.capacity, pool.ref.roomCounters.capacity) == before)
      _ = kept.takeAll()
      begins = true
      while pool.ref.shrink(begins: begins, step: 48), steps < 10_000 {
        begins = false
        steps += 1
      }
      #expect(steps < 200 && pool.counters.capacity <= 512 && pool.ref.roomCounters.capacity <= 128)
    }
    #expect(pool.counters.inUse == 0)
  }

  /// One context allocates, and three threads free what it sends them.
  @Test func packetsAreFreedByAnyThread() throws {
    let pool = PacketPool(limit: 64, reserve: 0)
    let ref = pool.ref
    let mailboxes = Boxes()
    let freers = try (0..<3).map { number in
      try WorkerThread(name: "freer") {
        var seen: UInt32 = 0
        while seen < 2000 {
          var items = mailboxes[number].takeAll()
          while let item = items.popFirst() {
            #expect(item.value == seen)
            seen += 1
            _ = Packet(item: item)
          }
          yieldProcessor()
        }
      }
    }
    for sequence in 0..<2000 as Range<UInt32> {
      for number in 0..<3 {
        var packet = ref.allocate()
        while packet == nil {
          yieldProcessor()
          packet = ref.allocate()
        }
        let item = packet.take()!.intoItem()
        item.value = sequence
        _ = mailboxes[number].post(item, limit: 1000)
      }
    }
    for freer in freers { freer.join() }
    #expect(pool.counters.inUse == 0)
    #expect(pool.counters.capacity <= 64)
  }

  final class Boxes: Sendable {
    let first = Mailbox()
    let second = Mailbox()
    let third = Mailbox()
    subscript(number: Int) -> Mailbox {
      _read {
        switch number {
        case 0: yield first
        case 1: yield second
        default: yield third
        }
      }
    }
  }
}

@Suite struct PacketQueueTests {
  @Test func keepsOrderAndCounts() {
    let pool = PacketPool(limit: 200)
    do {
      var queue = PacketQueue()
      for number in 0..<20 {
        var packet = pool.ref.allocate()!
        packet.write(pattern(number, seed: number))
        queue.append(packet)
      }
      #expect(queue.count == 20 && queue.byteCount == 190)
      let first = queue.popFirst()!
      let second = queue.popFirst()!
      #expect(first.count == 0 && second.count == 1)
      queue.prepend(second)
      queue.prepend(first)
      var other = PacketQueue()
      other.append(pool.ref.allocate()!)
      queue.append(contentsOf: other)
      #expect(queue.count == 21 && queue.byteCount == 190)
      queue.withFirst { $0.write([1, 2, 3]) }
      #expect(queue.byteCount == 193)
      var taken = queue.takeAll()
      #expect(queue.count == 0 && queue.byteCount == 0)
      var expected = 0
      while let packet = taken.popFirst() {
        if expected > 0, expected < 20 { #expect(packet.allBytes() == pattern(expected, seed: expected)) }
        expected += 1
      }
      #expect(expected == 21 && taken.byteCount == 0)
      queue.append(pool.ref.allocate()!)
      #expect(pool.counters.inUse == 1)
    }
    #expect(pool.counters.inUse == 0)  // a dropped queue drops its packets
  }
}
