import TCP
import Testing
import Timing
import Wire

@Suite struct StampTests {
  /// R10: an acknowledgment that waited at an occupied connection is measured by when it came in.
  @Test(arguments: [0, 70, 500] as [Int64]) func R10_theRoundTripIsMeasuredByTheStamp(waited: Int64) {
    let script = Script.established()
    script.enqueue(1000)
    let stamp = script.now + .milliseconds(30)
    script.now = stamp + .milliseconds(waited)
    let segment = TCPSegment(
      sequence: script.irs + 1, acknowledgment: script.iss + 1001, flags: .ack, window: 65535, arrival: stamp)
    var recorder = Recorder()
    _ = script.connection.arrive(segment, nil, now: script.now, sink: &recorder)
    // An eighth of the new sample after the handshake's, which took no time.
    #expect(abs(script.info.smoothedRoundTrip.count - 3_750_000) < 1000, "\(script.info.smoothedRoundTrip)")
    #expect(script.info.queuedBytes == 0)
  }
}
