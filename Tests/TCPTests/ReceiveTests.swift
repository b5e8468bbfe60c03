import Chance
import TCP
import Testing
import Timing
import Wire

/// Acknowledgments, reassembly and the offered window: RFC 9293 sections 3.8.6.2.2, 3.8.6.3 and 3.10.7.4.
@Suite struct ReceiveTests {
  // Rules: RFC 5681 4.2-3; RFC 9293 SHLD-19
  @Test func everySecondSegmentIsAcknowledged() {
    let script = Script.established()
    for index in 0..<6 { script.inject(.ack, 1 + index * 1000, stream(1000, from: index * 1000), ack: 1) }
    #expect(script.take().map(\.acknowledgment) == [2001, 4001, 6001])
    #expect(script.delivered == stream(6000))
  }

  @Test func oneSegmentIsAcknowledgedAfterFortyMilliseconds() {
    let script = Script.established()
    script.inject([.ack, .psh], 1, stream(10), ack: 1)
    #expect(script.take().isEmpty)
    #expect(script.fire() == .milliseconds(40))
    #expect(script.take().map(\.acknowledgment) == [11])
    #expect(script.nextDeadline == nil)
  }

  @Test func dataCarriesTheAcknowledgment() {
    let script = Script.established()
    script.inject([.ack, .psh], 1, stream(10), ack: 1)
    script.enqueue(20)
    #expect(script.take().map(\.acknowledgment) == [11])
    script.inject(.ack, 11, ack: 21)
    #expect(script.nextDeadline == nil)
  }

  @Test func firstSegmentsAreAcknowledgedAtOnce() {
    var configuration = Script.plain
    configuration.quickAcknowledgments = 4
    let script = Script.established(configuration)
    for index in 0..<6 { script.inject(.ack, 1 + index * 1000, stream(1000, from: index * 1000), ack: 1) }
    #expect(script.take().map(\.acknowledgment) == [1001, 2001, 3001, 4001, 6001])
  }

  @Test func answeringEndsTheQuickAcknowledgments() {
    var configuration = Script.plain
    configuration.quickAcknowledgments = 16
    let script = Script.established(configuration)
    script.inject(.ack, 1, stream(10), ack: 1)
    #expect(script.take().count == 1)
    script.enqueue(10)
    #expect(script.take().map(\.count) == [10])
    script.inject(.ack, 11, stream(10), ack: 11)
    #expect(script.take().isEmpty)
  }

  @Test func whatIsAheadOfAHoleIsAcknowledgedAtOnceAndKept() {
    let script = Script.established()
    script.inject(.ack, 1001, stream(1000, from: 1000), ack: 1)
    script.inject(.ack, 3001, stream(1000, from: 3000), ack: 1)
    script.inject(.ack, 2001, stream(1000, from: 2000), ack: 1)
    #expect(script.take().map(\.acknowledgment) == [1, 1, 1])
    #expect(script.info.outOfOrderBytes == 3000)
    #expect(script.delivered.isEmpty)
    #expect(script.pool.inUse == 3)
    script.inject(.ack, 1, stream(1000), ack: 1)
    #expect(script.take().map(\.acknowledgment) == [4001])
    #expect(script.delivered == stream(4000))
    #expect(script.info.outOfOrderBytes == 0)
    #expect(script.pool.inUse == 0)
  }

  @Test func partOfAHoleIsAcknowledgedAtOnce() {
    let script = Script.established()
    script.inject(.ack, 2001, stream(1000, from: 2000), ack: 1)
    script.inject(.ack, 1, stream(1000), ack: 1)
    #expect(script.take().map(\.acknowledgment) == [1, 1001])
  }

  @Test(arguments: 0..<60 as Range<UInt64>) func overlapsInAnyOrder(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let script = Script.established()
    let bytes = stream(1200)
    // What arrived, how many bytes that are, and what of it is in order.
    var arrived = Array(repeating: false, count: bytes.count)
    var (count, expected) = (0, 0)
    while script.delivered.count < bytes.count {
      let start = Int.random(in: 0..<bytes.count, using: &random)
      let end = min(start + Int.random(in: 1...200, using: &random), bytes.count)
      script.inject(.ack, 1 + start, Array(bytes[start..<end]), ack: 1)
      for index in start..<end where !arrived[index] {
        arrived[index] = true
        count += 1
      }
      while expected < bytes.count, arrived[expected] { expected += 1 }
      #expect(script.delivered.count == expected, "seed \(seed)")
      // What is held is what arrived beyond the first hole, each byte once.
      #expect(script.info.outOfOrderBytes == count - expected, "seed \(seed)")
    }
    #expect(script.delivered == bytes)
    #expect(script.pool.inUse == 0)
  }

