import TCP
import Testing

/// Memory of what arrives: slots are shared, what is farthest ahead gives way, and nothing is acknowledged that was
/// not taken (R11, RFC 2018 section 8).
@Suite struct MemoryTests {
  @Test(arguments: [false, true]) func R11_oneByteSegmentsAheadOfAHoleShareSlots(isBackwards: Bool) {
    let script = Script.established()
    let bytes = stream(1001)
    for step in 1...1000 {
      let at = isBackwards ? 1001 - step : step
      script.inject(.ack, 1 + at, [bytes[at]], ack: 1)
    }
    #expect(script.pool.inUse == 1)
    #expect(script.info.outOfOrderBytes == 1000 && script.info.counters.collapsed == 999)
    script.inject(.ack, 1, [bytes[0]], ack: 1)
    #expect(script.delivered == bytes && script.pool.inUse == 0)
  }

  /// What fills a hole joins what lies on both sides of it.
  @Test func R11_aHoleThatIsFilledLeavesOneSlot() {
    let script = Script.established()
    let bytes = stream(400)
    script.inject(.ack, 101, Array(bytes[100..<200]), ack: 1)
    script.inject(.ack, 301, Array(bytes[300..<400]), ack: 1)
    #expect(script.pool.inUse == 2)
    script.inject(.ack, 201, Array(bytes[200..<300]), ack: 1)
    #expect(script.pool.inUse == 1 && script.info.counters.collapsed == 2)
    script.inject(.ack, 1, Array(bytes[..<100]), ack: 1)
    #expect(script.delivered == bytes)
  }

  /// Slots that cannot be shared are bounded: what is farthest ahead gives way to what is needed before it.
  @Test func R11_scatteredBytesAreBoundedAndTheNearestStay() {
    let script = Script.established()
    let bytes = stream(2000)
    for at in stride(from: 1999, to: 0, by: -2) { script.inject(.ack, 1 + at, [bytes[at]], ack: 1) }
    #expect(script.pool.inUse <= 127, "the buffer's share: 65535 / 512")
    #expect(script.info.counters.pruned > 0)
    for at in stride(from: 0, to: 40, by: 2) { script.inject(.ack, 1 + at, [bytes[at]], ack: 1) }
    #expect(script.delivered == Array(bytes[..<40]), "the nearest were there")
    script.inject(.ack, 41, Array(bytes[40..<1040]), ack: 1)
    script.inject(.ack, 1041, Array(bytes[1040...]), ack: 1)
    #expect(script.delivered == bytes && script.pool.inUse == 0)
  }

  /// A repetition of what is there makes nobody give way.
  @Test func R11_repetitionsPruneNothing() {
    let script = Script.established()
    let bytes = stream(400)
    for at in stride(from: 1, to: 255, by: 2) { script.inject(.ack, 1 + at, [bytes[at]], ack: 1) }
    let held = script.pool.inUse
    #expect(held == 127)
    for at in stride(from: 1, to: 255, by: 2) { script.inject(.ack, 1 + at, [bytes[at]], ack: 1) }
    #expect(script.pool.inUse == held && script.info.counters.pruned == 0)
  }

  /// Text for which there is no memory is not acknowledged, its FIN waits, and its acknowledgment counts all the same.
  @Test func refusedTextIsNotAcknowledged() {
    let script = Script.established()
    script.enqueue(500)
    _ = script.take()
    script.admits = { _, _ in false }
    script.inject([.fin, .ack], 1, stream(100), ack: 501)
    #expect(script.queuedBytes == 0, "the acknowledgment was taken")
    #expect(script.delivered.isEmpty && script.state == .established)
    #expect(script.take().allSatisfy { $0.acknowledgment == 1 })
    #expect(script.info.counters.refused == 1 && script.pool.inUse == 0)
    script.admits = nil
    script.inject(.ack, 1, stream(100), ack: 501)
    #expect(script.delivered == stream(100) && script.state == .closeWait)
    #expect(script.take().last?.acknowledgment == 102)
  }

  /// What waits ahead of a hole gives way, half of it at a time, to the next bytes of the stream.
  @Test func whatIsAheadGivesWayToWhatIsNext() {
    let script = Script.established()
    let bytes = stream(9000)
    for at in stride(from: 1000, to: 9000, by: 1000) {
      script.inject(.ack, 1 + at, Array(bytes[at..<at + 1000]), ack: 1)
    }
    #expect(script.pool.inUse == 8)
    var free = 0
    script.admits = { _, _ in free > 2 }
    script.releases = { packets, _ in free += packets }
    script.inject(.ack, 1, Array(bytes[..<1000]), ack: 1)
    #expect(script.info.counters.pruned == 4 && script.delivered == Array(bytes[..<5000]))
    #expect(script.take().last?.acknowledgment == 5001)
    script.admits = nil
    for at in stride(from: 5000, to: 9000, by: 1000) {
      script.inject(.ack, 1 + at, Array(bytes[at..<at + 1000]), ack: 1)
    }
    #expect(script.delivered == bytes)
  }

  /// A receive buffer that changes while the connection lives.
  @Test func theBufferChangesOnALiveConnection() {
    let script = Script.established()
    script.change { $0.setReceiveBuffer(10_000) }
    script.inject(.ack, 1, stream(1000), ack: 1)
    script.space(9000)
    script.inject(.ack, 1001, stream(1000, from: 1000), ack: 1)
    #expect(script.info.receiveWindow == 63_000, "what was offered stays")
    script.change {
      $0.setReceiveBuffer(60_000)
      $0.noteReceiveSpace(60_000, now: script.now)
    }
    script.inject(.ack, 2001, stream(1000, from: 2000), ack: 1)
    script.inject(.ack, 3001, stream(1000, from: 3000), ack: 1)
    #expect(script.info.receiveWindow <= 65_535 && script.delivered == stream(4000))
  }
}
