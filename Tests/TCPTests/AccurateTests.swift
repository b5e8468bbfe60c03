import Exclusion
import Testing
import Timing
import Wire

@testable import TCP

/// Accurate feedback of congestion, RFC 9768: what scripts cannot say, or say at length.
@Suite struct AccurateTests {
  private static func configuration(
    _ change: (inout TCPConfiguration) -> Void = { _ in }
  ) -> TCPConfiguration {
    var configuration = Script.plain
    configuration.congestionNotification = .accurate
    change(&configuration)
    return configuration
  }
  private static let asking: TCPFlags = [.syn, .ae, .cwr, .ece]
  private static func options(selective: Bool = true) -> TCPOptions {
    var options = TCPOptions()
    options.mss = 1000
    options.sackPermitted = selective
    return options
  }
  private static func counters(
    _ zero: UInt32 = 1, _ experienced: UInt32 = 0, _ one: UInt32 = 1
  ) -> TCPOptions {
    var options = TCPOptions()
    options.accurateECN = TCPAccurateECN(
      order: .capable0First, count: 3, capable0: zero, experienced: experienced, capable1: one)
    return options
  }
  /// The flags of an acknowledgment with so much on the counter ACE.
  private func count(_ number: UInt32) -> TCPFlags { TCPFlags(marks: number).union(.ack) }

  /// A server that has agreed on accurate feedback, with nothing written down yet.
  private func server(
    _ configuration: TCPConfiguration = AccurateTests.configuration(), selective: Bool = true
  ) -> Script {
    let script = Script(
      passive: configuration, syn: Self.options(selective: selective), flags: Self.asking)
    script.inject([.ack, .cwr], 1, ack: 1, options: Self.counters())
    #expect(script.state == .established && script.info.congestionFeedback == .accurate)
    _ = script.take()
    return script
  }

  /// A client that has agreed on accurate feedback.
  private func client(
    _ configuration: TCPConfiguration = AccurateTests.configuration(),
    mark: CongestionNotification = .notCapable
  ) -> Script {
    let script = Script(active: configuration)
    _ = script.take()
    var options = Self.options()
    options.accurateECN = Self.counters().accurateECN
    script.inject([.syn, .ack, .cwr], 0, ack: 1, options: options, mark: mark)
    return script
  }

  // MARK: Who agrees to what

  // Rules: RFC 9768 3.1.1-1, 3.1.1-2, 3.1.1-4, 3.1.2-3, 3.1.2-5, 3.1.3-1, 3.1.3-4, 3.1.5-10, 3.1.5-16
  @Test func everySynGetsWhatItAsksForAndWeGive() {
    for use in [
      CongestionNotificationUse.off, .request, .accept, .accurate, .acceptAccurateRequest, .acceptAccurate,
    ] {
      for marks in 0..<8 as Range<UInt32> {
        let asked: CongestionFeedback =
          switch use {
          case .off: .none
          case .request, .accept: marks & 3 == 3 ? .classic : .none
          case .accurate, .acceptAccurateRequest, .acceptAccurate:
            marks == 0 ? .none : marks == 3 ? .classic : .accurate
          }
        for mark in [CongestionNotification.notCapable, .capable0, .capable1, .experienced] {
          let script = Script(
            passive: Self.configuration { $0.congestionNotification = use }, syn: Self.options(),
            flags: TCPFlags(marks: marks).union(.syn), mark: mark)
          let reflected: UInt8 = [0b010, 0b011, 0b100, 0b110][Int(mark.rawValue)]
          let expected: UInt8 = asked == .none ? 0 : asked == .classic ? 1 : reflected
          #expect(script.take().map(\.flags.marks) == [expected], "\(use) \(marks) \(mark)")
          #expect(script.info.congestionFeedback == asked)
        }
      }
    }
  }

  // Rules: RFC 9768 3.1.1-5, 3.1.1-6, 3.1.2-1, 3.1.2-6, 3.1.3-2, 3.1.3-3
  @Test func everySynAckAgreesToWhatItSays() {
    for (use, offer): (CongestionNotificationUse, UInt8) in [
      (.off, 0), (.request, 3), (.accept, 0), (.accurate, 7), (.acceptAccurateRequest, 3),
      (.acceptAccurate, 0),
    ] {
      for marks in 0..<8 as Range<UInt32> {
        let script = Script(active: Self.configuration { $0.congestionNotification = use })
        #expect(script.take().map(\.flags.marks) == [offer])
        #expect(script.info.congestionFeedback == .none)
        script.inject(
          TCPFlags(marks: marks).union([.syn, .ack]), 0, ack: 1, options: Self.options(), mark: .capable1)
        let agreed: CongestionFeedback =
          offer != 0 && marks == 1 ? .classic : offer == 7 && marks != 0 && marks != 7 ? .accurate : .none
        #expect(script.info.congestionFeedback == agreed, "\(use) \(marks)")
        #expect(script.take().map(\.flags.marks) == [agreed == .accurate ? 0b011 : 0])
      }
    }
  }

