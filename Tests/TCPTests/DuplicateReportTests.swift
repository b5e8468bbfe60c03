import TCP
import Testing
import Timing
import Wire

/// What an acknowledgment reports beside its number: RFC 2018 section 4 and RFC 2883.
@Suite struct DuplicateReportTests {
  private func established(_ change: (inout TCPConfiguration) -> Void = { _ in }) -> Script {
    var configuration = Script.plain
    change(&configuration)
    var options = TCPOptions()
    options.sackPermitted = true
    options.mss = 1000
    return Script.established(configuration, syn: options)
  }
  /// The blocks of the last segment sent.
  private func blocks(_ script: Script) -> [[Int]] {
    guard let sack = script.take().last?.options.sack else { return [] }
    return (0..<sack.count).map { [sack[$0].left - script.irs, sack[$0].right - script.irs] }
  }

  /// RFC 2883 section 4.1: what was acknowledged comes again.
  // Rules: RFC 2883 4-1, 4-2, 4-3
  @Test func whatWasAcknowledgedIsReported() {
    let script = established()
    script.inject(.ack, 1, stream(1000), ack: 1)
    script.inject(.ack, 1001, stream(1000, from: 1000), ack: 1)
    _ = script.take()
    script.inject(.ack, 501, stream(500, from: 500), ack: 1)
    #expect(blocks(script) == [[501, 1001]])
    #expect(script.info.counters.duplicatesReported == 1)
    // Once: the next acknowledgment says nothing of it.
    script.inject(.ack, 2001, stream(1500, from: 2000), ack: 1)
    #expect(blocks(script) == [])
  }

  /// Section 4.1.2: the repetition first, what is held behind it; and before the right edge of what was said.
  // Rules: RFC 2883 4-4, 4-5
  @Test func theRepetitionComesBeforeWhatIsHeld() {
    let script = established()
    script.inject(.ack, 1, stream(1000), ack: 1)
    script.inject(.ack, 3001, stream(1000, from: 3000), ack: 1)
    _ = script.take()
    script.inject(.ack, 1, stream(1000), ack: 1)
    #expect(blocks(script) == [[1, 1001], [3001, 4001]])
    // Section 4.1.3: what is held comes again.
    script.inject(.ack, 3001, stream(1000, from: 3000), ack: 1)
    #expect(blocks(script) == [[3001, 4001], [3001, 4001]])
  }

  /// Section 4.2: parts of segments.
  // Rules: RFC 2883 4-6
  @Test func partsAreReported() {
    let script = established()
    script.inject(.ack, 1, stream(1000), ack: 1)
    _ = script.take()
    // Old at its beginning.
    script.inject(.ack, 501, stream(1000, from: 500), ack: 1)
    script.inject(.ack, 1501, stream(1, from: 1500), ack: 1)
    #expect(blocks(script) == [[501, 1001]])
    // Held at its end, at its beginning, in its middle.
    script.inject(.ack, 3001, stream(1000, from: 3000), ack: 1)
    script.inject(.ack, 2501, stream(1000, from: 2500), ack: 1)
    #expect(blocks(script) == [[3001, 3501], [2501, 4001]])
    script.inject(.ack, 3801, stream(700, from: 3800), ack: 1)
    #expect(blocks(script) == [[3801, 4001], [2501, 4501]])
    script.inject(.ack, 6001, stream(10, from: 6000), ack: 1)
    _ = script.take()
    script.inject(.ack, 5901, stream(200, from: 5900), ack: 1)
    #expect(blocks(script) == [[6001, 6011], [5901, 6101], [2501, 4501]])
  }