  // Rules: RFC 2018 4-5, 4-6, 4-7
  @Test func whatIsHeldIsToldSelectively() {
    var options = TCPOptions()
    options.sackPermitted = true
    options.mss = 1000
    let script = Script.established(Script.plain, syn: options)
    func blocks() -> [[Int]] {
      guard let sack = script.take().last?.options.sack else { return [] }
      return (0..<sack.count).map { [sack[$0].left - script.irs, sack[$0].right - script.irs] }
    }
    script.inject(.ack, 1001, stream(100, from: 1000), ack: 1)
    #expect(blocks() == [[1001, 1101]])
    script.inject(.ack, 3001, stream(100, from: 3000), ack: 1)
    #expect(blocks() == [[3001, 3101], [1001, 1101]])
    // The most recent one first, grown at either end.
    script.inject(.ack, 1101, stream(100, from: 1100), ack: 1)
    #expect(blocks() == [[1001, 1201], [3001, 3101]])
    script.inject(.ack, 901, stream(100, from: 900), ack: 1)
    #expect(blocks() == [[901, 1201], [3001, 3101]])
    for start in [5001, 7001, 9001] { script.inject(.ack, start, stream(10, from: start - 1), ack: 1) }
    #expect(blocks() == [[9001, 9011], [7001, 7011], [5001, 5011], [901, 1201]])
    script.inject(.ack, 1, stream(900), ack: 1)
    #expect(blocks() == [[9001, 9011], [7001, 7011], [5001, 5011]])
  }

  // Rules: RFC 2018 4-1
  @Test func selectiveAcknowledgmentsAreNotForcedOnThePeer() {
    let script = Script.established()
    script.inject(.ack, 1001, stream(100, from: 1000), ack: 1)
    #expect(script.take().last?.options.sack.isEmpty == true)
  }

  @Test func whatIsHeldIsBounded() {
    let script = Script.established()
    // One byte each, every second: 65535 bytes of buffer allow 127 packets.
    for index in 1..<900 { script.inject(.ack, 1 + 2 * index, [streamByte(2 * index)], ack: 1) }
    #expect(script.pool.inUse == 127)
    script.inject(.ack, 1, stream(1900), ack: 1)
    #expect(script.delivered == stream(1900))
    #expect(script.pool.inUse == 0)
  }

  @Test func heldPacketsGoBackWithTheConnection() {
    let pool: TestPool
    do {
      let script = Script.established()
      script.inject(.ack, 1001, stream(1000, from: 1000), ack: 1)
      pool = script.pool
      #expect(pool.inUse == 1)
    }
    #expect(pool.inUse == 0)
    let script = Script.established()
    script.inject(.ack, 1001, stream(1000, from: 1000), ack: 1)
    script.connection.discardOutOfOrder()
    #expect(script.pool.inUse == 0)
    script.inject(.ack, 1001, stream(1000, from: 1000), ack: 1)
    script.inject(.rst, 1)
    #expect(script.pool.inUse == 0)
  }

  @Test func textBeyondTheWindowIsTrimmed() {
    var configuration = Script.plain
    configuration.receiveBuffer = 1500
    configuration.personality = .bsd
    let script = Script.established(configuration)
    script.inject(.ack, 1, stream(1000), ack: 1)
    script.inject([.ack, .fin], 1001, stream(1000, from: 1000), ack: 1)
    #expect(script.delivered == stream(1500))
    #expect(script.state == .established)
    let last = script.take().last
    #expect(last?.acknowledgment == 1501)
    #expect(last?.window == 0)
  }

  @Test func segmentOverBothEdgesIsTrimmed() {
    var configuration = Script.plain
    configuration.receiveBuffer = 500
    let script = Script.established(configuration)
    script.inject(.ack, 1, stream(100), ack: 1)
    script.inject(.ack, 51, stream(1000, from: 50), ack: 1)
    #expect(script.delivered == stream(500))
  }

  // Rules: RFC 9293 MAY-8
  @Test func closedWindowAnswersProbesAndTakesAcknowledgments() {
    var configuration = Script.plain
    configuration.receiveBuffer = 1000
    let script = Script.established(configuration)
    script.enqueue(100)
    script.inject(.ack, 1, stream(1000), ack: 1)
    _ = script.take()
    // A probe with one byte, which also acknowledges.
    script.inject(.ack, 1001, stream(1, from: 1000), ack: 101)
    #expect(script.delivered.count == 1000)
    #expect(script.last.acknowledgedBytes == 100)
    let answer = script.take()
    #expect(answer.map(\.acknowledgment) == [1001])
    #expect(answer.map(\.window) == [0])
    // Linux's probe: old, and empty.
    script.inject(.ack, 1000, ack: 101)
    #expect(script.take().map(\.acknowledgment) == [1001])
  }

  @Test func finIsTakenThroughAClosedWindow() {
    var configuration = Script.plain
    configuration.receiveBuffer = 1000
    let script = Script.established(configuration)
    script.inject(.ack, 1, stream(1000), ack: 1)
    script.inject([.fin, .ack], 1001, ack: 1)
    #expect(script.state == .closeWait)
    #expect(script.last.endOfStream)
    #expect(script.take().last?.acknowledgment == 1002)
  }

