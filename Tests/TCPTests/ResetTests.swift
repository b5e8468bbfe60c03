import TCP
import Testing
import Timing
import Wire

/// RFC 9293 sections 3.10.5 and 3.10.7, RFC 5961: keeps P1.
@Suite struct ResetTests {
  static let synchronized: [TCPState] = [
    .established, .finWait1, .finWait2, .closeWait, .closing, .lastAck,
  ]

  // Rules: RFC 5961 3.2-3; RFC 9293 3.10.7.4-1
  @Test(arguments: synchronized) func P1_exactResetEndsTheConnection(state: TCPState) {
    let script = Script.inState(state)
    script.inject(.rst, Script.peerNext(state))
    #expect(script.state == .closed)
    #expect(script.last.closed)
    #expect(script.last.error == (state == .closing || state == .lastAck ? nil : .reset))
    #expect(script.take().isEmpty)
  }

  // Rules: RFC 5961 3.2-4; RFC 9293 3.10.7.4-2
  @Test(arguments: synchronized) func P1_resetInTheWindowIsChallenged(state: TCPState) {
    let script = Script.inState(state)
    let next = Script.peerNext(state)
    // After the peer's FIN the window is what was left of it: one byte on is inside in every state.
    script.inject(.rst, next + 1)
    #expect(script.state == state)
    let sent = script.take()
    #expect(sent.map(\.flags) == [.ack])
    #expect(sent.first?.sequence == Script.ownNext(state))
    #expect(sent.first?.acknowledgment == next)
    #expect(script.last.isEmpty)
    // The peer's answer to the challenge is exact.
    script.inject(.rst, next)
    #expect(script.state == .closed)
  }

  // Rules: RFC 5961 3.2-2
  @Test(arguments: synchronized) func P1_staleResetIsDropped(state: TCPState) {
    var configuration = Script.plain
    for personality in TCPPersonality.allCases {
      configuration.personality = personality
      let script = Script.inState(state, configuration)
      for sequence in [Script.peerNext(state) - 1, -1000, 70_000, 1 << 30] {
        // Linux: a peer that has sent its FIN may reset from before it.
        if personality == .linux, sequence == 1, [.closeWait, .closing, .lastAck].contains(state) {
          continue
        }
        script.inject(.rst, sequence)
        #expect(script.state == state)
        #expect(script.take().isEmpty)
      }
    }
  }

  @Test(arguments: [TCPState.closeWait, .closing, .lastAck])
  func aPeerThatHasSentItsFinMayResetFromBeforeIt(state: TCPState) {
    let script = Script.inState(state)
    script.inject(.rst, 1)
    #expect(script.state == .closed)
  }

  /// What a peer knows of that has not heard what filled the hole.
  @Test func aResetAtTheEndOfWhatIsHeldIsBelieved() {
    var options = TCPOptions()
    options.sackPermitted = true
    options.mss = 1000
    let script = Script.established(Script.plain, syn: options)
    script.inject(.ack, 1001, stream(100, from: 1000), ack: 1)
    script.inject(.ack, 3001, stream(100, from: 3000), ack: 1)
    for sequence in [1001, 1101, 3001, 3100] {
      script.inject(.rst, sequence)
      #expect(script.state == .established)
    }
    script.inject(.rst, 3101)
    #expect(script.state == .closed)
  }

  // Rules: RFC 5961 4.2-2, 4.2-3; RFC 9293 3.10.7.4-3
  @Test(arguments: synchronized) func synIsChallengedWhereverItStands(state: TCPState) {
    let script = Script.inState(state)
    for sequence in [Script.peerNext(state), Script.peerNext(state) + 10, -5000, 1 << 29] {
      script.inject(.syn, sequence)
      #expect(script.state == state)
      #expect(script.take().map(\.flags) == [.ack])
    }
  }

  @Test(arguments: synchronized) func segmentWithoutAckIsDropped(state: TCPState) {
    let script = Script.inState(state)
    script.inject([], Script.peerNext(state), stream(5))
    script.inject(.fin, Script.peerNext(state))
    #expect(script.state == state)
    #expect(script.delivered.isEmpty)
  }