  /// What fills a hole reaches into what is held.
  @Test func fillingAHoleTooFarIsReported() {
    let script = established()
    script.inject(.ack, 1001, stream(500, from: 1000), ack: 1)
    _ = script.take()
    script.inject(.ack, 1, stream(1200), ack: 1)
    #expect(script.delivered == stream(1500))
    #expect(blocks(script) == [[1001, 1201]])
    // A gap behind what is held is new.
    script.inject(.ack, 2501, stream(100, from: 2500), ack: 1)
    _ = script.take()
    script.inject(.ack, 1501, stream(1400, from: 1500), ack: 1)
    #expect(script.delivered == stream(2900))
    #expect(blocks(script) == [[2501, 2601]])
  }

  @Test func aRepeatedFinCounts() {
    let script = established()
    script.inject([.fin, .ack], 1, stream(10), ack: 1)
    _ = script.take()
    script.inject([.fin, .ack], 1, stream(10), ack: 1)
    #expect(blocks(script) == [[1, 12]])
  }

  @Test func repetitionsAreReportedOnlyWhereTheyMayBe() {
    let off = established { $0.duplicateReports = false }
    off.inject(.ack, 1, stream(1000), ack: 1)
    off.inject(.ack, 1, stream(1000), ack: 1)
    #expect(blocks(off) == [])
    let notSelective = Script.established()
    notSelective.inject(.ack, 1, stream(1000), ack: 1)
    notSelective.inject(.ack, 1, stream(1000), ack: 1)
    #expect(blocks(notSelective) == [])
    #expect(off.info.counters.duplicatesReported == 0)
    // Probes of a closed window and of an idle peer are none.
    let script = established { $0.receiveBuffer = 1000 }
    script.inject(.ack, 1, stream(1000), ack: 1)
    _ = script.take()
    script.inject(.ack, 1001, stream(1, from: 1000), ack: 1)
    #expect(blocks(script) == [])
    script.inject(.ack, 1000, ack: 1)
    #expect(blocks(script) == [])
  }

  /// RFC 2018 section 3: three blocks beside timestamps, four without.
  // Rules: RFC 2018 4-6
  @Test func asManyBlocksAsFindRoom() {
    for stamped in [false, true] {
      var options = TCPOptions()
      options.sackPermitted = true
      options.mss = 1000
      if stamped { options.timestamps = TCPTimestamps(value: 1, echo: 0) }
      var configuration = Script.plain
      configuration.timestamps = true
      let script = Script.established(configuration, syn: options)
      for index in 1...5 { script.inject(.ack, 2000 * index, stream(10), ack: 1) }
      let recent = [[10_000, 10_010], [8000, 8010], [6000, 6010], [4000, 4010]]
      let room = stamped ? 3 : 4
      #expect(blocks(script) == Array(recent.prefix(room)))
      // A repetition takes the place of the last.
      script.inject(.ack, 2000, stream(10), ack: 1)
      #expect(blocks(script) == Array(([[2000, 2010], [2000, 2010]] + recent).prefix(room)))
    }
  }

  /// A sender that has holes to report sends shorter segments, and none is longer than the peer takes.
  // Rules: RFC 2018 4-3
  @Test func textMakesRoomForTheReport() {
    let script = established()
    script.inject(.ack, 2001, stream(10), ack: 1)
    script.inject(.ack, 4001, stream(10), ack: 1)
    _ = script.take()
    script.enqueue(3000)
    let sent = script.take()
    #expect(sent.map(\.count) == [980, 980, 980, 60])
    #expect(sent.allSatisfy { $0.options.sack.count == 2 })
    for index in 0..<4 { script.inject(.ack, 1 + index * 1000, stream(1000), ack: 3001) }
    script.enqueue(1000)
    #expect(script.take().last?.count == 1000)
  }

  /// RFC 2018 section 8: what was thrown away is reported no more.
  // Rules: RFC 2018 8-2
  @Test func whatWasThrownAwayIsNotReported() {
    let script = established()
    for index in 1...4 { script.inject(.ack, 2000 * index, stream(10), ack: 1) }
    _ = script.take()
    script.change { $0.discardOutOfOrder() }
    script.inject(.ack, 20_000, stream(10), ack: 1)
    #expect(blocks(script) == [[20_000, 20_010]])
  }
}