  // Rules: RFC 9293 MUST-66
  @Test func resetAtAClosedWindow() {
    var configuration = Script.plain
    configuration.receiveBuffer = 1000
    let script = Script.established(configuration)
    script.inject(.ack, 1, stream(1000), ack: 1)
    script.inject(.rst, 1002)
    #expect(script.state == .established)
    script.inject(.rst, 1001)
    #expect(script.state == .closed)
  }

  // Rules: RFC 9293 MUST-39
  @Test func theWindowOpensInWorthwhileSteps() {
    var configuration = Script.plain
    configuration.receiveBuffer = 4000
    let script = Script.established(configuration)
    for index in 0..<4 { script.inject(.ack, 1 + index * 1000, stream(1000, from: index * 1000), ack: 1) }
    #expect(script.take().last?.window == 0)
    script.space(500)
    #expect(script.take().isEmpty)
    script.space(999)
    #expect(script.take().isEmpty)
    script.space(1000)
    #expect(script.take().map(\.window) == [1000])
    script.space(1500)
    #expect(script.take().isEmpty)
    script.space(4000)
    #expect(script.take().map(\.window) == [4000])
  }

  @Test func smallReadsDoNotCauseASegmentEach() {
    let script = Script.established()
    for index in 0..<40 { script.inject(.ack, 1 + index * 1000, stream(1000, from: index * 1000), ack: 1) }
    _ = script.take()
    for read in 1...400 { script.space(25_535 + read * 100) }
    #expect(script.take().count <= 5)
    #expect(script.info.receiveWindow > 55_000)
  }

  // Rules: RFC 7323 2.4-2, 2.4-3; RFC 9293 SHLD-14
  @Test func lessRoomNeverTakesBackWhatWasOffered() {
    let script = Script.established()
    script.space(100)
    script.inject(.ack, 1, stream(1000), ack: 1)
    script.inject(.ack, 1001, stream(1000, from: 1000), ack: 1)
    #expect(script.delivered == stream(2000))
    let ack = script.take().last!
    #expect(ack.acknowledgment! + ack.window == 1 + 65_000)
  }

  // Rules: RFC 7323 2.4-2, 2.4-3
  @Test func aScaledWindowMovesBackByLessThanAUnitOfItsField() {
    // What was offered is accepted all the same (RFC 7323 section 2.4).
    var options = TCPOptions()
    options.mss = 1000
    options.windowScale = 0
    var configuration = Script.plain
    configuration.windowScaling = true
    configuration.receiveBuffer = 8 << 20
    let script = Script.established(configuration, syn: options)
    var random = SeededGenerator(seed: 9)
    var edge = 0
    var position = 0
    for _ in 0..<3000 {
      let count = Int.random(in: 1...1000, using: &random)
      script.inject(.ack, 1 + position, stream(count, from: position), ack: 1)
      position += count
      if random.chance(0.2) { script.space(8 << 20) }
      for ack in script.take() {
        let visible = ack.acknowledgment! + ack.window << 8
        #expect(visible > edge - 256)
        edge = max(edge, visible)
        // Never more than the buffer and less than one unit of the field.
        #expect(visible <= 1 + position + (8 << 20) + 255)
      }
    }
  }

  @Test func urgentDataIsData() {
    let script = Script.established()
    script.inject([.ack, .urg], 1, stream(10), ack: 1, urgent: 5)
    script.inject([.ack, .urg], 11, stream(10, from: 10), ack: 1, urgent: 65535)
    #expect(script.delivered == stream(20))
  }

  @Test func acknowledgmentOnTheRightEdgeCounts() {
    // The peer has filled our window and lost a segment: its acknowledgments stand on the edge.
    let script = Script.established()
    script.enqueue(100)
    script.inject(.ack, 1 + script.info.receiveWindow, ack: 101)
    #expect(script.last.acknowledgedBytes == 100)
  }

  @Test func textInOtherStatesIsNotDelivered() {
    for state: TCPState in [.closeWait, .closing, .lastAck, .timeWait] {
      let script = Script.inState(state)
      script.inject(.ack, 2, stream(10), ack: Script.ownNext(state))
      #expect(script.delivered.isEmpty)
      #expect(script.pool.inUse == 0)
    }
  }

  @Test func T4_receivingOverTheWrap() {
    let script = Script.established(iss: .max - 10, irs: .max - 1500)
    script.inject(.ack, 1001, stream(1000, from: 1000), ack: 1)
    script.inject(.ack, 1, stream(1000), ack: 1)
    script.inject([.ack, .fin], 2001, stream(10, from: 2000), ack: 1)
    #expect(script.delivered == stream(2010))
    #expect(script.state == .closeWait)
    script.enqueue(3000)
    script.inject(.ack, 2012, ack: 3001)
    #expect(script.last.acknowledgedBytes == 3000)
  }
}