  // Rules: RFC 5961 5.2-1
  @Test(arguments: synchronized) func acknowledgmentOfTheFutureIsChallenged(state: TCPState) {
    let script = Script.inState(state)
    script.inject(.ack, Script.peerNext(state), stream(5), ack: Script.ownNext(state) + 1)
    #expect(script.state == state)
    #expect(script.delivered.isEmpty)
    // Linux says nothing while the connection is open.
    #expect(script.take().map(\.flags) == (state == .established ? [] : [.ack]))
  }

  // Rules: RFC 5961 5.2-2
  @Test func P1_theFutureIsAlwaysAnsweredByBSD() {
    var configuration = Script.plain
    configuration.personality = .bsd
    let script = Script.established(configuration)
    script.inject(.ack, 1, stream(5), ack: 2)
    #expect(script.take().map(\.flags) == [.ack])
  }

  // Rules: RFC 5961 5.2-1, 5.2-2; RFC 9293 3.10.7.4-4, MAY-12
  @Test(arguments: synchronized) func acknowledgmentOfALongGonePastIsChallenged(state: TCPState) {
    // RFC 5961 section 5.2: older than the largest window.
    let script = Script.inState(state)
    script.inject(.ack, Script.peerNext(state), stream(5), ack: -70_000)
    #expect(script.delivered.isEmpty)
    #expect(script.take().map(\.flags) == [.ack])
  }

  @Test func acknowledgmentOfThePastIsIgnoredButItsTextIsNot() {
    let script = Script.established()
    script.enqueue(100)
    script.inject(.ack, 1, ack: 101)
    script.inject(.ack, 1, stream(5), ack: 50)
    #expect(script.delivered == stream(5))
    #expect(script.queuedBytes == 0)
  }

  @Test func challengesAreLimited() {
    let script = Script.established()
    for _ in 0..<50 { script.inject(.rst, 100) }
    #expect(script.take().count == 10)
    #expect(script.info.counters.challenges == 10)
    script.wait(milliseconds: 5000)
    script.inject(.syn, 100)
    #expect(script.take().count == 1)
  }

  @Test func twoEnginesDoNotArgue() {
    // Neither answers the other's unacceptable acknowledgments without end.
    let script = Script.established()
    for _ in 0..<100 { script.inject(.ack, -10, ack: 1) }
    #expect(script.take().count == 10)
  }

  @Test func repeatedTextIsAlwaysAnswered() {
    let script = Script.established()
    script.inject(.ack, 1, stream(100), ack: 1)
    _ = script.take()
    for _ in 0..<30 { script.inject(.ack, 1, stream(100), ack: 1) }
    #expect(script.take().map(\.acknowledgment) == Array(repeating: 101, count: 30))
    #expect(script.delivered == stream(100))
  }

  @Test func resetInSynReceivedReturnsToListen() {
    let script = Script.inState(.synReceived)
    script.inject(.rst, 5)
    #expect(script.state == .synReceived)
    #expect(script.take().map(\.flags) == [.ack])
    script.inject(.rst, 1)
    #expect(script.state == .closed)
    #expect(script.last.error == .reset)
    #expect(script.take().isEmpty)
  }

  @Test func resetInSynReceivedAfterSimultaneousOpenIsARefusal() {
    let script = Script.inState(.synSent)
    script.inject(.syn, 0)
    script.inject(.rst, 1)
    #expect(script.last.error == .refused)
  }

  @Test func newSynInSynReceivedReturnsToListen() {
    let script = Script.inState(.synReceived)
    script.inject(.syn, 100)
    #expect(script.state == .closed)
  }

  @Test func badAcknowledgmentInSynReceivedIsReset() {
    let script = Script.inState(.synReceived)
    script.inject(.ack, 1, ack: 2)
    #expect(script.state == .synReceived)
    let sent = script.take()
    #expect(sent.map(\.flags) == [.rst])
    #expect(sent.first?.sequence == 2)
    script.inject(.ack, 1, ack: 1)
    #expect(script.state == .established)
  }

