import TCP
import Testing
import Timing
import Wire

/// Segments at every edge of the window, in every synchronized state: RFC 9293 section 3.4 and 3.10.7.4.
@Suite struct EdgeTests {
  static let synchronized: [TCPState] = [
    .established, .finWait1, .finWait2, .closeWait, .closing, .lastAck, .timeWait,
  ]

  private func states(_ state: TCPState, _ body: (Script, _ next: Int, _ own: Int) -> Void) {
    var configuration = Script.plain
    for personality in TCPPersonality.allCases {
      configuration.personality = personality
      // What our FIN would be acknowledged by says something new: the number before it does not.
      body(Script.inState(state, configuration), Script.peerNext(state), 1)
    }
  }
  /// What was answered: one acknowledgment of where we stand, or nothing.
  private func expectAnswer(_ isAnswered: Bool, _ script: Script, _ next: Int, _ what: String) {
    let sent = script.take()
    // BSD says its FIN again while it is not acknowledged.
    #expect(sent.map { $0.flags.subtracting(.fin) } == (isAnswered ? [.ack] : []), "\(what)")
    #expect(sent.allSatisfy { $0.acknowledgment == next && $0.count == 0 }, "\(what)")
    #expect(script.last.deliveredBytes == 0 && script.delivered.isEmpty, "\(what)")
  }

  @Test(arguments: synchronized) func textOutsideTheWindowIsAnsweredAndNotTaken(state: TCPState) {
    states(state) { script, next, own in
      let edge = next + script.info.receiveWindow
      for (start, count) in [
        (next - 100, 50), (next - 50, 50), (next - 40_000, 1), (edge, 1), (edge + 1000, 500),
      ] {
        script.inject(.ack, start, stream(count), ack: own)
        expectAnswer(true, script, next, "\(state) \(start):\(count)")
        #expect(script.state == state)
      }
    }
  }

  @Test(arguments: synchronized) func whatHasNoLengthMayStandOnBothEdges(state: TCPState) {
    states(state) { script, next, own in
      let edge = next + script.info.receiveWindow
      for (start, isAnswered) in [
        (next - 1, true), (next, false), (next + 1, false), (edge, false), (edge + 1, true),
      ] {
        // In TIME-WAIT the habits differ about what says nothing.
        if state == .timeWait, !isAnswered { continue }
        script.inject(.ack, start, ack: own)
        expectAnswer(isAnswered, script, next, "\(state) \(start)")
        #expect(script.state == state)
      }
    }
  }

  @Test(arguments: synchronized) func withoutAnAcknowledgmentNothingIsTaken(state: TCPState) {
    states(state) { script, next, _ in
      script.inject(.psh, next, stream(10))
      #expect(script.delivered.isEmpty && script.state == state)
      script.inject([], next)
      expectAnswer(false, script, next, "\(state)")
    }
  }

  /// What reaches over an edge is trimmed where text is still taken.
  @Test(arguments: [TCPState.established, .finWait1, .finWait2])
  func whatReachesOverAnEdgeIsTrimmed(state: TCPState) {
    states(state) { script, next, own in
      script.inject(.ack, next - 100, stream(200), ack: own)
      #expect(script.delivered == Array(stream(200)[100...]) && script.state == state)
      let position = next + 100
      let window = script.info.receiveWindow
      script.inject(.ack, position + window - 50, stream(100), ack: own)
      #expect(script.info.outOfOrderBytes == 50 && script.state == state)
    }
  }
}