  // Rules: RFC 9768 3.1.5-5, 3.1.5-1
  @Test func whoAsksForTwoKindsIsReset() {
    let classic: TCPFlags = [.syn, .cwr, .ece]
    let pairs: [(TCPFlags, TCPFlags)] = [
      (Self.asking, classic), (classic, Self.asking), (Self.asking, .syn), (.syn, Self.asking),
      (.syn, classic), (classic, .syn),
    ]
    for (first, second) in pairs {
      let isMixed = first != TCPFlags.syn && second != TCPFlags.syn
      let script = Script(passive: Self.configuration(), syn: Self.options(), flags: first)
      let feedback = script.info.congestionFeedback
      _ = script.take()
      script.inject(second, 0, options: Self.options())
      #expect(script.take().map(\.flags).first?.contains(.rst) == isMixed)
      #expect((script.state == .closed) == isMixed)
      if !isMixed { #expect(script.info.congestionFeedback == feedback) }

      // The same where a listener keeps it.
      let syn = TCPSegment(sequence: script.irs, flags: first, options: Self.options(), arrival: script.now)
      var small = TCPHalfOpen(
        syn: syn, iss: script.iss, timestampOffset: 0, configuration: Self.configuration(), now: script.now)
      let again = TCPSegment(
        sequence: script.irs, flags: second, options: Self.options(), arrival: script.now)
      switch small.examine(again, payloadCount: 0, Self.configuration(), now: script.now) {
      case .refuse(let reply):
        #expect(isMixed && reply.flags == [.rst, .ack] && reply.acknowledgment == script.irs + 1)
      case .resend:
        #expect(!isMixed)
        small.takeRepeatedSyn(again)
        let mayMark = small.connection(Self.configuration(), now: script.now).info.accurateFeedback
          .marksPackets
        #expect(mayMark == false)
      case .ignore, .answer, .reset, .remove, .complete: Issue.record("\(first) \(second)")
      }
    }
  }

  // Rules: RFC 9768 3.1.2-7, 3.1.2-8, 3.1.5-6, 3.2.2-3
  @Test func crossingSynsAreAnsweredAsServersAnswerThem() {
    for (marks, becomes): (UInt32, TCPState) in [(2, .established), (1, .closed), (0, .established)] {
      let script = Script(active: Self.configuration())
      _ = script.take()
      script.inject(Self.asking, 0, options: Self.options(), mark: .capable0)
      #expect(script.take().map(\.flags) == [[.syn, .ack, .ae]])
      #expect(script.info.congestionFeedback == .accurate)
      // The flags of a SYN-ACK are no count, here neither.
      script.inject(
        TCPFlags(marks: marks).union([.syn, .ack]), 0, ack: 1, options: Self.options(), mark: .capable1)
      #expect(script.state == becomes)
      let answer = script.take()
      if becomes == .closed {
        #expect(answer.map(\.flags) == [.rst])
        continue
      }
      #expect(answer.map(\.flags) == [[.ack, .cwr, .ece]])
      #expect(script.info.markedSegments == 0)
      // Then the ACK of our SYN-ACK; a SYN-ACK that asked for nothing is an end of marking.
      script.inject([.ack, .cwr], 1, ack: 1)
      script.enqueue(10)
      #expect(script.take().map(\.isCapable) == [marks == 2])
    }
  }

  // Rules: RFC 9768 3.1.5-3, 3.1.5-4
  @Test func crossingSynsGetNoMoreThanOursAskedFor() {
    for (use, expected): (CongestionNotificationUse, CongestionFeedback) in [
      (.off, .none), (.request, .classic), (.accept, .classic), (.accurate, .accurate),
      (.acceptAccurateRequest, .classic), (.acceptAccurate, .accurate),
    ] {
      let script = Script(active: Self.configuration { $0.congestionNotification = use })
      script.inject(Self.asking, 0, options: Self.options())
      #expect(script.info.congestionFeedback == expected)
      // A SYN without flags was part of it where we asked for nothing.
      #expect(script.info.accurateFeedback.marksPackets == (use == .accurate))
    }
  }

  // Rules: RFC 9768 3.1.5-1, 3.1.5-13, 3.1.5-15, 3.2.3.2.2-1, 3.2.3.2.2-2
  @Test func whoAnsweredWithoutFlagsCountsAndDoesNotMark() {
    let script = Script(passive: Self.configuration(), syn: Self.options(), flags: Self.asking)
    script.fire()
    script.fire()
    let sent = script.take()
    #expect(sent.map(\.flags.marks) == [2, 2, 0])
    #expect(sent.map { $0.options.accurateECN != nil } == [true, false, false])
    script.inject([.ack, .cwr], 1, ack: 1, options: Self.counters())
    script.inject(count(5), 1, stream(10), ack: 1, mark: .experienced)
    script.enqueue(10)
    let text = script.take()
    #expect(text.allSatisfy { $0.flags.marks == 6 && !$0.isCapable })
    #expect(script.info.accurateFeedback.failures == .fieldSent)
    #expect(script.info.accurateFeedback.receivedBytes.experienced == 10)
    // Feedback is answered all the same.
    script.inject(count(6), 11, ack: 11)
    #expect(script.info.markedSegments == 1 && script.info.phase == .reduction)
  }

  // Rules: RFC 9768 3.2.3.2.1-1, 3.1.4.1-1, 3.1.4.1-2, 3.1.4.1-3, 3.1.5-3
  @Test func aSynThatIsNotAnsweredAsksOnceMoreAndThenForNothing() {
    for (use, fallback, marks): (CongestionNotificationUse, Bool, [UInt8]) in [
      (.accurate, true, [7, 7, 0, 0]), (.accurate, false, [7, 7, 7, 7]), (.request, true, [3, 0, 0, 0]),
      (.request, false, [3, 3, 3, 3]),
    ] {
      let script = Script(
        active: Self.configuration {
          $0.congestionNotification = use
          $0.notificationFallback = fallback
        })
      for _ in 0..<3 { script.fire() }
      let sent = script.take()
      #expect(sent.map(\.flags.marks) == marks)
      #expect(sent.allSatisfy { $0.sequence == 0 && $0.options.accurateECN == nil && !$0.isCapable })
    }
  }

  // MARK: Cookies

  @Test func aCookieAgreesAndThePeersAckSaysSo() throws {
    let cookies = SynCookies(key: HashKey(seed: 9))
    let ends = (SocketAddress("10.0.0.1:80")!, SocketAddress("10.0.0.2:4000")!)
    let now = Instant(milliseconds: 500_000)
    for stamps in [nil, TCPTimestamps(value: 7, echo: 0)] {
      for marks in 0..<8 as Range<UInt32> {
        var options = Self.options()
        options.timestamps = stamps
        let syn = TCPSegment(
          sequence: SequenceNumber(77), flags: Self.asking, options: options, arrival: now,
          notification: .capable1)
        var configuration = Self.configuration()
        configuration.timestamps = true
        func ack(_ reply: TCPOutgoing) -> TCPHalfOpen? {
          var segment = TCPSegment(
            sequence: SequenceNumber(78), acknowledgment: reply.sequence + 1, flags: count(marks),
            arrival: now)
          segment.options.timestamps = reply.options.timestamps.map {
            TCPTimestamps(value: 8, echo: $0.value)
          }
          return cookies.halfOpen(
            segment, local: ends.0, remote: ends.1, timestampOffset: 0, configuration: configuration, now: now
          )
        }
        let reply = cookies.synAck(
          syn, local: ends.0, remote: ends.1, timestampOffset: 0, configuration: configuration, now: now)
        #expect(reply.flags == [.syn, .ack, .cwr, .ece])
        let kept = try #require(ack(reply))
        #expect(kept.negotiation.notification == (marks < 2 ? .none : .accurate))
        // Who gives RFC 3168's feedback only does not mistake the flags.
        configuration.congestionNotification = .accept
        #expect(try #require(ack(reply)).negotiation.notification == .none)
      }
    }
  }

  // MARK: The third ACK

  // Rules: RFC 9768 3.2.2.1-4, 3.2.2.1-5, 3.2.2.1-6, 3.2.2.1-7, 3.2.2.2-5, 3.2.2.3-2, 3.2.2-2
  @Test func theAckOfTheSynAckSaysHowThatArrived() {
    for marks in 0..<8 as Range<UInt32> {
      let script = Script(passive: Self.configuration(), syn: Self.options(), flags: Self.asking)
      _ = script.take()
      script.inject(count(marks), 1, ack: 1)
      #expect(script.state == .established)
      #expect(script.info.markedSegments == (marks == 6 ? 1 : 0))
      #expect(script.info.congestionWindow == (marks == 6 ? 1 : 10))
      script.inject(count(5), 1, stream(10), ack: 1, mark: .experienced)
      script.enqueue(10)
      let sent = script.take()
      // Any mark is one that no router makes; a zero is a peer that does not count.
      #expect(sent.last?.isCapable == [1, 2, 5, 7].contains(marks), "\(marks)")
      #expect(sent.allSatisfy { $0.flags.marks == 6 })
      script.inject(count(marks == 6 ? 7 : 6), 11, ack: 11)
      #expect(script.info.markedSegments == (marks == 0 ? 0 : marks == 6 ? 2 : 1))
    }
  }

  // Rules: RFC 9768 3.2.2.1-4
  @Test func textInsteadOfTheAckHasACount() {
    let script = Script(passive: Self.configuration(), syn: Self.options(), flags: Self.asking)
    _ = script.take()
    script.inject(count(5), 1, stream(10), ack: 1)
    #expect(script.state == .established && script.info.markedSegments == 0)
    script.inject(count(2), 11, ack: 1)
    #expect(script.info.markedSegments == 0, "it acknowledges nothing")
  }

  // Rules: RFC 9768 3.2.2.1-1, 3.2.2.1-2, 3.2.2.2-1, 3.2.2.2-4
  @Test func whatIsQueuedWaitsForTheAck() {
    let script = Script(active: Self.configuration())
    script.enqueue(10)
    _ = script.take()
    script.inject([.syn, .ack, .cwr], 0, ack: 1, options: Self.options(), mark: .experienced)
    let sent = script.take()
    #expect(sent.map(\.count) == [0, 10])
    #expect(sent.map(\.flags.marks) == [0b110, 0b110])
    // Again, and again marked: it is counted once.
    for _ in 0..<2 {
      script.wait(milliseconds: 1)
      script.inject([.syn, .ack, .cwr], 0, ack: 1, options: Self.options(), mark: .experienced)
    }
    #expect(script.take().map(\.flags.marks) == [0b110, 0b110])
    #expect(script.info.accurateFeedback.receivedPackets == 1)
    script.inject([.syn, .ack, .cwr], 0, ack: 1, options: Self.options(), mark: .capable0)
    #expect(script.take().map(\.flags.marks) == [0b100])
  }

  // Rules: RFC 9768 3.2.2.2-3, 3.2.2.3-1
  @Test func aMarkOnOurSynIsAReasonToBeginWithLittle() {
    for (marks, window): (UInt32, Int) in [(2, 10), (4, 10), (6, 1), (5, 10)] {
      let script = Script(active: Self.configuration())
      script.inject(TCPFlags(marks: marks).union([.syn, .ack]), 0, ack: 1, options: Self.options())
      #expect(script.info.congestionWindow == window)
      #expect(script.info.markedSegments == 0 && script.info.congestionFeedback == .accurate)
      #expect(script.info.accurateFeedback.marksPackets == (marks == 2 || marks == 5))
      script.inject(count(5), 1, stream(10), ack: 1, mark: .experienced)
      #expect(script.take().last?.flags.marks == 6)
    }
  }

  // Rules: RFC 9768 3.2.2.4-1, 3.2.2.4-2
  @Test func aFirstCountOfZeroIsNone() {
    for first in 0..<8 as Range<UInt32> {
      let script = client()
      script.enqueue(10)
      _ = script.take()
      script.inject(count(first), 1, stream(10), ack: 11, options: Self.counters(11), mark: .experienced)
      script.enqueue(10)
      let sent = script.take()
      #expect(sent.last?.isCapable == (first != 0))
      #expect(sent.last?.flags.marks == 6, "what arrives is counted")
      #expect(script.info.markedSegments == (first == 0 ? 0 : (first &- 5) & 7))
      // Later a zero is a number.
      script.inject(count(0), 11, ack: 21)
      #expect(script.info.markedSegments == (first == 0 ? 0 : 3 + (first > 5 || first == 5 ? 0 : 8)))
    }
  }

  // MARK: What is counted, and told

  // Rules: RFC 9768 3.2-1, 3.2-2, 3.2-3, 3.2.2.2-2, 3.2.3.1-1
  @Test func packetsAndBytesAreCountedByTheirMarks() {
    let script = server()
    var next = 1
    for (mark, size): (CongestionNotification, Int) in [
      (.capable0, 100), (.experienced, 200), (.capable1, 300), (.notCapable, 400), (.experienced, 0),
      (.experienced, 50),
    ] {
      script.inject(count(5), next, stream(size, from: next), ack: 1, mark: mark)
      next += size
    }
    let info = script.info.accurateFeedback
    #expect(info.receivedPackets == 3 && info.wasCapable)
    #expect(info.receivedBytes.capable0 == 100 && info.receivedBytes.experienced == 250)
    #expect(info.receivedBytes.capable1 == 300)
    // Not acceptable: it does not count.
    script.inject(count(5), 1_000_000, stream(10), ack: 1, mark: .experienced)
    #expect(script.info.accurateFeedback.receivedPackets == 3)
    _ = script.take()
    script.enqueue(10)
    let told = script.take().last
    #expect(told?.flags.marks == 0 && told?.options.accurateECN?.capable0 == 101)
    #expect(told?.options.accurateECN?.experienced == 250 && told?.options.accurateECN?.capable1 == 301)
  }

  // Rules: RFC 9768 3.2.2.5.1-1, 3.2.2.5.1-2, 3.2.2.5.1-3
  @Test func aMarkAfterNoneIsToldAtOnceAndThenEverySecond() {
    let script = server()
    for index in 0..<6 {
      script.inject(count(5), 1 + index * 10, stream(10), ack: 1, mark: index == 0 ? .capable0 : .experienced)
    }
    #expect(script.take().map(\.acknowledgment) == [21, 41, 61])
  }

  // Rules: RFC 9768 3.2.2.5.1-2, 3.2.2.5.1-4, 3.2.2.5.1-5, 3.2.2.5.1-6, 3.2.2.5.1-9
  @Test func everyThirdMarkedAcknowledgmentIsAcknowledged() {
    let script = server()
    // Something lies ahead of a hole: answers to acknowledgments do not report it.
    script.inject(count(5), 101, stream(10), ack: 1)
    #expect(script.take().map(\.options.sack.count) == [1])
    for _ in 0..<7 { script.inject(count(5), 1, ack: 1, mark: .experienced) }
    let sent = script.take()
    #expect(sent.map(\.flags.marks) == [0, 3])
    #expect(sent.allSatisfy { $0.count == 0 && $0.options.sack.isEmpty })
    script.inject(count(5), 201, stream(10), ack: 1)
    #expect(script.take().map(\.options.sack.count) == [2])
  }

  // Rules: RFC 9768 3.1.5-12, 3.2.2.5.1-8
  @Test func acknowledgmentsSayThatTheyAreCapableWhereBlocksTellThemFromDuplicates() {
    for (selective, personality, expected): (Bool, TCPPersonality, [Bool]) in [
      (true, .linux, [true, true]), (false, .linux, [false, true]), (true, .bsd, [false, true]),
    ] {
      let script = server(Self.configuration { $0.personality = personality }, selective: selective)
      script.inject(count(5), 1, stream(10), ack: 1, mark: .experienced)
      script.enqueue(10)
      #expect(script.take().map(\.isCapable) == expected)
      script.fire()
      #expect(script.take().last?.isCapable == expected[0], "a repetition")
    }
  }

  // Rules: RFC 9768 3.1.5-14
  @Test func nobodyIsToldThatTheWindowWasReduced() {
    let script = server()
    script.enqueue(2964)
    _ = script.take()
    script.inject(count(6), 1, ack: 989, options: Self.counters(1, 988))
    #expect(script.info.phase == .reduction && script.info.congestionWindow < 10)
    script.enqueue(988)
    #expect(script.take().last?.flags.marks == 5)
    #expect(script.info.markedSegments == 1)
    #expect(script.info.accurateFeedback.deliveredBytes.experienced == 988)
  }

  // MARK: The option

  // Rules: RFC 9768 3.2.3.3-1, 3.2.3.3-2, 3.2.3.3-4, 3.2.3.3-5
  @Test func blocksAndCountersShareWhatRoomThereIs() throws {
    let script = server(Self.configuration { $0.timestamps = true })
    // Blocks one after the other, and the mark with which each came.
    var reports: [(blocks: Int, fields: Int?)] = []
    for (index, mark) in [
      CongestionNotification.capable1, .capable1, .experienced, .capable0, .notCapable, .notCapable,
    ].enumerated() {
      script.inject(count(5), 1001 + 2000 * index, stream(1000), ack: 1, mark: mark)
      let sent = try #require(script.take().last)
      #expect(sent.options.byteCount <= 40)
      reports.append((sent.options.sack.count, sent.options.accurateECN.map { Int($0.count) }))
    }
    // Without timestamps three blocks leave room for three fields, and what has not changed gives way to a fourth block.
    #expect(reports.map(\.blocks) == [1, 2, 3, 3, 4, 4])
    #expect(reports.map(\.fields) == [3, 3, 3, 3, 1, 1])
  }

  // Rules: RFC 9768 3.2.3.3-2, 3.2.3.3-5
  @Test func aCounterThatHasNoRoomWaits() throws {
    var options = Self.options()
    options.timestamps = TCPTimestamps(value: 1, echo: 0)
    let script = Script(
      passive: Self.configuration { $0.timestamps = true }, syn: options, flags: Self.asking)
    script.stamps = true
    script.inject([.ack, .cwr], 1, ack: 1, options: Self.counters())
    _ = script.take()
    var last: Sent?
    for (index, mark) in [CongestionNotification.capable1, .capable1, .experienced, .capable0].enumerated() {
      script.inject(count(5), 1001 + 2000 * index, stream(1000), ack: 1, mark: mark)
      last = script.take().last
      let fields = [3, 2, 2, nil][index]
      #expect(last?.options.accurateECN.map { Int($0.count) } == fields, "\(index)")
      #expect(last?.options.sack.count == [1, 2, 2, 3][index])
    }
    #expect(last?.options.byteCount == 40)
    // With a hole filled there is room, and it is told what was not.
    script.inject(count(5), 1, stream(1000), ack: 1)
    let told = try #require(script.take().last)
    #expect(told.options.accurateECN?.capable0 == nil || told.options.accurateECN?.capable0 == 1001)
  }

  // Rules: RFC 9768 3.2.3.3-6, 3.2.3.3-7, 3.2.3.3-8, 3.2.3.3-9
  @Test func whoSendsOptionsSparinglySendsThemAfterChangesAndSomeInEachRoundTrip() {
    for (beacon, expected): (UInt8, [Bool]) in [
      (0, [true, true, false, false, false, false]), (1, [true, true, false, false, false, true]),
      (2, [true, true, false, true, false, true]),
    ] {
      let configuration = Self.configuration {
        $0.accurateOption = .sparing
        $0.accurateOptionBeacon = beacon
        // Acknowledgments always wait as long; who has no time stamps does not know the round trip yet.
        $0.personality = .bsd
        $0.timestamps = true
      }
      var options = Self.options()
      options.timestamps = TCPTimestamps(value: 1, echo: 0)
      let script = Script(passive: configuration, syn: options, flags: Self.asking)
      script.stamps = true
      script.wait(milliseconds: 200)
      script.inject([.ack, .cwr], 1, ack: 1, options: Self.counters())
      _ = script.take()
      var next = 1
      func arrive(_ mark: CongestionNotification) -> Bool {
        script.inject(count(5), next, stream(10, from: next), ack: 1, mark: mark)
        next += 10
        script.wait(milliseconds: 50)
        let sent = script.take()
        #expect(sent.count == 1)
        return sent.last?.options.accurateECN != nil
      }
      // The round trip is 200 ms, and there is an acknowledgment in each 50.
      #expect(expected.map { _ in arrive(.capable0) } == expected)
      #expect((0..<4).allSatisfy { _ in arrive(.experienced) })
      // The change, and the same again.
      #expect([arrive(.capable0), arrive(.capable0), arrive(.capable0)] == [true, true, false])
    }
  }

  // Rules: RFC 9768 3.2.3.3-10
  @Test func aCounterIsToldBeforeItMayWrap() {
    var feedback = AccurateFeedback()
    for _ in 0..<4 { _ = feedback.arrived(.capable0, bytes: 1000) }
    for _ in 0..<2 { feedback.told(withOption: true, isRepetition: false, now: .zero) }
    #expect(feedback.demand == 0)
    var bytes = 4000
    while bytes + 60_000 < 1 << 22 {
      _ = feedback.arrived(.capable0, bytes: 60_000)
      bytes += 60_000
      #expect(feedback.demand == 0)
    }
    _ = feedback.arrived(.capable0, bytes: 60_000)
    #expect(feedback.demand == 1)
  }

  // Rules: RFC 9768 3.2.3.2.3-2
  @Test func whoseOptionDoesNotArriveGetsOursUnlessLinuxSends() {
    for (personality, sends): (TCPPersonality, Bool) in [(.linux, false), (.bsd, true)] {
      let script = Script(active: Self.configuration { $0.personality = personality })
      script.inject([.syn, .ack, .cwr], 0, ack: 1, options: Self.options())
      script.enqueue(10)
      #expect(script.take().dropFirst().allSatisfy { ($0.options.accurateECN != nil) == sends })
    }
  }

  // Rules: RFC 9768 3.2.3.2.2-4, 3.2.3.2.2-3
  @Test func anOptionOnTheFirstTextThatGetsLostIsTheLast() {
    for (use, expected): (AccurateOptionUse, [Bool]) in [
      (.whenever, [true, false, false]), (.persistent, [true, true, true]), (.never, [false, false, false]),
    ] {
      let script = client(Self.configuration { $0.accurateOption = use })
      _ = script.take()
      script.enqueue(10)
      script.fire()
      script.fire()
      var sent = script.take().filter { $0.count > 0 }
      #expect(sent.count >= 3)
      // The tail loss probe goes before the timer.
      sent.removeFirst(sent.count - 2)
      script.inject(count(5), 1, ack: 11, options: Self.counters(11))
      script.enqueue(10)
      sent += script.take()
      #expect(sent.last.map { $0.options.accurateECN != nil } == expected.last)
      #expect(script.info.accurateFeedback.failures == (use == .never ? [] : .optionSent))
    }
  }

  // Rules: RFC 9768 3.2.3.2.2-5
  @Test func answersThatDoNotArriveLoseTheirOption() {
    let script = server()
    for index in 0..<4 {
      script.inject(count(5), 1, stream(990), ack: 1, mark: .capable0)
      script.wait(milliseconds: 100)
      #expect(script.take().map { $0.options.accurateECN != nil } == [index < 2], "\(index)")
    }
    // Other text that comes again says nothing of the kind.
    let other = server()
    other.inject(count(5), 1, stream(990), ack: 1)
    other.inject(count(5), 991, stream(990), ack: 1)
    for sequence in [1, 991, 1, 991] { other.inject(count(5), sequence, stream(990), ack: 1) }
    #expect(other.take().allSatisfy { $0.options.accurateECN != nil })
  }

  // Rules: RFC 9768 3.2.3.2.4-1, 3.2.3.2.4-2, 3.2.3.2.3-1
  @Test func countersThatAreZeroedOrComeLateAreNotRead() {
    for (options, sight): (TCPOptions, AccurateOptionSight) in [
      (Self.counters(0), .failed), (Self.counters(1, 0, 0), .failed), (Self.counters(77, 5, 8), .counters),
      (TCPOptions(), .none),
    ] {
      let script = Script(passive: Self.configuration(), syn: Self.options(), flags: Self.asking)
      script.inject([.ack, .cwr], 1, ack: 1, options: options)
      #expect(script.info.accurateFeedback.optionSight == sight)
    }
    var feedback = AccurateFeedback()
    feedback.look(at: nil, sent: 1 << 23 - 1)
    #expect(feedback.sight == .none)
    feedback.look(at: nil, sent: 1 << 23)
    #expect(feedback.sight == .failed && feedback.failures == .optionReceived)
    feedback.look(at: Self.counters().accurateECN, sent: 1 << 23)
    #expect(feedback.sight == .failed)
  }

  // Rules: RFC 9768 3.2.3.2.5-1, 3.2.3.2.5-2
  @Test func markedBytesInPacketsThatWereNotAreMangled() {
    for (marks, isMangled): (UInt32, Bool) in [(5, true), (6, false)] {
      let script = server()
      script.enqueue(988)
      script.inject(count(marks), 1, ack: 989, options: Self.counters(1, 988))
      script.enqueue(10)
      #expect(script.take().last?.isCapable == !isMangled)
      // The count came before, without the option: what follows is explained.
      let late = server()
      late.enqueue(1976)
      late.inject(count(6), 1, ack: 989)
      late.inject(count(6), 1, ack: 1977, options: Self.counters(989, 988))
      late.enqueue(10)
      #expect(late.take().last?.isCapable == true)
    }
  }

  // MARK: How many marks there are

  // Rules: RFC 9768 3.2.2.5.2-1, 3.2.2.5.2-2, 3.2.3.2.5-1
  @Test func aCountThatMayHaveWrappedIsTheSafestLikelyOne() {
    // The examples of Appendix A.2, and further ones.
    for (least, segments, bytes, expected): (Int, Int, Int?, Int) in [
      (2, 9, nil, 2), (2, 10, nil, 10), (0, 8, nil, 8), (3, 2, nil, 3), (7, 15, nil, 15),
      (0, 8, 1460, 8), (2, 10, 1460, 2), (7, 15, 10200, 7), (0, 8, 0, 0), (1, 9, 9 * 1460, 9),
      (1, 17, 1460, 1), (1, 17, 1461, 9), (1, 40, 20 * 1460, 25), (1, 24, 100 * 1460, 17),
    ] {
      let found = AccurateFeedback.marks(atLeast: least, of: segments, bytes: bytes, size: 1460)
      #expect(found == expected, "\(least) of \(segments), \(bytes ?? -1)")
    }
  }

  @Test func acknowledgmentsThatAreAlwaysLargeAreNotDoubted() {
    var feedback = AccurateFeedback()
    #expect(feedback.take(5, nil, counted: 0, segments: 10, size: 1000) == 0)
    #expect(feedback.take(6, nil, counted: 0, segments: 10, size: 1000) == 1)
    var doubting = AccurateFeedback()
    #expect(doubting.take(5, nil, counted: 0, segments: 1, size: 1000) == 0)
    #expect(doubting.take(5, nil, counted: 0, segments: 9, size: 1000) == 8)
  }

  @Test func theCounterOfPacketsWrapsAndNothingIsLost() {
    let script = server()
    var marked: UInt32 = 0
    var sequence = 1
    for step in 0..<40 {
      script.enqueue(10)
      sequence += 10
      marked &+= UInt32(step % 3)
      script.inject(count(marked &+ 5), 1, ack: sequence)
      #expect(script.info.markedSegments == marked)
    }
  }

  // Rules: RFC 9768 3.1.5-2
  @Test func acknowledgmentsThatWereOvertakenAreNotHeard() {
    let script = server()
    script.enqueue(988)
    script.enqueue(988)
    _ = script.take()
    script.inject(count(6), 1, ack: 1977)
    script.inject(count(5), 1, ack: 989)
    #expect(script.info.markedSegments == 1)
    // Nor are the flags of a SYN, in a connection that is open.
    script.inject(Self.asking, 0, mark: .experienced)
    script.inject([.syn, .cwr, .ece], 0)
    #expect(script.info.markedSegments == 1 && script.info.congestionFeedback == .accurate)
    #expect(script.info.accurateFeedback.marksPackets)
  }

  // MARK: Text with the SYN, TIME-WAIT

  @Test func aConnectionOpenedFastCountsFromItsFirstSegment() {
    var configuration = Self.configuration()
    configuration.fastOpen = .client
    var cookie = InlineBytes<16>()
    for byte in 1...8 as ClosedRange<UInt8> { cookie.append(byte) }
    let script = Script(
      active: configuration,
      fastOpen: TCPFastOpenAttempt(cookie: cookie, segment: 1000), enqueue: 100)
    let syn = script.take()
    #expect(syn.map(\.flags) == [Self.asking] && syn[0].count == 100)
    script.inject([.syn, .ack, .cwr], 0, ack: 101, options: Self.options(), mark: .experienced)
    script.enqueue(10)
    #expect(script.take().map(\.flags.marks) == [0b110, 0b110])
  }

  @Test func inTimeWaitWhatIsLeftOfLinuxDoesNotCount() {
    for (closes, marks): (Bool, UInt8) in [(true, 0), (false, 5)] {
      let script = server()
      if closes { script.close() } else { script.shutdown() }
      _ = script.take()
      script.inject(count(5), 1, ack: 2)
      script.inject(count(5).union(.fin), 1, ack: 2)
      #expect(script.state == .timeWait)
      #expect(script.take().map(\.flags.marks) == [marks])
    }
  }
}