  // Rules: RFC 5961 3.2-6; RFC 9293 3.10.7.3-1
  @Test func resetInSynSent() {
    let script = Script.inState(.synSent)
    // Without an acknowledgment of our SYN anyone could have sent it.
    script.inject(.rst, 0)
    script.inject([.rst, .ack], 0, ack: 0)
    script.inject([.rst, .ack], 0, ack: 2)
    #expect(script.state == .synSent)
    #expect(script.take().isEmpty)
    script.inject([.rst, .ack], 0, ack: 1)
    #expect(script.state == .closed)
    #expect(script.last.error == .refused)
  }

  @Test func wrongAcknowledgmentInSynSentIsReset() {
    let script = Script.inState(.synSent)
    script.inject([.syn, .ack], 0, ack: 50)
    #expect(script.state == .synSent)
    let sent = script.take()
    #expect(sent.map(\.flags) == [.rst])
    #expect(sent.first?.sequence == 50)
    // A half-open peer's acknowledgment (RFC 9293 figure 9).
    script.inject(.ack, 0, ack: 300)
    #expect(script.take().first?.sequence == 300)
    script.inject(.ack, 0, ack: 1)
    #expect(script.state == .synSent && script.take().isEmpty)
  }

  @Test(arguments: TCPState.allCases) func abort(state: TCPState) {
    guard state != .closed, state != .listen else { return }
    let script = Script.inState(state)
    script.abort()
    #expect(script.state == .closed)
    #expect(script.last.closed && script.last.error == .aborted)
    let sent = script.take()
    switch state {
    case .synReceived, .established, .finWait1, .finWait2, .closeWait:
      #expect(sent.map(\.flags) == [[.rst, .ack]])
      #expect(sent.first?.sequence == (state == .synReceived ? 1 : Script.ownNext(state)))
    case .synSent, .closing, .lastAck, .timeWait, .closed, .listen:
      #expect(sent.isEmpty)
    }
    // What comes afterwards is nothing to the engine.
    script.inject(.ack, Script.peerNext(state), ack: 1)
    #expect(script.take().isEmpty && script.last.isEmpty)
  }

  @Test func closedPortAnswers() {
    let ack = TCPResetRule.reply(
      to: TCPSegment(sequence: SequenceNumber(5), acknowledgment: SequenceNumber(9), flags: .ack),
      payloadCount: 3)
    #expect(ack?.flags == .rst)
    #expect(ack?.sequence == SequenceNumber(9))
    let syn = TCPResetRule.reply(
      to: TCPSegment(sequence: SequenceNumber(.max), flags: [.syn, .fin]), payloadCount: 3)
    #expect(syn?.flags == [.rst, .ack])
    #expect(syn?.sequence == SequenceNumber(0))
    #expect(syn?.acknowledgment == SequenceNumber(4))
    let reset = TCPSegment(sequence: SequenceNumber(5), flags: .rst)
    if TCPResetRule.reply(to: reset, payloadCount: 0) != nil { Issue.record("a reset was answered") }
  }

  @Test func listenerAnswers() {
    func decide(_ flags: TCPFlags) -> TCPListenRule.Decision {
      TCPListenRule.examine(
        TCPSegment(sequence: SequenceNumber(5), acknowledgment: SequenceNumber(9), flags: flags))
    }
    if case .ignore = decide(.rst) {} else { Issue.record("RST") }
    if case .ignore = decide([.rst, .syn]) {} else { Issue.record("RST SYN") }
    if case .ignore = decide(.fin) {} else { Issue.record("FIN") }
    if case .ignore = decide([]) {} else { Issue.record("nothing") }
    if case .ignore = decide([.syn, .fin]) {} else { Issue.record("SYN FIN") }
    if case .open = decide(.syn) {} else { Issue.record("SYN") }
    if case .reset(let reply) = decide([.syn, .ack]) {
      #expect(reply.sequence == SequenceNumber(9) && reply.flags == .rst)
    } else {
      Issue.record("SYN ACK")
    }
  }
}
