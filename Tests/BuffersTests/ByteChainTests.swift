import Chance
import Exclusion
import Testing

@testable import Buffers

@Suite struct ByteChainTests {
  @Test func smallWritesShareAChunk() {
    let chunks = ChunkPool(limit: 64)
    do {
      var chain = ByteChain()
      var expected: [UInt8] = []
      for number in 0..<100 {
        let content = pattern(30, seed: number)
        chain.append(chunks.ref.chain(content)!)
        expected += content
      }
      #expect(chain.count == 3000 && chain.occupied == 4096)
      #expect(chain.allBytes() == expected)
      #expect(chunks.ref.counters.inUse == 1)
      chain.append(chunks.ref.chain(pattern(1000))!)  // does not fit: all or nothing
      #expect(chain.occupied == 8192)
      chain.dropFirst(3000)
      #expect(chain.occupied == 4096 && chain.allBytes() == pattern(1000))
      chain.dropFirst(1000)
      #expect(chain.occupied == 0 && chain.count == 0)
      #expect(chunks.ref.counters.inUse == 0)
      chain.append(ByteChain())
      #expect(chain.count == 0)
    }
  }

  @Test func growingBehindASliceDoesNotShowInIt() {
    let chunks = ChunkPool(limit: 64)
    do {
      var chain = chunks.ref.chain([1, 2, 3])!
      let slice = chain.slice(offset: 1, count: 2, from: chunks.ref)!
      chain.append(chunks.ref.chain([4, 5])!)
      #expect(chain.occupied == 4096)
      #expect(slice.allBytes() == [2, 3])
      #expect(chain.allBytes() == [1, 2, 3, 4, 5])
      #expect(slice.room == 0)  // only the chunk's own node grows
      chain.removeAll()
      #expect(slice.allBytes() == [2, 3])
      #expect(chunks.ref.counters.inUse == 1 && chunks.ref.viewCounters.inUse == 1)
    }
    #expect(chunks.ref.counters.inUse == 0 && chunks.ref.viewCounters.inUse == 0)
  }

  @Test func aChainIsFilledInPlaceAndCut() {
    let chunks = ChunkPool(limit: 64)
    do {
      let content = pattern(10_000)
      for amount in [0, 1, 3967, 3968, 3969, 7936, 9999, 10_000] {
        var chain = chunks.ref.makeUnfilledChain(count: content.count)!
        var filled = 0
        unsafe chain.forEachPlace { place in
          for index in 0..<place.count { unsafe place[index] = content[filled + index] }
          filled += place.count
        }
        #expect(filled == content.count)
        chain.truncate(to: amount)
        #expect(chain.count == amount && chain.allBytes() == Array(content[..<amount]))
        #expect(chain.occupied == (amount + 3967) / 3968 * 4096)
        #expect(chunks.ref.counters.inUse == (amount + 3967) / 3968)
        // What follows lies behind the cut.
        chain.append(chunks.ref.chain([1, 2, 3])!)
        #expect(chain.allBytes() == Array(content[..<amount]) + [1, 2, 3])
      }
    }
    #expect(chunks.ref.counters.inUse == 0)
  }

  @Test func chainIsPostedAsAnItem() {
    let chunks = ChunkPool(limit: 64)
    do {
      let content = pattern(10_000)
      var list = ItemList()
      list.append(chunks.ref.chain(content)!.intoItem())
      list.append(chunks.ref.chain([1])!.intoItem())
      var first = ByteChain(item: list.popFirst()!)
      let second = ByteChain(item: list.popFirst()!)
      #expect(first.count == 10_000 && first.occupied == 3 * 4096)
      first.append(second)
      #expect(first.allBytes() == content + [1])
    }
    #expect(chunks.ref.counters.inUse == 0)
  }

