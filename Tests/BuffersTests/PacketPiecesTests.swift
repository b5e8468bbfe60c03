import Chance
import Buffers
import Testing

@Suite struct PacketPiecesTests {
  @Test func superSegmentSharesTheChainsChunks() {
    let packets = PacketPool(limit: 128)
    let chunks = ChunkPool(limit: 64)
    do {
      let content = pattern(65_000)
      var chain = chunks.ref.chain(content)!
      var packet = packets.ref.allocate()!
      packet.write([1, 2, 3])
      #expect(packet.attach(&chain, offset: 100, count: 60_000) == 60_000)
      #expect(packet.totalCount == 60_003 && packet.count == 3)
      #expect(chunks.ref.counters.inUse == 17)

      var seen = 0
      packet.forEachSpan(from: 2, count: 60_001) { span in
        #expect(span.unsafeByte(0) == (seen == 0 ? 3 : content[100 + seen - 1]))
        seen += span.byteCount
      }
      #expect(seen == 60_001)

      // The sender is acknowledged, or aborts, while a device still has the packet.
      chain.removeAll()
      #expect(chain.occupied == 0)
      #expect(packet.allBytes() == [1, 2, 3] + content[100..<60_100])
      packet.trimFront(5003)
      #expect(packet.count == 0 && packet.allBytes() == Array(content[5100..<60_100]))
      #expect(chunks.ref.counters.inUse == 15)  // the first whole one, and the last, were not needed any more
    }
    #expect(chunks.ref.counters.inUse == 0)
    #expect(packets.counters.inUse == 0)
  }

  @Test func attachesAsMuchAsThereIsRoomFor() {
    let packets = PacketPool(limit: 128)
    let chunks = ChunkPool(limit: 64)
    do {
      var chain = ByteChain()
      for number in 0..<30 {
        // Too long to be copied into the room that the one before left.
        chain.append(chunks.ref.chain(pattern(3000, seed: number))!)
      }
      var packet = packets.ref.allocate()!
      #expect(packet.attach(&chain, offset: 0, count: chain.count) == Packet.pieceLimit * 3000)
      #expect(packet.pieceCount == Packet.pieceLimit)
      #expect(packet.allBytes() == chain.copied(offset: 0, count: packet.totalCount))
      var full = packets.ref.allocate(headroom: 0)!
      full.append(Packet.capacity - 40)
      #expect(full.attach(&chain, offset: 10, count: 10_000) == 2990 + 3000)
      #expect(full.tailroom == 8)
    }
    #expect(chunks.ref.counters.inUse == 0)
  }

  @Test func attachedRoomIsForADeviceToReadInto() {
    let packets = PacketPool(limit: 128)
    let chunks = ChunkPool(limit: 20)
    do {
      var packet = packets.ref.allocate()!
      packet.append(packet.tailroom - 17 * 16)
      let linear = packet.count
      let isAttached = packet.attachRoom(65_535, from: chunks.ref)
      #expect(isAttached)
      let content = pattern(linear + 65_535)
      var filled = 0
      unsafe packet.forEachBuffer { buffer in
        for index in 0..<buffer.count { unsafe buffer[index] = content[filled + index] }
        filled += buffer.count
      }
      #expect(filled == content.count)
      packet.truncate(to: 10_000)
      #expect(packet.allBytes() == Array(content[..<10_000]))
      #expect(chunks.ref.counters.inUse == 3)
      let isTooMuch = !packet.attachRoom(100_000, from: chunks.ref)  // neither pieces nor chunks for that
      #expect(isTooMuch)
      #expect(packet.totalCount == 10_000)

      var copy = packets.ref.allocate()!
      copy.metadata.flowHash = 1
      packet.metadata.flowHash = 2
      copy.becomeCopy(of: packet)
      packet.reset()
      #expect(copy.allBytes() == Array(content[..<10_000]))
      #expect(copy.metadata.flowHash == 2)
    }
    #expect(chunks.ref.counters.inUse == 0)
  }

  @Test(arguments: 0..<20 as Range<UInt64>)
  func packetAgreesWithAnArrayOfBytes(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    let packets = PacketPool(limit: 128)
    let chunks = ChunkPool(limit: 64)
    do {
      let content = pattern(40_000, seed: Int(seed))
      var chain = chunks.ref.chain(content)!
      var packet = packets.ref.allocate()!
      var model: [UInt8] = []
      for _ in 0..<400 {
        switch generator.below(8) {
        case 0 where packet.pieceCount == 0 && packet.tailroom > 600:
          let more = pattern(generator.below(200), seed: generator.below(256))
          packet.write(more)
          model += more
        case 1 where model.count < 100_000:
          let offset = generator.below(content.count)
          let wanted = generator.below(min(9000, content.count - offset))
          let attached = packet.attach(&chain, offset: offset, count: wanted)
          #expect(attached <= wanted)
          model += content[offset..<offset + attached]
        case 2:
          let amount = generator.below(min(model.count, 3000) + 1)
          packet.trimFront(amount)
          model.removeFirst(amount)
        case 3:
          let amount = generator.below(min(model.count, 3000) + 1)
          packet.trimBack(amount)
          model.removeLast(amount)
        case 4 where generator.below(20) == 0:
          packet.reset()
          model = []
        case 5 where packet.headroom > 0:
          let amount = 1 + generator.below(min(packet.headroom, 40))
          packet.prepend(amount)
          model = Array(packet.allBytes()[..<amount]) + model
        case 6:
          let item = packet.intoItem()
          packet = Packet(item: item)
        default:
          guard !model.isEmpty else { continue }
          let offset = generator.below(model.count)
          let wanted = generator.below(model.count - offset + 1)
          var copied = [UInt8](repeating: 0, count: wanted)
          unsafe copied.withUnsafeMutableBytes { target in
            guard let base = target.baseAddress else { return }
            unsafe packet.copyBytes(from: offset, count: wanted, into: base)
          }
          #expect(copied == Array(model[offset..<offset + wanted]))
          var cursor = PacketCursor(slotOffset: 0)
          var walked: [UInt8] = []
          while walked.count < model.count {
            let step = min(1 + generator.below(3000), model.count - walked.count)
            var bytes = [UInt8](repeating: 0, count: step)
            unsafe bytes.withUnsafeMutableBytes { target in
              guard let base = target.baseAddress else { return }
              unsafe packet.copyNext(step, from: &cursor, into: base)
            }
            walked += bytes
          }
          #expect(walked == model)
        }
        #expect(packet.totalCount == model.count)
      }
      #expect(packet.allBytes() == model)
    }
    #expect(chunks.ref.counters.inUse == 0)
    #expect(packets.counters.inUse == 0)
  }
}