  @Test func spansAreTheBytesInTheirOrder() {
    let chunks = ChunkPool(limit: 64)
    do {
      let content = pattern(9000)
      let chain = chunks.ref.chain(content)!
      var seen: [UInt8] = []
      var spans = 0
      chain.forEachSpan(offset: 100, count: 8000) { span in
        for index in 0..<span.byteCount { seen.append(span.unsafeByte(index)) }
        spans += 1
      }
      #expect(seen == Array(content[100..<8100]) && spans == 3)
    }
  }

  @Test func limitRefusesWholeChains() {
    let chunks = ChunkPool(limit: 4)
    do {
      let chain = chunks.ref.chain(pattern(2 * ByteChain.chunkCapacity))!
      let isRefused = chunks.ref.chain(pattern(2 * ByteChain.chunkCapacity + 1)) == nil
      #expect(isRefused)
      #expect(chunks.ref.counters.inUse == 2)  // what was taken for it is back
      #expect(chunks.ref.counters.failures == 1)
      #expect(chain.count == 2 * ByteChain.chunkCapacity)
      let none = chain.slice(offset: 0, count: 0, from: chunks.ref)!
      #expect(none.occupied == 0)
      let one = chain.slice(offset: 1, count: chain.count - 1, from: chunks.ref)!
      let two = chain.slice(offset: 2, count: chain.count - 2, from: chunks.ref)!
      let isOutOfViews = chain.slice(offset: 3, count: 1, from: chunks.ref) == nil
      #expect(isOutOfViews)
      #expect(one.count == two.count + 1)
    }
    #expect(chunks.ref.counters.inUse == 0 && chunks.ref.viewCounters.inUse == 0)
  }

  @Test func looksBeyondTheEndTrap() async {
    await #expect(processExitsWith: .failure) {
      let chunks = ChunkPool(limit: 4)
      var chain = chunks.ref.chain([1, 2])!
      chain.dropFirst(3)
    }
    await #expect(processExitsWith: .failure) {
      let chunks = ChunkPool(limit: 4)
      let chain = chunks.ref.chain([1, 2])!
      chain.forEachSpan(offset: 1, count: 2) { _ in }
    }
    await #expect(processExitsWith: .failure) {
      _ = ByteChain().intoItem()
    }
  }

  /// Chains and slices of chains beside arrays, in random operations.
  @Test(arguments: 0..<30 as Range<UInt64>)
  func chainAgreesWithAnArrayOfBytes(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    let chunks = ChunkPool(limit: 400)
    do {
      var chains = InlineArray<4, ByteChain> { _ in ByteChain() }
      var models: [[UInt8]] = [[], [], [], []]
      for _ in 0..<600 {
        let at = generator.below(4)
        switch generator.below(10) {
        case 0...2 where models[at].count < 60_000:
          let length = [5, 100, 3000, 9000][generator.below(4)]
          let content = pattern(1 + generator.below(length), seed: generator.below(256))
          guard let more = chunks.ref.chain(content) else { continue }
          chains[at].append(more)
          models[at] += content
        case 3:
          let amount = generator.below(models[at].count + 1)
          chains[at].dropFirst(amount)
          models[at].removeFirst(amount)
        case 4 where !models[at].isEmpty:
          let offset = generator.below(models[at].count)
          let count = generator.below(models[at].count - offset + 1)
          let other = generator.below(4)
          guard models[other].count < 60_000 else { continue }
          guard let slice = chains[at].slice(offset: offset, count: count, from: chunks.ref) else { continue }
          #expect(slice.count == count)
          models[other] += models[at][offset..<offset + count]
          chains[other].append(slice)
        case 5, 6:
          chains[at].seek(to: generator.below(models[at].count + 1))
        case 7 where !models[at].isEmpty && generator.below(8) == 0:
          let item = chains[at].takeAll().intoItem()
          chains[at] = ByteChain(item: item)
        default:
          guard !models[at].isEmpty else { continue }
          let offset = generator.below(models[at].count)
          let count = generator.below(models[at].count - offset + 1)
          #expect(
            chains[at].copied(offset: offset, count: count) == Array(models[at][offset..<offset + count]))
        }
        #expect(chains[at].count == models[at].count)
        #expect((chains[at].count == 0) == (chains[at].occupied == 0))
      }
      for at in 0..<4 { #expect(chains[at].allBytes() == models[at]) }
    }
    #expect(chunks.ref.counters.inUse == 0)
    #expect(chunks.ref.viewCounters.inUse == 0)
  }
}

@Suite struct ApplicationBuffersTests {
  @Test func packetsAndChainsAreLimitedAndComeBack() throws {
    let account = MemoryAccount(limits: MemoryLimits(hard: 1 << 20), shares: 2)
    let buffers = ApplicationBuffers(packetLimit: 3, chunkLimit: 4, account: account.ref)
    try withApplication { (held: inout Held<Unlocked>) in
      var queue = PacketQueue()
      while let packet = try? buffers.makePacket(&held) { queue.append(packet) }
      #expect(queue.count == 3)
      #expect(buffers.packets.inUse == 3 && buffers.packets.failures == 1)
      queue.removeAll()
      let bare = try buffers.makePacket(headroom: 0, &held)
      #expect(bare.headroom == 0)

      let content = pattern(10_000)
      let chain = try unsafe buffers.makeChain(copying: content.span.bytes, &held)
      #expect(chain.allBytes() == content)
      #expect(buffers.chunks.inUse == 3)
      #expect(throws: MemoryShortage.pool) {
        _ = try unsafe buffers.makeChain(copying: content.span.bytes, &held)
      }
      let slice = buffers.slice(chain, offset: 5000, count: 10, &held)!
      #expect(slice.allBytes() == Array(content[5000..<5010]))
      #expect(buffers.views.inUse == 1)
      let none = try buffers.makeChain(copying: RawSpan(), &held)
      #expect(none.count == 0)
    }
    #expect(buffers.packets.inUse == 0 && buffers.chunks.inUse == 0 && buffers.views.inUse == 0)
    #expect(buffers.chunks.highWater == 4)
  }

  /// Writers hand chains to a thread that keeps super-segments of them after the chains are gone.
  @Test func chainsAreFreedByAnyThread() throws {
    let account = MemoryAccount(limits: MemoryLimits(hard: 1 << 20), shares: 2)
    let buffers = ApplicationBuffers(packetLimit: 16, chunkLimit: 200, account: account.ref)
    let post = Post()
    let writers = try (0..<2).map { number in
      try WorkerThread(name: "writer") {
        withApplication { (held: inout Held<Unlocked>) in
          var sent = 0
          while sent < 500 {
            let content = pattern(6000, seed: number)
            guard let chain = try? unsafe buffers.makeChain(copying: content.span.bytes, &held) else {
              yieldProcessor()
              continue
            }
            let item = chain.intoItem()
            item.tag = UInt8(number)
            _ = post.mailbox.post(item, limit: 1000)
            sent += 1
          }
        }
      }
    }
    let packets = PacketPool(limit: 1024)
    do {
      var received = 0
      var sent = PacketQueue()
      while received < 1000 {
        var items = post.mailbox.takeAll()
        while let item = items.popFirst() {
          let seed = Int(item.tag)
          var chain = ByteChain(item: item)
          account.ref.give(chain.occupied, .send)
          var packet = packets.ref.allocate()!
          #expect(packet.attach(&chain, offset: 0, count: 6000) == 6000)
          chain.dropFirst(5000)
          if received % 97 == 0 { #expect(packet.allBytes() == pattern(6000, seed: seed)) }
          sent.append(packet)
          if sent.count > 8 { _ = sent.popFirst() }
          received += 1
        }
        if received < 1000 { yieldProcessor() }
        if received % 50 == 0 { sent.removeAll() }
      }
    }
    for writer in writers { writer.join() }
    #expect(buffers.chunks.inUse == 0 && packets.counters.inUse == 0)
    var cached = 0
    buffers.forEachShare { cached += $0.cached }
    #expect(account.ref.reserved == cached)
  }

  final class Post: Sendable { let mailbox = Mailbox() }
}
